// Products on the device: which kernel takes which contraction, precision, extreme values, sizes of
// 0 and 1.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>
#include <sstream>
#include <thread>

#include "linnet/core.h"
#include "linnet/float8_dot.h"
#include "linnet/log.h"
#include "linnet/precision.h"
#include "linnet/program_cost.h"
#include "ops/op_checks.h"

namespace linnet::testing::products_test {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};

/// The choices of kernels while it lives, one line each.
class Choices {
 public:
  Choices() {
    set_log_topics("kernels");
    set_log_sink(
        [this](std::string_view, std::string_view text) { text_ += std::string(text) + "\n"; });
  }
  ~Choices() {
    set_log_sink({});
    set_log_topics("");
  }
  size_t count(const std::string& part) const {
    size_t found = 0;
    for (size_t at = 0; (at = text_.find(part, at)) != std::string::npos; at += part.size())
      ++found;
    return found;
  }
  const std::string& text() const { return text_; }
  /// Who took the contractions, in order, without those of the CPU.
  std::vector<std::string> of_contractions() const {
    std::vector<std::string> out;
    std::istringstream lines(text_);
    for (std::string line; std::getline(lines, line);) {
      const size_t from = line.find("}: ");
      if (!line.starts_with("dot_general(") || from == std::string::npos) continue;
      const std::string name = line.substr(from + 3, line.find(';', from) - from - 3);
      if (name != "matmul") out.push_back(name);
    }
    return out;
  }

 private:
  std::string text_;
};

Tensor numbers(const Shape& shape, DType dtype = DType::kF32, float step = 0.37f) {
  Tensor x = astype(iota(DType::kI32, {element_count(shape)}), DType::kF32);
  return astype(reshape(sin((x + 1.f) * step), shape), dtype);
}

using Function = std::function<Tensor(const TensorList&)>;

TensorList moved(const TensorList& x, Device device) {
  TensorList out;
  for (const Tensor& t : x) out.push_back(t.to(device));
  return out;
}

class Products : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_GT(device_count(DeviceType::kCuda), 0);
    set_matmul_precision(Precision::kHighest);
  }
  void TearDown() override { set_matmul_precision(Precision::kDefault); }

  static void expect_same(const Function& f, const TensorList& x) {
    const Tensor there = f(moved(x, kGpu)), here = f(x);
    EXPECT_EQ(there.device(), kGpu);
    const std::string text =
        difference({there.to(kCpu)}, {here}, tolerance_in(here.dtype(), 4e-15));
    EXPECT_TRUE(text.empty()) << text;
  }
};

TEST_F(Products, J_024_precision_default_may_round_operands_and_highest_does_not) {
  // 1 + 2^-12 needs 12 bits; TF32 has 10.
  const Tensor x = full({8, 64}, 1 + 0x1p-12f), w = full({64, 16}, 1.f);
  const float exact = 64 * (1 + 0x1p-12f);
  const auto product = jit([](const TensorList& in) { return TensorList{matmul(in[0], in[1])}; });
  for (const auto& [precision, expected] :
       {std::pair{Precision::kDefault, 64.f}, std::pair{Precision::kHighest, exact},
        std::pair{Precision::kHigh, 64.f}}) {
    set_matmul_precision(precision);
    EXPECT_EQ(matmul(x.to(kGpu), w.to(kGpu)).to(kCpu).to_vector<float>()[5], expected);
    EXPECT_EQ(product(moved({x, w}, kGpu))[0].to(kCpu).to_vector<float>()[5], expected);
    EXPECT_EQ(matmul(x, w).to_vector<float>()[5], exact) << "on the CPU";
  }
}

