// Running compiled programs: results are values, whoever holds what.
#include "tests/core/graph_support.h"

#include <thread>

#include "core/exec/memory_plan.h"
#include "linnet/error.h"
#include "linnet/kernel.h"
#include "linnet/parallel.h"

namespace linnet::executor_test {
namespace {

/// Refuses every request from the `allowed`-th on.
class LimitedAllocator final : public Allocator {
 public:
  explicit LimitedAllocator(Allocator& inner) : inner_(inner) {}
  void* allocate(size_t bytes) override {
    if (allowed == 0) throw DeviceError("out of memory, as the test wants it");
    --allowed;
    return inner_.allocate(bytes);
  }
  void deallocate(void* block, size_t bytes) noexcept override { inner_.deallocate(block, bytes); }
  MemoryStats stats() const override { return inner_.stats(); }
  void reset_peak() override { inner_.reset_peak(); }
  void trim() override { inner_.trim(); }
  int allowed = 0;

 private:
  Allocator& inner_;
};

const void* address(const Tensor& x) { return x.impl()->data; }

TEST(Executor, an_output_that_is_an_input_is_its_handle) {
  const Graph graph = record({type({64}), type({64})}, [](const TensorList& x) {
    return TensorList{x[0], exp(x[1]), x[0], x[1].reshape({8, 8}).transpose()};
  });
  const Tensor a = sample(type({64})), b = sample(type({64}), 1);
  const TensorList out = compile(graph)->run(TensorList{a, b});
  EXPECT_EQ(out[0].impl(), a.impl());
  EXPECT_EQ(out[2].impl(), a.impl());
  EXPECT_EQ(address(out[3]), address(b));
  EXPECT_TRUE(same_bits(out[3], b.reshape({8, 8}).transpose()));
  EXPECT_TRUE(same_bits(out[1], exp(b)));
}

TEST(Executor, constants_and_repeated_results) {
  const Graph graph = record({type({4, 4}), type({})}, [](const TensorList& x) {
    const Tensor y = exp(x[0]);
    const Tensor z = x[1] * 2;
    return TensorList{
        y, y, y.reshape({16}), y.transpose(), Tensor(3.5f), z, z.reshape({1, 1}), zeros({2, 3})};
  });
  expect_compiled_agrees(graph, samples(graph));
  const TensorList out = compile(graph)->run(samples(graph));
  EXPECT_TRUE(out[3].is_contiguous()) << "a view of something computed is made dense";
  EXPECT_EQ(address(out[0]), address(out[2]));
}

TEST(Executor, strided_inputs_are_accepted) {
  const Graph graph = record({type({3, 4}), type({3, 4})}, [](const TensorList& x) {
    return TensorList{exp(x[0]) * x[1], max(x[0], Axes{0}), x[1]};
  });
  const Tensor a = sample(type({4, 3})).transpose(), b = broadcast_to(sample(type({4}), 1), {3, 4});
  ASSERT_FALSE(a.is_contiguous());
  const TensorList got = compile(graph)->run(TensorList{a, b}),
                   wanted = run_graph(graph, TensorList{a, b});
  for (size_t k = 0; k < got.size(); ++k) EXPECT_TRUE(same_bits(got[k], wanted[k])) << k;
  EXPECT_EQ(got[2].impl(), b.impl());
}

TEST(Executor, empty_and_zero_dimensional_values) {
  const Graph graph = record({type({0, 3}), type({})}, [](const TensorList& x) {
    return TensorList{exp(x[0] * 2) + 1, sum(x[0]), x[1] * x[1] + 1, x[0].transpose().reshape({0})};
  });
  expect_compiled_agrees(graph, samples(graph));
}

TEST(Executor, wrong_inputs_are_refused) {
  const auto executable =
      compile(record({type({4})}, [](const TensorList& x) { return TensorList{exp(x[0])}; }));
  EXPECT_THROW(executable->run(TensorList{zeros({5})}), ShapeError);
  EXPECT_THROW(executable->run(TensorList{zeros({4}, DType::kF64)}), ShapeError);
  EXPECT_THROW(executable->run(TensorList{}), ShapeError);
}

TEST(Executor, donated_memory_becomes_that_of_the_result) {
  const Graph graph = record({type({256}), type({256})}, [](const TensorList& x) {
    return TensorList{x[0] - x[1] * 0.1f, x[0].reshape({256})[0]};
  });
  const auto executable = compile(graph);
  const Tensor wanted = sample(type({256})) - sample(type({256}), 1) * 0.1f;
  TensorList inputs = samples(graph);
  const void* memory = address(inputs[0]);
  const std::vector<uint8_t> donated{1, 0};
  const TensorList out = executable->run(inputs, donated);
  EXPECT_TRUE(same_bits(out[0], wanted));
  EXPECT_NE(address(out[0]), memory) << "the second result is a view of the first input";

  const Graph alone = record({type({256}), type({256})},
                             [](const TensorList& x) { return TensorList{x[0] - x[1] * 0.1f}; });
  TensorList again = samples(alone);
  const void* given = address(again[0]);
  const TensorList result = compile(alone)->run(again, donated);
  EXPECT_TRUE(same_bits(result[0], wanted));
  EXPECT_EQ(address(result[0]), given);
}

TEST(Executor, donation_never_changes_what_the_caller_still_holds) {
  const Graph graph =
      record({type({256})}, [](const TensorList& x) { return TensorList{x[0] * 2.0f}; });
  const auto executable = compile(graph);
  const std::vector<uint8_t> donated{1};
  const Tensor before = sample(type({256}));
  {
    TensorList inputs{sample(type({256}))};
    const Tensor handle = inputs[0];
    const TensorList out = executable->run(inputs, donated);
    EXPECT_TRUE(same_bits(handle, before));
    EXPECT_NE(address(out[0]), address(handle));
  }
  {
    TensorList inputs{sample(type({256}))};
    const Tensor view = inputs[0].reshape({16, 16});  // shares the buffer, not the handle
    executable->run(inputs, donated);
    EXPECT_TRUE(same_bits(view, before.reshape({16, 16})));
  }
  {
    auto memory = std::make_shared<std::vector<float>>(before.to_vector<float>());
    TensorList inputs{from_external(memory->data(), DType::kF32, {256}, memory)};
    executable->run(inputs, donated);
    EXPECT_EQ(*memory, before.to_vector<float>());
  }
}

TEST(Executor, an_input_read_after_the_result_is_made_is_not_overwritten) {
  const Graph graph = record({type({64}), type({64, 64})}, [](const TensorList& x) {
    const Tensor y = matmul(x[1], exp(x[0]));
    return TensorList{y, sum(x[0] * y)};
  });
  TensorList inputs = samples(graph);
  const TensorList wanted = run_graph(graph, inputs);
  const std::vector<uint8_t> donated{1, 1};
  const TensorList got = compile(graph)->run(inputs, donated);
  for (size_t k = 0; k < got.size(); ++k) EXPECT_TRUE(same_bits(got[k], wanted[k])) << k;
}

TEST(Executor, a_failed_allocation_leaves_donated_inputs_as_they_were) {
  const Graph graph = record({type({512}), type({512})}, [](const TensorList& x) {
    return TensorList{x[0] + x[1], sort(x[1]) * x[0], sort(exp(x[0])), exp(x[1])};
  });
  const auto executable = compile(graph);
  const std::vector<uint8_t> donated{1, 1};
  LimitedAllocator limited(allocator_of(kCpu));
  int failures = 0;
  for (int allowed = 0; allowed < 16; ++allowed) {
    TensorList inputs = samples(graph);
    const TensorList wanted = run_graph(graph, inputs);
    Allocator* previous = set_allocator(kCpu, &limited);
    limited.allowed = allowed;
    TensorList out;
    bool failed = false;
    try {
      out = executable->run(inputs, donated);
    } catch (const DeviceError&) {
      failed = true;
    }
    limited.allowed = 1 << 30;
    if (failed) {
      ++failures;
      const TensorList fresh = samples(graph);
      for (size_t i = 0; i < fresh.size(); ++i)
        EXPECT_TRUE(same_bits(inputs[i], fresh[i])) << allowed;
    } else {
      for (size_t k = 0; k < out.size(); ++k) EXPECT_TRUE(same_bits(out[k], wanted[k])) << allowed;
    }
    out.clear();
    set_allocator(kCpu, previous);
  }
  EXPECT_GT(failures, 0);
  EXPECT_LT(failures, 16);
}

TEST(Executor, state_of_a_jitted_step_keeps_its_memory) {
  auto step = jit([](Tensor& w, Tensor& m, const Tensor& g) {
    m = m * 0.9f + g;
    w = w - m * 0.1f;
  });
  Tensor w = sample(type({1024})), m = sample(type({1024}), 1);
  const Tensor g = sample(type({1024}), 2);
  step(w, m, g);
  const std::pair<const void*, const void*> before{address(w), address(m)};
  step(w, m, g);
  const std::pair<const void*, const void*> after{address(w), address(m)};
  EXPECT_TRUE(after == before || after == std::make_pair(before.second, before.first));
  Tensor ew = sample(type({1024})), em = sample(type({1024}), 1);
  for (int i = 0; i < 2; ++i) {
    em = em * 0.9f + g;
    ew = ew - em * 0.1f;
  }
  EXPECT_TRUE(same_bits(w, ew));
  EXPECT_TRUE(same_bits(m, em));
}

TEST(Executor, one_program_runs_in_many_threads_at_once) {
  const Graph graph = record({type({40, 50}), type({50, 30})}, [](const TensorList& x) {
    const Tensor y = matmul(exp(x[0]) * 0.1f, tanh(x[1]));
    return TensorList{sum(y * y), sort(y.transpose()), y};
  });
  const auto executable = compile(graph);
  const TensorList inputs = samples(graph);
  const TensorList wanted = executable->run(TensorList(inputs));
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const TensorList got = executable->run(TensorList(inputs));
        for (size_t k = 0; k < got.size(); ++k) wrong[t] += !same_bits(got[k], wanted[k]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST(Executor, programs_follow_the_number_of_threads) {
  const Graph graph = record({type({64, 64}), type({64, 64})}, [](const TensorList& x) {
    return TensorList{relu(matmul(x[0], x[1]))};
  });
  const auto executable = compile(graph);
  const TensorList inputs = samples(graph);
  const Tensor wanted = run_graph(graph, inputs)[0];
  const int before = num_threads();
  for (int threads : {1, 2, 1, before}) {
    set_num_threads(threads);
    const auto got = executable->run(TensorList(inputs))[0].to_vector<float>();
    const auto reference = wanted.to_vector<float>();
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], reference[i], 1e-4f);
  }
}

/// Doubles its operand until the sum exceeds 100: how often depends on the value.
const Primitive& doubling_primitive() {
  static const Primitive& p =
      define(Control{.name = "test_doubling",
                     .infer = [](ParamsRef, Inputs x) { return TypeList{x[0].type()}; },
                     .decompose =
                         [](ParamsRef, Inputs x) {
                           Tensor y = x[0];
                           while (sum(y).item<float>() < 100) y = y + y;
                           if (sum(y).item<float>() > 1e6f)
                             throw ValueError("too large, as the test wants it");
                           return TensorList{y};
                         },
                     .rules = {}});
  return p;
}

TEST(Executor, control_that_depends_on_values_is_evaluated_whole) {
  const Graph graph = record({type({32})}, [](const TensorList& x) {
    const Tensor y = emit_one(doubling_primitive(), {abs(x[0]) + 1.0f});
    return TensorList{y * 0.5f, sum(y)};
  });
  expect_compiled_agrees(graph, samples(graph));
  const Graph view = record({type({4, 8})}, [](const TensorList& x) {
    return TensorList{emit_one(doubling_primitive(), {square(x[0]).transpose() + 200.0f})};
  });
  expect_compiled_agrees(view, samples(view));
}

TEST(Executor, a_throwing_step_leaves_donated_inputs_as_they_were) {
  const Graph graph = record({type({32}), type({32})}, [](const TensorList& x) {
    const Tensor early = x[0] * 2.0f;
    return TensorList{early, emit_one(doubling_primitive(), {x[1]})};
  });
  TensorList inputs{sample(type({32})), full({32}, 1e6f)};
  const std::vector<uint8_t> donated{1, 1};
  EXPECT_THROW(compile(graph)->run(inputs, donated), ValueError);
  EXPECT_TRUE(same_bits(inputs[0], sample(type({32}))));
  EXPECT_TRUE(same_bits(inputs[1], full({32}, 1e6f)));
}

/// Copies its operand, or throws if that begins with a negative number.
const Primitive& delicate_copy_primitive() {
  static const Primitive& p = [] {
    const Primitive& made = define(
        Opaque<NoParams>{.name = "test_delicate_copy",
                         .infer = [](const NoParams&, Inputs x) { return TypeList{x[0].type()}; }});
    kernel_table(kCpu).add(
        made,
        {.name = "delicate",
         .run = [](const KernelRequest& request, const void* const* in, void* const* out, void*) {
           const float* from = static_cast<const float*>(in[0]);
           if (from[0] < 0) throw ValueError("negative, as the test wants it");
           std::copy_n(from, element_count(request.inputs[0].shape), static_cast<float*>(out[0]));
         }});
    return std::ref(made);
  }();
  return p;
}

TEST(Executor, a_throwing_kernel_leaves_donated_inputs_as_they_were) {
  const auto step = jit([](Tensor& state, const Tensor& x) {
    state = state * 2 + 1;
    return sum(emit_one(delicate_copy_primitive(), {x * state})) + sum(state);
  });
  Tensor state = ones({256});
  step(state, ones({256}));
  EXPECT_EQ(state.to_vector<float>(), std::vector<float>(256, 3));
  EXPECT_THROW(step(state, full({256}, -1.0f)), ValueError);
  EXPECT_EQ(state.to_vector<float>(), std::vector<float>(256, 3));
  step(state, ones({256}));
  EXPECT_EQ(state.to_vector<float>(), std::vector<float>(256, 7));
}

TEST(Executor, results_are_there_before_their_values) {
  const Graph graph = record({type({256}), type({256})}, [](const TensorList& x) {
    return TensorList{x[0] + x[1], sum(x[1]), x[1].reshape({16, 16})};
  });
  const auto executable = compile(graph);
  TensorList inputs = samples(graph);
  const TensorList wanted = run_graph(graph, inputs);
  const std::vector<uint8_t> donated{1, 0};
  TensorList early;
  const TensorList got =
      executable->run(inputs, donated, [&](const TensorList& results) { early = results; });
  ASSERT_EQ(early.size(), got.size());
  for (size_t k = 0; k < got.size(); ++k) {
    EXPECT_EQ(early[k].impl(), got[k].impl()) << k;
    EXPECT_TRUE(same_bits(got[k], wanted[k])) << k;
  }
  inputs = samples(graph);
  EXPECT_THROW(executable->run(inputs, donated,
                               [](const TensorList&) { throw ValueError("as the test wants it"); }),
               ValueError);
  for (size_t i = 0; i < inputs.size(); ++i)
    EXPECT_TRUE(same_bits(inputs[i], samples(graph)[i])) << i;
}

TEST(Executor, compile_options_are_read_from_text) {
  const CompileOptions options = parse_compile_options("-fusion,+verify");
  EXPECT_FALSE(options.fusion);
  EXPECT_TRUE(options.verify);
  EXPECT_TRUE(options.epilogues);
  EXPECT_THROW(parse_compile_options("fusion"), ValueError);
  EXPECT_THROW(parse_compile_options("-fussion"), ValueError);
}

TEST(Executor, the_log_shows_the_optimised_graph) {
  std::string text;
  set_log_sink([&](std::string_view topic, std::string_view line) {
    if (topic == "graph") text += line;
  });
  set_log_topics("graph");
  compile(record({type({4})}, [](const TensorList& x) { return TensorList{exp(x[0] + x[0])}; }));
  set_log_topics("");
  set_log_sink({});
  EXPECT_NE(text.find("fused_elementwise"), std::string::npos) << text;
}

TEST(MemoryPlan, blocks_that_live_together_do_not_overlap) {
  std::vector<MemoryBlock> blocks;
  unsigned state = 1;
  const auto next = [&](unsigned n) {
    return (state = state * 1664525u + 1013904223u) / 65536u % n;
  };
  for (int i = 0; i < 300; ++i) {
    const int32_t first = static_cast<int32_t>(next(100));
    blocks.push_back({next(5000), first, first + static_cast<int32_t>(next(12))});
  }
  const size_t total = assign_offsets(blocks);
  size_t most = 0;
  for (int32_t step = 0; step < 112; ++step) {
    size_t live = 0;
    for (const MemoryBlock& a : blocks) {
      if (a.first > step || step > a.last) continue;
      live += a.bytes;
      EXPECT_EQ(a.offset % 64, 0u);
      EXPECT_LE(a.offset + a.bytes, total);
      for (const MemoryBlock& b : blocks) {
        if (&a == &b || b.first > step || step > b.last || a.bytes == 0 || b.bytes == 0) continue;
        EXPECT_TRUE(a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset);
      }
    }
    most = std::max(most, live);
  }
  EXPECT_LT(total, most + most / 2) << "far from the least that is possible";
}

TEST(MemoryPlan, a_chain_needs_no_more_than_its_widest_step) {
  const Graph graph = record({type({1024})}, [](const TensorList& x) {
    Tensor y = x[0];
    for (int i = 0; i < 10; ++i) y = cumsum(tanh(y), 0);
    return TensorList{sum(y)};
  });
  const auto with = compile(graph);
  const ScopedCompileOptions scope({.memory_plan = false});
  const auto without = compile(graph);
  EXPECT_LE(with->arena_bytes(), 2u * 4096u);
  EXPECT_GE(without->arena_bytes(), 20u * 4096u);
  EXPECT_TRUE(same_bits(with->run(samples(graph))[0], without->run(samples(graph))[0]));
}

TEST(MemoryPlan, checkpoint_trades_memory_for_recomputation) {
  const auto layer = [](const Tensor& x) { return sin(sort(tanh(sort(x * 1.5f)))); };
  const auto arena = [&](bool recompute) {
    const auto loss = [&](const Tensor& x) {
      Tensor y = x;
      for (int i = 0; i < 40; ++i) y = recompute ? checkpoint(layer)(y) : layer(y);
      return sum(y);
    };
    const Graph graph =
        record({type({4096})}, [&](const TensorList& x) { return TensorList{grad(loss)(x[0])}; });
    return compile(graph)->arena_bytes();
  };
  EXPECT_LT(arena(true), arena(false) / 2);
}

TEST(Executor, scratch_of_kernels_is_in_the_plan) {
  // The only step writes the result; what its parts give lies in the arena.
  const Graph all =
      record({type({1 << 20})}, [](const TensorList& x) { return TensorList{sum(x[0])}; });
  EXPECT_GT(compile(all)->arena_bytes(), 0u);
  EXPECT_EQ(compile(all)->run(TensorList{ones({1 << 20})})[0].item<float>(), 1 << 20);
  const Graph sorted =
      record({type({700, 3})}, [](const TensorList& x) { return TensorList{sort(x[0], 0)}; });
  EXPECT_GE(compile(sorted)->arena_bytes(), size_t{2} * 700 * 3 * sizeof(float));
  expect_compiled_agrees(sorted, samples(sorted));
  const Graph picked = record({type({50, 4}), type({9}, DType::kI32)},
                              [](const TensorList& x) { return TensorList{take(x[0], x[1], 0)}; });
  EXPECT_GE(compile(picked)->arena_bytes(), 9 * sizeof(int64_t));
}

}  // namespace
}  // namespace linnet::executor_test
