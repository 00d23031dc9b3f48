// Laws that hold for any tree of layers, wherever it changes from one API to the other.
#include "bridge/random_layers.h"

namespace linnet::bridge_tests::random_trees_test {
namespace {

using linen::Variables;

constexpr int kTrees = 30, kWideTrees = 24;

class RandomTrees : public ::testing::TestWithParam<int> {};

TEST_P(RandomTrees, wrapped_functional_trees_have_the_same_variables_outputs_and_updates) {
  const Tree tree(GetParam());
  expect_same_structure(without_graphdefs(linen::init(tree.mixed, keys(0), tree.x, false)),
                        tree.variables);
  expect_equal(linen::apply(tree.mixed, tree.variables, tree.x, false),
               linen::apply(tree.plain, tree.variables, tree.x, false));
  const linen::ApplyOptions training{.mutate = {"batch_stats"}};
  const auto [y, updates] = linen::apply_with(training, tree.plain, tree.variables, tree.x, true);
  const auto [z, same] = linen::apply_with(training, tree.mixed, tree.variables, tree.x, true);
  expect_equal(z, y);
  expect_equal_variables(same, updates);
}

TEST_P(RandomTrees, gradients_are_those_of_the_plain_tree) {
  const Tree tree(GetParam());
  const auto gradient_of = [&](const auto& apply) {
    return grad([&](const Variables& vars) { return mean(square(apply(vars))); })(tree.variables);
  };
  const Variables plain =
      gradient_of([&](const Variables& v) { return linen::apply(tree.plain, v, tree.x, false); });
  const Variables mixed =
      gradient_of([&](const Variables& v) { return linen::apply(tree.mixed, v, tree.x, false); });
  const Variables own = gradient_of([&](const Variables& v) {
    return bridge::apply_with({.rngs = object_keys(0)}, BridgeTree{{}, tree.spec}, v, tree.x, false)
        .first;
  });
  expect_equal_variables(mixed, plain);
  expect_equal_variables(own, plain);

  nnx::Rngs rngs = object_keys(0);
  ObjectTree object(tree.spec, true, rngs);
  bridge::lazy_init(object, tree.x, false);
  bridge::update(object, tree.variables);
  const nnx::State of_object =
      nnx::grad([&](ObjectTree& m) { return mean(square(m(tree.x, false))); }, object);
  size_t parameters = 0;
  for (const auto& [path, leaf] : linen::flat_leaves(plain)) {
    if (path.front() != "params" && path.front() != "LoRAParam") continue;
    const nnx::StateLeaf* found =
        of_object.find(std::vector<std::string>(path.begin() + 1, path.end()));
    ASSERT_TRUE(found) << tree::to_string(path);
    expect_equal(found->value(), leaf->value());
    ++parameters;
  }
  EXPECT_EQ(of_object.size(), parameters);
}

TEST_P(RandomTrees, object_trees_have_the_same_variables_outputs_and_updates) {
  const Tree tree(GetParam());
  const linen::ApplyOptions training{.mutate = {"batch_stats"}};
  const auto [y, updates] = linen::apply_with(training, tree.plain, tree.variables, tree.x, true);
  for (const bool wraps : {false, true}) {
    nnx::Rngs rngs = object_keys(0);
    ObjectTree object(tree.spec, wraps, rngs);
    bridge::lazy_init(object, tree.x, false);
    expect_same_structure(without_graphdefs(bridge::variables(object)), tree.variables);
    bridge::update(object, tree.variables);
    expect_equal_variables(bridge::variables(object), tree.variables);
    expect_equal(object(tree.x, false), linen::apply(tree.plain, tree.variables, tree.x, false));
    expect_equal(object(tree.x, true), y);
    expect_equal_variables(bridge::variables(object), tree.variables | updates);
  }
}

TEST_P(RandomTrees, bridge_modules_have_the_same_variables_and_outputs) {
  const Tree tree(GetParam());
  const BridgeTree model{{}, tree.spec};
  expect_same_structure(without_graphdefs(bridge::init(model, object_keys(0), tree.x, false)),
                        tree.variables);
  const linen::ApplyOptions training{.mutate = {"batch_stats"}};
  const auto [y, updates] = linen::apply_with(training, tree.plain, tree.variables, tree.x, true);
  const bridge::ApplyOptions options{.mutate = {"batch_stats"}, .rngs = object_keys(0)};
  const auto [z, all] = bridge::apply_with(options, model, tree.variables, tree.x, true);
  expect_equal(z, y);
  expect_equal_variables(without_graphdefs(all), tree.variables | updates);
}

TEST_P(RandomTrees, compiled_trees_compute_the_same) {
  const Tree tree(GetParam());
  auto compiled = jit([&](const Variables& vars, const Tensor& x) {
    return std::make_tuple(
        linen::apply(tree.plain, vars, x, false), linen::apply(tree.mixed, vars, x, false),
        bridge::apply_with({.rngs = object_keys(0)}, BridgeTree{{}, tree.spec}, vars, x, false)
            .first);
  });
  const auto [plain, mixed, own] = compiled(tree.variables, tree.x);
  // Compiled programs fuse, which changes last bits, and norms of what is nearly equal enlarge
  // them.
  const Tensor eager = linen::apply(tree.plain, tree.variables, tree.x, false);
  const Tensor moved =
      linen::apply(tree.plain, tree.variables, tree.x + normal(tree.x.shape(), 3) * 1e-6f, false);
  const auto largest = [](const Tensor& t) { return max(abs(t)).item<float>(); };
  expect_near(plain, eager, 1e-5 * (1 + largest(eager)) + 4 * largest(moved - eager));
  expect_equal(mixed, plain);
  expect_equal(own, plain);
}

TEST_P(RandomTrees, there_and_back_is_the_identity) {
  const Tree tree(GetParam());
  expect_equal_variables(
      bridge::nnx_attrs_to_linen_vars(bridge::linen_vars_to_nnx_attrs(tree.variables)),
      tree.variables);
  // A functional tree as an object, and that as a functional module again.
  using Wrapped = bridge::ToNNX<FunctionalTree>;
  const auto back = bridge::to_linen<Wrapped>(tree.mixed);
  expect_same_structure(without_graphdefs(linen::init(back, keys(0), tree.x, false)),
                        tree.variables);
  expect_equal(linen::apply(back, tree.variables, tree.x, false),
               linen::apply(tree.plain, tree.variables, tree.x, false));
}

/// The streams that a functional module at the root gives to an object module inside.
nnx::Rngs root_streams(const linen::RngStreams& streams) {
  nnx::Rngs out;
  const auto probe = [&](linen::Scope& s, const Tensor& x) {
    for (const std::string& name : s.rng_streams()) out.add(name, s.make_rng(name));
    return x;
  };
  linen::apply_with({.rngs = streams}, probe, {}, ones({1}));
  return out;
}

TEST_P(RandomTrees, whole_trees_have_the_keys_of_their_own_api) {
  const Tree tree(GetParam());
  // A wrapper draws one key and passes it on.
  nnx::Rngs rngs{{"params", Key(5)}};
  bridge::ToNNX<FunctionalTree> object(tree.plain, rngs);
  nnx::Rngs same{{"params", Key(5)}};
  nnx::Rngs forked = same.fork();
  object.lazy_init(tree.x, false);
  expect_equal_variables(bridge::variables(object),
                         linen::init(tree.plain, forked.params(), tree.x, false));

  const auto functional = bridge::to_linen<ObjectTree>(tree.spec, false);
  nnx::Rngs streams = root_streams(keys(5));
  ObjectTree plain(tree.spec, false, streams);
  bridge::lazy_init(plain, tree.x, false);
  expect_equal_variables(without_graphdefs(linen::init(functional, keys(5), tree.x, false)),
                         bridge::variables(plain));
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomTrees, ::testing::Range(0, kTrees));
INSTANTIATE_TEST_SUITE_P(WideSeeds, RandomTrees,
                         ::testing::Range(kFirstWideSeed, kFirstWideSeed + kWideTrees));

/// Layers of each kind, and how many of them are wrapped.
std::map<std::string, std::pair<size_t, size_t>> kinds_of_trees(int first, int count) {
  std::map<std::string, std::pair<size_t, size_t>> out;
  const std::function<void(const TreeSpec&)> visit = [&](const TreeSpec& spec) {
    auto& [all, wrapped] = out[spec.layer ? spec.layer->name() : std::to_string(spec.kind)];
    ++all;
    wrapped += spec.other_api;
    for (const TreeSpecPtr& child : spec.children) visit(*child);
  };
  for (int seed = first; seed < first + count; ++seed) visit(*Tree(seed).spec);
  return out;
}

TEST(RandomTreesThemselves, mix_all_layers_and_both_apis) {
  const auto kinds = kinds_of_trees(0, kTrees);
  EXPECT_EQ(kinds.size(), 5u);
  for (const auto& [name, numbers] : kinds) {
    EXPECT_GT(numbers.first, 10u) << name;
    EXPECT_GT(numbers.second, 5u) << name;
  }
}

TEST(RandomTreesThemselves, mix_further_layers) {
  const auto kinds = kinds_of_trees(kFirstWideSeed, kWideTrees);
  EXPECT_EQ(kinds.size(), 5 + further_kinds().size());
  for (const auto& [name, numbers] : kinds) {
    EXPECT_GT(numbers.first, numbers.second) << name << " is never as it is";
    EXPECT_GT(numbers.second, 0u) << name << " is never wrapped";
  }
}

}  // namespace
}  // namespace linnet::bridge_tests::random_trees_test
