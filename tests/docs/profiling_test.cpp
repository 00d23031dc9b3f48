// The pieces of docs/profiling.md.
#include <cstdio>
#include <iostream>

#include "tests/docs/documents.h"

// [profiling-headers]
#include <linnet/core.h>

#include <linnet/callback.h>
#include <linnet/debug.h>
#include <linnet/module_path.h>
#include <linnet/profile.h>
#include <linnet/program_cost.h>

using namespace linnet;
// [profiling-headers]

namespace {

// [profiling-model]
Tensor forward(const Tensor& w, const Tensor& x) {
  const ModulePathScope path("mlp");              // modules do this themselves
  return log(sum(tanh(matmul(x, w)), -1));
}
// [profiling-model]

class Profiling : public docs::Snippet {};

TEST_F(Profiling, profiling_trace) {
  // [profiling-trace]
  auto step = jit([](const Tensor& w, const Tensor& x) { return forward(w, x); }, {.name = "step"});
  profile::start_trace("step.json");
  {
    const profile::Span span("three steps");
    for (int i = 0; i < 3; ++i) step(ones({16, 8}), ones({4, 16}));
  }
  profile::stop_trace();
  // [profiling-trace]
  EXPECT_EQ(std::remove("step.json"), 0);
}

TEST_F(Profiling, profiling_cost) {
  // [profiling-cost]
  auto step = jit([](const Tensor& w, const Tensor& x) { return forward(w, x); });
  const ProgramCost cost = step.lower(ones({16, 8}), ones({4, 16})).cost();
  std::cout << cost.flops() << " operations in " << cost.work.size() << " kernels\n";
  for (const WorkCost& each : cost.work)
    std::cout << each.operation << " @ " << each.path << ": " << each.flops << " operations\n";
  // [profiling-cost]
}

TEST_F(Profiling, profiling_memory) {
  // [profiling-memory]
  const profile::MemoryRecord record;
  const Tensor w = ones({256, 256});
  const Tensor y = forward(w, w);
  for (const profile::ModuleMemory& module : record.modules())
    std::cout << (module.path.empty() ? "outside" : module.path) << ": "
              << (module.peak_bytes >> 10) << " KiB at most, " << module.live_blocks << " live\n";
  // [profiling-memory]
}

TEST_F(Profiling, profiling_memory_limit) {
  // [profiling-memory-limit]
  const auto loss = [](const Tensor& w, const Tensor& x) {
    Tensor h = x;
    for (int i = 0; i < 12; ++i) h = tanh(matmul(h, w)) + sin(h);
    return mean(square(h));
  };
  const auto gradient = [&](const Tensor& w, const Tensor& x) { return grad(loss)(w, x); };
  const Tensor w = ones({64, 64}), x = ones({256, 64});
  const auto free = jit(gradient);
  const size_t half = free.lower(w, x).arena_bytes() / 2;
  const auto tight = jit(gradient, {.memory_limit = half});
  std::cout << "fits: " << (tight.lower(w, x).arena_bytes() <= half)
            << ", equal: " << all(equal(tight(w, x), free(w, x))).item<bool>() << "\n";
  // [profiling-memory-limit]
}

TEST_F(Profiling, profiling_print) {
  debug::set_print_sink([](std::string_view line) { std::cout << line << "\n"; });
  // [profiling-print]
  auto step = jit([](const Tensor& x) {
    debug::print("mean {:.2f} of {}", mean(x), x);
    return scan(
               [](const Tensor& sum, const Tensor& x) {
                 debug::print("  {} + {}", sum, x);
                 return std::pair(sum + x, sum);
               },
               0.f, x)
        .first;
  });
  step(tensor({1.f, 2.f, 4.f}));
  // [profiling-print]
  debug::set_print_sink({});
}

TEST_F(Profiling, profiling_callbacks) {
  // [profiling-callbacks]
  const auto roots = [](const Tensor& x) { return sqrt(x); };     // any code of the host
  std::vector<float> curve;
  auto step = jit([&](const Tensor& x) {
    const Tensor y = pure_callback(roots, {.vmap_method = VmapMethod::kExpandDims}, x.type(), x);
    debug::callback([&curve](const Tensor& y) { curve.push_back(y.item<float>()); }, sum(y));
    return y * 2.f;
  });
  std::cout << step(tensor({1.f, 4.f})) << " " << curve[0] << "\n";
  // [profiling-callbacks]
}

TEST_F(Profiling, profiling_nans) {
  auto step = jit([](const Tensor& w, const Tensor& x) { return forward(w, x); });
  message<NanError>([&] {
    // [profiling-nans]
    const debug::NanChecks checks;
    step(ones({16, 8}), -ones({4, 16}));
    // [profiling-nans]
  });
}

}  // namespace
