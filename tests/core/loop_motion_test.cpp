// Work that moves between a loop and the program around it: where products are in the optimised
// program, that nothing else changes by it, and what a turn of a compiled loop does not do.
#include "tests/core/graph_support.h"

#include <memory>

#include "core/control/loops.h"
#include "core/exec/code.h"
#include "core/ops/creation.h"
#include "core/ops/dot.h"
#include "support/fake_device.h"

namespace linnet::loop_motion_test {
namespace {

constexpr int64_t kTurns = 5, kRows = 4, kWidth = 8;

/// Without what would give products other names.
constexpr CompileOptions kMoving{.epilogues = false, .fusion = false, .verify = true};
constexpr CompileOptions kResting{
    .loop_motion = false, .epilogues = false, .fusion = false, .verify = true};

TensorType matrix() { return type({kWidth, kWidth}); }
TensorType state() { return type({kRows, kWidth}); }
TensorType sequence(int64_t turns = kTurns) { return type({turns, kRows, kWidth}); }

/// The last carry of a scan without stacked results.
template <class Step>
Tensor last_of(const Step& step, const Tensor& init, const Tensor& xs) {
  return scan([&](const Tensor& h,
                  const Tensor& x) { return std::pair(step(h, x), std::tuple<>()); },
              init, xs)
      .first;
}

size_t position_of_loop(const Graph& graph, const Primitive& loop) {
  EXPECT_EQ(count_nodes(graph, loop.name), 1u) << to_string(graph);
  size_t n = 0;
  while (n + 1 < graph.nodes.size() && graph.nodes[n].primitive != &loop) ++n;
  return n;
}

const Graph& body_of(const Graph& graph, const Primitive& loop = scan_primitive()) {
  const Graph::Node& node = graph.nodes[position_of_loop(graph, loop)];
  if (&loop == &scan_primitive()) return node.params.as<ScanParams>().body->graph();
  return node.params.as<WhileParams>().body->graph();
}

/// How many products there are in front of, in and behind the only loop.
struct Products {
  size_t before = 0, inside = 0, behind = 0;
  bool operator==(const Products&) const = default;
};
void PrintTo(const Products& p, std::ostream* out) {
  *out << p.before << " before, " << p.inside << " inside, " << p.behind << " behind";
}

Products products_of(const Graph& graph, const Primitive& loop = scan_primitive()) {
  const size_t at = position_of_loop(graph, loop);
  Products out;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (graph.nodes[n].primitive == &dot_general_primitive()) ++(n < at ? out.before : out.behind);
  }
  out.inside = count_nodes(body_of(graph, loop), "dot_general");
  return out;
}

/// The type of the result of the first product outside of the loop.
TensorType first_product(const Graph& graph) {
  for (const Graph::Node& node : graph.nodes) {
    if (node.primitive == &dot_general_primitive()) return graph.types[node.outputs[0]];
  }
  ADD_FAILURE() << "no product:\n" << to_string(graph);
  return {};
}

TensorList run_with(const Graph& graph, const CompileOptions& options, const TensorList& inputs) {
  const ScopedCompileOptions scope(options);
  return compile(graph)->run(TensorList(inputs));
}

/// A product of all turns has more rows than those of each, and may have another kernel.
constexpr double kOtherKernel = 1e-5;

/// Compiled with and without motion.
/// @param tolerance 0 for equal bits.
void expect_same_values(const Graph& graph, double tolerance = 0) {
  TensorList inputs;
  for (const Tensor& x : samples(graph)) inputs.push_back(x * 0.1f);
  const TensorList wanted = run_with(graph, kResting, inputs);
  for (const CompileOptions& options : {kMoving, CompileOptions{.verify = true}}) {
    const TensorList got = run_with(graph, options, inputs);
    ASSERT_EQ(got.size(), wanted.size());
    for (size_t k = 0; k < got.size(); ++k) {
      if (tolerance == 0) {
        EXPECT_TRUE(same_bits(got[k], wanted[k])) << "result " << k << "\n" << to_string(graph);
      } else {
        const Tensor off = abs(got[k] - wanted[k]) / (1 + abs(wanted[k]));
        EXPECT_LT(max(off).item<float>(), tolerance) << "result " << k;
      }
    }
  }
}

// ---- In front of the loop, once.

TEST(LoopMotion, a_product_of_invariants_is_done_in_front_of_a_scan) {
  const Graph graph = record({matrix(), matrix(), state(), sequence()}, [](const TensorList& in) {
    return TensorList{last_of(
        [&](const Tensor& h, const Tensor& x) { return tanh(matmul(h, matmul(in[0], in[1])) + x); },
        in[2], in[3])};
  });
  EXPECT_EQ(products_of(optimize(graph, kResting)), (Products{.inside = 2}));
  const Graph moved = optimize(graph, kMoving);
  EXPECT_EQ(products_of(moved), (Products{.before = 1, .inside = 1})) << to_string(moved);
  EXPECT_EQ(first_product(moved), matrix());
  expect_same_values(graph);
}

/// What is made of invariants only is one chain in front, whatever it consists of.
TEST(LoopMotion, a_chain_of_invariants_moves_whole) {
  const Graph graph = record({matrix(), matrix(), state(), sequence()}, [](const TensorList& in) {
    return TensorList{last_of(
        [&](const Tensor& h, const Tensor& x) {
          const Tensor w = matmul(tanh(matmul(in[0], in[1])), transpose(in[1]));
          return tanh(matmul(h, w) + x);
        },
        in[2], in[3])};
  });
  const Graph moved = optimize(graph, kMoving);
  EXPECT_EQ(products_of(moved), (Products{.before = 2, .inside = 1})) << to_string(moved);
  EXPECT_EQ(count_nodes(body_of(moved), "tanh"), 1u) << "that of the carry alone";
  expect_same_values(graph);
}

TEST(LoopMotion, a_product_of_invariants_is_done_in_front_of_a_while_loop) {
  const Graph graph = record({matrix(), matrix(), state()}, [](const TensorList& in) {
    return TensorList{while_loop(
        [](const Tensor& h) { return sum(abs(h)) < 9; },
        [&](const Tensor& h) { return h * 1.5 + tanh(matmul(h, matmul(in[0], in[1]))); }, in[2])};
  });
  EXPECT_EQ(products_of(optimize(graph, kResting), while_primitive()), (Products{.inside = 2}));
  const Graph moved = optimize(graph, kMoving);
  EXPECT_EQ(products_of(moved, while_primitive()), (Products{.before = 1, .inside = 1}))
      << to_string(moved);
  expect_same_values(graph);
}

TEST(LoopMotion, a_product_leaves_a_loop_in_a_loop) {
  const Graph graph = record({matrix(), matrix(), state(), sequence()}, [](const TensorList& in) {
    const auto inner = [&](const Tensor& h, const Tensor& x) {
      return last_of([&](const Tensor& g,
                         const Tensor& row) { return tanh(matmul(g, matmul(in[0], in[1])) + row); },
                     h, stack({x, x * 2}));
    };
    return TensorList{last_of(inner, in[2], in[3])};
  });
  const Graph moved = optimize(graph, kMoving);
  EXPECT_EQ(products_of(moved).before, 1u) << to_string(moved);
  EXPECT_EQ(products_of(body_of(moved)), (Products{.inside = 1})) << to_string(moved);
  expect_same_values(graph);
}

TEST(LoopMotion, a_product_leaves_a_while_loop_in_a_loop_as_far_as_what_it_reads_allows) {
  const Graph graph = record({matrix(), matrix(), state(), sequence()}, [](const TensorList& in) {
    const auto inner = [&](const Tensor& h, const Tensor& x) {
      return while_loop([](const Tensor& g) { return sum(abs(g)) < 9; },
                        [&](const Tensor& g) {
                          return g * 1.5 + tanh(matmul(g, matmul(in[0], in[1]))) + matmul(x, in[0]);
                        },
                        h);
    };
    return TensorList{last_of(inner, in[2], in[3])};
  });
  const Graph moved = optimize(graph, kMoving);
  EXPECT_EQ(products_of(moved).before, 2u) << "that of the sequence for all turns";
  EXPECT_EQ(products_of(body_of(moved), while_primitive()), (Products{.inside = 1}))
      << to_string(moved);
  expect_same_values(graph);
}

/// Reading something large costs more than to make it again from something small.
TEST(LoopMotion, what_only_becomes_larger_stays_inside) {
  const Graph graph = record({type({kWidth}), state(), sequence()}, [](const TensorList& in) {
    return TensorList{last_of(
        [&](const Tensor& h, const Tensor& x) {
          return tanh(h * x) + broadcast_to(sin(in[0]), {kRows, kWidth});
        },
        in[1], in[2])};
  });
  const Graph moved = optimize(graph, kMoving);
  EXPECT_EQ(names(moved), "sin scan") << to_string(moved);
  EXPECT_EQ(count_nodes(body_of(moved), "broadcast_in_dim"), 1u) << to_string(moved);
  expect_same_values(graph);
}

// ---- In front of the loop, for all turns.

Graph recurrent(int64_t turns) {
  return record({matrix(), matrix(), state(), sequence(turns)}, [](const TensorList& in) {
    return TensorList{last_of(
        [&](const Tensor& h, const Tensor& x) { return tanh(matmul(h, in[0]) + matmul(x, in[1])); },
        in[2], in[3])};
  });
}

TEST(LoopMotion, products_of_a_sequence_are_one_product_in_front) {
  const Graph graph = recurrent(kTurns);
  EXPECT_EQ(products_of(optimize(graph, kResting)), (Products{.inside = 2}));
  const Graph moved = optimize(graph, kMoving);
  EXPECT_EQ(products_of(moved), (Products{.before = 1, .inside = 1})) << to_string(moved);
  EXPECT_EQ(first_product(moved), sequence()) << "the product of every turn";
  expect_same_values(graph, kOtherKernel);
}

TEST(LoopMotion, products_of_all_turns_have_the_values_of_each_turn) {
  for (int64_t width : {3, 67, 130, 300}) {
    const TensorType square = type({width, width});
    for (const Shape& h : {Shape{width}, Shape{1, width}, Shape{5, width}}) {
      SCOPED_TRACE(to_string(type(h)));
      Shape xs = h;
      xs.insert(0, 9);
      const Graph graph = record({square, square, type(h), type(xs)}, [](const TensorList& in) {
        return TensorList{last_of(
            [&](const Tensor& c, const Tensor& x) {
              return tanh(c * 0.5f + matmul(x, matmul(in[0], in[1])));
            },
            in[2], in[3])};
      });
      EXPECT_EQ(products_of(optimize(graph, kMoving)), (Products{.before = 2}));
      expect_same_values(graph, kOtherKernel);
    }
  }
}

TEST(LoopMotion, one_turn_is_left_as_it_is) {
  EXPECT_EQ(products_of(optimize(recurrent(1), kMoving)), (Products{.inside = 2}));
  expect_same_values(recurrent(1));
}

TEST(LoopMotion, products_from_products_of_a_sequence_move_together) {
  const TypeList types{matrix(), matrix(), matrix(), state(), sequence()};
  const Graph graph = record(types, [](const TensorList& in) {
    return TensorList{last_of(
        [&](const Tensor& h, const Tensor& x) {
          // With a matrix that is itself a product of invariants.
          const Tensor y = matmul(sin(matmul(x, in[1])), matmul(in[1], in[2]));
          return tanh(matmul(h, in[0]) + y);
        },
        in[3], in[4])};
  });
  const Graph moved = optimize(graph, kMoving);
  EXPECT_EQ(products_of(moved), (Products{.before = 3, .inside = 1})) << to_string(moved);
  EXPECT_EQ(count_nodes(body_of(moved), "sin"), 0u) << to_string(moved);
  expect_same_values(graph, kOtherKernel);
}

TEST(LoopMotion, products_of_two_sequences_are_a_product_of_batches) {
  const Graph graph =
      record({state(), sequence(), type({kTurns, kWidth, kWidth})}, [](const TensorList& in) {
        using Both = std::pair<Tensor, Tensor>;
        const auto step = [](const Tensor& h, const Both& x) {
          return std::pair(tanh(h + matmul(x.first, x.second)), std::tuple<>());
        };
        return TensorList{scan(step, in[0], Both(in[1], in[2]), {.reverse = true}).first};
      });
  const Graph moved = optimize(graph, kMoving);
  EXPECT_EQ(products_of(moved), (Products{.before = 1})) << to_string(moved);
  EXPECT_EQ(first_product(moved), sequence());
  expect_same_values(graph, kOtherKernel);
}

TEST(LoopMotion, a_product_with_the_carry_stays) {
  const Graph graph = record({state(), sequence()}, [](const TensorList& in) {
    return TensorList{
        last_of([&](const Tensor& h,
                    const Tensor& x) { return tanh(h + matmul(x, matmul(transpose(h), h))); },
                in[0], in[1])};
  });
  EXPECT_EQ(products_of(optimize(graph, kMoving)), (Products{.inside = 2}));
  expect_same_values(graph);
}

/// The types alone: nothing runs.
TEST(LoopMotion, results_of_all_turns_that_need_too_much_memory_are_not_made) {
  const auto products = [](int64_t turns) {
    const TypeList types{type({64, 64}), type({256, 64}), type({turns, 256, 64})};
    const Graph graph = record(types, [](const TensorList& in) {
      return TensorList{
          last_of([&](const Tensor& h, const Tensor& x) { return tanh(h + matmul(x, in[0])); },
                  in[1], in[2])};
    });
    return products_of(optimize(graph, kMoving));
  };
  constexpr int64_t kMost = (int64_t{1} << 28) / (256 * 64 * 4);
  EXPECT_EQ(products(kMost), (Products{.before = 1}));
  EXPECT_EQ(products(kMost + 1), (Products{.inside = 1}));
}

// ---- Behind the loop.

TEST(LoopMotion, products_that_only_leave_the_loop_are_one_product_behind) {
  const Graph graph = record({matrix(), matrix(), state(), sequence()}, [](const TensorList& in) {
    const auto [last, ys] = scan(
        [&](const Tensor& h, const Tensor& x) {
          const Tensor next = tanh(matmul(h, in[0]) + x);
          return std::pair(next, sin(matmul(next, in[1])));
        },
        in[2], in[3]);
    return TensorList{last, ys};
  });
  EXPECT_EQ(products_of(optimize(graph, kResting)), (Products{.inside = 2}));
  const Graph moved = optimize(graph, kMoving);
  EXPECT_EQ(products_of(moved), (Products{.inside = 1, .behind = 1})) << to_string(moved);
  EXPECT_EQ(first_product(moved), sequence());
  EXPECT_EQ(count_nodes(body_of(moved), "sin"), 0u) << "it follows the product";
  expect_same_values(graph, kOtherKernel);
}

/// A sum over turns becomes a sum over one more dimension.
TEST(LoopMotion, a_carry_that_grows_by_products_is_one_product_behind) {
  const Graph graph = record({matrix(), matrix(), state(), sequence()}, [](const TensorList& in) {
    using Carry = std::pair<Tensor, Tensor>;
    const auto [last, ys] = scan(
        [&](const Carry& c, const Tensor& x) {
          const Tensor next = tanh(matmul(c.first, in[0]) + x);
          return std::pair(Carry(next, c.second + matmul(transpose(x), next)), next);
        },
        Carry(in[2], in[1]), in[3]);
    return TensorList{last.second, ys};
  });
  EXPECT_EQ(products_of(optimize(graph, kResting)), (Products{.inside = 2}));
  const Graph moved = optimize(graph, kMoving);
  EXPECT_EQ(products_of(moved), (Products{.inside = 1, .behind = 1})) << to_string(moved);
  EXPECT_EQ(first_product(moved), matrix());
  expect_same_values(graph, kOtherKernel);
}

// ---- What a turn of a compiled loop does not do.

/// The code of a loop's body as the loop makes it.
std::unique_ptr<Code> code_of(const Graph& body) {
  const LoweringOptions options{.device = Device{}, .own_results = true};
  return std::make_unique<Code>(body, options, true);
}

size_t copies_in(const Code& code) {
  size_t copies = 0;
  for (const LoweredStep& step : code.program().steps)
    copies += step.primitive == &copy_primitive();
  return copies;
}

/// Whether result `k` of a body may lie where input `input` lies.
bool in_place(const Code& code, size_t k, int32_t input) {
  const std::vector<int32_t>& donors = code.storage().outputs[k].donors;
  return std::find(donors.begin(), donors.end(), input) != donors.end();
}

/// Products read the old carry while they write the new one, in another place; turns alternate.
TEST(LoopMotion, a_carry_made_by_a_product_is_not_copied) {
  const Graph graph = recurrent(kTurns);
  const Graph optimized = optimize(graph, {});
  const ScanParams& p =
      optimized.nodes[position_of_loop(optimized, scan_primitive())].params.as<ScanParams>();
  const auto code = code_of(p.body->graph());
  EXPECT_EQ(copies_in(*code), 0u) << to_string(optimized);
  EXPECT_FALSE(in_place(*code, 0, static_cast<int32_t>(p.constants)));
}

TEST(LoopMotion, an_elementwise_carry_is_written_where_it_is_read) {
  const Graph graph = record({state(), sequence()}, [](const TensorList& in) {
    return TensorList{
        last_of([](const Tensor& h, const Tensor& x) { return tanh(h * 0.9f + x); }, in[0], in[1])};
  });
  const Graph optimized = optimize(graph, {});
  const ScanParams& p =
      optimized.nodes[position_of_loop(optimized, scan_primitive())].params.as<ScanParams>();
  const auto code = code_of(p.body->graph());
  EXPECT_EQ(code->program().steps.size(), 1u);
  EXPECT_EQ(copies_in(*code), 0u);
  EXPECT_TRUE(in_place(*code, 0, static_cast<int32_t>(p.constants)));
  EXPECT_EQ(code->storage().arena_bytes, 0u);
}

TEST(LoopMotion, memory_and_work_around_a_scan_do_not_grow_with_its_turns) {
  const Graph few = recurrent(4), many = recurrent(400);
  const auto a = compile(few), b = compile(many);
  const size_t product = kRows * kWidth * sizeof(float);
  EXPECT_EQ(b->arena_bytes() - a->arena_bytes(), 396 * product) << "the product of all turns";
  for (const auto& each : {a, b}) {
    for (const WorkCost& work : each->cost().work) EXPECT_NE(work.operation, "copy");
  }
}

/// Counted by the back end, which is asked for every copy.
TEST(LoopMotion, turns_copy_nothing_on_a_device) {
  const Device fake = testing::fake_device();
  const auto copies = [&](int64_t turns, bool elementwise) {
    const ScopedDevice here(fake);
    const Tensor w = sample(matrix()).to(fake), h = sample(state()).to(fake);
    const Tensor xs = sample(sequence(turns)).to(fake);
    const auto f = jit([&](const Tensor& m, const Tensor& init, const Tensor& rows) {
      return last_of(
          [&](const Tensor& c, const Tensor& x) {
            return elementwise ? tanh(c + x) : tanh(matmul(c, m) + x);
          },
          init, rows);
    });
    f(w, h, xs);
    synchronize(fake);
    const size_t before = testing::fake_device_counts().copies;
    f(w, h, xs);
    synchronize(fake);
    return testing::fake_device_counts().copies - before;
  };
  EXPECT_EQ(copies(2, true), copies(20, true));
  EXPECT_LE(copies(20, true), 1u) << "the first carry, which the caller keeps";
  EXPECT_EQ(copies(2, false), 0u);
  EXPECT_EQ(copies(21, false), 0u);
}

}  // namespace
}  // namespace linnet::loop_motion_test
