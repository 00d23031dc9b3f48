// Variables by themselves: expressions, hooks, metadata from initialisers, copies, trees.
#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/error.h"
#include "linnet/linen.h"
#include "linnet/linen/partitioning.h"
#include "linnet/nnx.h"
#include "linnet/nnx_tools.h"
#include "linnet/trace.h"

namespace {
// Outside the library's namespace, as users write it.
namespace nnx = linnet::nnx;
using linnet::Tensor;

std::vector<float> values(const Tensor& t) { return t.to_vector<float>(); }
using Floats = std::vector<float>;

TEST(NnxVariable, N_006_operators_take_values_and_give_tensors) {
  const nnx::Param a(linnet::tensor({1.f, 4.f})), b(linnet::tensor({2.f, 2.f}));
  static_assert(std::is_same_v<decltype(a + b), Tensor>);
  EXPECT_EQ(values(a + b), (Floats{3, 6}));
  EXPECT_EQ(values(a - b), (Floats{-1, 2}));
  EXPECT_EQ(values(a * b), (Floats{2, 8}));
  EXPECT_EQ(values(a / b), (Floats{0.5, 2}));
  EXPECT_EQ(values(a % b), (Floats{1, 0}));
  EXPECT_EQ(values(-a), (Floats{-1, -4}));
  EXPECT_EQ(values(2 * a + 1), (Floats{3, 9}));
  EXPECT_EQ(values(linnet::ones({2}) + a), (Floats{2, 5}));
  EXPECT_EQ((a == b).to_vector<bool>(), (std::vector<bool>{false, false}));
  EXPECT_EQ((a == a).to_vector<bool>(), (std::vector<bool>{true, true})) << "compares values";
  EXPECT_EQ((a != 1).to_vector<bool>(), (std::vector<bool>{false, true}));
  EXPECT_EQ((a < b).to_vector<bool>(), (std::vector<bool>{true, false}));
  EXPECT_EQ((a <= 4).to_vector<bool>(), (std::vector<bool>{true, true}));
  EXPECT_EQ((a > b).to_vector<bool>(), (std::vector<bool>{false, true}));
  EXPECT_EQ((1 >= a).to_vector<bool>(), (std::vector<bool>{true, false}));
  const nnx::Variable c(linnet::tensor({6, 3})), d(linnet::tensor({3, 3}));
  EXPECT_EQ((c & d).to_vector<int>(), (std::vector<int>{2, 3}));
  EXPECT_EQ((c | d).to_vector<int>(), (std::vector<int>{7, 3}));
  EXPECT_EQ((c ^ d).to_vector<int>(), (std::vector<int>{5, 0}));
  EXPECT_EQ((~c).to_vector<int>(), (std::vector<int>{-7, -4}));
  EXPECT_EQ(values(linnet::matmul(a, b)), (Floats{10}));
  EXPECT_EQ(a[1].item<float>(), 4);
  EXPECT_THROW(a[2], linnet::ShapeError);
  nnx::Param w(linnet::ones({2}));
  const linnet::state::CellPtr cell = w.cell();
  w = w + a;
  EXPECT_EQ(values(w), (Floats{2, 5}));
  EXPECT_EQ(w.cell(), cell) << "written, not made anew";
}

TEST(NnxVariable, N_007_members_of_the_value_and_metadata) {
  const nnx::Param w(linnet::ones({2, 3}), {{"shape", std::string("mine")}});
  EXPECT_EQ(w.shape(), (linnet::Shape{2, 3})) << "members and metadata are two sets of names";
  EXPECT_EQ(*w.metadata().get<std::string>("shape"), "mine");
  EXPECT_EQ(w.dtype(), linnet::DType::kF32);
  EXPECT_EQ(w.rank(), 2u);
  EXPECT_EQ(w.size(), 6);
  EXPECT_EQ((*w).T().shape(), (linnet::Shape{3, 2}));
  EXPECT_EQ(w.value().sum().item<float>(), 6);
}

}  // namespace

