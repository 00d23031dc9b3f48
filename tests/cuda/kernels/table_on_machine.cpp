#include "cuda/kernels/table_on_machine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "core/tensor/tensor_impl.h"
#include "core/trace/eval.h"
#include "cuda/kernels/kernel.h"
#include "kernels/cuda/launch/function.h"
#include "linnet/back_end.h"

namespace linnet::cuda {
namespace {

/// Does every launch at once.
class MachineSink final : public LaunchSink {
 public:
  void library(const void*, Enqueue, std::span<const Address>) override {
    throw DeviceError("a library on the bare machine");
  }
  void copy(Address to, Address from, size_t bytes) override {
    std::memcpy(pointer(to), pointer(from), bytes);
  }
  void fill(Address to, uint32_t word, size_t words) override {
    for (size_t i = 0; i < words; ++i)
      std::memcpy(static_cast<std::byte*>(pointer(to)) + 4 * i, &word, sizeof word);
  }

 private:
  static void* pointer(Address address) { return reinterpret_cast<void*>(address.word); }
  void launch_bytes(const DeviceFunction& function, Extent grid, std::span<const std::byte> args,
                    uint32_t, uint32_t shared_bytes) override {
    const auto& of = static_cast<const Function&>(function);
    const emulator::KernelEntry& kernel = kernel_named(of.name());
    if (kernel.parameter_bytes != args.size() || kernel.threads != of.threads())
      throw DeviceError(std::string(of.name()) + ": host and device disagree");
    emulator::launch(kernel, {grid.x, grid.y, grid.z}, of.threads(), args.data(), shared_bytes);
  }
};

/// Kernels that asked for memory where there is none, as that of operands without elements.
int uses_of_null = 0;

void* translate(uint64_t address) {
  static std::byte nowhere[64];
  if (address != 0) return reinterpret_cast<void*>(address);
  ++uses_of_null;
  return nowhere;
}

/// Of an operand or a workspace; null if it has no bytes.
Address address_of(const void* data, size_t bytes) {
  return bytes == 0 ? Address{} : Address::of(data);
}

/// Memory that is not initialised to anything in particular, between guards.
class Guarded {
 public:
  explicit Guarded(size_t bytes) : bytes_(bytes), memory_(bytes + 2 * kGuard + 16, kFill) {
    const auto address = reinterpret_cast<uintptr_t>(memory_.data()) + kGuard;
    at_ = reinterpret_cast<std::byte*>((address + 15) / 16 * 16);
  }
  std::byte* data() const { return at_; }
  bool intact() const {
    for (const std::byte& b : memory_) {
      if ((&b < at_ || &b >= at_ + bytes_) && b != kFill) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kGuard = 64;
  static constexpr std::byte kFill{0xA5};
  size_t bytes_;
  std::vector<std::byte> memory_;
  std::byte* at_;
};

OperandView view_of(const Tensor& t) {
  return {t.dtype(), t.shape(), t.strides(),
          alignment_of(reinterpret_cast<uintptr_t>(t.impl()->data), 16)};
}

/// Makes the kernel of the first implementation that accepts; `inputs` become what it is given.
std::unique_ptr<Kernel> choose(KernelTable& table, const Primitive& primitive, ParamsRef params,
                               TensorList& inputs, const TypeList& outputs) {
  std::string reasons;
  for (const KernelImplementation& implementation : table.implementations(primitive)) {
    TensorList given = inputs;
    if (!implementation.strided) {
      for (Tensor& x : given) x = x.contiguous();
    }
    std::vector<OperandView> in, out;
    std::vector<Strides> strides;
    for (const Tensor& x : given) in.push_back(view_of(x));
    for (const TensorType& y : outputs) strides.push_back(dense_strides(y.shape));
    for (size_t i = 0; i < outputs.size(); ++i)
      out.push_back({outputs[i].dtype, outputs[i].shape, std::span<const int64_t>(strides[i]), 16});
    const KernelRequest request{primitive, params, in, out};
    std::string reason = implementation.decline ? implementation.decline(request) : std::string();
    if (reason.empty()) {
      if (auto kernel = implementation.prepare(request, reason)) {
        inputs = given;
        return kernel;
      }
    }
    reasons += std::string(implementation.name) + ": " + reason + "\n";
  }
  throw DeviceError("nothing for " + std::string(primitive.name) + "\n" + reasons);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return std::memcmp(a.impl()->data, b.impl()->data,
                     static_cast<size_t>(a.size()) * size_of(a.dtype())) == 0;
}

void expect_close(const Tensor& got, const Tensor& expected, double tolerance) {
  const auto a = got.astype(DType::kF64).to_vector<double>();
  const auto b = expected.astype(DType::kF64).to_vector<double>();
  for (size_t i = 0; i < b.size(); ++i) {
    if (std::isnan(b[i]) && std::isnan(a[i])) continue;
    const double room = tolerance * std::max(1.0, std::abs(b[i]));
    ASSERT_TRUE(a[i] == b[i] || std::abs(a[i] - b[i]) <= room)
        << "element " << i << ": expected " << b[i] << ", got " << a[i];
  }
}

}  // namespace

TensorList on_machine(KernelTable& table, const Primitive& primitive, ParamsRef params,
                      const TensorList& inputs, const TypeList& outputs) {
  TensorList given = inputs;
  const auto kernel = choose(table, primitive, params, given, outputs);
  std::vector<Address> in, out;
  for (const Tensor& x : given)
    in.push_back(address_of(x.impl()->data, static_cast<size_t>(x.size())));
  std::vector<Guarded> results;
  for (const TensorType& y : outputs) {
    results.emplace_back(static_cast<size_t>(element_count(y.shape)) * size_of(y.dtype));
    out.push_back(address_of(results.back().data(), static_cast<size_t>(element_count(y.shape))));
  }
  const Guarded workspace(kernel->workspace_bytes());
  MachineSink sink;
  uses_of_null = 0;
  emulator::set_translation(translate);
  static_cast<const DeviceKernel&>(*kernel).emit(
      sink, in, out, address_of(workspace.data(), kernel->workspace_bytes()));
  emulator::set_translation([](uint64_t address) { return reinterpret_cast<void*>(address); });
  EXPECT_EQ(uses_of_null, 0);
  EXPECT_TRUE(workspace.intact()) << "written outside of the workspace";
  TensorList tensors;
  for (size_t i = 0; i < outputs.size(); ++i) {
    EXPECT_TRUE(results[i].intact()) << "written outside of result " << i;
    tensors.push_back(from_bytes(results[i].data(), outputs[i].dtype, outputs[i].shape));
  }
  return tensors;
}

void expect_as_on_cpu(KernelTable& table, const Primitive& primitive, ParamsRef params,
                      const TensorList& inputs, double tolerance) {
  const TensorList expected = emit(primitive, inputs, params);
  TypeList types;
  for (const Tensor& y : expected) types.push_back(y.type());
  TensorList first;
  for (const emulator::Schedule schedule : emulator::kTestedSchedules) {
    SCOPED_TRACE(std::string(primitive.name) + " of " + to_string(inputs[0].type()) + ", " +
                 emulator::name_of(schedule));
    emulator::set_schedule(schedule, 7);
    const TensorList got = on_machine(table, primitive, params, inputs, types);
    if (first.empty()) {
      for (size_t i = 0; i < got.size(); ++i) expect_close(got[i], expected[i], tolerance);
      first = got;
    }
    for (size_t i = 0; i < got.size(); ++i)
      ASSERT_TRUE(same_bits(got[i], first[i])) << "other bits in another order of threads";
    if (::testing::Test::HasFailure()) return;
  }
}

Tensor test_numbers(DType dtype, const Shape& shape, bool nan) {
  std::vector<double> values(static_cast<size_t>(element_count(shape)));
  const bool is_unsigned = dtype == DType::kBool || is_unsigned_integer(dtype);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto number = static_cast<double>((i * 7919 + i / 3 * 104729) % 19);
    values[i] = is_unsigned ? std::floor(number / 2) : number - 9;
    if (dtype == DType::kBool) values[i] = std::fmod(number, 3) == 0 ? 0 : 1;
    if (is_floating(dtype)) values[i] /= 4;
    if (nan && is_floating(dtype) && i % 37 == 11)
      values[i] = std::numeric_limits<double>::quiet_NaN();
  }
  return from_vector(values, shape).astype(dtype);
}

Tensor misaligned(const Tensor& x) {
  const Tensor flat = concatenate({x.reshape({-1}), x.reshape({-1})}, 0);
  Tensor wide = concatenate({flat, flat}, 0);
  return make_view(wide, x.shape(), dense_strides(x.shape()), x.size() > 0 ? 1 : 0);
}

}  // namespace linnet::cuda
