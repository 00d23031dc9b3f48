// The LSTM of ../recurrent in libtorch, under the name of its layer: 64 steps of a batch of 32, 256
// wide.
#include <benchmark/benchmark.h>
#include <torch/torch.h>

namespace {

void lstm_layer(benchmark::State& state, bool backward) {
  at::set_num_threads(static_cast<int>(state.range(0)));
  torch::nn::LSTM lstm(torch::nn::LSTMOptions(256, 256));
  const torch::Tensor x = torch::rand({64, 32, 256}).requires_grad_(backward);
  torch::AutoGradMode gradient(backward);
  for (auto _ : state) {
    const torch::Tensor y = std::get<0>(lstm->forward(x));
    if (backward) {
      lstm->zero_grad();
      y.sum().backward();
    }
    benchmark::DoNotOptimize(y.unsafeGetTensorImpl());
  }
}
BENCHMARK_CAPTURE(lstm_layer, forward, false)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(lstm_layer, forward_backward, true)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
