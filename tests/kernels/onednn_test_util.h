// Buffers with guards, deterministic values and element access for tests of prepared kernels.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "kernels/cpu/onednn/prepared.h"
#include "linnet/dtype.h"
#include "linnet/parallel.h"

namespace linnet::test {

/// `count` elements of `dtype`, accessed as double.
class Buffer {
 public:
  Buffer() = default;
  Buffer(DType dtype, int64_t count)
      : dtype_(dtype), count_(count), bytes_(count * size_of(dtype) + 8, 0) {}

  /// Uniform values in [-1, 1) with 8 bits, so that bf16 holds them exactly.
  void fill_random(uint64_t seed) {
    uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
    for (int64_t i = 0; i < count_; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      set(i, static_cast<double>(static_cast<int64_t>(state >> 56) - 128) / 128.0);
    }
  }
  void fill(double value) {
    for (int64_t i = 0; i < count_; ++i) set(i, value);
  }
  double get(int64_t i) const {
    switch (dtype_) {
      case DType::kF64:
        return at<double>()[i];
      case DType::kBF16:
        return static_cast<float>(at<bfloat16>()[i]);
      default:
        return at<float>()[i];
    }
  }
  void set(int64_t i, double value) {
    switch (dtype_) {
      case DType::kF64:
        at<double>()[i] = value;
        break;
      case DType::kBF16:
        at<bfloat16>()[i] = bfloat16(static_cast<float>(value));
        break;
      default:
        at<float>()[i] = static_cast<float>(value);
    }
  }
  int64_t count() const { return count_; }
  void* data() { return bytes_.data(); }
  const void* data() const { return bytes_.data(); }

 private:
  template <class T>
  T* at() {
    return reinterpret_cast<T*>(bytes_.data());
  }
  template <class T>
  const T* at() const {
    return reinterpret_cast<const T*>(bytes_.data());
  }
  DType dtype_ = DType::kF32;
  int64_t count_ = 0;
  std::vector<char> bytes_;
};

/// Scratch memory aligned to 64 bytes, full of NaN, with a guard behind it.
class Workspace {
 public:
  explicit Workspace(size_t bytes) : bytes_(bytes), memory_(bytes + 128 + kGuard, char(0xFF)) {}
  void* data() {
    const auto address = reinterpret_cast<uintptr_t>(memory_.data());
    return memory_.data() + ((address + 63) / 64 * 64 - address);
  }
  bool is_guard_intact() {
    const char* end = static_cast<char*>(data()) + bytes_;
    for (size_t i = 0; i < kGuard; ++i) {
      if (end[i] != char(0xFF)) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kGuard = 64;
  size_t bytes_;
  std::vector<char> memory_;
};

inline void run(const cpu::onednn::Prepared& kernel, const std::vector<const Buffer*>& in,
                const std::vector<Buffer*>& out) {
  Workspace workspace(kernel.workspace_bytes());
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  for (const Buffer* b : in) inputs.push_back(b->data());
  for (Buffer* b : out) outputs.push_back(b->data());
  kernel.execute(inputs, outputs, workspace.data());
  EXPECT_TRUE(workspace.is_guard_intact()) << kernel.implementation();
}

inline void expect_near(const Buffer& got, const std::vector<double>& expected, double tolerance,
                        const std::string& what) {
  ASSERT_EQ(got.count(), static_cast<int64_t>(expected.size())) << what;
  for (int64_t i = 0; i < got.count(); ++i) {
    const double error = std::abs(got.get(i) - expected[i]);
    ASSERT_LE(error, tolerance * (1 + std::abs(expected[i])))
        << what << " at " << i << ": got " << got.get(i) << ", expected " << expected[i];
  }
}

/// Sets the number of threads for a scope.
class Threads {
 public:
  explicit Threads(int count) : before_(num_threads()) { set_num_threads(count); }
  ~Threads() { set_num_threads(before_); }

 private:
  int before_;
};

/// Restricts own vector code to one instruction set for a scope.
class InstructionSet {
 public:
  explicit InstructionSet(int64_t target) { hwy::SetSupportedTargetsForTest(target); }
  ~InstructionSet() { hwy::SetSupportedTargetsForTest(0); }

  /// The baseline and every better one of this processor that is compiled for.
  static std::vector<int64_t> all() {
    std::vector<int64_t> result{HWY_STATIC_TARGET};
    for (int64_t target : {int64_t{HWY_AVX2}, int64_t{HWY_AVX3}}) {
      if (hwy::SupportedTargets() & target) result.push_back(target);
    }
    return result;
  }
};

}  // namespace linnet::test
