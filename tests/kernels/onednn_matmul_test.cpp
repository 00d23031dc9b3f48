// Matrix products against double loops: strides, batches, epilogues, types, threads.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>

#include "core/ops/fused.h"
#include "kernels/cpu/onednn/onednn.h"
#include "tests/kernels/onednn_test_util.h"
#include "tests/ops/activation_reference.h"

namespace linnet::cpu::onednn::onednn_matmul_test {
namespace {

using test::Buffer;
using test::expect_near;
using test::run;

double reference_activation(double x, Activation activation) {
  return static_cast<double>(linnet::testing::exact_activation(activation, x));
}

// Layout of an operand [batch..., rows, columns] in its own buffer.
enum class Layout { kRows, kColumns, kPaddedRows, kSpread };

Strides strides_of(const Shape& batch, int64_t rows, int64_t columns, Layout layout,
                   bool repeat_batch) {
  Strides s(batch.size() + 2);
  int64_t row = columns, column = 1, size = rows * columns;
  if (layout == Layout::kColumns) row = 1, column = rows;
  if (layout == Layout::kPaddedRows) row = columns + 3, size = rows * row;
  if (layout == Layout::kSpread) column = 2, row = 2 * columns + 1, size = rows * row;
  s[batch.size()] = row;
  s[batch.size() + 1] = column;
  for (size_t i = batch.size(); i-- > 0;) {
    s[i] = repeat_batch ? 0 : size;
    size *= batch[i];
  }
  return s;
}

int64_t extent(const Shape& batch, int64_t rows, int64_t columns, const Strides& s) {
  int64_t last = (rows - 1) * s[batch.size()] + (columns - 1) * s[batch.size() + 1];
  for (size_t i = 0; i < batch.size(); ++i) last += (batch[i] - 1) * s[i];
  return last + 1;
}

struct Case {
  Shape batch;
  int64_t m, n, k;
  Layout a = Layout::kRows, b = Layout::kRows, out = Layout::kRows;
  bool repeat_a = false, repeat_b = false;
  bool bias = false, residual = false;
  Activation activation = {};
  DType dtype = DType::kF32, out_dtype = DType::kF32, bias_dtype = DType::kF32;

