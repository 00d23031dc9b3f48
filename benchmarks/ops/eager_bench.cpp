// What one small eager operation costs above the kernel it runs. The operands have eight elements,
// so almost all of the time is the way from the public function to the kernel and back.
#include <benchmark/benchmark.h>

#include <vector>

#include "benchmarks/support/paired.h"
#include "kernels/cpu/elementwise/elementwise.h"
#include "kernels/cpu/gemm/gemm.h"
#include "linnet/core.h"

namespace {

using namespace linnet;
using bench::compare;

const int64_t kShape[] = {8}, kDense[] = {1}, kRepeat[] = {0};

Tensor eight() { return tensor({1.f, 2.f, 3.f, 4.f, 5.f, 6.f, 7.f, 8.f}); }

/// One elementwise kernel on eight elements, without Linnet above it.
class BareKernel {
 public:
  BareKernel(ScalarOp op, std::vector<cpu::Operand> operands)
      : op_(op), operands_(std::move(operands)) {}
  void operator()() {
    cpu::elementwise(op_, DType::kF32, {}, kShape, operands_, {out_, kDense});
    benchmark::ClobberMemory();
  }

 private:
  ScalarOp op_;
  std::vector<cpu::Operand> operands_;
  alignas(64) float out_[8];
};

void add(benchmark::State& state) {
  const Tensor x = eight(), y = eight();
  compare(
      state, [&] { benchmark::DoNotOptimize((x + y).impl()); },
      BareKernel(ScalarOp::kAdd,
                 {{x.data<float>().data(), kDense}, {y.data<float>().data(), kDense}}));
}

void times_two(benchmark::State& state) {
  const Tensor x = eight();
  const float two = 2;
  compare(
      state, [&] { benchmark::DoNotOptimize((x * 2).impl()); },
      BareKernel(ScalarOp::kMul, {{x.data<float>().data(), kDense}, {&two, kRepeat}}));
}

void exponential(benchmark::State& state) {
  const Tensor x = eight();
  compare(
      state, [&] { benchmark::DoNotOptimize(exp(x).impl()); },
      BareKernel(ScalarOp::kExp, {{x.data<float>().data(), kDense}}));
}

void product_8x8(benchmark::State& state) {
  const Tensor a = ones({8, 8}), b = ones({8, 8});
  cpu::GemmProblem problem;
  problem.m = problem.n = problem.k = 8;
  problem.a_row = problem.b_row = problem.out_row = 8;
  problem.a_column = problem.b_column = 1;
  problem = cpu::canonical(problem);
  std::vector<float> out(64);
  std::vector<char> workspace(cpu::gemm_workspace_bytes(problem, DType::kF32, 1) + 64);
  const cpu::GemmOperands<float> operands{
      .a = a.data<float>().data(), .b = b.data<float>().data(), .out = out.data()};
  compare(
      state, [&] { benchmark::DoNotOptimize(matmul(a, b).impl()); },
      [&] {
        cpu::gemm(problem, operands, workspace.data(), 1);
        benchmark::ClobberMemory();
      });
}

void row_of_bias(benchmark::State& state) {
  const Tensor x = ones({8, 8}), bias = eight();
  const int64_t shape[] = {8, 8}, dense[] = {8, 1}, row[] = {0, 1};
  const cpu::Operand operands[] = {{x.data<float>().data(), dense},
                                   {bias.data<float>().data(), row}};
  std::vector<float> out(64);
  compare(
      state, [&] { benchmark::DoNotOptimize((x + bias).impl()); },
      [&] {
        cpu::elementwise(ScalarOp::kAdd, DType::kF32, {}, shape, operands, {out.data(), dense});
        benchmark::ClobberMemory();
      });
}

void selection(benchmark::State& state) {
  const Tensor x = eight(), y = eight(), chosen = less(x, 4);
  for (auto _ : state) benchmark::DoNotOptimize(where(chosen, x, y).impl());
}

void sum_of_eight(benchmark::State& state) {
  const Tensor x = eight();
  for (auto _ : state) benchmark::DoNotOptimize(sum(x).impl());
}

void softmax_of_eight(benchmark::State& state) {
  const Tensor x = eight();
  for (auto _ : state) benchmark::DoNotOptimize(softmax(x).impl());
}

void reshape_view(benchmark::State& state) {
  const Tensor x = eight();
  for (auto _ : state) benchmark::DoNotOptimize(x.reshape({2, 4}).impl());
}

void transpose_view(benchmark::State& state) {
  const Tensor x = ones({2, 4});
  for (auto _ : state) benchmark::DoNotOptimize(x.transpose().impl());
}

void read_item(benchmark::State& state) {
  const Tensor x = scalar(3, DType::kF32);
  for (auto _ : state) benchmark::DoNotOptimize(x.item<float>());
}

void gradient_of_square(benchmark::State& state) {
  const Tensor x = eight();
  const auto gradient = grad([](const Tensor& v) { return sum(v * v); });
  for (auto _ : state) benchmark::DoNotOptimize(gradient(x).impl());
}

/// Forward and backward through ten small operations.
void gradient_of_ten_tanh(benchmark::State& state) {
  const Tensor x = eight();
  const auto gradient = grad([](const Tensor& v) {
    Tensor y = v;
    for (int i = 0; i < 10; ++i) y = tanh(y);
    return sum(y);
  });
  for (auto _ : state) benchmark::DoNotOptimize(gradient(x).impl());
}

BENCHMARK(add)->UseManualTime();
BENCHMARK(times_two)->UseManualTime();
BENCHMARK(exponential)->UseManualTime();
BENCHMARK(row_of_bias)->UseManualTime();
BENCHMARK(product_8x8)->UseManualTime();
BENCHMARK(selection);
BENCHMARK(sum_of_eight);
BENCHMARK(softmax_of_eight);
BENCHMARK(reshape_view);
BENCHMARK(transpose_view);
BENCHMARK(read_item);
BENCHMARK(gradient_of_square);
BENCHMARK(gradient_of_ten_tanh);

}  // namespace
