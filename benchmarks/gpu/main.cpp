// Kernels and training steps on a CUDA device beside their floors: the bytes that must cross the
// memory bus, or the operations of a product. Needs nothing but Linnet, so that it can be carried
// to a machine with a card (scripts/gpu-check).
//
//   linnet_bench_gpu [--small] [FILTER]      --small: sizes for an emulated device
//   linnet_bench_gpu --predict [--launches] [FILTER]
//
// Prints one line of Markdown for each: time of the median round, rate, launches. With --predict
// nothing is run: launches, bytes, floors and predicted times of whole training steps (predict.h).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "benchmarks/gpu/predict.h"
#include "linnet/cuda.h"
#include "linnet/linnet.h"

namespace {

using namespace linnet;

constexpr Device kGpu{DeviceType::kCuda, 0};

struct Work {
  std::string name;
  double bytes, flops;  ///< of one call; 0: not what limits it
  std::function<Tensor()> call;
};

double seconds_of(const Work& work, int calls) {
  const auto start = std::chrono::steady_clock::now();
  Tensor last;
  for (int i = 0; i < calls; ++i) last = work.call();
  synchronize(kGpu);
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
  return passed.count() / calls;
}

void measure(const Work& work, bool small) {
  const int calls = small ? 1 : 20, rounds = small ? 1 : 7;
  work.call();
  work.call();
  synchronize(kGpu);
  const cuda::Statistics before = cuda::statistics();
  std::vector<double> seconds;
  for (int r = 0; r < rounds; ++r) seconds.push_back(seconds_of(work, calls));
  const cuda::Statistics after = cuda::statistics();
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2];
  const auto each = [&](uint64_t a, uint64_t b) {
    return static_cast<double>(a - b) / (calls * rounds);
  };
  std::printf("| %s | %.2f us | ", work.name.c_str(), median * 1e6);
  if (work.bytes > 0)
    std::printf("%.0f GB/s", work.bytes / median * 1e-9);
  else if (work.flops > 0)
    std::printf("%.1f TF/s", work.flops / median * 1e-12);
  std::printf(" | %.1f | %.1f | %.1f | %.1f |\n", each(after.launches, before.launches),
              each(after.library_calls, before.library_calls),
              each(after.graph_runs, before.graph_runs),
              each(after.host_kernels, before.host_kernels));
  std::fflush(stdout);
}

Tensor normal(const Shape& shape, DType dtype) {
  return random::normal(Key(1), shape).astype(dtype);
}

/// Memory-bound operations. `rows` of `columns` elements.
std::vector<Work> memory_bound(int64_t rows, int64_t columns) {
  std::vector<Work> out;
  const auto n = static_cast<double>(rows * columns);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const std::string type(name_of(dtype));
    const auto b = static_cast<double>(size_of(dtype));
    const Tensor x = normal({rows, columns}, dtype), y = normal({rows, columns}, dtype);
    const Tensor scale = normal({columns}, dtype), bias = normal({columns}, dtype);
    const auto add_work = [&](const char* name, double sizes, std::function<Tensor()> call) {
      out.push_back({std::string(name) + " " + type, sizes * n * b, 0, std::move(call)});
    };
    add_work("negative", 2, [=] { return -x; });
    add_work("add", 3, [=] { return x + y; });
    add_work("gelu", 2, [=] { return gelu(x); });
    add_work("row sums", 1, [=] { return sum(x, -1); });
    add_work("column sums", 1, [=] { return sum(x, 0); });
    add_work("softmax", 2, [=] { return softmax(x); });
    add_work("transposed copy", 2, [=] { return x.T().contiguous(); });
    const auto chain = jit([](const Tensor& a, const Tensor& c) { return silu(gelu(a) * c) + a; });
    add_work("fused silu(gelu(a)b)+a", 3, [=] { return chain(x, y); });
    const auto norm = jit([](const Tensor& a, const Tensor& s, const Tensor& t) {
      const Tensor wide = a.astype(DType::kF32);
      const Tensor centred = wide - mean(wide, -1, true);
      const Tensor scaled = centred * rsqrt(mean(square(centred), -1, true) + 1e-5f);
      return (scaled * s + t).astype(a.dtype());
    });
    add_work("normalised rows", 2, [=] { return norm(x, scale, bias); });
  }
  out.push_back({"random bits", 4 * n, 0, [=] { return random::bits(Key(3), {rows, columns}); }});
  return out;
}

