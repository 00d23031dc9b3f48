// Clusters of elementwise nodes, and epilogues of products and convolutions.
#include "tests/core/graph_support.h"

#include <random>

#include "core/passes/clusters.h"
#include "core/passes/fuse_reductions.h"
#include "linnet/machine_code.h"

namespace linnet::passes_fusion_test {
namespace {

Graph fused(Graph graph) {
  fuse_elementwise(graph);
  remove_dead_code(graph);
  verify(graph, "fuse_elementwise");
  return graph;
}

Graph with_epilogues(Graph graph) {
  fuse_epilogues(graph);
  remove_dead_code(graph);
  verify(graph, "fuse_epilogues");
  return graph;
}

TEST(Fusion, a_chain_becomes_one_node_with_its_numbers_inside) {
  const Graph graph = record(
      {type({4, 5})}, [](const TensorList& x) { return TensorList{tanh(x[0] * 0.5f + 1.0f)}; });
  const Graph out = fused(graph);
  EXPECT_EQ(names(out), "fused_elementwise");
  EXPECT_TRUE(out.constants.empty());
  EXPECT_EQ(cluster_names(out), "broadcast_in_dim mul broadcast_in_dim add tanh");
  expect_compiled_agrees(graph, samples(graph));
}

TEST(Fusion, broadcast_and_transposed_operands_are_read_in_place) {
  const Graph graph = record(
      {type({40, 50}), type({50}), type({50, 40}), type({})},
      [](const TensorList& x) { return TensorList{exp(x[0] + x[1]) * x[2].transpose() - x[3]}; });
  const Graph out = fused(graph);
  EXPECT_EQ(count_nodes(out, "fused_elementwise"), 1u);
  expect_compiled_agrees(graph, samples(graph));
  const ScopedCompileOptions scope({.fusion = true});
  const Graph dense = record(TypeList(4, type({40, 50})), [](const TensorList& x) {
    return TensorList{exp(x[0] + x[1]) * x[2] - x[3]};
  });
  // By the interpreter, which has work memory, for both: it alone reads transposed operands.
  set_machine_code(false);
  EXPECT_EQ(compile(graph)->arena_bytes(), compile(dense)->arena_bytes()) << "views need no memory";
  set_machine_code(true);
}

TEST(Fusion, results_used_elsewhere_are_stored_as_well) {
  const Graph graph = record({type({8}), type({8})}, [](const TensorList& x) {
    const Tensor m = x[0] * 0.9f + x[1] * 0.1f;
    const Tensor v = square(m);
    return TensorList{m, v, x[0] - m / (sqrt(v) + 1e-3f)};
  });
  const Graph out = fused(graph);
  EXPECT_EQ(names(out), "fused_elementwise");
  EXPECT_EQ(out.nodes[0].outputs.size(), 3u);
  expect_compiled_agrees(graph, samples(graph));
}

TEST(Fusion, no_cluster_waits_for_itself) {
  // x -> exp -> sum -> back into a product with exp: the two sides of the sum must stay apart.
  const Graph graph = record({type({8})}, [](const TensorList& x) {
    const Tensor e = exp(x[0]) + 1.0f;
    return TensorList{e / sum(e) * 2.0f};
  });
  const Graph out = fused(graph);
  EXPECT_EQ(names(out), "fused_elementwise reduce_sum broadcast_in_dim fused_elementwise");
  expect_compiled_agrees(graph, samples(graph));
}

TEST(Fusion, only_nodes_of_one_shape_share_a_cluster) {
  const Graph graph = record({type({4, 5}), type({5})}, [](const TensorList& x) {
    return TensorList{exp(x[0] * 2.0f) * tanh(x[1] * 3.0f)};
  });
  const Graph out = fused(graph);
  EXPECT_EQ(count_nodes(out, "fused_elementwise"), 2u);
}

TEST(Fusion, conversions_are_copied_into_every_cluster_that_needs_them) {
  const Graph graph = record({type({6}, DType::kBF16)}, [](const TensorList& x) {
    const Tensor wide = x[0].astype(DType::kF32);
    const Tensor a = exp(wide);
    return TensorList{a / sum(a) + wide};
  });
  const Graph out = fused(graph);
  EXPECT_EQ(count_nodes(out, "convert_element_type"), 0u) << to_string(out);
  expect_compiled_agrees(graph, samples(graph));
}

TEST(Fusion, size_limits_hold) {
  const Graph graph = record({type({16})}, [](const TensorList& x) {
    Tensor y = x[0];
    for (int i = 0; i < 200; ++i) y = sin(y);
    return TensorList{y};
  });
  const Graph out = fused(graph);
  const size_t most = back_end_of(kCpu).fusion_limits().instructions;
  EXPECT_GE(out.nodes.size(), 200 / most);
  for (const Graph::Node& node : out.nodes) {
    EXPECT_LE(node.params.as<FusedElementwiseParams>().body->nodes.size(), most);
  }
  expect_compiled_agrees(graph, samples(graph));
}

TEST(Fusion, a_cluster_decomposes_into_its_body) {
  const Graph graph = record({type({4}), type({4})},
                             [](const TensorList& x) { return TensorList{exp(x[0]) * x[1]}; });
  const Graph out = fused(graph);
  const TensorList x = samples(graph);
  EXPECT_TRUE(same_bits(fused_elementwise_primitive().decompose(out.nodes[0].params, x)[0],
                        exp(x[0]) * x[1]));
}

/// Random programs over several shapes and types; every operation is deterministic to the bit.
class RandomProgram {
 public:
  explicit RandomProgram(unsigned seed) : random_(seed) {}