  MatmulSpec spec() const {
    MatmulSpec s;
    s.batch = batch, s.m = m, s.n = n, s.k = k;
    s.dtype = dtype, s.out_dtype = out_dtype, s.bias_dtype = bias_dtype;
    s.a_strides = strides_of(batch, m, k, a, repeat_a);
    s.b_strides = strides_of(batch, k, n, b, repeat_b);
    if (out != Layout::kRows) s.out_strides = strides_of(batch, m, n, out, false);
    s.has_bias = bias, s.has_residual = residual, s.activation = activation;
    return s;
  }
  std::string name() const {
    return fmt::format(
        "batch {} m {} n {} k {} layouts {}{}{} repeat {}{} bias {} residual {} activation {} {} "
        "-> {}",
        to_string(batch), m, n, k, int(a), int(b), int(out), repeat_a, repeat_b, bias, residual,
        activation ? name_of(*activation) : "none", name_of(dtype), name_of(out_dtype));
  }
};

struct Data {
  Buffer a, b, bias, residual, out;
  std::vector<double> expected;  // of every element of `out`'s buffer; gaps keep the fill value
};

constexpr double kFill = 7;

Data make_data(const Case& c) {
  const MatmulSpec s = c.spec();
  const size_t rank = c.batch.size();
  const Strides out_strides = strides_of(c.batch, c.m, c.n, c.out, false);
  Data d{Buffer(c.dtype, extent(c.batch, c.m, c.k, s.a_strides)),
         Buffer(c.dtype, extent(c.batch, c.k, c.n, s.b_strides)),
         Buffer(c.bias_dtype, c.n),
         Buffer(c.out_dtype, extent(c.batch, c.m, c.n, out_strides)),
         Buffer(c.out_dtype, extent(c.batch, c.m, c.n, out_strides)),
         {}};
  d.a.fill_random(1), d.b.fill_random(2), d.bias.fill_random(3), d.residual.fill_random(4),
      d.out.fill(kFill);
  d.expected.assign(d.out.count(), kFill);
  for (int64_t index = 0; index < element_count(c.batch); ++index) {
    int64_t rest = index, at_a = 0, at_b = 0, at_out = 0;
    for (size_t i = rank; i-- > 0; rest /= c.batch[i]) {
      at_a += rest % c.batch[i] * s.a_strides[i];
      at_b += rest % c.batch[i] * s.b_strides[i];
      at_out += rest % c.batch[i] * out_strides[i];
    }
    for (int64_t i = 0; i < c.m; ++i) {
      for (int64_t j = 0; j < c.n; ++j) {
        double sum = c.bias ? d.bias.get(j) : 0;
        for (int64_t p = 0; p < c.k; ++p) {
          sum += d.a.get(at_a + i * s.a_strides[rank] + p * s.a_strides[rank + 1]) *
                 d.b.get(at_b + p * s.b_strides[rank] + j * s.b_strides[rank + 1]);
        }
        sum = reference_activation(sum, c.activation);
        const int64_t at = at_out + i * out_strides[rank] + j;
        d.expected[at] = sum + (c.residual ? d.residual.get(at) : 0);
      }
    }
  }
  return d;
}

double tolerance(const Case& c) {
  if (c.out_dtype == DType::kBF16) return 1e-2;
  if (c.dtype == DType::kF64) return 1e-13;
  return 4e-7 * (8 + std::sqrt(static_cast<double>(c.k)));
}

void check(const Case& c, std::initializer_list<int> thread_counts = {1, 2}) {
  for (int threads : thread_counts) {
    const test::Threads scope(threads);
    Data d = make_data(c);
    const PrepareResult result = prepare_matmul(c.spec());
    ASSERT_TRUE(result.kernel) << c.name() << ": " << result.declined;
    std::vector<const Buffer*> inputs{&d.a, &d.b};
    if (c.bias) inputs.push_back(&d.bias);
    if (c.residual) inputs.push_back(&d.residual);
    run(*result.kernel, inputs, {&d.out});
    expect_near(d.out, d.expected, tolerance(c),
                c.name() + " by " + result.kernel->implementation());
  }
}

TEST(OnednnMatmul, SizesOfEveryPath) {
  for (const auto& [m, n, k] : {std::array<int64_t, 3>{1, 1, 1},
                                {1, 1, 300},
                                {2, 3, 5},
                                {8, 16, 16},
                                {7, 49, 33},
                                {33, 17, 64},
                                {9, 130, 20},
                                {64, 10, 128},
                                {100, 97, 101},
                                {65, 400, 70},
                                {1, 300, 200},
                                {1, 16, 16},
                                {300, 1, 200},
                                {130, 70, 1000},
                                {1, 2100, 9},
                                {1, 5000, 301}}) {
    for (DType dtype : {DType::kF32, DType::kF64}) {
      check({.batch = {},
             .m = m,
             .n = n,
             .k = k,
             .dtype = dtype,
             .out_dtype = dtype,
             .bias_dtype = dtype});
    }
  }
}

TEST(OnednnMatmul, Layouts) {
  for (Layout a : {Layout::kRows, Layout::kColumns, Layout::kPaddedRows, Layout::kSpread}) {
    for (Layout b : {Layout::kRows, Layout::kColumns, Layout::kPaddedRows, Layout::kSpread}) {
      for (Layout out : {Layout::kRows, Layout::kPaddedRows}) {
        for (DType dtype : {DType::kF32, DType::kF64}) {
          for (const auto& [m, n, k] : {std::array<int64_t, 3>{5, 6, 7},
                                        {1, 37, 41},
                                        {39, 1, 41},
                                        {40, 50, 60},
                                        {1, 1, 9}}) {
            if (n == 1 && out != Layout::kRows) continue;
            check({.batch = {},
                   .m = m,
                   .n = n,
                   .k = k,
                   .a = a,
                   .b = b,
                   .out = out,
                   .bias = true,
                   .dtype = dtype,
                   .out_dtype = dtype,
                   .bias_dtype = dtype});
          }
        }
      }
    }
  }
}

TEST(OnednnMatmul, Batches) {
  for (const Shape& batch : {Shape{3}, Shape{2, 3}, Shape{1, 2, 1}, Shape{2, 1, 2, 2}}) {
    for (const auto& [m, n, k] :
         {std::array<int64_t, 3>{4, 5, 6}, {1, 33, 20}, {40, 48, 36}, {20, 1, 12}}) {
      for (int repeated = 0; repeated < 3; ++repeated) {
        for (DType dtype : {DType::kF32, DType::kF64}) {
          Case c{.batch = batch,
                 .m = m,
                 .n = n,
                 .k = k,
                 .repeat_a = repeated == 1,
                 .repeat_b = repeated == 2,
                 .bias = true,
                 .residual = true,
                 .dtype = dtype,
                 .out_dtype = dtype,
                 .bias_dtype = dtype};
          check(c);
          c.a = Layout::kColumns, c.b = Layout::kColumns;
          check(c);
          c.a = Layout::kPaddedRows, c.out = n == 1 ? Layout::kRows : Layout::kPaddedRows;
          check(c);
        }
      }
    }
  }
}

TEST(OnednnMatmul, PartsOfBatchesRowsAndColumns) {
  const bool has_bf16 =
      prepare_matmul(Case{.batch = {}, .m = 64, .n = 64, .k = 64, .dtype = DType::kBF16}.spec())
          .kernel != nullptr;
  for (const Shape& batch : {Shape{}, Shape{3}, Shape{2, 2}}) {
    for (const auto& [m, n, k] :
         {std::array<int64_t, 3>{45, 70, 250}, {9, 160, 250}, {170, 9, 250}, {20, 20, 1000}}) {
      for (DType dtype : {DType::kF32, DType::kBF16}) {
        if (dtype == DType::kBF16 && !has_bf16) continue;
        Case c{.batch = batch, .m = m, .n = n, .k = k, .dtype = dtype};
        check(c, {3, 4});
        c.a = Layout::kColumns, c.b = Layout::kColumns, c.out = Layout::kPaddedRows;
        c.bias = c.residual = true, c.activation = ScalarOp::kTanh, c.repeat_b = batch.size() == 2;
        check(c, {3, 4});
      }
    }
  }
}

TEST(OnednnMatmul, Epilogues) {
  std::vector<Activation> activations{Activation()};
  for (const EpilogueActivation& entry : epilogue_activations()) activations.push_back(entry.op);
  for (Activation activation : activations) {
    for (int bits = 0; bits < 4; ++bits) {
      for (const auto& [m, n, k] : {std::array<int64_t, 3>{6, 19, 5},
                                    {1, 40, 8},
                                    {17, 1, 8},
                                    {64, 72, 40},
                                    {70, 80, 130}}) {
        for (DType dtype : {DType::kF32, DType::kF64}) {
          check({.batch = {},
                 .m = m,
                 .n = n,
                 .k = k,
                 .bias = bool(bits & 1),
                 .residual = bool(bits & 2),
                 .activation = activation,
                 .dtype = dtype,
                 .out_dtype = dtype,
                 .bias_dtype = dtype});
        }
      }
    }
  }
}

TEST(OnednnMatmul, Bfloat16) {
  const MatmulSpec probe =
      Case{.batch = {}, .m = 64, .n = 64, .k = 64, .dtype = DType::kBF16, .out_dtype = DType::kF32}
          .spec();
  if (!prepare_matmul(probe).kernel) GTEST_SKIP() << "this processor has no bf16 kernels";
  for (DType out : {DType::kBF16, DType::kF32}) {
    for (const auto& [m, n, k] : {std::array<int64_t, 3>{1, 33, 50},
                                  {29, 1, 50},
                                  {16, 24, 32},
                                  {65, 70, 130},
                                  {1, 2100, 300}}) {
      for (Layout layout : {Layout::kRows, Layout::kColumns}) {
        Case c{.batch = {},
               .m = m,
               .n = n,
               .k = k,
               .a = layout,
               .b = layout,
               .dtype = DType::kBF16,
               .out_dtype = out};
        check(c);
        c.bias = true, c.residual = true, c.activation = ScalarOp::kGeluTanh;
        check(c);
        c.bias_dtype = out;
        check(c);
      }
    }
    check({.batch = {3},
           .m = 20,
           .n = 30,
           .k = 40,
           .repeat_a = true,
           .dtype = DType::kBF16,
           .out_dtype = out});
  }
}

TEST(OnednnMatmul, EveryInstructionSet) {
  for (int64_t target : test::InstructionSet::all()) {
    const test::InstructionSet scope(target);
    for (DType dtype : {DType::kF32, DType::kF64, DType::kBF16}) {
      for (Layout b : {Layout::kRows, Layout::kColumns}) {
        Case c{.batch = {},
               .m = 1,
               .n = 77,
               .k = 45,
               .b = b,
               .bias = true,
               .dtype = dtype,
               .out_dtype = dtype,
               .bias_dtype = dtype};
        check(c);
        if (dtype == DType::kBF16) continue;
        c.m = 13, c.n = 30, c.residual = true, c.activation = ScalarOp::kGeluErf;
        check(c);
        c.activation = ScalarOp::kRelu, c.a = Layout::kSpread, c.b = Layout::kSpread, c.m = 40,
        c.n = 90, c.k = 400;
        check(c);
      }
    }
  }
}

TEST(OnednnMatmul, EveryActivationKeepsNotANumber) {
  for (const EpilogueActivation& entry : epilogue_activations()) {
    for (const int64_t size : {5, 70}) {
      Case c{.batch = {}, .m = 3, .n = size, .k = size, .activation = entry.op};
      Data d = make_data(c);
      d.a.set(0, std::numeric_limits<double>::quiet_NaN());
      run(*prepare_matmul(c.spec()).kernel, {&d.a, &d.b}, {&d.out});
      for (int64_t j = 0; j < 3 * size; ++j) {
        EXPECT_EQ(std::isnan(d.out.get(j)), j < size) << name_of(entry.op) << " " << j;
      }
    }
  }
}

TEST(OnednnMatmul, Declines) {
  const Case ordinary{.batch = {}, .m = 4, .n = 4, .k = 4};
  MatmulSpec spec = ordinary.spec();
  spec.dtype = spec.out_dtype = DType::kF16;
  EXPECT_FALSE(prepare_matmul(spec).kernel);
  EXPECT_NE(prepare_matmul(spec).declined.find("f16"), std::string::npos);
  spec = ordinary.spec();
  spec.k = 0;
  EXPECT_FALSE(prepare_matmul(spec).kernel);
  spec = Case{.batch = {}, .m = 40, .n = 40, .k = 40, .b = Layout::kSpread, .dtype = DType::kBF16}
             .spec();
  EXPECT_FALSE(prepare_matmul(spec).kernel);
}

TEST(OnednnMatmul, OwnResultsDoNotDependOnThreads) {
  Case c{.batch = {},
         .m = 150,
         .n = 500,
         .k = 300,
         .bias = true,
         .dtype = DType::kF64,
         .out_dtype = DType::kF64,
         .bias_dtype = DType::kF64};
  std::vector<Buffer> results;
  for (int threads : {1, 2}) {
    const test::Threads scope(threads);
    Data d = make_data(c);
    run(*prepare_matmul(c.spec()).kernel, {&d.a, &d.b, &d.bias}, {&d.out});
    results.push_back(d.out);
  }
  EXPECT_EQ(0, std::memcmp(results[0].data(), results[1].data(), 150 * 500 * sizeof(double)));
}

TEST(OnednnMatmul, ConcurrentCalls) {
  const test::Threads scope(1);
  for (int64_t size : {12, 70}) {
    Case c{.batch = {},
           .m = size,
           .n = size,
           .k = size,
           .bias = true,
           .activation = ScalarOp::kGeluErf};
    const PrepareResult result = prepare_matmul(c.spec());
    std::vector<Data> data(4, make_data(c));
    std::vector<std::thread> threads;
    for (size_t t = 0; t < data.size(); ++t) {
      data[t].a.set(0, 0.25 * static_cast<double>(t));
      threads.emplace_back([&, t] {
        const test::Threads one(1);
        for (int i = 0; i < 50; ++i)
          run(*result.kernel, {&data[t].a, &data[t].b, &data[t].bias}, {&data[t].out});
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (Data& d : data) {
      Buffer alone = d.out;
      alone.fill(kFill);
      run(*result.kernel, {&d.a, &d.b, &d.bias}, {&alone});
      EXPECT_EQ(0, std::memcmp(alone.data(), d.out.data(), size * size * sizeof(float)));
    }
  }
}

}  // namespace
}  // namespace linnet::cpu::onednn::onednn_matmul_test
