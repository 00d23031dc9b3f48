// Matrix products: the prepared kernel against the bare oneDNN primitive with prebuilt arguments.
// The difference is what the wrapper costs; "own" in the label means that oneDNN is not called at
// all.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <unordered_map>
#include <vector>

#include "benchmarks/support/threads.h"
#include "kernels/cpu/onednn/compat.h"
#include "kernels/cpu/onednn/onednn.h"
#include "linnet/parallel.h"

namespace {

using namespace linnet;
using namespace linnet::cpu::onednn;

struct AlignedDelete {
  void operator()(void* p) const { std::free(p); }
};
std::unique_ptr<void, AlignedDelete> aligned(size_t bytes) {
  void* p = std::aligned_alloc(64, (bytes + 127) / 64 * 64);
  std::fill_n(static_cast<char*>(p), bytes, char(0));
  return std::unique_ptr<void, AlignedDelete>(p);
}

DType dtype_at(int64_t code) {
  return code == 2 ? DType::kBF16 : code == 8 ? DType::kF64 : DType::kF32;
}

void set_threads(benchmark::State& state, int64_t threads) {
  bench::set_threads(static_cast<int>(threads));
  state.SetLabel("");
}

void prepared_matmul(benchmark::State& state) {
  const int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  set_threads(state, state.range(4));
  MatmulSpec spec;
  spec.m = m, spec.n = n, spec.k = k;
  spec.dtype = spec.out_dtype = spec.bias_dtype = dtype_at(state.range(3));
  spec.a_strides = {k, 1};
  spec.b_strides = state.range(5) ? Strides{1, k} : Strides{n, 1};
  const PrepareResult result = prepare_matmul(spec);
  if (!result.kernel) return state.SkipWithError(result.declined.c_str());
  const size_t size = size_of(spec.dtype);
  const auto a = aligned(m * k * size), b = aligned(k * n * size), out = aligned(m * n * size);
  const auto workspace = aligned(result.kernel->workspace_bytes());
  const void* inputs[] = {a.get(), b.get()};
  void* outputs[] = {out.get()};
  for (auto _ : state) result.kernel->execute(inputs, outputs, workspace.get());
  state.SetLabel(result.kernel->implementation());
  state.counters["GF/s"] = benchmark::Counter(2e-9 * static_cast<double>(m * n * k),
                                              benchmark::Counter::kIsIterationInvariantRate);
}

void bare_matmul(benchmark::State& state) {
  const int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  set_threads(state, state.range(4));
  const DType dtype = dtype_at(state.range(3));
  if (dtype == DType::kF64) return state.SkipWithError("oneDNN has no f64");
  const Desc da = strided_desc({m, k}, dtype, {k, 1});
  const Desc db = strided_desc({k, n}, dtype, state.range(5) ? Dims{1, k} : Dims{n, 1});
  const Desc dout = strided_desc({m, n}, dtype, {n, 1});
  const auto pd = make_matmul(da, db, Desc(), dout, caller_scratchpad());
  const dnnl::matmul primitive(pd);
  const auto a = aligned(da.get_size()), b = aligned(db.get_size()), out = aligned(dout.get_size());
  const auto scratch = aligned(pd.scratchpad_desc().get_size());
  const std::unordered_map<int, dnnl::memory> arguments{
      {DNNL_ARG_SRC, dnnl::memory(da, cpu_engine(), a.get())},
      {DNNL_ARG_WEIGHTS, dnnl::memory(db, cpu_engine(), b.get())},
      {DNNL_ARG_DST, dnnl::memory(dout, cpu_engine(), out.get())},
      {DNNL_ARG_SCRATCHPAD, dnnl::memory(pd.scratchpad_desc(), cpu_engine(), scratch.get())}};
  std::vector<dnnl_exec_arg_t> list;
  for (const auto& [argument, memory] : arguments) list.push_back({argument, memory.get()});
  dnnl::stream stream(cpu_engine());
  for (auto _ : state) {
    dnnl_primitive_execute(primitive.get(), stream.get(), static_cast<int>(list.size()),
                           list.data());
  }
  state.SetLabel(implementation_of(pd));
  state.counters["GF/s"] = benchmark::Counter(2e-9 * static_cast<double>(m * n * k),
                                              benchmark::Counter::kIsIterationInvariantRate);
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "n", "k", "bytes", "threads", "bt"})->UseRealTime();
  for (int64_t threads : {1, 2}) {
    for (const auto& [m, n, k] : {std::array<int64_t, 3>{8, 16, 16},
                                  {16, 16, 16},
                                  {32, 32, 32},
                                  {64, 10, 128},
                                  {48, 48, 48},
                                  {64, 64, 64},
                                  {64, 256, 784},
                                  {1, 128, 256},
                                  {1, 3072, 768},
                                  {512, 512, 512}}) {
      for (int64_t bytes : {2, 4, 8}) {
        for (int64_t transposed : {0, 1}) b->Args({m, n, k, bytes, threads, transposed});
      }
    }
  }
}

BENCHMARK(prepared_matmul)->Apply(shapes);
BENCHMARK(bare_matmul)->Apply(shapes);

}  // namespace
