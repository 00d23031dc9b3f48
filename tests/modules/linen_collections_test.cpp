// Dictionaries of variables: split, flattened, edited, boxed; described structs; the state of a
// training loop.
#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/early_stopping.h"
#include "linnet/layers/batch_apply.h"
#include "linnet/linen.h"
#include "linnet/linen/collections.h"
#include "linnet/linen/partitioning.h"
#include "linnet/train_state.h"

namespace linnet::linen_collections_test {
namespace {

using linen::CollectionFilter;
using linen::FlatPath;
using linen::Variables;

using Names = std::vector<std::string>;

Tensor number(double value) { return scalar(value, DType::kF32); }

TEST(LinenCollections, L_011_groups_by_the_first_filter) {
  const Variables variables{{"a", Variables{{"x", number(1)}}},
                            {"b", Variables{{"x", number(2)}}},
                            {"c", Variables{{"x", number(3)}}}};
  auto groups = linen::group_collections(variables, {"a", {"a", "b"}, true});
  EXPECT_EQ(groups[0].keys(), Names{"a"});
  EXPECT_EQ(groups[1].keys(), Names{"b"}) << "each collection once";
  EXPECT_EQ(groups[2].keys(), Names{"c"});
  EXPECT_EQ(linen::group_collections(variables, {true, "a"})[1].size(), 0u);
  EXPECT_EQ(linen::group_collections(variables, {CollectionFilter::deny("a")})[0].keys(),
            (Names{"b", "c"}))
      << "what no filter contains is left out";
  groups[0].at_path({"a", "x"}) = Variables(number(9));
  EXPECT_EQ(variables["a"]["x"].value().item<float>(), 1.f) << "copies";
}

Variables nested() {
  return {{"foo", number(1)}, {"bar", Variables{{"a", number(2)}, {"b", Variables()}}}};
}

TEST(LinenCollections, L_166_dictionaries_by_path) {
  const auto flat = linen::flatten_dict(nested());
  ASSERT_EQ(flat.size(), 2u);
  EXPECT_EQ(flat.at({"bar", "a"}).value().item<float>(), 2.f);
  EXPECT_EQ(to_string(linen::unflatten_dict(flat)), "bar/a: f32[]\nfoo: f32[]\n");
  EXPECT_FALSE(linen::unflatten_dict(flat)["bar"].contains("b"));
  // Empty dictionaries are kept on request, and come back.
  const auto all = linen::flatten_dict(nested(), {.keep_empty_nodes = true});
  ASSERT_EQ(all.size(), 3u);
  EXPECT_TRUE(all.at({"bar", "b"}).empty());
  EXPECT_TRUE(linen::unflatten_dict(all)["bar"].contains("b"));
  // Joined paths.
  const auto joined = linen::flatten_dict(nested(), "/");
  EXPECT_EQ(joined.begin()->first, "bar/a");
  EXPECT_EQ(to_string(linen::unflatten_dict(joined, "/")), to_string(linen::unflatten_dict(flat)));
  EXPECT_EQ(linen::unflatten_dict({{"a..b", Variables(number(1))}}, "..")["a"].keys(), Names{"b"});
  // Dictionaries that count as leaves.
  const auto cut = linen::flatten_dict(
      nested(),
      {.is_leaf = [](const FlatPath& path, const Variables&) { return path == FlatPath{"bar"}; }});
  EXPECT_EQ(cut.at({"bar"}).keys(), (Names{"a", "b"}));
  // Nothing stays nothing.
  EXPECT_TRUE(linen::flatten_dict(Variables()).empty());
  EXPECT_TRUE(linen::flatten_dict(Variables(), {.keep_empty_nodes = true}).empty());
  EXPECT_TRUE(linen::unflatten_dict(std::map<FlatPath, Variables>()).empty());
  EXPECT_THROW(
      linen::unflatten_dict({{"a", Variables(number(1))}, {"a/b", Variables(number(1))}}, "/"),
      TreeError);

  const Variables mapped =
      linen::path_aware_map(nested(), [](const FlatPath& path, const Tensor& leaf) {
        return path.back() == "a" ? leaf * 10 : leaf;
      });
  EXPECT_EQ(mapped["bar"]["a"].value().item<float>(), 20.f);
  EXPECT_EQ(mapped["foo"].value().item<float>(), 1.f);
  EXPECT_TRUE(mapped["bar"]["b"].empty());
  EXPECT_TRUE(linen::path_aware_map(Variables(), {}).empty());
}

TEST(LinenCollections, L_165_dictionaries_are_values) {
  Variables source = nested();
  const Variables frozen = source;
  source.at_path({"bar", "a"}) = Variables(number(7));
  EXPECT_EQ(frozen["bar"]["a"].value().item<float>(), 2.f) << "a deep copy";
  // What is const has no way to be written: children() gives a const map, at_path does not exist.
  static_assert(std::is_const_v<std::remove_reference_t<decltype(frozen.children())>>);
  // Keys are sorted, whatever the order in which they were given.
  EXPECT_EQ((Variables{{"b", number(1)}, {"a", number(2)}}).keys(), (Names{"a", "b"}));
  EXPECT_EQ(tree::leaves(Variables{{"b", number(1)}, {"a", number(2)}})[0].item<float>(), 2.f);

  const auto [rest, popped] = linen::pop(frozen, "bar");
  EXPECT_EQ(rest.keys(), Names{"foo"});
  EXPECT_EQ(popped.keys(), (Names{"a", "b"}));
  EXPECT_EQ(frozen.size(), 2u);
  EXPECT_THROW(linen::pop(frozen, "none"), ModuleError);
  const Variables changed = linen::copy(frozen, {{"bar", Variables{{"c", number(3)}}}});
  EXPECT_EQ(changed["bar"].keys(), Names{"c"}) << "in place of the entry";
  EXPECT_EQ((frozen | Variables{{"bar", Variables{{"c", number(3)}}}})["bar"].keys(),
            (Names{"a", "b", "c"}))
      << "merged";

  EXPECT_TRUE(linen::same_content(frozen, nested()));
  EXPECT_EQ(linen::hash_of(frozen), linen::hash_of(nested()));
  EXPECT_FALSE(linen::same_content(frozen, source));
  EXPECT_NE(linen::hash_of(frozen), linen::hash_of(source));
  EXPECT_FALSE(linen::same_content({{"a", ones({2})}}, {{"a", ones({1, 2})}}));
  EXPECT_FALSE(
      linen::same_content({{"a", linen::partitioned(ones({2}), {"x"})}}, {{"a", ones({2})}}));
  EXPECT_EQ(to_string(frozen), "bar/a: f32[]\nfoo: f32[]\n");
}

TEST(LinenBoxes, L_104_L_105_boxes_come_off_and_values_go_in) {
  const Variables boxed{
      {"params",
       Variables{{"w", linen::partitioned(ones({2, 3}), {"in", "out"})},
                 {"deep", Variables{{"v", linen::logically_partitioned(ones({3}), {"mlp"})}}},
                 {"b", zeros({3})}}}};
  const Variables bare = linen::unbox(boxed);
  for (const auto& [path, leaf] : linen::flat_leaves(bare)) EXPECT_FALSE(leaf->box());
  EXPECT_EQ(to_string(linen::unbox(bare)), to_string(bare)) << "what has no box stays";
  EXPECT_TRUE(boxed["params"]["w"].box());

  // Boxes in boxes, and round dictionaries.
  const linen::Box outer{.kind = "Partitioned",
                         .metadata = {{"out_sharding", AxisNames{"stages"}}}};
  const Variables nested{{"twice", linen::boxed(boxed["params"]["w"], outer)},
                         {"tree", linen::boxed(boxed["params"]["deep"], outer)}};
  const Variables without = linen::unbox(nested);
  for (const auto& [path, leaf] : linen::flat_leaves(without))
    EXPECT_FALSE(leaf->box()) << tree::to_string(path);
  EXPECT_FALSE(linen::unbox(nested)["tree"].box());
  EXPECT_TRUE(linen::same_content(linen::replace_boxed(nested, linen::unbox(nested)), nested));
  EXPECT_FALSE(linen::same_content(linen::unbox(nested), nested));

  const Variables doubled = tree::map(bare, [](const Tensor& t) { return t * 2 + 1; });
  const Variables replaced = linen::replace_boxed(boxed, doubled);
  EXPECT_EQ(replaced["params"]["w"].box(), boxed["params"]["w"].box());
  EXPECT_EQ(replaced["params"]["deep"]["v"].box()->kind, "LogicallyPartitioned");
  EXPECT_FALSE(replaced["params"]["b"].box());
  EXPECT_EQ(replaced["params"]["w"].value().to_vector<float>(), std::vector<float>(6, 3.f));
  EXPECT_EQ(replaced["params"]["b"].value().to_vector<float>(), std::vector<float>(3, 1.f));
  EXPECT_THROW(linen::replace_boxed(boxed, Variables{{"params", Variables{{"w", ones({2})}}}}),
               TreeError);
}

TEST(LinenBoxes, L_106_axes_of_partitioned_values) {
  const Metadata layers{{"partition_name", std::string("layers")}};
  // Short names are padded with none, so that the new axis has its place.
  const Variables shorter{{"w", linen::partitioned(ones({2, 3, 4}), {"in"})}};
  const Variables longer = linen::add_axis(shorter, 2, layers);
  EXPECT_EQ(linen::get_partition_spec(longer).at("w"), P("in", kNone, "layers", kNone));
  EXPECT_EQ(linen::get_partition_spec(linen::remove_axis(longer, 2, layers)).at("w"), P("in"));
  // The name must be the one that is there.
  const Metadata other{{"partition_name", std::string("stages")}};
  try {
    linen::remove_axis(longer, 2, other);
    FAIL();
  } catch (const ValueError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("stages"), std::string::npos) << text;
    EXPECT_NE(text.find("layers"), std::string::npos) << text;
  }
  EXPECT_THROW(linen::add_axis(shorter, 0, Metadata()), ModuleError) << "without a name";
  // Values are not touched.
  EXPECT_EQ(longer["w"].shape(), (Shape{2, 3, 4}));
}

struct Point {
  Tensor x, y;
  std::string unit = "m";  // static: part of the structure
  LINNET_FIELDS(x, y, unit)
};

TEST(Described, L_167_structs_are_trees_with_static_fields) {
  const Point p{number(1), number(2)};
  EXPECT_EQ(tree::leaves(p).size(), 2u);
  Point q = p;
  q.x = number(5);  // `replace` is a copy and an assignment
  EXPECT_EQ(p.x.item<float>(), 1.f);
  EXPECT_EQ(tree::structure(p), tree::structure(q));
  q.unit = "km";
  EXPECT_NE(tree::structure(p), tree::structure(q));
  const Point sum = tree::map(q, [](const Tensor& t) { return t + 1; });
  EXPECT_EQ(sum.x.item<float>(), 6.f);
  EXPECT_EQ(sum.unit, "km");
  // Through transformations: gradients are a Point, and another unit is another program.
  const Point g = grad([](const Point& r) { return r.x * r.x + r.y; })(q);
  EXPECT_EQ(g.x.item<float>(), 10.f);
  EXPECT_EQ(g.unit, "km");
  int traced = 0;
  auto f = jit([&traced](const Point& r) {
    ++traced;
    return r.unit == "km" ? r.x * 1000 : r.x;
  });
  EXPECT_EQ(f(p).item<float>(), 1.f);
  EXPECT_EQ(f(q).item<float>(), 5000.f);
  EXPECT_EQ(f(q).item<float>(), 5000.f);
  EXPECT_EQ(traced, 2);
  // A derived struct lists what it adds.
  struct Point3 : Point {
    Tensor z;
    LINNET_FIELDS_AND_BASE(Point, z)
  };
  EXPECT_EQ(tree::leaves(Point3{p, number(3)}).size(), 3u);
}

TEST(BatchApply, L_162_leading_dimensions_become_one) {
  const Tensor a = random::normal(Key(0), {2, 3, 4}), b = random::normal(Key(1), {4});
  const auto strict = [](const Tensor& x, const Tensor& y) {
    EXPECT_EQ(x.shape(), (Shape{6, 4}));
    EXPECT_EQ(y.shape(), Shape{4}) << "of fewer dimensions";
    return std::make_pair(matmul(x, y), x);
  };
  const auto [dots, same] = linen::BatchApply{strict}(a, b);
  EXPECT_EQ(dots.shape(), (Shape{2, 3}));
  EXPECT_EQ(dots.to_vector<float>(), matmul(reshape(a, {6, 4}), b).to_vector<float>());
  EXPECT_EQ(same.to_vector<float>(), a.to_vector<float>());
  const auto twice = [](const Tensor& x) { return 2 * x; };
  EXPECT_EQ((linen::BatchApply{twice, 3}(a)).shape(), (Shape{2, 3, 4}));
  EXPECT_THROW((linen::BatchApply{twice, 3}(b)), ValueError);
  EXPECT_THROW((linen::BatchApply{[](const Tensor& x) { return sum(x); }}(a)), ValueError);
  // Layers too, with the scope captured.
  const auto model = [](linen::Scope& s, const Tensor& x) {
    return linen::BatchApply{
        [&](const Tensor& y) { return s("dense", linen::Dense{.features = 5}, y); }}(x);
  };
  EXPECT_EQ(linen::init_with_output(model, Key(0), a).first.shape(), (Shape{2, 3, 5}));
}

TEST(EarlyStopping, L_171_stops_when_nothing_improves) {
  EarlyStopping stopping{.min_delta = 1e-3, .patience = 2};
  const double losses[] = {4, 3, 3, 3, 2, 2, 2, 2, 1, 1};
  int epoch = 0;
  for (; epoch < 10; ++epoch) {
    stopping.update(losses[epoch]);
    if (epoch == 0) {
      EXPECT_TRUE(stopping.has_improved) << "the first always does";
    }
    if (stopping.should_stop) break;
  }
  EXPECT_EQ(epoch, 7) << "as in the example of flax.training.early_stopping";
  EXPECT_EQ(stopping.best_metric, 2);
  EXPECT_FALSE(stopping.has_improved);
  stopping.reset();
  EXPECT_EQ(stopping.patience, 2);
  stopping.update(1e9);
  EXPECT_TRUE(stopping.has_improved && !stopping.should_stop);
  stopping.update(1e9 - 1e-4);
  EXPECT_FALSE(stopping.has_improved) << "not by min_delta";

  const Variables both = stack_forest(std::vector<Variables>{
      {{"loss", number(1)}, {"acc", ones({2})}}, {{"loss", number(2)}, {"acc", zeros({2})}}});
  EXPECT_EQ(both["loss"].value().to_vector<float>(), (std::vector<float>{1, 2}));
  EXPECT_EQ(both["acc"].shape(), (Shape{2, 2}));
  EXPECT_THROW(stack_forest(std::vector<Variables>()), ValueError);
  EXPECT_THROW(stack_forest(std::vector<Variables>{{{"a", ones({2})}}, {}}), TreeError);
}

struct WithStatistics : TrainState {
  Variables batch_stats;
  LINNET_FIELDS_AND_BASE(TrainState, batch_stats)
};

TEST(TrainState, L_169_steps_of_an_optimiser) {
  const Variables params{{"w", tensor({1.f, 2.f})}};
  TrainState state = TrainState::create(params, optim::sgd(0.1, 0.9));
  EXPECT_EQ(state.step.item<int>(), 0);
  const Variables grads{{"w", tensor({1.f, -1.f})}};
  TrainState before = state;
  state.apply_gradients(grads);
  EXPECT_EQ(state.step.item<int>(), 1);
  EXPECT_EQ(before.step.item<int>(), 0) << "a copy stays what it was";
  EXPECT_EQ(before.params["w"].value().to_vector<float>(), (std::vector<float>{1, 2}));
  const auto near = [&](std::vector<float> expected) {
    const auto got = state.params["w"].value().to_vector<float>();
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-6f);
  };
  near({0.9f, 2.1f});
  state.apply_gradients(grads);
  near({0.71f, 2.29f});  // momentum: 0.1 * (1 + 0.9)
  EXPECT_THROW(state.apply_gradients(Variables{{"w", ones({3})}}), Error);

  // A compiled step, with fields of a derived class.
  WithStatistics derived{TrainState::create(params, optim::adam(0.01)), {{"mean", zeros({})}}};
  int traced = 0;
  auto step = jit([&traced](WithStatistics& s, const Tensor& x) {
    ++traced;
    const auto [loss, g] = value_and_grad(
        [&](const Variables& p) { return sum(square(p["w"].value() - x)); })(s.params);
    s.apply_gradients(g);
    s.batch_stats = Variables{{"mean", s.batch_stats["mean"].value() + mean(x)}};
    return loss;
  });
  float first = 0, last = 0;
  for (int i = 0; i < 5; ++i) {
    last = step(derived, zeros({2})).item<float>();
    if (i == 0) first = last;
  }
  EXPECT_LT(last, first);
  EXPECT_EQ(derived.step.item<int>(), 5);
  EXPECT_EQ(traced, 1);
  EXPECT_EQ(tree::leaves(derived).size(), 2u + 1 + 3);
}

}  // namespace
}  // namespace linnet::linen_collections_test
