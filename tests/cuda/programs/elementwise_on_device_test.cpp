// Elementwise functions and conversions on `cuda:0` against the CPU: every function in every dtype,
// over layouts that take each of the kernels, and at the ends of the number formats.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/ops/activation.h"
#include "core/ops/arithmetic.h"
#include "core/ops/convert.h"
#include "core/ops/scalar_primitives.h"
#include "linnet/core.h"
#include "linnet/cuda.h"
#include "ops/op_checks.h"

namespace linnet::testing::elementwise_on_device_test {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};
constexpr DType kAllTypes[] = {DType::kBool, DType::kI8,  DType::kI16, DType::kI32, DType::kI64,
                               DType::kU8,   DType::kU16, DType::kU32, DType::kU64, DType::kF16,
                               DType::kBF16, DType::kF32, DType::kF64};

struct Function {
  const Primitive* primitive;
  ScalarOp op;
};

std::vector<Function> functions() {
  std::vector<Function> out;
#define LINNET_ROW(id, name, function, arity, params, kind, cost) \
  out.push_back({&function##_primitive(), ScalarOp::id});
  LINNET_SCALAR_PRIMITIVES(LINNET_ROW)
#undef LINNET_ROW
  return out;
}

bool takes(ScalarKind kind, DType dtype) {
  const bool floating = is_floating(dtype), boolean = dtype == DType::kBool;
  switch (kind) {
    case ScalarKind::kNumber:
      return !boolean;
    case ScalarKind::kFloat:
    case ScalarKind::kPredicate:
      return floating;
    case ScalarKind::kBits:
      return !floating;
    case ScalarKind::kInteger:
      return !floating && !boolean;
    default:
      return true;
  }
}

Params params_of(ScalarOp op) {
  if (op == ScalarOp::kIntegerPow) return Params(IntegerPowParams{3});
  if (scalar_op_info(op).param_count == 1) return Params(AlphaParams{0.3});
  return Params(NoParams{});
}

/// Numbers of both signs around zero, in a fixed pattern that differs by `seed`.
Tensor operand(DType dtype, const Shape& shape, int seed) {
  const Tensor position = astype(reshape(arange(element_count(shape)), shape), DType::kF64);
  const Tensor pattern = sin(position * (1.7 + seed) + seed) * (is_floating(dtype) ? 3. : 50.);
  return astype(dtype == DType::kBool ? pattern - 20 * (seed % 2) > Tensor(0.) : pattern, dtype);
}

/// The same layout of the operands on both devices.
using Layout = TensorList (*)(const TensorList& dense);

struct NamedLayout {
  const char* name;
  Shape shape;
  Layout arrange;
};

const NamedLayout kLayouts[] = {
    {"dense", {16, 32}, [](const TensorList& x) { return x; }},
    {"dense with a tail", {531}, [](const TensorList& x) { return x; }},
    {"one element", {}, [](const TensorList& x) { return x; }},
    {"the last operand is one number",
     {3, 40},
     [](const TensorList& x) {
       TensorList out = x;
       out.back() = broadcast_to(reshape(slice(x.back(), {1, 3}, {2, 4}), {}), {3, 40});
       return out;
     }},
    {"the last operand is one row",
     {5, 48},
     [](const TensorList& x) {
       TensorList out = x;
       out.back() = broadcast_to(slice(x.back(), {2, 0}, {3, 48}), {5, 48});
       return out;
     }},
    {"the last operand is one column",
     {5, 48},
     [](const TensorList& x) {
       TensorList out = x;
       out.back() = broadcast_to(slice(x.back(), {0, 7}, {5, 8}), {5, 48});
       return out;
     }},
    {"transposed",
     {12, 20},
     [](const TensorList& x) {
       TensorList out;
       for (const Tensor& t : x) out.push_back(transpose(t));
       return out;
     }},
    {"an odd part, backwards strides", {4, 6, 17}, [](const TensorList& x) {
       TensorList out;
       for (const Tensor& t : x) out.push_back(slice(t, {1, 0, 3}, {4, 6, 14}, {1, 2, 1}));
       return out;
     }}};

TensorList moved(const TensorList& tensors, Device device) {
  TensorList out;
  for (const Tensor& t : tensors) out.push_back(t.to(device));
  return out;
}

/// A unit of the last place or two, more where a long way leads there.
double tolerance(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return 4e-14;
    case DType::kF32:
      return 4e-6;
    case DType::kF16:
      return 1e-3;
    case DType::kBF16:
      return 8e-3;
    default:
      return 0;
  }
}

TensorList applied(const Function& f, const TensorList& x) {
  return emit(*f.primitive, x, params_of(f.op));
}

void check_layout(const NamedLayout& layout) {
  for (const Function& f : functions()) {
    const ScalarOpInfo& info = scalar_op_info(f.op);
    for (const DType dtype : kAllTypes) {
      if (!takes(info.kind, dtype)) continue;
      SCOPED_TRACE(std::string(info.name) + " of " + std::string(name_of(dtype)));
      TensorList x;
      for (int k = 0; k < info.arity; ++k) {
        const bool condition = info.kind == ScalarKind::kSelect && k == 0;
        x.push_back(operand(condition ? DType::kBool : dtype, layout.shape, k));
      }
      const uint64_t hosted = cuda::statistics().host_kernels;
      const TensorList got = applied(f, layout.arrange(moved(x, kGpu)));
      EXPECT_EQ(cuda::statistics().host_kernels, hosted);
      EXPECT_EQ(difference(moved(got, kCpu), applied(f, layout.arrange(x)),
                           is_floating(got[0].dtype()) ? tolerance(dtype) : 0),
                "");
    }
  }
}

class ElementwiseLayout : public ::testing::TestWithParam<const NamedLayout*> {};
TEST_P(ElementwiseLayout, every_function_in_every_type) { check_layout(*GetParam()); }

std::vector<const NamedLayout*> layouts() {
  std::vector<const NamedLayout*> out;
  for (const NamedLayout& layout : kLayouts) out.push_back(&layout);
  return out;
}
INSTANTIATE_TEST_SUITE_P(OnCuda, ElementwiseLayout, ::testing::ValuesIn(layouts()));

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const std::vector<double> kExtremes = {0,           -0.,
                                       1,           -1,
                                       0.5,         1e-45,
                                       -1e-40,      1.18e-38,
                                       6e-8,        -6e-5,
                                       65504,       65520,
                                       -7e4,        3.4e38,
                                       -3.39e38,    1e300,
                                       -1e-300,     88.7,
                                       -88.7,       -104,
                                       -745,        709,
                                       11.1,        -17.4,
                                       16.6,        20.5,
                                       127.5,       128,
                                       -128.5,      255,
                                       256,         32767.5,
                                       -32769,      65535,
                                       65536,       2147483647,
                                       2147483648., -2147483649.,
                                       4294967295., 4294967296.,
                                       9.3e18,      -9.3e18,
                                       1.9e19,      kInfinity,
                                       -kInfinity,  std::numeric_limits<double>::quiet_NaN()};

TEST(ElementwiseOnDevice, functions_at_the_ends_of_the_formats) {
  const auto count = static_cast<int64_t>(kExtremes.size());
  const Tensor all = from_vector(kExtremes, {count});
  for (const Function& f : functions()) {
    const ScalarOpInfo& info = scalar_op_info(f.op);
    if (info.arity > 2) continue;
    for (const DType dtype : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
      if (!takes(info.kind, dtype)) continue;
      SCOPED_TRACE(std::string(info.name) + " of " + std::string(name_of(dtype)));
      const Tensor x = astype(all, dtype);
      TensorList operands{x};
      if (info.arity == 2) {
        operands = {broadcast_to(expand_dims(x, {1}), {count, count}),
                    broadcast_to(expand_dims(x, {0}), {count, count})};
      }
      const std::vector<double> expected =
          astype(applied(f, operands)[0], DType::kF64).to_vector<double>();
      const std::vector<double> got =
          astype(applied(f, moved(operands, kGpu))[0].to(kCpu), DType::kF64).to_vector<double>();
      for (size_t i = 0; i < got.size(); ++i) {
        if (std::isnan(expected[i]) && std::isnan(got[i])) continue;
        if (expected[i] == got[i]) continue;
        // Where a function is of the order of the rounding of its argument, that of 1 counts.
        const double scale = std::max(std::abs(expected[i]), dtype == DType::kF64 ? 1e-307 : 1e-37);
        ASSERT_LE(std::abs(got[i] - expected[i]), 8 * tolerance(dtype) * scale)
            << "of " << kExtremes[info.arity == 2 ? i / static_cast<size_t>(count) : i] << " and "
            << kExtremes[i % static_cast<size_t>(count)] << ": " << got[i] << ", not "
            << expected[i];
      }
    }
  }
}

TEST(ElementwiseOnDevice, conversions_between_all_types_equal_those_of_the_cpu_bit_for_bit) {
  std::vector<double> numbers = kExtremes;
  for (int i = 0; i < 200; ++i) numbers.push_back(std::sin(i * 1.3) * std::exp(i * 0.4 - 20));
  const Tensor all = from_vector(numbers, {static_cast<int64_t>(numbers.size())});
  const Tensor words = from_vector(
      std::vector<int64_t>{std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(),
                           (int64_t{1} << 53) + 1, -1, 0, 255, 256, 0x7fffff80, 0x80000040,
                           0x1000001, (int64_t{1} << 62) + 513, 2049, 4098},
      {13});
  for (const DType from : kAllTypes) {
    for (const Tensor& x :
         {astype(all, from), astype(words, from), slice_axis(astype(all, from), 3, 200, 0)}) {
      for (const DType to : kAllTypes) {
        SCOPED_TRACE(std::string(name_of(from)) + " to " + std::string(name_of(to)));
        const uint64_t hosted = cuda::statistics().host_kernels;
        const Tensor got = astype(x.to(kGpu), to);
        EXPECT_EQ(cuda::statistics().host_kernels, hosted);
        EXPECT_EQ(difference({got.to(kCpu)}, {astype(x, to)}, 0), "");
      }
    }
  }
}

TEST(ElementwiseOnDevice, counting_in_every_type) {
  for (const DType dtype : kAllTypes) {
    if (dtype == DType::kBool) continue;
    for (const int64_t axis : {0, 1, 2}) {
      const ScopedDevice device(kGpu);
      const Tensor got = iota(dtype, {3, 5, 4}, axis);
      EXPECT_EQ(got.device(), kGpu);
      const ScopedDevice host(kCpu);
      EXPECT_EQ(difference({got.to(kCpu)}, {iota(dtype, {3, 5, 4}, axis)}, 0), "");
    }
  }
}

TEST(ElementwiseOnDevice, nothing_is_launched_for_nothing) {
  const Tensor x = zeros({0, 4}).to(kGpu);
  const uint64_t launches = cuda::statistics().launches;
  EXPECT_EQ((x + x).shape(), (Shape{0, 4}));
  EXPECT_EQ(astype(x, DType::kF16).shape(), (Shape{0, 4}));
  EXPECT_EQ(cuda::statistics().launches, launches);
}

TEST(ElementwiseOnDevice, ten_dimensions_that_cannot_be_walked_are_left_to_the_host) {
  Shape shape;
  Axes backwards;
  for (int64_t d = 0; d < 10; ++d) {
    shape.push_back(2);
    backwards.insert(0, d);
  }
  const Tensor x = operand(DType::kF32, shape, 1);
  const Tensor got = transpose(x.to(kGpu), backwards) + x.to(kGpu);
  EXPECT_EQ(difference({got.to(kCpu)}, {transpose(x, backwards) + x}, 0), "");
}

}  // namespace
}  // namespace linnet::testing::elementwise_on_device_test