  TensorList operator()(const TensorList& inputs) {
    TensorList pool = inputs;
    for (int i = 0; i < 40; ++i) pool.push_back(step(pool));
    TensorList outputs(pool.end() - 6, pool.end());
    for (int i = 0; i < 3; ++i) outputs.push_back(pick(pool));
    return outputs;
  }

 private:
  size_t below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }
  Tensor pick(const TensorList& pool) { return pool[below(pool.size())]; }

  Tensor step(const TensorList& pool) {
    const Tensor x = pick(pool);
    switch (below(12)) {
      case 0:
        return is_floating(x.dtype()) ? sin(x) : -x.astype(DType::kI32);
      case 1:
        return x.dtype() == DType::kBool ? logical_not(x) : abs(x);
      case 2:
        return x.astype(below(2) ? DType::kF32 : DType::kBF16);
      case 3:
        return x.rank() < 2 ? x + 1 : x.transpose();
      case 4:
        return reshape(x, {x.size()});
      case 5:
        return x.rank() == 0 ? x * 2 : slice_axis(x, 0, (x.shape(0) + 1) / 2, 0);
      case 6:
        return x.rank() == 0 ? x : max(x, Axes{static_cast<int64_t>(x.rank()) - 1});
      case 7:
        return x.rank() == 0 ? x - 3 : flip(x, {0});
      default:
        return binary(x, partner(x, pool));
    }
  }

  Tensor partner(const Tensor& x, const TensorList& pool) {
    for (int attempt = 0; attempt < 8; ++attempt) {
      const Tensor y = pick(pool);
      if (y.shape() == x.shape() || y.rank() == 0) return y;
    }
    return x;
  }

  Tensor binary(const Tensor& x, const Tensor& y) {
    switch (below(6)) {
      case 0:
        return x.dtype() == DType::kBool ? logical_or(x, not_equal(y, 0)) : x - y;
      case 1:
        return x * y;
      case 2:
        return maximum(x, y);
      case 3:
        return where(less(x, y), x, y);
      case 4:
        return greater_equal(x, y);
      default:
        return x + y;
    }
  }