TEST_F(Products, contractions_without_copies) {
  struct Row {
    const char* equation;
    Shape a, b;
  };
  const Row rows[] = {
      {"ij,jk->ik", {5, 7}, {7, 3}},
      {"ij,kj->ik", {5, 7}, {3, 7}},
      {"ji,jk->ik", {7, 5}, {7, 3}},
      {"ji,kj->ik", {7, 5}, {3, 7}},
      {"abj,jk->abk", {2, 5, 7}, {7, 3}},
      {"abj,ck->abjck", {2, 5, 7}, {4, 3}},
      {"bij,bjk->bik", {4, 5, 7}, {4, 7, 3}},
      {"bhqd,bhkd->bhqk", {2, 3, 5, 8}, {2, 3, 6, 8}},
      {"bqhd,bkhd->bhqk", {2, 5, 3, 8}, {2, 6, 3, 8}},
      {"bhqk,bkhd->bhqd", {2, 3, 5, 6}, {2, 6, 3, 8}},
      {"bgij,gjk->bgik", {2, 3, 5, 7}, {3, 7, 4}},
      {"j,jk->k", {7}, {7, 3}},
      {"ij,j->i", {5, 7}, {7}},
      {"i,i->", {7}, {7}},
      {"abij,abij->", {2, 3, 4, 5}, {2, 3, 4, 5}},
  };
  for (const Row& row : rows) {
    for (const DType dtype : {DType::kF32, DType::kF64, DType::kBF16, DType::kF16}) {
      SCOPED_TRACE(row.equation + std::string(" in ") + std::string(name_of(dtype)));
      const Choices choices;
      expect_same(
          [&](const TensorList& x) {
            return einsum(row.equation, {x[0], x[1]});
          },
          {numbers(row.a, dtype), numbers(row.b, dtype, 0.61f)});
      EXPECT_EQ(choices.count(": cublaslt\n"), 1u) << choices.text();
    }
  }
}

TEST_F(Products, views) {
  const Tensor wide = numbers({12, 20}), other = numbers({20, 24}, DType::kF32, 0.61f);
  const std::pair<const char*, Function> rows[] = {
      {"offset",
       [](const TensorList& x) {
         return matmul(slice(x[0], {1, 3}, {12, 20}, {1, 1}),
                       slice(x[1], {3, 5}, {20, 24}, {1, 1}));
       }},
      {"every second row",
       [](const TensorList& x) {
         return matmul(slice(x[0], {0, 0}, {12, 20}, {2, 1}), x[1]);
       }},
      {"every second column",
       [](const TensorList& x) {
         return matmul(slice(x[0], {0, 0}, {12, 20}, {1, 2}),
                       slice(x[1], {0, 0}, {20, 24}, {2, 3}));
       }},
      {"transposed",
       [](const TensorList& x) {
         return matmul(transpose(x[1], {1, 0}), transpose(x[0], {1, 0}));
       }},
      {"backwards",
       [](const TensorList& x) {
         return matmul(flip(x[0], {0}), flip(x[1], {0, 1}));
       }},
      {"repeated rows",
       [](const TensorList& x) {
         return matmul(broadcast_to(slice(x[0], {2, 0}, {3, 20}, {1, 1}), {6, 20}), x[1]);
       }},
      {"repeated batch",
       [](const TensorList& x) {
         return einsum("bij,bjk->bik",
                       {broadcast_to(x[0], {3, 12, 20}), broadcast_to(x[1], {3, 20, 24})});
       }},
  };
  for (const auto& [name, f] : rows) {
    SCOPED_TRACE(name);
    const Choices choices;
    expect_same(f, {wide, other});
    for (const std::string& kernel : choices.of_contractions())
      EXPECT_TRUE(kernel.starts_with("cublaslt")) << kernel;
  }
}

TEST_F(Products, results_are_wider_where_that_is_asked) {
  const DotDims dims{.lhs_contract = {1}, .rhs_contract = {0}};
  for (const auto& [from, to] :
       {std::pair{DType::kF16, DType::kF32}, std::pair{DType::kBF16, DType::kF32},
        std::pair{DType::kF16, DType::kF64}, std::pair{DType::kF32, DType::kF64},
        std::pair{DType::kI8, DType::kI32}, std::pair{DType::kU8, DType::kU8}}) {
    SCOPED_TRACE(std::string(name_of(from)) + " -> " + std::string(name_of(to)));
    const DType result = to;
    expect_same([&](const TensorList& x) { return dot_general(x[0], x[1], dims, result); },
                {astype(numbers({5, 9}) * 7.f, from), astype(numbers({9, 4}) * 7.f, from)});
  }
}

TEST_F(Products, sizes_of_0_and_1) {
  for (const auto& [m, k, n] : {std::array<int64_t, 3>{1, 1, 1},
                                {1, 5, 1},
                                {5, 1, 3},
                                {1, 7, 3},
                                {4, 7, 1},
                                {0, 3, 2},
                                {3, 0, 5},
                                {3, 2, 0},
                                {0, 0, 0}}) {
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      SCOPED_TRACE(std::to_string(m) + "," + std::to_string(k) + "," + std::to_string(n));
      expect_same([](const TensorList& x) { return matmul(x[0], x[1]); },
                  {numbers({m, k}, dtype), numbers({k, n}, dtype)});
      expect_same([](const TensorList& x) { return matmul(x[0], x[1]); },
                  {numbers({2, m, k}, dtype), numbers({2, k, n}, dtype)});
    }
  }
}

