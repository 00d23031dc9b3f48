// Elementwise kernels against memcpy and plain loops, and a fused chain against its single steps.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/elementwise/elementwise.h"
#include "kernels/cpu/interpreter/tile_program.h"
#include "linnet/parallel.h"

namespace {

using namespace linnet;
using namespace linnet::cpu;

const int64_t kOne = 1;

void unary(benchmark::State& state, ScalarOp op, DType dtype) {
  set_num_threads(static_cast<int>(state.range(1)));
  const int64_t n = state.range(0);
  const size_t size = size_of(dtype);
  std::vector<char> x(static_cast<size_t>(n) * size), y(x.size());
  std::vector<double> values(static_cast<size_t>(n));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = 6.0 * std::sin(0.1 * static_cast<double>(i)) + 6.5;
  cast(DType::kF64, dtype, {&n, 1}, {values.data(), &kOne}, {x.data(), &kOne});
  const Operand in[] = {{x.data(), &kOne}};
  for (auto _ : state) {
    elementwise(op, dtype, {}, {&n, 1}, in, {y.data(), &kOne});
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * n);
}

void add(benchmark::State& state) {
  set_num_threads(static_cast<int>(state.range(1)));
  const int64_t n = state.range(0);
  std::vector<float> x(static_cast<size_t>(n), 1), y(x.size(), 2), z(x.size());
  const Operand in[] = {{x.data(), &kOne}, {y.data(), &kOne}};
  for (auto _ : state) {
    elementwise(ScalarOp::kAdd, DType::kF32, {}, {&n, 1}, in, {z.data(), &kOne});
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * n * 12);
}

void copy_by_library(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0)) * 4;
  std::vector<char> x(bytes, 1), y(bytes);
  for (auto _ : state) {
    std::memcpy(y.data(), x.data(), bytes);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0) * 8);
}

/// tanh-GELU of nine instructions: multiply, add and tanh one by one, or as one tile program.
TileProgram gelu_chain() {
  TileProgram p;
  const uint16_t x = p.add_input(DType::kF32);
  const auto number = [&](double value) { return p.add_immediate(DType::kF32, value); };
  const auto apply = [&](ScalarOp op, uint16_t a, uint16_t b) {
    return p.apply(op, DType::kF32, {a, b});
  };
  const uint16_t cube = apply(ScalarOp::kMul, apply(ScalarOp::kMul, x, x), x);
  const uint16_t inner = apply(ScalarOp::kAdd, x, apply(ScalarOp::kMul, cube, number(0.044715)));
  const uint16_t t =
      p.apply(ScalarOp::kTanh, DType::kF32, {apply(ScalarOp::kMul, inner, number(0.7978845608))});
  const uint16_t half = apply(ScalarOp::kMul, x, number(0.5));
  p.add_output(apply(ScalarOp::kMul, half, apply(ScalarOp::kAdd, t, number(1))));
  return p;
}

void fused_chain(benchmark::State& state) {
  set_num_threads(static_cast<int>(state.range(1)));
  const int64_t n = state.range(0);
  std::vector<float> x(static_cast<size_t>(n), 0.5f), y(x.size());
  const CompiledTileProgram compiled(gelu_chain());
  const Operand in[] = {{x.data(), &kOne}};
  const Destination out[] = {{y.data(), &kOne}};
  for (auto _ : state) {
    compiled.run({&n, 1}, in, out);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * n);
}

void single_steps(benchmark::State& state) {
  set_num_threads(static_cast<int>(state.range(1)));
  const int64_t n = state.range(0);
  const TileProgram program = gelu_chain();
  std::vector<std::vector<float>> registers(program.registers.size(),
                                            std::vector<float>(static_cast<size_t>(n), 0.5f));
  for (auto _ : state) {
    for (const TileInstruction& code : program.code) {
      const Operand in[] = {{registers[code.src[0]].data(), &kOne},
                            {registers[code.src[1]].data(), &kOne}};
      const auto arity = static_cast<size_t>(scalar_op_info(code.op).arity);
      elementwise(code.op, DType::kF32, {}, {&n, 1}, {in, arity},
                  {registers[code.dst].data(), &kOne});
    }
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * n);
}