namespace linnet::nnx_variable_test {
namespace {

std::vector<float> floats(const Tensor& t) { return t.to_vector<float>(); }

TEST(NnxVariable, N_005_raw_access_goes_past_hooks) {
  const ValueHook twice{[](const Tensor& t) { return t * 2; }};
  nnx::Param w(ones({1}), {{"on_get_value", std::vector<ValueHook>{twice}},
                           {"on_set_value", std::vector<ValueHook>{twice}}});
  w.set_value(ones({1}) * 3);
  EXPECT_EQ(floats(w.raw_value().tensors[0])[0], 6) << "one set hook";
  EXPECT_EQ(floats(w.value())[0], 12) << "and one get hook";
  w.set_raw_value(ones({1}) * 5);
  EXPECT_EQ(floats(w.raw_value().tensors[0])[0], 5);
  EXPECT_EQ(floats(w.value())[0], 10);
  // A raw write is a write: where a value cannot leave a transformation, it is refused as well.
  EXPECT_THROW(vmap([&](const Tensor& t) {
                 w.set_raw_value(state::Value(reshape(t, {1})));
                 return t;
               })(ones({3})),
               TraceError);
  EXPECT_EQ(floats(w.raw_value().tensors[0])[0], 5);
}

TEST(NnxVariable, N_012_initialisers_with_metadata) {
  int made = 0;
  const ValueHook counted{[&made](const Tensor& t) {
    ++made;
    return t + 1;
  }};
  nnx::Rngs rngs(0);
  const nnx::Linear layer(
      2, 3,
      {.kernel_init =
           nnx::with_metadata(init::zeros(), {{"out_sharding", AxisNames{"in", "out"}},
                                              {"tag", std::string("of the initialiser")},
                                              {"on_create_value", std::vector{counted}}}),
       .kernel_metadata = {{"tag", std::string("of the layer")}, {"note", std::string("kept")}}},
      rngs);
  const Metadata& metadata = layer.kernel.metadata();
  EXPECT_EQ(*metadata.get<AxisNames>("out_sharding"), (AxisNames{"in", "out"}));
  EXPECT_EQ(*metadata.get<std::string>("tag"), "of the initialiser") << "as in Flax";
  EXPECT_EQ(*metadata.get<std::string>("note"), "kept");
  EXPECT_EQ(made, 1) << "create hooks run once";
  EXPECT_EQ(floats(layer.kernel)[0], 1);
  EXPECT_TRUE(layer.bias->metadata().empty());

  const auto with = [&](bool initialiser, bool setting) {
    return nnx::Linear(
        2, 3,
        {.kernel_init = nnx::with_metadata(init::zeros(), {{"eager_sharding", initialiser}}),
         .kernel_metadata = {{"eager_sharding", setting}}},
        rngs);
  };
  EXPECT_FALSE(*with(false, false).kernel.metadata().get<bool>("eager_sharding"));
  EXPECT_THROW(with(true, false), ValueError);
}

TEST(NnxVariable, N_013_copies_are_new_variables_of_the_same_kind) {
  int made = 0;
  const ValueHook counted{[&made](const Tensor& t) {
    ++made;
    return t;
  }};
  const nnx::LoRAParam w(ones({2}),
                         {{"on_create_value", std::vector{counted}}, {"tag", std::string("a")}});
  EXPECT_EQ(made, 1);
  const nnx::LoRAParam copy(w);
  const nnx::LoRAParam other = nnx::replace(w, zeros({3}), {{"tag", std::string("b")}});
  const nnx::LoRAParam renamed = nnx::replace(w, Metadata{{"more", true}});
  EXPECT_EQ(made, 1) << "create hooks are for what is new";
  EXPECT_EQ(&other.type(), &nnx::LoRAParam::static_type());
  EXPECT_EQ(floats(other), (std::vector<float>{0, 0, 0}));
  EXPECT_EQ(*other.metadata().get<std::string>("tag"), "b");
  EXPECT_EQ(floats(renamed), floats(w));
  EXPECT_EQ(*renamed.metadata().get<std::string>("tag"), "a");
  EXPECT_EQ(*w.metadata().get<std::string>("tag"), "a");
  EXPECT_FALSE(w.metadata().has("more"));
  EXPECT_NE(copy.cell(), w.cell());
  // What Flax calls to_state: the leaf of a variable alone.
  nnx::LoRAParam alone(w);
  const nnx::State state = nnx::state(alone);
  ASSERT_EQ(state.size(), 1u);
  EXPECT_TRUE(state.entries()[0].first.empty());
  EXPECT_EQ(state.entries()[0].second.cell, alone.cell());
}

TEST(NnxVariable, N_014_overwriting_takes_value_and_metadata) {
  nnx::Param w(ones({2}), {{"tag", std::string("a")}});
  const nnx::Param other(zeros({2}), {{"note", std::string("b")}});
  const state::CellPtr cell = w.cell();
  nnx::copy_from(w, other);
  EXPECT_EQ(w.cell(), cell);
  EXPECT_EQ(floats(w), floats(other));
  EXPECT_TRUE(w.metadata() == other.metadata());
  const nnx::LoRAParam derived(ones({2}));
  EXPECT_THROW(nnx::copy_from(w, derived), ValueError) << "exactly the same kind";
  EXPECT_EQ(floats(w), floats(other));
  // update_from_state: from a leaf of any kind.
  nnx::LoRAParam source(ones({2}) * 7, {{"tag", std::string("c")}});
  nnx::update(w, nnx::state(source));
  EXPECT_EQ(floats(w)[0], 7);
  EXPECT_EQ(*w.metadata().get<std::string>("tag"), "c");
  EXPECT_EQ(&w.type(), &nnx::Param::static_type());
}

TEST(NnxVariable, N_016_a_variable_is_a_tree_of_one_leaf) {
  const nnx::Param w(ones({2}), {{"tag", std::string("a")}, {"note", true}});
  const nnx::Param mapped = tree::map(w, [](const Tensor& t) { return t * 3; });
  EXPECT_NE(mapped.cell(), w.cell());
  EXPECT_EQ(floats(mapped), (std::vector<float>{3, 3}));
  EXPECT_EQ(floats(w), (std::vector<float>{1, 1}));
  EXPECT_TRUE(mapped.metadata() == w.metadata());
  // Metadata are structure: in the order of names, comparable, hashable.
  const nnx::Param same(zeros({2}), {{"note", true}, {"tag", std::string("a")}});
  const nnx::Param differs(zeros({2}), {{"note", false}, {"tag", std::string("a")}});
  EXPECT_EQ(tree::structure(w), tree::structure(same));
  EXPECT_NE(tree::structure(w), tree::structure(differs));
  EXPECT_EQ(hash_of(w.metadata()), hash_of(same.metadata()));
  EXPECT_THROW(tree::map(w, differs, [](const Tensor& a, const Tensor&) { return a; }), TreeError);
  const nnx::Param gradient = grad([](const nnx::Param& p) { return sum(square(p.value())); })(w);
  EXPECT_EQ(floats(gradient), (std::vector<float>{2, 2}));
}

TEST(NnxVariable, N_157_partition_name_is_one_key_in_both_apis) {
  EXPECT_STREQ(kPartitionName, "partition_name");
  const Metadata axis{{kPartitionName, std::string("layers")}};
  const Metadata metadata{{"out_sharding", AxisNames{"in", "out"}}};
  EXPECT_EQ(*add_axis(metadata, 0, axis, 2).get<AxisNames>("out_sharding"),
            (AxisNames{"layers", "in", "out"}));
  const auto make = nnx::vmap(
      [](const Tensor& key) {
        nnx::Rngs rngs{Key(key)};
        return nnx::Linear(
            2, 3, {.kernel_init = nnx::with_partitioning(init::zeros(), {"in", "out"})}, rngs);
      },
      {.transform_metadata = axis});
  EXPECT_EQ(*make(random::split(Key(0), 4).data()).kernel.metadata().get<AxisNames>("out_sharding"),
            (AxisNames{"layers", "in", "out"}));
  const auto stacked = linen::vmap(
      linen::Dense{.features = 3,
                   .use_bias = false,
                   .kernel_init = linen::with_partitioning(init::zeros(), {"in", "out"})},
      {.variable_axes = {{"params", 0}},
       .split_rngs = {{"params", true}},
       .metadata_params = axis});
  EXPECT_EQ(
      linen::get_partition_spec(linen::init(stacked, Key(0), ones({4, 2}))).at("params/kernel"),
      P("layers", "in", "out"));
}

}  // namespace
}  // namespace linnet::nnx_variable_test
