// LSTM and GRU over 64 steps of a batch of 32, 256 wide, beside oneDNN's fused layers.
#include <benchmark/benchmark.h>

#include <cmath>
#include <string>
#include <vector>

#include "benchmarks/recurrent/fused.h"
#include "benchmarks/support/inputs.h"
#include "benchmarks/support/paired.h"
#include "benchmarks/support/threads.h"
#include "linnet/control_flow.h"
#include "linnet/jit.h"
#include "linnet/nnx.h"
#include "linnet/parallel.h"

namespace {

using namespace linnet;
using bench::Fused;
using bench::FusedLayer;
using bench::RecurrentSizes;

constexpr RecurrentSizes kSizes{.time = 64, .batch = 32, .in = 256, .hidden = 256};

/// Gates side by side on the last axis; bias [gates * hidden].
struct Parameters {
  Tensor kernel, recurrent, bias;
  LINNET_FIELDS(kernel, recurrent, bias)
};

/// One set of numbers in Linnet's layout and in that of the fused layer.
struct Operands {
  Tensor x, weights;  ///< [time, batch, in], and of the outputs [time, batch, hidden]
  Parameters ours, theirs;

  bench::RecurrentOperands fused() const {
    return {x.data<float>().data(), theirs.kernel.data<float>().data(),
            theirs.recurrent.data<float>().data(), theirs.bias.data<float>().data()};
  }
};

Tensor numbers(uint64_t seed, const Shape& shape, float bound) {
  return from_vector(workload::uniform(seed, static_cast<size_t>(element_count(shape)), bound),
                     shape);
}

/// From the gates r, z, n of Linnet to z, r, n; the fused bias has a fourth row.
Tensor in_fused_order(Fused kind, const Tensor& gates) {
  if (kind == Fused::kLstm) return gates.contiguous();
  const std::vector<Tensor> parts = split(gates, 3, -1);
  return concatenate({parts[1], parts[0], parts[2]}, -1).contiguous();
}

Operands make_operands(Fused kind, const RecurrentSizes& s = kSizes) {
  const int64_t gates = kind == Fused::kLstm ? 4 : 3;
  const float bound = 1 / std::sqrt(static_cast<float>(s.hidden));
  const Parameters ours{.kernel = numbers(3, {s.in, gates * s.hidden}, bound),
                        .recurrent = numbers(4, {s.hidden, gates * s.hidden}, bound),
                        .bias = numbers(5, {gates * s.hidden}, bound)};
  Parameters theirs{.kernel = in_fused_order(kind, ours.kernel),
                    .recurrent = in_fused_order(kind, ours.recurrent),
                    .bias = in_fused_order(kind, ours.bias)};
  if (kind == Fused::kGru)
    theirs.bias = concatenate({theirs.bias, zeros({s.hidden})}, 0).contiguous();
  return {.x = numbers(1, {s.time, s.batch, s.in}, 1),
          .weights = numbers(2, {s.time, s.batch, s.hidden}, 1),
          .ours = ours,
          .theirs = theirs};
}

template <class Cell>
constexpr Fused kKind = std::is_same_v<Cell, nnx::GRUCell> ? Fused::kGru : Fused::kLstm;

template <class Cell>
void set_parameters(nnx::RNN<Cell>& layer, const Parameters& p) {
  layer.cell.dense_i.kernel = p.kernel;
  layer.cell.dense_h.kernel = p.recurrent;
  if (layer.cell.dense_i.bias) *layer.cell.dense_i.bias = p.bias;
  if (layer.cell.dense_h.bias) *layer.cell.dense_h.bias = p.bias;
}

template <class Cell>
nnx::RNN<Cell> make_layer(const Parameters& parameters) {
  nnx::Rngs rngs(0);
  nnx::RNN<Cell> out(Cell(kSizes.in, kSizes.hidden, rngs), {.time_major = true});
  set_parameters(out, parameters);
  return out;
}

/// The same LSTM as a user of `scan` writes it.
Tensor scanned_lstm(const Parameters& p, const Tensor& x) {
  using Carry = std::pair<Tensor, Tensor>;
  const Tensor zero = zeros({x.shape(1), p.recurrent.shape(0)});
  const auto step = [&](const Carry& carry, const Tensor& input) {
    const auto& [c, h] = carry;
    const std::vector<Tensor> gates =
        split(matmul(input, p.kernel) + matmul(h, p.recurrent) + p.bias, 4, -1);
    const Tensor next = sigmoid(gates[1]) * c + sigmoid(gates[0]) * tanh(gates[2]);
    const Tensor y = sigmoid(gates[3]) * tanh(next);
    return std::pair(Carry(next, y), y);
  };
  return scan(step, Carry(zero, zero), x).second;
}

/// The GRU likewise: z keeps the old state, r acts on the product with it.
Tensor scanned_gru(const Parameters& p, const Tensor& x) {
  const auto step = [&](const Tensor& h, const Tensor& input) {
    const std::vector<Tensor> of_x = split(matmul(input, p.kernel) + p.bias, 3, -1);
    const std::vector<Tensor> of_h = split(matmul(h, p.recurrent), 3, -1);
    const Tensor r = sigmoid(of_x[0] + of_h[0]), z = sigmoid(of_x[1] + of_h[1]);
    const Tensor y = (1 - z) * tanh(of_x[2] + r * of_h[2]) + z * h;
    return std::pair(y, y);
  };
  return scan(step, zeros({x.shape(1), p.recurrent.shape(0)}), x).second;
}

template <Fused kind>
Tensor scanned(const Parameters& p, const Tensor& x) {
  return kind == Fused::kGru ? scanned_gru(p, x) : scanned_lstm(p, x);
}

struct Gradients {
  Parameters parameters;
  Tensor x;
  LINNET_FIELDS(parameters, x)
};

template <Fused kind>
Gradients scan_gradients(const Parameters& parameters, const Tensor& x, const Tensor& weights) {
  auto [of_parameters, of_x] = grad<0, 1>([&](const Parameters& p, const Tensor& v) {
    return sum(scanned<kind>(p, v) * weights);
  })(parameters, x);
  return {of_parameters, of_x};
}

template <class Cell>
Gradients layer_gradients(nnx::RNN<Cell>& layer, const Parameters& parameters, const Tensor& x,
                          const Tensor& weights) {
  auto [of_parameters, of_x] = grad<0, 1>([&](const Parameters& p, const Tensor& v) {
    set_parameters(layer, p);
    return sum(layer(v) * weights);
  })(parameters, x);
  return {of_parameters, of_x};
}

double largest_difference(const Tensor& a, const float* b) {
  const std::vector<float> values = a.to_vector<float>();
  double out = 0;
  for (size_t i = 0; i < values.size(); ++i)
    out = std::max(out, static_cast<double>(std::abs(values[i] - b[i])));
  return out;
}

void set_threads(benchmark::State& state) { bench::set_threads(static_cast<int>(state.range(0))); }

/// Outputs of `ours()` in turns with those of the fused layer.
template <class F>
void compare_forward(benchmark::State& state, Fused kind, const Operands& operands, const F& ours) {
  FusedLayer fused(kind, kSizes, false);
  const auto theirs = [&] { return fused.forward(operands.fused()); };
  state.counters["error"] = largest_difference(ours(), theirs());
  bench::compare(
      state, [&] { benchmark::DoNotOptimize(ours().template data<float>().data()); },
      [&] { benchmark::DoNotOptimize(theirs()); });
}

/// The same for gradients with respect to x and all parameters.
template <class F>
void compare_gradients(benchmark::State& state, Fused kind, const Operands& operands,
                       const F& ours) {
  FusedLayer fused(kind, kSizes, true);
  const auto theirs = [&] {
    fused.forward(operands.fused());
    return fused.backward(operands.weights.data<float>().data());
  };
  const Gradients got = ours();
  const FusedLayer::Gradients expected = theirs();
  state.counters["error"] = largest_difference(got.x, expected.x);
  state.counters["weight_error"] =
      largest_difference(in_fused_order(kind, got.parameters.recurrent), expected.recurrent);
  bench::compare(
      state, [&] { benchmark::DoNotOptimize(ours().x.template data<float>().data()); },
      [&] { benchmark::DoNotOptimize(theirs().x); });
}

template <class Cell, bool kJit>
void layer_forward(benchmark::State& state) {
  set_threads(state);
  const Operands operands = make_operands(kKind<Cell>);
  const nnx::RNN<Cell> layer = make_layer<Cell>(operands.ours);
  const auto compiled = jit([](const nnx::RNN<Cell>& l, const Tensor& x) { return l(x); });
  compare_forward(state, kKind<Cell>, operands,
                  [&] { return kJit ? compiled(layer, operands.x) : layer(operands.x); });
}

template <class Cell, bool kJit>
void layer_forward_backward(benchmark::State& state) {
  set_threads(state);
  const Operands o = make_operands(kKind<Cell>);
  nnx::RNN<Cell> layer = make_layer<Cell>(o.ours);
  const auto compiled = jit(layer_gradients<Cell>);
  compare_gradients(state, kKind<Cell>, o, [&] {
    return kJit ? compiled(layer, o.ours, o.x, o.weights)
                : layer_gradients(layer, o.ours, o.x, o.weights);
  });
}

template <Fused kind>
void scan_forward(benchmark::State& state) {
  set_threads(state);
  const Operands operands = make_operands(kind);
  const auto compiled = jit(scanned<kind>);
  compare_forward(state, kind, operands, [&] { return compiled(operands.ours, operands.x); });
}

template <Fused kind>
void scan_forward_backward(benchmark::State& state) {
  set_threads(state);
  const Operands o = make_operands(kind);
  const auto compiled = jit(scan_gradients<kind>);
  compare_gradients(state, kind, o, [&] { return compiled(o.ours, o.x, o.weights); });
}

/// From an uncompiled function to the end of its first call; small, so that the run counts little.
void scan_compile(benchmark::State& state) {
  bench::set_threads(1);
  const RecurrentSizes sizes{.time = state.range(0), .batch = 1, .in = 8, .hidden = 8};
  const Operands o = make_operands(Fused::kLstm, sizes);
  for (auto _ : state) {
    const auto compiled = jit([](const Parameters& p, const Tensor& x, const Tensor& weights) {
      return scan_gradients<Fused::kLstm>(p, x, weights);
    });
    benchmark::DoNotOptimize(compiled(o.ours, o.x, o.weights).x.data<float>().data());
  }
}

void threads(benchmark::internal::Benchmark* b) {
  b->ArgName("threads")->Arg(1)->Arg(2)->UseManualTime()->Unit(benchmark::kMicrosecond);
}

using Lstm = nnx::OptimizedLSTMCell;
using Gru = nnx::GRUCell;
BENCHMARK(scan_forward<Fused::kLstm>)->Name("lstm_scan_forward")->Apply(threads);
BENCHMARK(scan_forward_backward<Fused::kLstm>)->Name("lstm_scan_forward_backward")->Apply(threads);
BENCHMARK(scan_forward<Fused::kGru>)->Name("gru_scan_forward")->Apply(threads);
BENCHMARK(scan_forward_backward<Fused::kGru>)->Name("gru_scan_forward_backward")->Apply(threads);
BENCHMARK(layer_forward<Lstm, true>)->Name("lstm_layer_forward")->Apply(threads);
BENCHMARK(layer_forward_backward<Lstm, true>)->Name("lstm_layer_forward_backward")->Apply(threads);
BENCHMARK(layer_forward<Gru, true>)->Name("gru_layer_forward")->Apply(threads);
BENCHMARK(layer_forward_backward<Gru, true>)->Name("gru_layer_forward_backward")->Apply(threads);
BENCHMARK(layer_forward<Lstm, false>)->Name("lstm_layer_forward_eager")->Apply(threads);
BENCHMARK(layer_forward_backward<Lstm, false>)
    ->Name("lstm_layer_forward_backward_eager")
    ->Apply(threads);
BENCHMARK(scan_compile)
    ->Name("lstm_scan_compile")
    ->ArgName("steps")
    ->RangeMultiplier(4)
    ->Range(16, 4096)
    ->Unit(benchmark::kMillisecond);

}  // namespace