TEST_F(Products, extreme_values) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kMax = std::numeric_limits<float>::max();
  const Tensor a = reshape(
      tensor({kInf, 1.f, -kInf, 2.f, NAN, 1.f, kMax, kMax, 1e-40f, 0.f, 0.f, kInf}), {6, 2});
  const Tensor b = reshape(tensor({1.f, -1.f, 0.f, 2.f, 1.f, 0.5f}), {2, 3});
  expect_same([](const TensorList& x) { return matmul(x[0], x[1]); }, {a, b});
  for (const DType dtype : {DType::kF16, DType::kBF16})
    expect_same([](const TensorList& x) { return matmul(x[0], x[1]); },
                {astype(a, dtype), astype(b, dtype)});
  // Sums of 16 bits are of f32: 4096 ones are not 2048 or 256.
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    const Tensor ones = ones_like(numbers({1, 4096}, dtype)).to(kGpu);
    EXPECT_EQ(
        astype(matmul(ones, transpose(ones, {1, 0})), DType::kF32).to(kCpu).to_vector<float>()[0],
        4096.f);
  }
}

struct Fusion {
  const char* name;
  Function f;
  bool one_kernel;
};

TEST_F(Products, what_follows_them) {
  const Fusion rows[] = {
      {"bias", [](const TensorList& x) { return matmul(x[0], x[1]) + x[2]; }, true},
      {"bias, relu", [](const TensorList& x) { return relu(matmul(x[0], x[1]) + x[2]); }, true},
      {"relu", [](const TensorList& x) { return relu(matmul(x[0], x[1])); }, true},
      {"bias, gelu", [](const TensorList& x) { return gelu(matmul(x[0], x[1]) + x[2], true); },
       true},
      {"residual", [](const TensorList& x) { return matmul(x[0], x[1]) + x[3]; }, true},
      {"bias, residual", [](const TensorList& x) { return matmul(x[0], x[1]) + x[2] + x[3]; },
       true},
      {"relu, residual", [](const TensorList& x) { return relu(matmul(x[0], x[1])) + x[3]; }, true},
      {"bias, silu", [](const TensorList& x) { return silu(matmul(x[0], x[1]) + x[2]); }, true},
      {"silu", [](const TensorList& x) { return silu(matmul(x[0], x[1])); }, false},
  };
  for (const Fusion& row : rows) {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      SCOPED_TRACE(row.name + std::string(" in ") + std::string(name_of(dtype)));
      const Choices choices;
      const auto compiled = jit([&](const TensorList& x) { return TensorList{row.f(x)}; });
      expect_same([&](const TensorList& x) { return compiled(x)[0]; },
                  {numbers({6, 16}, dtype), numbers({16, 8}, dtype, 0.61f),
                   numbers({8}, dtype, 1.7f), numbers({6, 8}, dtype, 0.9f)});
      EXPECT_EQ(choices.count("linear_bias_activation(") > 0, true) << choices.text();
      const std::string text = choices.text();
      bool fused = false;
      for (size_t at = 0; (at = text.find("linear_bias_activation(", at)) != std::string::npos;
           ++at) {
        const std::string line = text.substr(at, text.find('\n', at) - at);
        fused |= line.ends_with(": cublaslt");
      }
      EXPECT_EQ(fused, row.one_kernel) << text;
    }
  }
}

/// From the second call on a program is a graph, in which products are child graphs that are
/// captured again for other addresses.
TEST_F(Products, programs_give_values_again_and_again) {
  const auto program = jit([](const TensorList& x) {
    const Tensor hidden = relu(matmul(x[0], x[1]) + x[2]);
    return TensorList{hidden, einsum("ij,kj->ik", {hidden, x[3]}),
                      einsum("abij,abjk->abik", {x[4], transpose(x[5], {1, 0, 2, 3})})};
  });
  const auto operands = [](float step) {
    return TensorList{numbers({6, 16}, DType::kF32, step),
                      numbers({16, 8}),
                      numbers({8}),
                      numbers({5, 8}, DType::kF32, step),
                      numbers({70, 71, 2, 3}, DType::kF32, step),
                      numbers({71, 70, 3, 2})};
  };
  std::vector<TensorList> kept;
  for (int i = 0; i < 5; ++i)
    kept.push_back(program(moved(operands(0.1f * static_cast<float>(i + 1)), kGpu)));
  for (int i = 0; i < 5; ++i) {
    const TensorList here = program(operands(0.1f * static_cast<float>(i + 1)));
    const std::string text = difference(moved(kept[static_cast<size_t>(i)], kCpu), here,
                                        tolerance_in(DType::kF32, 4e-15));
    EXPECT_TRUE(text.empty()) << "call " << i << ": " << text;
  }
}