  std::mt19937 random_;
};

TEST(Fusion, random_programs_keep_every_bit) {
  const TypeList types{type({4, 6}), type({4, 6}, DType::kI32),  type({6}),
                       type({}),     type({6, 4}, DType::kBF16), type({4, 6}, DType::kBool)};
  for (unsigned seed = 0; seed < 60; ++seed) {
    const Graph graph = record(types, RandomProgram(seed));
    SCOPED_TRACE(seed);
    expect_compiled_agrees(graph, samples(graph));
    expect_compiled_agrees(graph, samples(graph), {.simplify = false});
    expect_compiled_agrees(graph, samples(graph), {.fusion = false});
    expect_compiled_agrees(graph, samples(graph), {.memory_plan = false});
    if (HasFailure()) return;
  }
}

Graph with_reductions(Graph graph) {
  Graph out = fused(std::move(graph));
  fuse_reductions(out);
  remove_dead_code(out);
  verify(out, "fuse_reductions");
  return out;
}

TEST(FusedReductions, a_value_that_is_only_reduced_is_not_stored) {
  const Graph graph = record({type({40, 300}), type({40, 300})}, [](const TensorList& x) {
    return TensorList{sum(tanh(x[0] * 0.5f) * x[1], 1)};
  });
  const Graph out = with_reductions(graph);
  ASSERT_EQ(names(out), "fused_reduction");
  EXPECT_EQ(out.nodes[0].outputs.size(), 1u);
  EXPECT_EQ(names(*cluster_body(*out.nodes[0].primitive, out.nodes[0].params)),
            "broadcast_in_dim mul tanh mul reduce_sum");
  expect_compiled_agrees(graph, samples(graph));
}

TEST(FusedReductions, a_single_operation_joins_as_well) {
  const Graph graph = record({type({700}), type({700})},
                             [](const TensorList& x) { return TensorList{sum(x[0] * x[1])}; });
  EXPECT_EQ(names(with_reductions(graph)), "fused_reduction");
  expect_compiled_agrees(graph, samples(graph));
}

TEST(FusedReductions, what_others_read_is_stored_too) {
  // The gradient of a bias beside two readers of what is summed, which stay outside.
  const Graph graph =
      record({type({64, 96}), type({64, 96}), type({96, 8})}, [](const TensorList& x) {
        const Tensor y = x[0] * tanh(x[1]) + 0.25f;
        return TensorList{sum(y, 0), matmul(y, x[2]), y};
      });
  const Graph out = with_reductions(graph);
  EXPECT_EQ(names(out), "fused_reduction dot_general");
  EXPECT_EQ(out.nodes[0].outputs.size(), 2u);
  expect_compiled_agrees(graph, samples(graph));
}

TEST(FusedReductions, what_depends_on_the_reduction_stays_outside) {
  const Graph graph = record({type({30, 200})}, [](const TensorList& x) {
    const Tensor e = exp(x[0] * 0.5f);
    return TensorList{e / expand_dims(sum(e, 1), 1), max(e * 2.0f - 1.0f, 1)};
  });
  const Graph out = with_reductions(graph);
  EXPECT_EQ(count_nodes(out, "reduce_sum") + count_nodes(out, "reduce_max"), 1u) << to_string(out);
  EXPECT_EQ(count_nodes(out, "fused_reduction"), 1u);
  expect_compiled_agrees(graph, samples(graph));
}

TEST(FusedReductions, one_that_would_leave_threads_without_work_stays_alone) {
  const Graph graph = record({type({60000})}, [](const TensorList& x) {
    return TensorList{sum(tanh(sin(tanh(sin(x[0])))))};
  });
  EXPECT_EQ(count_nodes(with_reductions(graph), "reduce_sum"), 1u);
  expect_compiled_agrees(graph, samples(graph));
}

/// A few elementwise operations on operands of one shape, some of them repeated or turned.
Tensor random_chain(const TensorList& x, std::mt19937& random) {
  Tensor y = x[0];
  for (int k = 0; k < 4; ++k) {
    const Tensor& other = x[random() % x.size()];
    switch (random() % 5) {
      case 0:
        y = y * other;
        break;
      case 1:
        y = maximum(y, other) - 0.5f;
        break;
      case 2:
        y = tanh(y) + other;
        break;
      case 3:
        y = where(greater(other, 0.3f), y, other * 0.7f);
        break;
      default:
        y = square(y) * 0.125f + other;
    }
  }
  return y;
}

TEST(FusedReductions, random_ones_keep_every_bit) {
  std::mt19937 random(3);
  const Shape shapes[] = {{4000}, {40, 130}, {130, 40}, {3, 9, 70}, {64, 7}, {5, 3000}, {700, 20}};
  int joined = 0;
  for (int round = 0; round < 120; ++round) {
    const Shape& shape = shapes[random() % std::size(shapes)];
    const DType dtype = random() % 3 == 0   ? DType::kBF16
                        : random() % 4 == 0 ? DType::kF64
                                            : DType::kF32;
    Shape turned;
    for (size_t d = shape.size(); d-- > 0;) turned.push_back(shape[d]);
    const TypeList types{type(shape, dtype), type(shape, dtype), type({shape.back()}, dtype),
                         type({}, dtype), type(turned, dtype)};
    const Graph graph = record(types, [&](const TensorList& x) {
      const TensorList operands{x[0], x[1], broadcast_to(x[2], shape), broadcast_to(x[3], shape),
                                x[4].transpose()};
      const Tensor y = random_chain(operands, random);
      const std::vector<Axes> choices{{0}, {-1}, {0, -1}};
      const Axes axes = shape.size() == 1 ? Axes{0} : choices[random() % 3];
      TensorList out;
      const auto kind = random() % 4;
      if (kind == 0) out.push_back(max(y, axes));
      if (kind == 1) out.push_back(min(y, axes));
      if (kind == 2) out.push_back(any(greater(y, 2.5f), axes));
      if (kind == 3) out.push_back(sum(y, axes));
      if (random() % 2) out.push_back(y);
      if (random() % 2) out.push_back(mean(square(y), axes));
      return out;
    });
    joined += static_cast<int>(count_nodes(optimize(graph, {}), "fused_reduction"));
    SCOPED_TRACE(round);
    expect_compiled_agrees(graph, samples(graph));
    if (HasFailure()) return;
  }
  EXPECT_GT(joined, 80);
}

TEST(Epilogues, bias_activation_and_residual_join_a_product) {
  const Graph graph = record(
      {type({4, 6}), type({6, 5}), type({5}), type({4, 5})},
      [](const TensorList& x) { return TensorList{relu(matmul(x[0], x[1]) + x[2]) + x[3]}; });
  const Graph out = with_epilogues(graph);
  EXPECT_EQ(names(out), "linear_bias_activation");
  EXPECT_EQ(out.nodes[0].inputs.size(), 4u);
  // Sums of whole numbers do not depend on their order.
  TensorList x = samples(graph);
  for (Tensor& operand : x) operand = floor(operand);
  EXPECT_EQ(compile(graph)->run(TensorList(x))[0].to_vector<float>(),
            run_graph(graph, x)[0].to_vector<float>());
}

TEST(Epilogues, bias_and_activation_join_a_convolution) {
  const Graph graph =
      record({type({2, 6, 6, 3}), type({3, 3, 3, 4}), type({4})}, [](const TensorList& x) {
        return TensorList{relu(conv_general_dilated(x[0], x[1]) + x[2])};
      });
  EXPECT_EQ(names(with_epilogues(graph)), "conv_bias_activation");
  TensorList x = samples(graph);
  for (Tensor& operand : x) operand = floor(operand);
  EXPECT_EQ(compile(graph)->run(TensorList(x))[0].to_vector<float>(),
            run_graph(graph, x)[0].to_vector<float>());
}

TEST(Epilogues, values_that_something_else_reads_stay) {
  const Graph used = record({type({4, 6}), type({6, 5}), type({5})}, [](const TensorList& x) {
    const Tensor y = matmul(x[0], x[1]);
    return TensorList{relu(y + x[2]), sum(y)};
  });
  EXPECT_EQ(count_nodes(with_epilogues(used), "dot_general"), 1u);
  // The sum is returned, so only the bias can join.
  const Graph returned = record({type({4, 6}), type({6, 5}), type({5})}, [](const TensorList& x) {
    const Tensor y = matmul(x[0], x[1]) + x[2];
    return TensorList{relu(y), y};
  });
  EXPECT_EQ(names(with_epilogues(returned)), "linear_bias_activation relu");
}

TEST(Epilogues, an_addend_that_is_no_bias_is_a_residual_or_stays) {
  const Graph column = record({type({4, 6}), type({6, 5}), type({4, 1})}, [](const TensorList& x) {
    return TensorList{matmul(x[0], x[1]) + x[2]};
  });
  EXPECT_EQ(count_nodes(with_epilogues(column), "dot_general"), 1u)
      << to_string(with_epilogues(column));
  const Graph twice = record({type({4, 6}), type({6, 5})}, [](const TensorList& x) {
    const Tensor y = matmul(x[0], x[1]);
    return TensorList{y + y};
  });
  EXPECT_EQ(names(with_epilogues(twice)), "dot_general add");
}

TEST(Epilogues, gradients_of_a_dense_layer_agree_with_eager_ones) {
  const auto loss = [](const Tensor& w, const Tensor& b, const Tensor& x) {
    return sum(square(gelu(matmul(x, w) + b)));
  };
  const Tensor w = sample(type({6, 5}), 1), b = sample(type({5}), 2), x = sample(type({4, 6}), 3);
  const auto both = [&](const Tensor& w_, const Tensor& b_) { return grad<0, 1>(loss)(w_, b_, x); };
  const auto [dw, db] = both(w, b);
  const auto [jw, jb] = jit([&](const Tensor& w_, const Tensor& b_) { return both(w_, b_); })(w, b);
  const auto near = [](const Tensor& got, const Tensor& wanted) {
    const auto p = got.to_vector<float>(), q = wanted.to_vector<float>();
    for (size_t i = 0; i < p.size(); ++i)
      EXPECT_NEAR(p[i], q[i], 4e-6f * std::max(1.0f, std::abs(q[i])));
  };
  near(jw, dw);
  near(jb, db);
}

/// An LSTM unrolled over `steps`, forward and backward.
Graph unrolled(int steps) {
  const Shape square{8, 8};
  return record({type({4, 8}), type(square), type(square), type(square), type(square)},
                [&](const TensorList& x) {
                  const auto loss = [&](const std::vector<Tensor>& w) {
                    Tensor h = zeros({4, 8}), c = zeros({4, 8});
                    for (int t = 0; t < steps; ++t) {
                      const Tensor in = x[0] * (1.f + static_cast<float>(t)) + h;
                      c = sigmoid(matmul(in, w[0])) * c +
                          sigmoid(matmul(in, w[1])) * tanh(matmul(in, w[2]));
                      h = sigmoid(matmul(in, w[3])) * tanh(c);
                    }
                    return sum(h * h);
                  };
                  return TensorList(grad(loss)(std::vector<Tensor>{x[1], x[2], x[3], x[4]}));
                });
}

TEST(Fusion, the_work_is_linear_in_the_size_of_the_program) {
  const auto visits_per_node = [](int steps) {
    const Graph graph = inline_control(unrolled(steps));
    return static_cast<double>(Clusters(graph).visits()) / static_cast<double>(graph.nodes.size());
  };
  const double few = visits_per_node(32), many = visits_per_node(128);
  EXPECT_LT(many, few * 1.5 + 1) << few;
  EXPECT_LT(many, 256);
}

TEST(Fusion, long_programs_compute_what_short_pieces_do) {
  const Graph graph = unrolled(6);
  expect_compiled_agrees(graph, samples(graph), {.epilogues = false});
}

TEST(Fusion, clusters_do_not_wait_for_each_other) {
  // Random programs: fused nodes must have an order in which values flow forward, which `verify`
  // and `sort_nodes` find out.
  std::mt19937 random(5);
  for (int round = 0; round < 60; ++round) {
    Graph graph = record({type({4, 4}), type({4, 4})}, [&](const TensorList& x) {
      TensorList values = x;
      for (int k = 0; k < 40; ++k) {
        const auto any = [&] {
          const size_t recent = std::min<size_t>(values.size(), 12);
          return values[values.size() - 1 - random() % recent];
        };
        switch (random() % 5) {
          case 0:
            values.push_back(matmul(any(), any()));
            break;
          case 1:
            values.push_back(tanh(any()));
            break;
          default:
            values.push_back(any() + any() * 0.5f);
        }
      }
      return TensorList{values.back(), values[values.size() - 7], values[values.size() / 2]};
    });
    merge_common_subexpressions(graph);
    remove_dead_code(graph);
    const Graph out = fused(graph);
    EXPECT_EQ(out.outputs.size(), 3u);
    EXPECT_LE(out.nodes.size(), graph.nodes.size());
    std::vector<int32_t> members(graph.nodes.size(), -1);
    const Clusters clusters(graph);
    for (size_t g = 0; g < clusters.groups().size(); ++g) {
      for (int32_t n : clusters.groups()[g]) members[n] = static_cast<int32_t>(g);
    }
    // Contracted, the program has an order.
    const size_t groups = clusters.groups().size(), count = groups + graph.nodes.size();
    const auto node_of = [&](int32_t n) {
      return members[n] >= 0 ? static_cast<size_t>(members[n]) : groups + static_cast<size_t>(n);
    };
    const auto made = producers(graph);
    std::vector<std::vector<size_t>> into(count);
    std::vector<int> missing(count, 0);
    for (size_t n = 0; n < graph.nodes.size(); ++n) {
      for (ValueId id : graph.nodes[n].inputs) {
        if (made[id] < 0) continue;
        const size_t from = node_of(made[id]), to = node_of(static_cast<int32_t>(n));
        if (from == to) continue;
        into[from].push_back(to);
        ++missing[to];
      }
    }
    std::vector<size_t> ready;
    size_t seen = 0;
    for (size_t c = 0; c < count; ++c) {
      if (missing[c] == 0) ready.push_back(c);
    }
    while (!ready.empty()) {
      const size_t c = ready.back();
      ready.pop_back();
      ++seen;
      for (size_t to : into[c]) {
        if (--missing[to] == 0) ready.push_back(to);
      }
    }
    EXPECT_EQ(seen, count) << "round " << round;
  }
}

}  // namespace
}  // namespace linnet::passes_fusion_test
