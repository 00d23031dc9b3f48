// Eight-bit floating numbers: values and casts as in ml_dtypes, and files of them.
#include "linnet/float8.h"

#include "linnet/error.h"
#include "linnet/io/checkpoint.h"
#include "linnet/io/safetensors.h"
#include "linnet/io/tree_file.h"
#include "linnet/jit.h"
#include "tests/io/io_test_utils.h"
#include "tests/ops/elementwise_support.h"
#include "tests/ops/golden_file.h"

namespace linnet::float8_test {
namespace {

using testing::expect_tensor;
using testing::GoldenFile;
using testing::TemporaryDirectory;

TensorType u8(const Shape& shape) { return {DType::kU8, shape}; }

/// Equal bits; of NaN whatever sign and payload.
void expect_bits(const Tensor& got, const Tensor& wanted, const Tensor& x, const char* what) {
  ASSERT_EQ(to_string(got.type()), to_string(wanted.type()));
  const auto a = got.to_vector<int>(), b = wanted.to_vector<int>();
  const auto from = x.to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(from[i]))
      EXPECT_GE(a[i] & 0x7F, what == std::string("e4m3") ? 0x7F : 0x7D) << what;
    else
      EXPECT_EQ(a[i], b[i]) << what << ": " << from[i];
  }
}

/// No finite value is nearer than the one chosen.
void expect_nearest(const Tensor& bits, const Tensor& x, const Tensor& values) {
  const auto chosen = bits.to_vector<int>();
  const auto from = x.to_vector<double>(), all = values.to_vector<double>();
  for (size_t i = 0; i < from.size(); ++i) {
    double least = HUGE_VAL;
    for (double value : all)
      if (std::isfinite(value)) least = std::min(least, std::abs(value - from[i]));
    EXPECT_EQ(std::abs(all[static_cast<size_t>(chosen[i])] - from[i]), least) << from[i];
  }
}

TEST(Float8, J_001_J_005_values_and_casts_of_ml_dtypes) {
  const GoldenFile golden("float8");
  for (const auto& [name, format] :
       {std::pair("e4m3", Float8::kE4M3), std::pair("e5m2", Float8::kE5M2)}) {
    const auto of = [&, name = name](const char* part) {
      return golden.tensor(std::string(name) + "/" + part);
    };
    const Tensor all = astype(arange(256), DType::kU8);
    expect_tensor(from_float8(all, format), {DType::kF32, {256}}, of("values").to_vector<double>());
    expect_bits(to_float8(of("x"), format), of("bits"), of("x"), name);
    expect_nearest(to_float8(of("x64"), format), of("x64"), of("values"));
    const auto there_and_back = [format = format](const Tensor& x) {
      return from_float8(to_float8(x, format), format, DType::kBF16);
    };
    expect_tensor(jit(there_and_back)(of("x")), {DType::kBF16, of("x").shape()},
                  there_and_back(of("x")).to_vector<double>());
    // Every number is its own nearest one, in every dtype that holds it.
    for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
      const Tensor back = to_float8(from_float8(all, format, dtype), format);
      expect_bits(back, all, of("values"), name);
    }
  }
}

TEST(Float8, saturation_and_other_operands) {
  const Tensor x = tensor({1e9f, -1e9f, INFINITY, -INFINITY, NAN, 449.f, -0.f});
  const auto saturated = [&](Float8 format) {
    return to_float8(x, format, Float8Overflow::kSaturate).to_vector<int>();
  };
  EXPECT_EQ(saturated(Float8::kE4M3), (std::vector<int>{0x7E, 0xFE, 0x7E, 0xFE, 0x7F, 0x7E, 0x80}));
  EXPECT_EQ(saturated(Float8::kE5M2), (std::vector<int>{0x7B, 0xFB, 0x7B, 0xFB, 0x7E, 0x5F, 0x80}));
  expect_tensor(to_float8(tensor({1, 2, -448}), Float8::kE4M3), u8({3}), {0x38, 0x40, 0xFE});
  expect_tensor(to_float8(zeros({0, 2}), Float8::kE5M2), u8({0, 2}), {});
  expect_tensor(to_float8(Tensor(1.0), Float8::kE5M2), u8({}), {0x3C});
  EXPECT_THROW(from_float8(ones({2}), Float8::kE4M3), DTypeError);
  EXPECT_THROW(from_float8(zeros({2}, DType::kU8), Float8::kE4M3, DType::kI32), DTypeError);
  EXPECT_EQ(float8_named("F8_E5M2"), Float8::kE5M2);
  EXPECT_EQ(float8_named("F8_E8M0"), std::nullopt);
}

TEST(Float8, files_hold_them_under_their_names) {
  const TemporaryDirectory directory;
  const std::string path = directory / "m.safetensors";
  const Tensor bits = to_float8(tensor({{1.f, -0.5f}, {448.f, 0.001953125f}}), Float8::kE4M3);
  const std::map<std::string, HostArray> arrays{{"bits", to_host_array(bits)},
                                                {"plain", to_host_array(bits)},
                                                {"wide", to_host_array(ones({2}))}};
  const auto write = [&](const std::map<std::string, std::string>& types) {
    write_safetensors(path, arrays, {}, FileSystem::system(), types);
  };
  write({{"bits", "F8_E4M3"}});
  const SafetensorsFile file = read_safetensors(path);
  EXPECT_EQ(file.entry("bits").dtype, "F8_E4M3");
  EXPECT_EQ(file.entry("plain").dtype, "U8");
  EXPECT_EQ(to_tensor(file.bits("bits")).to_vector<int>(), bits.to_vector<int>());
  EXPECT_THROW(file.array("bits"), IoError);
  EXPECT_THROW(file.bits("plain"), IoError);
  std::map<std::string, Tensor> tree{{"bits", zeros({2, 2}, DType::kBF16)}};
  const auto only = [](const std::string& name) { return name == "bits"; };
  EXPECT_THROW(load_tree(path, tree, {.only = only}), IoError);
  load_tree(path, tree, {.only = only, .convert = true});
  expect_tensor(tree.at("bits"), {DType::kBF16, {2, 2}}, {1, -0.5, 448, 0.001953125});
  EXPECT_THROW(write({{"none", "F8_E4M3"}}), ValueError);
  EXPECT_THROW(write({{"wide", "F8_E4M3"}}), ValueError);
  EXPECT_THROW(write({{"bits", "F64"}}), ValueError);
  EXPECT_THROW(write({{"bits", "F9"}}), ValueError);
  EXPECT_EQ(read_safetensors(path).entry("bits").dtype, "F8_E4M3") << "the old file stays";
}

}  // namespace
}  // namespace linnet::float8_test