/// Who took products of eight-bit numbers, and why others did not; those of the CPU have no kernel.
std::vector<std::string> takers_of_scaled_dots(const Choices& choices) {
  std::vector<std::string> out;
  std::istringstream lines(choices.text());
  for (std::string line; std::getline(lines, line);) {
    const size_t from = line.find("}: ");
    if (!line.starts_with("scaled_dot(") || from == std::string::npos) continue;
    if (line.substr(from + 3) != "none") out.push_back(line.substr(from + 3));
  }
  return out;
}

struct EightBits {
  const char* name;
  Shape lhs, rhs;
  Function f;
  const char* taker;
};

TEST_F(Products, eight_bits) {
  constexpr Float8 kE4M3 = Float8::kE4M3, kE5M2 = Float8::kE5M2;
  const auto product = [](Float8 lhs, Float8 rhs, DType dtype) {
    return [=](const TensorList& x) {
      return scaled_dot(quantize_float8(x[0], lhs), quantize_float8(x[1], rhs), dtype);
    };
  };
  /// Of matrices whose bits lie otherwise.
  const auto moved_bits = [](Tensor (*move)(const Tensor&)) {
    return [=](const TensorList& x) {
      ScaledFloat8 lhs = quantize_float8(x[0]);
      lhs.bits = move(lhs.bits);
      return scaled_dot(lhs, quantize_float8(x[1]));
    };
  };
  const EightBits rows[] = {
      {"e4m3 x e4m3", {32, 48}, {16, 48}, product(kE4M3, kE4M3, DType::kF32), "cublaslt"},
      {"e4m3 x e5m2", {32, 48}, {16, 48}, product(kE4M3, kE5M2, DType::kBF16), "cublaslt"},
      {"e5m2 x e4m3", {32, 48}, {16, 48}, product(kE5M2, kE4M3, DType::kF16), "cublaslt"},
      {"batch", {3, 2, 16, 32}, {3, 2, 48, 32}, product(kE4M3, kE4M3, DType::kF32), "cublaslt"},
      {"transposed",
       {48, 32},
       {16, 48},
       moved_bits([](const Tensor& x) { return transpose(x); }),
       "cublaslt"},
      {"behind an odd address",
       {33, 48},
       {16, 48},
       moved_bits([](const Tensor& x) {
         return reshape(slice(reshape(x, {33 * 48}), {7}, {7 + 32 * 48}, {1}), {32, 48});
       }),
       "cublaslt"},
      {"wide rows",
       {32, 56},
       {16, 48},
       moved_bits([](const Tensor& x) {
         return slice(x, {0, 8}, {32, 56}, {1, 1});
       }),
       "cublaslt"},
      {"sizes",
       {32, 24},
       {16, 24},
       product(kE4M3, kE4M3, DType::kF32),
       "none; cublaslt declined: sizes of eight-bit products are multiples of 16, these are 32 x "
       "16 x 24"},
      {"empty",
       {32, 0},
       {16, 0},
       product(kE4M3, kE4M3, DType::kF32),
       "none; cublaslt declined: an empty operand"},
  };
  for (const EightBits& row : rows) {
    SCOPED_TRACE(row.name);
    const Choices choices;
    const TensorList x{numbers(row.lhs), numbers(row.rhs, DType::kF32, 0.61f)};
    expect_same(row.f, x);
    const auto compiled = jit([&](const TensorList& in) { return TensorList{row.f(in)}; });
    expect_same([&](const TensorList& in) { return compiled(in)[0]; }, x);
    const std::vector<std::string> takers = takers_of_scaled_dots(choices);
    ASSERT_FALSE(takers.empty()) << choices.text();
    for (const std::string& taker : takers) EXPECT_EQ(taker, row.taker);
  }
}

