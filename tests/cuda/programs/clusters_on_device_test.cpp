// Clusters of elementwise operations as generated kernels on `cuda:0`, against the processor's
// interpreter of the same body: every function in every floating dtype, at the ends of the formats.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include "core/graph_support.h"
#include "core/ops/activation.h"
#include "core/ops/arithmetic.h"
#include "core/ops/scalar_primitives.h"
#include "kernels/cuda/jit/disk_cache.h"
#include "linnet/cuda.h"
#include "ops/op_checks.h"

namespace linnet::testing::clusters_on_device_test {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};
constexpr DType kFloats[] = {DType::kF32, DType::kF64, DType::kF16, DType::kBF16};

TensorList moved(const TensorList& tensors, Device device) {
  TensorList out;
  for (const Tensor& t : tensors) out.push_back(t.to(device));
  return out;
}

/// The results of `f` as one cluster, on both devices.
struct Both {
  TensorList device, host;
};
Both as_cluster(const TensorList& operands, const GraphFunction& f) {
  const auto run = [&](const TensorList& x) {
    TypeList types;
    for (const Tensor& t : x) types.push_back(t.type());
    auto body = std::make_shared<const Graph>(record(types, f));
    return emit(fused_elementwise_primitive(), x, FusedElementwiseParams{std::move(body)});
  };
  const uint64_t hosted = cuda::statistics().host_kernels;
  Both out{run(moved(operands, kGpu)), run(operands)};
  EXPECT_EQ(cuda::statistics().host_kernels, hosted);
  out.device = moved(out.device, kCpu);
  return out;
}

struct Function {
  const Primitive* primitive;
  ScalarOp op;
};

/// Those with `arity` floating operands.
std::vector<Function> functions(int arity) {
  std::vector<Function> out;
#define LINNET_ROW(id, name, function, operands, params, kind, cost)                               \
  if (operands == arity &&                                                                         \
      (ScalarKind::kind == ScalarKind::kNumber || ScalarKind::kind == ScalarKind::kNumberOrBool || \
       ScalarKind::kind == ScalarKind::kFloat || ScalarKind::kind == ScalarKind::kComparison ||    \
       ScalarKind::kind == ScalarKind::kPredicate))                                                \
    out.push_back({&function##_primitive(), ScalarOp::id});
  LINNET_SCALAR_PRIMITIVES(LINNET_ROW)
#undef LINNET_ROW
  return out;
}

Params params_of(ScalarOp op) {
  if (op == ScalarOp::kIntegerPow) return Params(IntegerPowParams{3});
  if (scalar_op_info(op).param_count == 1) return Params(AlphaParams{0.3});
  return Params(NoParams{});
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const std::vector<double> kNumbers = {
    0,         -0.,        1e-45,
    -1e-40,    2e-38,      -6e-8,
    1e-4,      -0.01,      0.3,
    -0.7,      1,          -1,
    2,         -3,         4.5,
    -5.5,      6.2,        -7.5,
    9.5,       -12,        13.5,
    -14.5,     17,         -17.4,
    30,        -38,        60,
    -87,       88.7,       -89,
    95,        -104,       105,
    300,       -700,       1000,
    -6e4,      65504,      1e20,
    -1e20,     1e38,       3e38,
    -3e38,     1e300,      0.5,
    -0.25,     0.9,        -0.99,
    kInfinity, -kInfinity, std::numeric_limits<double>::quiet_NaN()};

/// Two units of the last place of 16 bits, some of f32 and f64.
double tolerance(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return 4e-13;
    case DType::kF32:
      return 3e-5;
    case DType::kF16:
      return 2e-3;
    default:
      return 1.6e-2;
  }
}

bool is_16_bit(DType dtype) { return size_of(dtype) == 2; }

/// What differs between rounding to subnormal numbers and having none; the functions of 16 bits
/// have none in between either (kernels/cuda/device/fast_inl.h).
double smallest(DType dtype) {
  return dtype == DType::kF64 ? 1e-306 : is_16_bit(dtype) ? 3.1e-36 : 1.2e-38;
}

/// @param factor a number that products of small ones may have been multiplied with, for each
/// element; none: 1.
void expect_close(const Both& results, size_t which, const std::string& name, DType dtype,
                  const std::vector<double>& factor = {}) {
  const auto read = [&](const TensorList& list) {
    return astype(list[which], DType::kF64).to_vector<double>();
  };
  const std::vector<double> got = read(results.device), expected = read(results.host);
  ASSERT_EQ(results.device[which].type(), results.host[which].type());
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(expected[i]) && std::isnan(got[i])) continue;
    if (expected[i] == got[i]) continue;
    const double scale =
        factor.empty() || !std::isfinite(factor[i]) ? 1 : std::max(1., std::abs(factor[i]));
    // Infinity times a number that is zero there.
    if (is_16_bit(dtype) && std::isinf(expected[i]) && std::isnan(got[i])) continue;
    ASSERT_LE(std::abs(got[i] - expected[i]),
              tolerance(dtype) * std::abs(expected[i]) + smallest(dtype) * scale)
        << name << ", element " << i << ": " << got[i] << ", not " << expected[i];
  }
}

