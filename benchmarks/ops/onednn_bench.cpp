// Matrix products and convolutions through Linnet's public functions over the bare oneDNN
// primitive, prepared beforehand, on the same memory. `ratio` is what Linnet adds: allocation of
// the result, dispatch, and whatever it does better (own kernels for small products, Winograd for
// some 3x3 convolutions).
#include <benchmark/benchmark.h>

#include <unordered_map>
#include <vector>

#include "benchmarks/support/paired.h"
#include "benchmarks/support/shapes.h"
#include "benchmarks/support/threads.h"
#include "kernels/cpu/onednn/compat.h"
#include "linnet/ops.h"
#include "linnet/parallel.h"

namespace {

using namespace linnet;
using namespace linnet::cpu::onednn;

/// A primitive with its arguments, ready to be executed again and again.
class BarePrimitive {
 public:
  BarePrimitive(dnnl::primitive primitive, std::unordered_map<int, dnnl::memory> arguments)
      : primitive_(std::move(primitive)), arguments_(std::move(arguments)), stream_(cpu_engine()) {
    for (const auto& [argument, memory] : arguments_) list_.push_back({argument, memory.get()});
  }
  void operator()() const {
    dnnl_primitive_execute(primitive_.get(), stream_.get(), static_cast<int>(list_.size()),
                           list_.data());
  }

 private:
  dnnl::primitive primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
  std::vector<dnnl_exec_arg_t> list_;
  dnnl::stream stream_;
};

dnnl::memory over(const Desc& desc, const Tensor& tensor) {
  return dnnl::memory(desc, cpu_engine(), const_cast<void*>(dlpack_view(tensor).data));
}

BarePrimitive bare_matmul(const Tensor& a, const Tensor& b, const Tensor& out) {
  const int64_t m = a.shape(0), k = a.shape(1), n = b.shape(1);
  const Desc da = strided_desc({m, k}, a.dtype(), {k, 1}),
             db = strided_desc({k, n}, a.dtype(), {n, 1});
  const Desc dout = strided_desc({m, n}, a.dtype(), {n, 1});
  const auto pd = make_matmul(da, db, Desc(), dout, caller_scratchpad());
  return BarePrimitive(dnnl::matmul(pd),
                       {{DNNL_ARG_SRC, over(da, a)},
                        {DNNL_ARG_WEIGHTS, over(db, b)},
                        {DNNL_ARG_DST, over(dout, out)},
                        {DNNL_ARG_SCRATCHPAD, dnnl::memory(pd.scratchpad_desc(), cpu_engine())}});
}

void add_rate(benchmark::State& state, double multiply_adds) {
  state.counters["GF/s"] =
      benchmark::Counter(2e-9 * multiply_adds, benchmark::Counter::kIsIterationInvariantRate);
}

void product(benchmark::State& state) {
  const int64_t m = state.range(0), k = state.range(1), n = state.range(2);
  bench::set_threads(static_cast<int>(state.range(4)));
  const DType dtype = state.range(3) ? DType::kBF16 : DType::kF32;
  const Tensor a = full({m, k}, 0.5, dtype).contiguous(),
               b = full({k, n}, 0.25, dtype).contiguous();
  const Tensor out = full({m, n}, 0, dtype).contiguous();
  bench::compare(
      state, [&] { benchmark::DoNotOptimize(matmul(a, b).impl()); }, bare_matmul(a, b, out));
  add_rate(state, static_cast<double>(m * n * k));
}

/// Direct convolution of channels-last activations with weights as Linnet stores them; oneDNN wants
/// another order, so that a reorder of the weights belongs to the work.
class BareConvolution {
 public:
  BareConvolution(const Tensor& x, const Tensor& w, const Tensor& y, int64_t padding) {
    const auto dims = [](const Tensor& t) {
      return Dims{t.shape(0), t.shape(3), t.shape(1), t.shape(2)};
    };
    const auto strides = [](const Tensor& t) {
      const int64_t h = t.shape(1), width = t.shape(2), c = t.shape(3);
      return Dims{h * width * c, 1, width * c, c};
    };
    const int64_t size = w.shape(0), in = w.shape(2), out = w.shape(3);
    const Dims weights{out, in, size, size};
    const Desc stored = strided_desc(weights, DType::kF32, {1, out, size * in * out, in * out});
    const Desc dx = strided_desc(dims(x), DType::kF32, strides(x)),
               dy = strided_desc(dims(y), DType::kF32, strides(y));
    const ConvWindow window{{1, 1}, {0, 0}, {padding, padding}, {padding, padding}};
    const auto pd =
        make_conv_forward(dnnl::algorithm::convolution_direct, dx, any_desc(weights, DType::kF32),
                          Desc(), dy, window, caller_scratchpad());
    const dnnl::memory wanted(pd.weights_desc(), cpu_engine());
    const auto reorder = make_reorder(stored, pd.weights_desc(), dnnl::primitive_attr());
    steps_.emplace_back(dnnl::reorder(reorder),
                        std::unordered_map<int, dnnl::memory>{{DNNL_ARG_FROM, over(stored, w)},
                                                              {DNNL_ARG_TO, wanted}});
    steps_.emplace_back(
        dnnl::convolution_forward(pd),
        std::unordered_map<int, dnnl::memory>{
            {DNNL_ARG_SRC, over(dx, x)},
            {DNNL_ARG_WEIGHTS, wanted},
            {DNNL_ARG_DST, over(dy, y)},
            {DNNL_ARG_SCRATCHPAD, dnnl::memory(pd.scratchpad_desc(), cpu_engine())}});
  }
  void operator()() const {
    for (const BarePrimitive& step : steps_) step();
  }

 private:
  std::vector<BarePrimitive> steps_;
};

void convolution(benchmark::State& state) {
  const int64_t n = state.range(0), in = state.range(1), size = state.range(2),
                out = state.range(3);
  const int64_t kernel = state.range(4), padding = kernel / 2;
  bench::set_threads(static_cast<int>(state.range(5)));
  const Tensor x = full({n, size, size, in}, 0.5, DType::kF32).contiguous();
  const Tensor w = full({kernel, kernel, in, out}, 0.25, DType::kF32).contiguous();
  const Tensor y = full({n, size, size, out}, 0, DType::kF32).contiguous();
  const ConvOptions options{.padding = {{padding, padding}, {padding, padding}}};
  bench::compare(
      state, [&] { benchmark::DoNotOptimize(conv_general_dilated(x, w, options).impl()); },
      BareConvolution(x, w, y, padding));
  add_rate(state, static_cast<double>(n * size * size * kernel * kernel * in * out));
}

BENCHMARK(product)->Apply(workload::product_shapes)->UseManualTime();
BENCHMARK(convolution)->Apply(workload::convolution_shapes)->UseManualTime();

}  // namespace
