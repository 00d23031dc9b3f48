// What tests of kernels over rows share: arrays of any element type in device order, the instances
// of a kernel, comparison with numbers in double.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <new>
#include <string>
#include <vector>

#include "cuda/kernels/kernel.h"
#include "kernels/cuda/device/wide.h"

namespace linnet::cuda {

using Numbers = std::vector<double>;
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Of one rounding, with some to spare for the sums behind it.
template <class T>
constexpr double tolerance() {
  if (sizeof(T) == 8) return 1e-12;
  if (sizeof(T) == 4) return 2e-6;
  return std::is_same_v<T, Bf16> ? 1.0 / 128 : 1.0 / 1024;
}

/// An array as a device has it: `skew` elements beyond an address that is aligned.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(const Numbers& numbers, size_t skew = 0)
      : count_(numbers.size()),
        skew_(skew),
        data_(static_cast<T*>(::operator new((count_ + skew + 1) * sizeof(T), kAlign))) {
    for (size_t i = 0; i < count_; ++i)
      data_[skew + i] = from_wide<T>(static_cast<Wide<T>>(numbers[i]));
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { ::operator delete(data_, kAlign); }

  template <class Pointer>
  operator Global<Pointer>() const {  // NOLINT(runtime/explicit)
    return {reinterpret_cast<uintptr_t>(data_ + skew_)};
  }
  /// As they were rounded.
  Numbers numbers() const {
    Numbers out(count_);
    for (size_t i = 0; i < count_; ++i) out[i] = static_cast<double>(to_wide(data_[skew_ + i]));
    return out;
  }

 private:
  static constexpr std::align_val_t kAlign{256};
  size_t count_, skew_;
  T* data_;
};

/// `count` numbers between -span and span.
inline Numbers some_numbers(size_t count, double span = 2, uint32_t seed = 1) {
  Numbers out(count);
  uint32_t x = seed * 2654435761u + 12345;
  for (double& number : out) {
    x = x * 1664525u + 1013904223u;
    number = (static_cast<double>(x >> 8) / 0x1p23 - 1) * span;
  }
  return out;
}

/// An empty text if all are as near as `relative` and `absolute` say; NaN equals NaN.
inline std::string difference(const Numbers& got, const Numbers& expected, double relative,
                              double absolute) {
  for (size_t i = 0; i < expected.size(); ++i) {
    const double a = got[i], b = expected[i];
    if (std::isnan(a) && std::isnan(b)) continue;
    if (a == b || std::fabs(a - b) <= absolute + relative * std::fabs(b)) continue;
    return "[" + std::to_string(i) + "] = " + std::to_string(a) + ", expected " + std::to_string(b);
  }
  return got.size() == expected.size() ? "" : "sizes differ";
}

/// One line of an instance list (device/row_instances.h).
struct Instance {
  const char* name;
  int threads, row_threads, width, count;

  bool takes(int columns) const {
    if (columns % width != 0) return false;
    return count == 0 || columns <= row_threads * width * count;
  }
  emulator::Grid grid(int rows) const {
    const int per_block = threads / row_threads;
    return {static_cast<uint32_t>((rows + per_block - 1) / per_block)};
  }
  /// Elements beyond an aligned address at which its rows may begin.
  size_t skew() const { return width == 1 ? 1 : 0; }
};

inline const std::vector<int>& row_lengths() {
  static const std::vector<int> lengths = {1, 8, 31, 32, 33, 256, 1000, 1024, 8192, 8200};
  return lengths;
}

/// Calls check(columns) for the lengths that an instance takes, in all orders of the machine; long
/// rows in two of them.
template <class Check>
void for_lengths(const Instance& instance, const Check& check) {
  for (const int columns : row_lengths()) {
    if (!instance.takes(columns)) continue;
    for (const emulator::Schedule schedule : emulator::kTestedSchedules) {
      const bool is_quick =
          schedule == emulator::Schedule::kWarp || schedule == emulator::Schedule::kRandom;
      if (columns > 1024 && !is_quick) continue;
      emulator::set_schedule(schedule, 7);
      SCOPED_TRACE(std::string(instance.name) + ", " + std::to_string(columns) + " columns, " +
                   emulator::name_of(schedule));
      check(columns);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace linnet::cuda