void check_functions(int arity, const TensorList& operands, DType dtype) {
  const std::vector<Function> all = functions(arity);
  constexpr size_t kAtOnce = 28;
  // The derivatives' cotangents.
  const std::vector<double> factor =
      arity == 2 ? astype(operands[1], DType::kF64).to_vector<double>() : std::vector<double>{};
  for (size_t first = 0; first < all.size(); first += kAtOnce) {
    const size_t last = std::min(all.size(), first + kAtOnce);
    const Both results = as_cluster(operands, [&](const TensorList& x) {
      TensorList out;
      for (size_t i = first; i < last; ++i)
        out.push_back(emit_one(*all[i].primitive, x, params_of(all[i].op)));
      return out;
    });
    for (size_t i = first; i < last; ++i)
      expect_close(results, i - first, std::string(name_of(all[i].op)), dtype, factor);
  }
}

TEST(ClustersOnDevice, every_function_of_one_number_at_the_ends_of_the_formats) {
  const Tensor all = from_vector(kNumbers, {static_cast<int64_t>(kNumbers.size())});
  for (const DType dtype : kFloats) {
    SCOPED_TRACE(name_of(dtype));
    check_functions(1, {astype(all, dtype)}, dtype);
  }
}

TEST(ClustersOnDevice, every_function_of_two_numbers_at_the_ends_of_the_formats) {
  const auto count = static_cast<int64_t>(kNumbers.size());
  const Tensor all = from_vector(kNumbers, {count});
  for (const DType dtype : kFloats) {
    SCOPED_TRACE(name_of(dtype));
    const Tensor x = astype(all, dtype);
    check_functions(2,
                    {reshape(broadcast_to(expand_dims(x, {1}), {count, count}), {count * count}),
                     tile(x, {count})},
                    dtype);
  }
}

Tensor pattern(DType dtype, const Shape& shape, double phase) {
  const Tensor position = astype(reshape(arange(element_count(shape)), shape), DType::kF64);
  return astype(sin(position * 1.7 + phase) * (is_floating(dtype) ? 2. : 60.), dtype);
}

TensorList gated(const TensorList& x) { return {silu(gelu(x[0]) * x[1]) + x[0]}; }

TEST(ClustersOnDevice, rows_columns_numbers_and_odd_parts) {
  const Tensor x = pattern(DType::kBF16, {6, 40}, 0), y = pattern(DType::kBF16, {6, 40}, 1);
  const auto spread = [](const Tensor& part) { return broadcast_to(part, {6, 40}); };
  const TensorList seconds{y, spread(slice(y, {2, 0}, {3, 40})), spread(slice(y, {0, 5}, {6, 6})),
                           spread(slice(y, {1, 5}, {2, 6})),
                           transpose(pattern(DType::kBF16, {40, 6}, 2))};
  for (size_t k = 0; k < seconds.size(); ++k) {
    const Both results = as_cluster({x, seconds[k]}, gated);
    expect_close(results, 0, "layout " + std::to_string(k), DType::kBF16);
  }
  for (const int64_t count : {1, 7, 8, 9, 2047, 2048, 2051}) {
    const Both results =
        as_cluster({pattern(DType::kF16, {count}, 0), pattern(DType::kF16, {count}, 1)}, gated);
    expect_close(results, 0, "count " + std::to_string(count), DType::kF16);
  }
  const Tensor wide = pattern(DType::kF32, {5, 33}, 0);
  expect_close(as_cluster({slice(wide, {0, 1}, {5, 32}), slice(wide, {0, 2}, {5, 33})}, gated), 0,
               "odd parts", DType::kF32);
}

