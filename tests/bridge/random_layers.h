// Further kinds of layers for random trees, and what the tests of such trees share.
#pragma once

#include "bridge/random_trees.h"
#include "linnet/bridge/compare.h"

namespace linnet::bridge_tests {

/// Layers that both APIs have under the same variables, layers that one of them has and the other
/// wraps, and dropout with a mask that does not depend on random streams.
const std::vector<const LayerKind*>& further_kinds();

/// Seeds of trees with further kinds; those below are of trees without. From this one on a few
/// trees have layers of all kinds, wrapped and as they are.
inline constexpr int kFirstWideSeed = 5800;

inline linen::RngStreams keys(int64_t seed) {
  return {{"params", Key(seed)}, {"dropout", Key(seed + 100)}};
}
inline nnx::Rngs object_keys(int64_t seed) {
  return nnx::Rngs{{"params", Key(seed)}, {"dropout", Key(seed + 100)}};
}
inline linen::ApplyOptions in_training(const linen::RngStreams& streams = {}) {
  return {.mutate = {"batch_stats"}, .rngs = streams};
}

inline linen::Variables without_graphdefs(linen::Variables variables) {
  variables.children().erase("nnx");
  return variables;
}

/// A tree with an input and variables.
struct Tree {
  explicit Tree(int seed, double rate = 0) {
    std::mt19937 random(static_cast<uint32_t>(seed));
    TreeOptions options{.rate = rate};
    if (seed >= kFirstWideSeed) {
      options.unit = 4;
      options.kinds = further_kinds();
    }
    spec = random_tree(random, 3 * options.unit, 2, true, options);
    x = normal({6, 3 * options.unit}, 11);
    plain = FunctionalTree{spec, false};
    mixed = FunctionalTree{spec, true};
    variables = without_graphdefs(linen::init(plain, keys(seed), x, false));
    // Averages and scales that are no longer zeros and ones.
    const linen::Variables made = variables;
    for (const auto& [path, leaf] : linen::flat_leaves(made)) {
      const Tensor noise = random::uniform(Key(seed + 1), leaf->shape(), DType::kF32, 0.5, 1.5);
      variables.at_path(path) = linen::Variables(leaf->value() * 0.5f + noise);
    }
  }
  TreeSpecPtr spec;
  FunctionalTree plain, mixed;
  Tensor x;
  linen::Variables variables;
};

/// Same paths, types and metadata; values may differ.
inline void expect_same_structure(const linen::Variables& a, const linen::Variables& b) {
  const bridge::Comparison found = bridge::compare(a, b, {.tolerance = 1e30});
  EXPECT_TRUE(found.equal()) << to_string(found);
}
inline void expect_equal_variables(const linen::Variables& a, const linen::Variables& b,
                                   double tolerance = 0) {
  const bridge::Comparison found = bridge::compare(a, b, {.tolerance = tolerance});
  EXPECT_TRUE(found.equal()) << to_string(found);
}

}  // namespace linnet::bridge_tests
