// What calling a compiled function costs: programs of one and of ten small operations, and one that
// only passes a tree of parameters through.
#include <benchmark/benchmark.h>

#include <vector>

#include "linnet/core.h"

namespace {

using namespace linnet;

Tensor eight() { return tensor({1.f, 2.f, 3.f, 4.f, 5.f, 6.f, 7.f, 8.f}); }

void compiled_addition(benchmark::State& state) {
  const Tensor x = eight();
  const auto compiled = jit([](const Tensor& v) { return v + v; });
  benchmark::DoNotOptimize(compiled(x).impl());
  for (auto _ : state) benchmark::DoNotOptimize(compiled(x).impl());
}

void compiled_ten_products(benchmark::State& state) {
  const Tensor x = ones({8, 8});
  const auto compiled = jit([](const Tensor& v) {
    Tensor y = v;
    for (int i = 0; i < 10; ++i) y = matmul(y, v);
    return y;
  });
  benchmark::DoNotOptimize(compiled(x).impl());
  for (auto _ : state) benchmark::DoNotOptimize(compiled(x).impl());
}

void compiled_gradient_of_ten_tanh(benchmark::State& state) {
  const Tensor x = eight();
  const auto compiled = jit([](const Tensor& x) {
    return grad([](const Tensor& v) {
      Tensor y = v;
      for (int i = 0; i < 10; ++i) y = tanh(y);
      return sum(y);
    })(x);
  });
  benchmark::DoNotOptimize(compiled(x).impl());
  for (auto _ : state) benchmark::DoNotOptimize(compiled(x).impl());
}

/// A step that updates every leaf of a tree of parameters.
void compiled_parameter_tree(benchmark::State& state) {
  std::vector<Tensor> parameters(static_cast<size_t>(state.range(0)), eight());
  for (Tensor& parameter : parameters) parameter = parameter + 0;
  const auto step = jit([](std::vector<Tensor>& tree) {
    for (Tensor& leaf : tree) leaf = leaf * 0.5;
  });
  step(parameters);
  for (auto _ : state) step(parameters);
}

BENCHMARK(compiled_addition);
BENCHMARK(compiled_ten_products);
BENCHMARK(compiled_gradient_of_ten_tanh);
BENCHMARK(compiled_parameter_tree)->ArgName("leaves")->Arg(10)->Arg(100);

}  // namespace