std::vector<Work> products(const std::vector<std::array<int64_t, 3>>& shapes) {
  std::vector<Work> out;
  for (const auto& [m, k, n] : shapes) {
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      const Tensor a = normal({m, k}, dtype), b = normal({k, n}, dtype);
      out.push_back({"product " + std::to_string(m) + "x" + std::to_string(k) + "x" +
                         std::to_string(n) + " " + std::string(name_of(dtype)),
                     0,
                     2. * static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n),
                     [=] { return matmul(a, b); }});
    }
  }
  return out;
}

struct Mlp {
  nnx::Linear first, second, third;
  Mlp(int64_t width, nnx::Rngs& rngs)
      : first(784, width, rngs), second(width, width, rngs), third(width, 10, rngs) {}
  Tensor operator()(const Tensor& x) { return third(relu(second(relu(first(x))))); }
  LINNET_FIELDS(first, second, third)
};

Work training_step(int64_t batch, int64_t width) {
  nnx::Rngs rngs(0);
  auto model = std::make_shared<Mlp>(width, rngs);
  auto optimizer = std::make_shared<optim::Optimizer>(*model, optim::adamw(1e-3));
  const Tensor x = normal({batch, 784}, DType::kF32), y = normal({batch, 10}, DType::kF32);
  const auto step = jit([](Mlp& m, optim::Optimizer& o, const Tensor& image, const Tensor& target) {
    auto [loss, grads] =
        nnx::value_and_grad([&](Mlp& net) { return mean(square(net(image) - target)); })(m);
    o.update(m, grads);
    return loss;
  });
  const double parameters = 784. * static_cast<double>(width) + static_cast<double>(width * width) +
                            10. * static_cast<double>(width);
  return {"training step of an MLP, batch " + std::to_string(batch) + ", width " +
              std::to_string(width),
          0, 6 * parameters * static_cast<double>(batch),
          [=] { return step(*model, *optimizer, x, y); }};
}

void run(bool small, const std::string& filter) {
  std::vector<Work> work = small ? memory_bound(8, 64) : memory_bound(8192, 4096);
  using Shapes = std::vector<std::array<int64_t, 3>>;
  for (Work& w : products(small ? Shapes{{16, 32, 16}}
                                : Shapes{{1024, 1024, 1024},
                                         {4096, 4096, 4096},
                                         {8192, 8192, 8192},
                                         {65536, 768, 2304},
                                         {65536, 768, 3072},
                                         {65536, 3072, 768}}))
    work.push_back(std::move(w));
  work.push_back(small ? training_step(8, 16) : training_step(256, 1024));
  std::puts(
      "| work | time | rate | launches | library calls | graphs | host kernels |\n"
      "|---|--:|--:|--:|--:|--:|--:|");
  for (const Work& w : work) {
    if (w.name.find(filter) != std::string::npos) measure(w, small);
  }
}

}  // namespace

int main(int argc, char** argv) {
  bool small = false, predict = false, launches = false;
  std::string filter;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--small") == 0)
      small = true;
    else if (std::strcmp(argv[i], "--predict") == 0)
      predict = true;
    else if (std::strcmp(argv[i], "--launches") == 0)
      launches = true;
    else
      filter = argv[i];
  }
  try {
    if (device_count(DeviceType::kCuda) == 0) {
      std::fputs(cuda::report().c_str(), stderr);
      return 1;
    }
    const ScopedDevice here(kGpu);
    if (predict)
      workload::predict(filter, launches);
    else
      run(small, filter);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "linnet_bench_gpu: %s\n", error.what());
    return 1;
  }
}