void transpose(benchmark::State& state) {
  set_num_threads(static_cast<int>(state.range(1)));
  const int64_t n = state.range(0);
  const int64_t shape[] = {n, n}, from[] = {1, n}, to[] = {n, 1};
  std::vector<float> x(static_cast<size_t>(n * n), 1), y(x.size());
  for (auto _ : state) {
    copy_strided(4, shape, {x.data(), from}, {y.data(), to});
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * n * n * 8);
}

void bias_rows(benchmark::State& state) {
  set_num_threads(1);
  const int64_t shape[] = {256, 768}, dense[] = {768, 1}, row[] = {0, 1};
  std::vector<float> x(256 * 768, 1), bias(768, 2), y(x.size());
  const Operand in[] = {{x.data(), dense}, {bias.data(), row}};
  for (auto _ : state) {
    elementwise(ScalarOp::kAdd, DType::kF32, {}, shape, in, {y.data(), dense});
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * 256 * 768 * 8);
}

BENCHMARK(copy_by_library)->Arg(1 << 12)->Arg(1 << 18)->Arg(1 << 24);
BENCHMARK(add)
    ->Args({8, 1})
    ->Args({1024, 1})
    ->Args({16384, 1})
    ->Args({1 << 20, 1})
    ->Args({1 << 24, 1})
    ->Args({1 << 24, 2});
BENCHMARK_CAPTURE(unary, exp_f32, ScalarOp::kExp, DType::kF32)
    ->Args({1 << 18, 1})
    ->Args({1 << 18, 2});
BENCHMARK_CAPTURE(unary, tanh_f32, ScalarOp::kTanh, DType::kF32)
    ->Args({8, 1})
    ->Args({1 << 18, 1})
    ->Args({1 << 18, 2});
BENCHMARK_CAPTURE(unary, log_f32, ScalarOp::kLog, DType::kF32)->Args({1 << 18, 1});
BENCHMARK_CAPTURE(unary, logistic_f32, ScalarOp::kLogistic, DType::kF32)->Args({1 << 18, 1});
BENCHMARK_CAPTURE(unary, erf_f32, ScalarOp::kErf, DType::kF32)->Args({1 << 18, 1});
BENCHMARK_CAPTURE(unary, gelu_tanh_f32, ScalarOp::kGeluTanh, DType::kF32)->Args({1 << 18, 1});
BENCHMARK_CAPTURE(unary, gelu_erf_f32, ScalarOp::kGeluErf, DType::kF32)->Args({1 << 18, 1});
BENCHMARK_CAPTURE(unary, sin_f32, ScalarOp::kSin, DType::kF32)->Args({1 << 18, 1});
BENCHMARK_CAPTURE(unary, log1p_f32, ScalarOp::kLog1p, DType::kF32)->Args({1 << 18, 1});
BENCHMARK_CAPTURE(unary, exp_f64, ScalarOp::kExp, DType::kF64)->Args({1 << 17, 1});
BENCHMARK_CAPTURE(unary, exp_bf16, ScalarOp::kExp, DType::kBF16)->Args({1 << 18, 1});
BENCHMARK_CAPTURE(unary, exp_f16, ScalarOp::kExp, DType::kF16)->Args({1 << 18, 1});
BENCHMARK_CAPTURE(unary, is_nan_f32, ScalarOp::kIsNan, DType::kF32)->Args({1 << 18, 1});
BENCHMARK(fused_chain)->Args({8, 1})->Args({1 << 18, 1})->Args({1 << 24, 1})->Args({1 << 24, 2});
BENCHMARK(single_steps)->Args({1 << 18, 1})->Args({1 << 24, 1});
BENCHMARK(transpose)->Args({1024, 1})->Args({4096, 1});
BENCHMARK(bias_rows);

}  // namespace
