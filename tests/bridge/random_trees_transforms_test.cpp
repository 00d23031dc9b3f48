// Laws of random trees under transformations, and of the masks of dropout: wherever a tree changes
// from one API to the other, it is the same tree under vmap, scan and remat of either API.
#include "bridge/random_layers.h"

namespace linnet::bridge_tests::random_trees_transforms_test {
namespace {

using linen::Scope;
using linen::Variables;
using nnx::kCarry;
using nnx::kNone;

/// Those from `kFirst` on have layers of all kinds between them.
constexpr int kTrees = 4, kFirst = kFirstWideSeed + 4, kWideTrees = 6;
constexpr int64_t kCopies = 3;
constexpr double kRate = 0.25;
const linen::CollectionFilter kCollections{"params", "batch_stats", "LoRAParam"};

template <class M>
auto in_mode(const M& module, bool train) {
  return [module, train](Scope& s, const Tensor& x) { return module(s, x, train); };
}

/// Variables of several trees, along a new first axis.
Variables stacked(const Variables& variables) {
  return tree::map(variables, [](const Tensor& t) { return stack({t, t * 1.1f, t * 0.9f}); });
}
Variables at(const Variables& variables, int64_t index) {
  return tree::map(variables, [&](const Tensor& t) { return t[index]; });
}
Tensor inputs(const Tree& tree) { return normal({kCopies, 6, tree.spec->in}, 12); }

/// Trees of the object API with such variables.
ObjectTree stacked_objects(const Tree& tree, bool wraps, const Variables& variables) {
  nnx::Rngs rngs = object_keys(0);
  const auto make = nnx::vmap([&](nnx::Rngs& each) {
    ObjectTree object(tree.spec, wraps, each);
    bridge::lazy_init(object, tree.x, false);
    return object;
  });
  ObjectTree objects = nnx::split_rngs({.splits = kCopies}, make)(rngs);
  bridge::update(objects, variables);
  return objects;
}

/// Outputs of other shapes of the same sums differ in their last bits, which norms enlarge.
void expect_close(const Tensor& a, const Tensor& b) {
  expect_near(a, b, 1e-3 * (1 + max(abs(b)).item<float>()));
}
template <class F>
Variables gradient(const F& apply, const Variables& at) {
  return grad([&](const Variables& variables) { return mean(square(apply(variables))); })(at);
}
/// Gradients are summed in another order under transformations; some are nothing but what rounding
/// leaves, beside those of other layers.
double tolerance_of(const Variables& gradients) {
  double largest = 0;
  for (const Tensor& leaf : tree::leaves(gradients))
    largest = std::max<double>(largest, max(abs(leaf)).item<float>());
  return 1e-4 * (1 + largest);
}
void expect_gradients(const Variables& found, const Variables& expected) {
  expect_equal_variables(found, expected, tolerance_of(expected));
}
/// Those of an object, by the paths of its parameters.
void expect_gradients(const nnx::State& of_object, const Variables& expected) {
  size_t parameters = 0;
  for (const auto& [path, leaf] : linen::flat_leaves(expected)) {
    if (path.front() == "batch_stats") continue;
    const nnx::StateLeaf* found =
        of_object.find(std::vector<std::string>(path.begin() + 1, path.end()));
    ASSERT_TRUE(found) << tree::to_string(path);
    expect_near(found->value(), leaf->value(), tolerance_of(expected));
    ++parameters;
  }
  EXPECT_EQ(of_object.size(), parameters);
}

class TransformedTrees : public ::testing::TestWithParam<int> {};

auto side_by_side(const FunctionalTree& tree) {
  return linen::vmap(in_mode(tree, true), {.variable_axes = {{kCollections, 0}},
                                           .split_rngs = {{{"params", "dropout"}, true}}});
}

TEST_P(TransformedTrees, functional_vmap) {
  const Tree tree(GetParam());
  const Variables variables = stacked(tree.variables);
  const Tensor x = inputs(tree);
  const auto [y, updates] =
      linen::apply_with(in_training(), side_by_side(tree.plain), variables, x);
  const auto [z, same] = linen::apply_with(in_training(), side_by_side(tree.mixed), variables, x);
  expect_equal(z, y);
  expect_equal_variables(same, updates);
  for (int64_t i = 0; i < kCopies; ++i) {
    const auto [one, changed] =
        linen::apply_with(in_training(), tree.plain, at(variables, i), x[i], true);
    expect_close(y[i], one);
  }
  const auto gradient_of = [&](const FunctionalTree& each) {
    return gradient(
        [&](const Variables& v) {
          return linen::apply_with(in_training(), side_by_side(each), v, x).first;
        },
        variables);
  };
  expect_gradients(gradient_of(tree.mixed), gradient_of(tree.plain));
  expect_same_structure(without_graphdefs(linen::init(side_by_side(tree.mixed), keys(0), x)),
                        variables);
}

TEST_P(TransformedTrees, object_vmap) {
  const Tree tree(GetParam());
  const Variables variables = stacked(tree.variables);
  const Tensor x = inputs(tree);
  const auto run = nnx::vmap([](ObjectTree& m, const Tensor& each) { return m(each, true); });
  const auto [y, updates] =
      linen::apply_with(in_training(), side_by_side(tree.plain), variables, x);
  const Variables expected = gradient(
      [&](const Variables& v) {
        return linen::apply_with(in_training(), side_by_side(tree.plain), v, x).first;
      },
      variables);
  for (const bool wraps : {false, true}) {
    ObjectTree objects = stacked_objects(tree, wraps, variables);
    expect_equal(run(objects, x), y);
    expect_equal_variables(bridge::variables(objects), variables | updates);
    bridge::update(objects, variables);
    expect_gradients(nnx::grad([&](ObjectTree& m) { return mean(square(run(m, x))); }, objects),
                     expected);
  }
}

/// A carry of the input's width whatever that of the tree.
std::pair<Tensor, Tensor> turn(const Tensor& carry, const Tensor& y) {
  return {carry + mean(y, Axes{-1}, true) * 0.1f, y};
}
/// One tree after the other.
auto in_a_row(const FunctionalTree& tree) {
  const auto body = [tree](Scope& s, const Tensor& carry) {
    return turn(carry, tree(s, carry, true));
  };
  return linen::scan(body, {.variable_axes = {{kCollections, 0}},
                            .split_rngs = {{{"params", "dropout"}, true}},
                            .length = kCopies});
}
/// The same tree again and again.
auto in_a_circle(const FunctionalTree& tree) {
  const auto body = [tree](Scope& s, const Tensor& carry) {
    return turn(carry, tree(s, carry, true));
  };
  return linen::scan(body, {.variable_broadcast = {"params", "LoRAParam"},
                            .variable_carry = "batch_stats",
                            .length = kCopies});
}

TEST_P(TransformedTrees, functional_scan_over_variables) {
  const Tree tree(GetParam());
  const Variables variables = stacked(tree.variables);
  const auto run = [&](const FunctionalTree& each, const Variables& v) {
    return linen::apply_with(in_training(), in_a_row(each), v, tree.x);
  };
  const auto [out, updates] = run(tree.plain, variables);
  const auto [same, changed] = run(tree.mixed, variables);
  expect_equal(same.first, out.first);
  expect_equal(same.second, out.second);
  expect_equal_variables(changed, updates);
  Tensor carry = tree.x;
  for (int64_t i = 0; i < kCopies; ++i) {
    const Tensor y =
        linen::apply_with(in_training(), tree.plain, at(variables, i), carry, true).first;
    expect_close(out.second[i], y);
    carry = turn(carry, y).first;
  }
  const auto gradient_of = [&](const FunctionalTree& each) {
    return gradient([&](const Variables& v) { return run(each, v).first.second; }, variables);
  };
  expect_gradients(gradient_of(tree.mixed), gradient_of(tree.plain));
}

TEST_P(TransformedTrees, functional_scan_with_carried_statistics) {
  const Tree tree(GetParam());
  const auto run = [&](const FunctionalTree& each, const Variables& v) {
    return linen::apply_with(in_training(), in_a_circle(each), v, tree.x);
  };
  const auto [out, updates] = run(tree.plain, tree.variables);
  const auto [same, changed] = run(tree.mixed, tree.variables);
  expect_equal(same.first, out.first);
  expect_equal(same.second, out.second);
  expect_equal_variables(changed, updates);
  const auto gradient_of = [&](const FunctionalTree& each) {
    return gradient([&](const Variables& v) { return run(each, v).first.second; }, tree.variables);
  };
  expect_gradients(gradient_of(tree.mixed), gradient_of(tree.plain));
}

TEST_P(TransformedTrees, object_scan) {
  const Tree tree(GetParam());
  const Variables variables = stacked(tree.variables);
  const auto run =
      nnx::scan([](const Tensor& carry, ObjectTree& m) { return turn(carry, m(carry, true)); },
                {.in_axes = {kCarry, 0}, .out_axes = {kCarry, 0}});
  const auto expected = [&](const Variables& v) {
    return linen::apply_with(in_training(), in_a_row(tree.plain), v, tree.x);
  };
  const auto [out, updates] = expected(variables);
  const Variables gradients =
      gradient([&](const Variables& v) { return expected(v).first.second; }, variables);
  for (const bool wraps : {false, true}) {
    ObjectTree objects = stacked_objects(tree, wraps, variables);
    const auto [carry, y] = run(tree.x, objects);
    expect_equal(carry, out.first);
    expect_equal(y, out.second);
    expect_equal_variables(bridge::variables(objects), variables | updates);
    bridge::update(objects, variables);
    expect_gradients(
        nnx::grad([&](ObjectTree& m) { return mean(square(run(tree.x, m).second)); }, objects),
        gradients);
  }
}

TEST_P(TransformedTrees, remat) {
  const Tree tree(GetParam());
  const auto run = [&](const auto& module, const Variables& v) {
    return linen::apply_with(in_training(), module, v, tree.x);
  };
  const auto plain = in_mode(tree.plain, true);
  const auto mixed = linen::remat(in_mode(tree.mixed, true));
  const auto [y, updates] = run(plain, tree.variables);
  const auto [z, same] = run(mixed, tree.variables);
  expect_equal(z, y);
  expect_equal_variables(same, updates);
  const Variables gradients =
      gradient([&](const Variables& v) { return run(plain, v).first; }, tree.variables);
  expect_gradients(
      gradient([&](const Variables& v) { return run(mixed, v).first; }, tree.variables), gradients);

  const auto again = nnx::remat([](ObjectTree& m, const Tensor& x) { return m(x, true); });
  nnx::Rngs rngs = object_keys(0);
  ObjectTree object(tree.spec, true, rngs);
  bridge::lazy_init(object, tree.x, false);
  bridge::update(object, tree.variables);
  expect_gradients(nnx::grad([&](ObjectTree& m) { return mean(square(again(m, tree.x))); }, object),
                   gradients);
  expect_equal_variables(bridge::variables(object), tree.variables | updates);
}

INSTANTIATE_TEST_SUITE_P(Seeds, TransformedTrees, ::testing::Range(0, kTrees));
INSTANTIATE_TEST_SUITE_P(WideSeeds, TransformedTrees,
                         ::testing::Range(kFirst, kFirst + kWideTrees));

class Masks : public ::testing::TestWithParam<int> {};

/// One key of each stream.
linen::RngStreams drawn(nnx::Rngs& rngs) {
  return {{"params", rngs.params()}, {"dropout", rngs.dropout()}};
}

TEST_P(Masks, a_functional_tree_has_those_of_the_keys_that_its_wrapper_draws) {
  const Tree tree(GetParam(), kRate);
  for (const bool wraps : {false, true}) {
    const FunctionalTree functional{tree.spec, wraps};
    nnx::Rngs rngs = object_keys(3);
    bridge::ToNNX<FunctionalTree> object(functional, rngs);
    nnx::Rngs same = object_keys(3);
    nnx::Rngs forked = same.fork();
    object.lazy_init(tree.x, false);
    expect_equal_variables(bridge::variables(object),
                           linen::init(functional, drawn(forked), tree.x, false));
    bridge::update(object, tree.variables);
    for (int call = 0; call < 2; ++call) {
      bridge::update(object, tree.variables);
      const auto [y, updates] =
          linen::apply_with(in_training(drawn(forked)), functional, tree.variables, tree.x, true);
      expect_equal(object.call({.mutate = {"batch_stats"}}, tree.x, true), y);
      expect_equal_variables(bridge::variables(object), tree.variables | updates);
    }
  }
}

/// The streams that an object module at the root of a functional call gets.
nnx::Rngs root_streams(const linen::RngStreams& streams) {
  nnx::Rngs out;
  const auto probe = [&](Scope& s, const Tensor& x) {
    for (const std::string& name : s.rng_streams()) out.add(name, s.make_rng(name));
    return x;
  };
  linen::apply_with({.rngs = streams}, probe, {}, ones({1}));
  return out;
}

TEST_P(Masks, an_object_tree_has_those_of_the_streams_that_its_wrapper_gives) {
  const Tree tree(GetParam(), kRate);
  for (const bool wraps : {false, true}) {
    const auto functional = bridge::to_linen<ObjectTree>(tree.spec, wraps);
    const Variables made = linen::init(functional, keys(4), tree.x, false);
    nnx::Rngs streams = root_streams(keys(5));
    ObjectTree object(tree.spec, wraps, streams);
    bridge::update(object, tree.variables);
    const Tensor y = object(tree.x, true);
    // Built from its graph definition, and by its constructor.
    const Variables with_definition = made | tree.variables;
    for (const Variables& variables : {tree.variables, with_definition}) {
      const auto [z, updates] =
          linen::apply_with(in_training(keys(5)), functional, variables, tree.x, true);
      expect_equal(z, y);
      expect_equal_variables(tree.variables | updates, bridge::variables(object));
    }
  }
}

TEST_P(Masks, under_vmap_are_those_of_each_element) {
  const Tree tree(GetParam(), kRate);
  const Variables variables = stacked(tree.variables);
  const Tensor x = inputs(tree);
  const linen::RngStreams streams = keys(6);
  const auto [y, updates] =
      linen::apply_with(in_training(streams), side_by_side(tree.mixed), variables, x);
  std::map<std::string, Key> split;
  for (const auto& [name, key] : streams.keys()) split.emplace(name, random::split(key, kCopies));
  for (int64_t i = 0; i < kCopies; ++i) {
    const linen::RngStreams own{{"params", split.at("params")[i]},
                                {"dropout", split.at("dropout")[i]}};
    const auto [one, changed] =
        linen::apply_with(in_training(own), tree.mixed, at(variables, i), x[i], true);
    expect_close(y[i], one);
  }
}

TEST_P(Masks, under_remat_and_jit_are_the_same) {
  const Tree tree(GetParam(), kRate);
  const auto run = [&](const auto& module, const Variables& v) {
    return linen::apply_with(in_training(keys(7)), module, v, tree.x);
  };
  const auto mixed = in_mode(tree.mixed, true);
  const auto again = linen::remat(mixed);
  const auto [y, updates] = run(mixed, tree.variables);
  const auto [z, same] = run(again, tree.variables);
  expect_equal(z, y);
  expect_equal_variables(same, updates);
  expect_gradients(
      gradient([&](const Variables& v) { return run(again, v).first; }, tree.variables),
      gradient([&](const Variables& v) { return run(mixed, v).first; }, tree.variables));
  const auto compiled = jit([&](const Variables& v) { return run(mixed, v).first; });
  expect_close(compiled(tree.variables), y);
}

TEST_P(Masks, of_objects_under_remat_are_the_same_and_streams_advance_once) {
  const Tree tree(GetParam(), kRate);
  nnx::Rngs rngs = object_keys(8);
  ObjectTree object(tree.spec, true, rngs);
  bridge::update(object, tree.variables);
  ObjectTree other = nnx::clone(object);
  const auto again = nnx::remat([](ObjectTree& m, const Tensor& x) { return m(x, true); });
  const nnx::State expected =
      nnx::grad([&](ObjectTree& m) { return mean(square(m(tree.x, true))); }, object);
  const nnx::State found =
      nnx::grad([&](ObjectTree& m) { return mean(square(again(m, tree.x))); }, other);
  double largest = 0;
  for (const auto& [path, leaf] : expected.entries())
    largest = std::max<double>(largest, max(abs(leaf.value())).item<float>());
  for (const auto& [path, leaf] : expected.entries())
    expect_near(found.find(path)->value(), leaf.value(), 1e-4 * (1 + largest));
  const nnx::State states = nnx::state(object), same = nnx::state(other);
  for (const auto& [path, leaf] : states.entries())
    expect_equal(same.find(path)->value(), leaf.value());
}

INSTANTIATE_TEST_SUITE_P(Seeds, Masks, ::testing::Range(0, kTrees));
INSTANTIATE_TEST_SUITE_P(WideSeeds, Masks, ::testing::Range(kFirst, kFirst + kWideTrees));

TEST(MasksThemselves, depend_on_the_keys) {
  int differing = 0;
  for (int seed = kFirst; seed < kFirst + kWideTrees; ++seed) {
    const Tree tree(seed, kRate);
    const auto run = [&](int64_t key) {
      return linen::apply_with(in_training(keys(key)), tree.mixed, tree.variables, tree.x, true)
          .first;
    };
    expect_equal(run(1), run(1));
    differing += differ(run(1), run(2));
  }
  EXPECT_GT(differing, 1) << "trees with dropout";
}

}  // namespace
}  // namespace linnet::bridge_tests::random_trees_transforms_test