TEST(ClustersOnDevice, integers_conversions_and_selections_are_equal_bit_for_bit) {
  for (const DType dtype : {DType::kI8, DType::kU8, DType::kI32, DType::kU64}) {
    SCOPED_TRACE(name_of(dtype));
    const Both results = as_cluster(
        {pattern(dtype, {501}, 0), pattern(dtype, {501}, 1), pattern(DType::kF32, {501}, 2)},
        [&](const TensorList& x) {
          const Tensor larger = maximum(x[0], x[1]);
          return TensorList{x[0] * x[1] - larger,
                            where(x[0] > x[1], x[0], x[1] + 3),
                            astype(x[2] * 1e3, dtype),
                            astype(x[0] + x[1], DType::kF16),
                            astype(larger, DType::kBool),
                            shift_left(x[0], astype(x[0] > x[1], dtype)),
                            astype(astype(x[2], DType::kBF16), DType::kF64)};
        });
    EXPECT_EQ(difference(results.device, results.host, 0), "");
  }
}

TEST(ClustersOnDevice, programs_use_one_kernel_for_equal_layers) {
  const TensorList x =
      moved({pattern(DType::kF32, {4, 64}, 0), pattern(DType::kF32, {4, 64}, 1)}, kGpu);
  const auto program = jit([](const TensorList& t) {
    Tensor h = t[0];
    for (int layer = 0; layer < 3; ++layer) h = sum(gelu(h) * t[1] + h, {0}, true) + t[1];
    return h;
  });
  program(x);
  const cuda::Statistics before = cuda::statistics();
  const Tensor got = program(x);
  EXPECT_EQ(cuda::statistics().host_kernels, before.host_kernels);
  EXPECT_EQ(difference({got.to(kCpu)}, {program(moved(x, kCpu))}, 1e-5), "");
}

/// A folder of its own for compiled kernels.
class CompiledKernels : public ::testing::Test {
 protected:
  CompiledKernels() {
    folder_ =
        std::filesystem::temp_directory_path() / ("linnet-kernels-" + std::to_string(::getpid()));
    ::setenv("LINNET_CUDA_CACHE", folder_.c_str(), 1);
  }
  ~CompiledKernels() override {
    ::setenv("LINNET_CUDA_CACHE", "", 1);
    std::filesystem::remove_all(folder_);
  }
  std::filesystem::path folder_;
};

TEST_F(CompiledKernels, are_kept_by_everything_they_depend_on_and_found_again) {
  EXPECT_EQ(cuda::find_compiled("a text"), std::nullopt);
  cuda::keep_compiled("a text", "an image");
  EXPECT_EQ(cuda::find_compiled("a text"), "an image");
  EXPECT_EQ(cuda::find_compiled("another text"), std::nullopt);
  EXPECT_NE(cuda::compiled_file("a text"), cuda::compiled_file("another text"));
}

TEST_F(CompiledKernels, that_are_damaged_are_compiled_again) {
  cuda::keep_compiled("a text", "an image");
  const std::string path = cuda::compiled_file("a text");
  for (const std::uintmax_t size : {std::filesystem::file_size(path) - 1, std::uintmax_t{3}}) {
    std::filesystem::resize_file(path, size);
    EXPECT_EQ(cuda::find_compiled("a text"), std::nullopt);
  }
  cuda::keep_compiled("a text", "an image");
  std::fstream(path, std::ios::in | std::ios::out).seekp(-1, std::ios::end).put('?');
  EXPECT_EQ(cuda::find_compiled("a text"), std::nullopt);
}

TEST_F(CompiledKernels, of_a_new_body_are_kept_in_one_file) {
  // A body that no other test has.
  const TensorList x{pattern(DType::kF32, {24}, 0)};
  const auto body = [](const TensorList& t) { return TensorList{t[0] * 0.12345 + 6.78901}; };
  as_cluster(x, body);
  size_t files = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder_))
    files += file.is_regular_file();
  EXPECT_EQ(files, 1);
}

}  // namespace
}  // namespace linnet::testing::clusters_on_device_test