/// A product of floats and both of its gradients, in eight bits and in a graph from the second call
/// on.
TEST_F(Products, eight_bits_in_both_directions) {
  const auto step = jit([](const TensorList& x) {
    const auto [y, pullback] = vjp(
        [](const Tensor& a, const Tensor& b) {
          return float8_dot_general(a, b, {.lhs_contract = {2}, .rhs_contract = {0}});
        },
        x[0], x[1]);
    const auto [da, db] = pullback(x[2]);
    return TensorList{y, da, db};
  });
  const Choices choices;
  for (int call = 0; call < 3; ++call) {
    const float stretch = 1 + static_cast<float>(call);
    const TensorList x{numbers({2, 16, 32}, DType::kBF16) * stretch,
                       numbers({32, 48}, DType::kBF16, 0.61f),
                       numbers({2, 16, 48}, DType::kBF16, 0.9f) * stretch};
    const TensorList there = step(moved(x, kGpu));
    const std::string text = difference(moved(there, kCpu), step(x), 0x1p-7);
    EXPECT_TRUE(text.empty()) << "call " << call << ": " << text;
  }
  const TensorList types =
      moved({numbers({2, 16, 32}), numbers({32, 48}), numbers({2, 16, 48})}, kGpu);
  EXPECT_EQ(step.lower(types).cost().flops(), 3 * 2. * 32 * 32 * 48);
  for (const std::string& taker : takers_of_scaled_dots(choices)) EXPECT_EQ(taker, "cublaslt");
  EXPECT_GE(takers_of_scaled_dots(choices).size(), 3u) << choices.text();
}

/// Runs a test in a process whose emulated devices are A100s.
TEST_F(Products, eight_bits_where_the_device_has_none) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  const pid_t child = fork();
  if (child == 0) {
    const char* arguments[] = {program.c_str(),
                               "--gtest_filter=ProductsChild.of_eight_bits_as_its_parts",
                               "--gtest_brief=1", nullptr};
    setenv("LINNET_FAKE_CUDA_CAPABILITY", "80", 1);
    execv(program.c_str(), const_cast<char**>(arguments));
    _exit(127);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/// The other process; by itself it sees that the device has such products.
TEST(ProductsChild, of_eight_bits_as_its_parts) {
  const char* const capability = std::getenv("LINNET_FAKE_CUDA_CAPABILITY");
  const bool is_old = capability && std::string(capability) == "80";
  const ScaledFloat8 lhs = quantize_float8(numbers({16, 32})),
                     rhs = quantize_float8(numbers({48, 32}, DType::kF32, 0.61f));
  const Choices choices;
  const Tensor there =
      scaled_dot({lhs.bits.to(kGpu), lhs.scale.to(kGpu)}, {rhs.bits.to(kGpu), rhs.scale.to(kGpu)});
  EXPECT_EQ(there.device(), kGpu);
  const std::string text = difference({there.to(kCpu)}, {scaled_dot(lhs, rhs)}, 1e-6);
  EXPECT_TRUE(text.empty()) << text;
  const std::vector<std::string> expected{
      is_old
          ? "none; cublaslt declined: eight-bit products need compute capability 8.9, this is 8.0"
          : "cublaslt"};
  EXPECT_EQ(takers_of_scaled_dots(choices), expected);
  EXPECT_EQ(choices.of_contractions(), std::vector<std::string>(is_old, "cublaslt"));
}

/// A batch with more strides than the library has, in more calls than are worth it.
TEST_F(Products, batches_of_several_strides) {
  const Choices choices;
  expect_same(
      [](const TensorList& x) {
        return einsum("abij,abjk->abik", {x[0], transpose(x[1], {1, 0, 2, 3})});
      },
      {numbers({3, 4, 5, 6}), numbers({4, 3, 6, 2}, DType::kF32, 0.61f)});
  expect_same(
      [](const TensorList& x) {
        return einsum("abij,abjk->abik", {x[0], transpose(x[1], {1, 0, 2, 3})});
      },
      {numbers({70, 71, 2, 3}), numbers({71, 70, 3, 2}, DType::kF32, 0.61f)});
  const std::vector<std::string> expected{"cublaslt", "cublaslt on packed operands"};
  EXPECT_EQ(choices.of_contractions(), expected) << choices.text();
}

TEST_F(Products, every_device_and_several_threads) {
  const Tensor x = numbers({24, 40}), w = numbers({40, 32}, DType::kF32, 0.61f);
  const std::vector<float> expected = matmul(x, w).to_vector<float>();
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const Device device{DeviceType::kCuda,
                          static_cast<uint8_t>(t % device_count(DeviceType::kCuda))};
      const Tensor a = x.to(device), b = w.to(device);
      for (int i = 0; i < 10; ++i) {
        const Tensor y = matmul(a, b);
        if (y.device() != device) ++wrong;
        const std::vector<float> got = y.to(kCpu).to_vector<float>();
        for (size_t e = 0; e < got.size(); ++e) wrong += !(std::fabs(got[e] - expected[e]) < 1e-5f);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace linnet::testing::products_test
