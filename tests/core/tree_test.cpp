// Trees: what is a leaf, what is structure, paths, maps, copies, and forgotten fields.
#include <array>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <variant>

#include "linnet/function.h"
#include "linnet/tree.h"
#include "tests/core/core_support.h"

namespace linnet::tree_test {
namespace {

using test::Box;
using test::expect_error;

enum class Activation { kRelu, kTanh };

struct Layer {
  Tensor kernel, bias_;
  int width = 3;
  Activation activation = Activation::kRelu;
  std::string name = "layer";
  LINNET_FIELDS(kernel, bias_, width, activation, name)
};

struct Pair {
  Tensor first, second;
};

struct Everything {
  Tensor tensor;
  Pair aggregate;
  std::vector<Tensor> vector;
  std::array<Tensor, 2> array;
  std::map<std::string, Tensor> names;
  std::map<int, Tensor> numbers;
  std::pair<Tensor, int> pair;
  std::tuple<Tensor, Tensor> tuple;
  std::optional<Tensor> present, absent;
  std::variant<int, Tensor> variant;
  std::unique_ptr<Tensor> pointer;
  std::vector<bool> bits;
  Axes axes;
  const char* text = nullptr;
  std::vector<Layer> layers;
  LINNET_FIELDS(tensor, aggregate, vector, array, names, numbers, pair, tuple, present, absent,
                variant, pointer, bits, axes, text, layers)
};

Everything everything() {
  Everything e;
  int next = 0;
  const auto leaf = [&] { return scalar(next++, DType::kF32); };
  e.tensor = leaf();
  e.aggregate = {leaf(), leaf()};
  e.vector = {leaf(), leaf()};
  e.array = {leaf(), leaf()};
  e.names = {{"a", leaf()}, {"b", leaf()}};
  e.numbers[-1] = leaf();
  e.numbers[10] = leaf();
  e.pair = {leaf(), 5};
  e.tuple = {leaf(), leaf()};
  e.present = leaf();
  e.variant = leaf();
  e.pointer = std::make_unique<Tensor>(leaf());
  e.bits = {true, false};
  e.layers.resize(1);
  e.layers[0].kernel = leaf();
  e.layers[0].bias_ = leaf();
  return e;
}

TEST(Tree, J_071_every_container_is_a_node) {
  const Everything e = everything();
  const TensorList leaves = tree::leaves(e);
  ASSERT_EQ(leaves.size(), 19u);
  for (size_t i = 0; i < leaves.size(); ++i) EXPECT_EQ(leaves[i].item<int>(), static_cast<int>(i));
}

TEST(Tree, J_073_paths_name_every_leaf) {
  const Everything e = everything();
  std::string paths;
  for (const auto& [path, leaf] : tree::leaves_with_path(e)) paths += path + " ";
  EXPECT_EQ(paths,
            "tensor aggregate/0 aggregate/1 vector/0 vector/1 array/0 array/1 names/a names/b "
            "numbers/-1 numbers/10 "
            "pair/0 tuple/0 tuple/1 present variant pointer layers/0/kernel layers/0/bias ");
  EXPECT_EQ(tree::to_string(tree::Path{}), "");
  const Tensor alone = zeros({});
  EXPECT_EQ(tree::leaves_with_path(alone)[0].first, "");
}

TEST(Tree, variables_are_leaves_and_tuples_spread) {
  std::map<std::string, Box> boxes;
  boxes.emplace("mean", Box(scalar(1, DType::kF32)));
  boxes.emplace("seen", Box(scalar(0, DType::kF32)));
  state::write(boxes.at("seen").cell(), state::Value::tuple_of({Tensor(2), Tensor(3)}));
  std::string paths;
  for (const auto& [path, leaf] : tree::leaves_with_path(boxes)) {
    paths += path + "=" + std::to_string(leaf.item<int>()) + " ";
  }
  EXPECT_EQ(paths, "mean=1 seen/0=2 seen/1=3 ");
}

TEST(Tree, J_072_structure_holds_types_sizes_and_static_leaves) {
  const auto differ = [](auto change) {
    Everything a = everything(), b = everything();
    EXPECT_EQ(tree::structure(a), tree::structure(b));
    change(b);
    return tree::structure(a) != tree::structure(b);
  };
  EXPECT_FALSE(differ([](Everything& e) {
    e.tensor = zeros({7, 7});
  })) << "tensors are no structure";
  EXPECT_TRUE(differ([](Everything& e) { e.vector.pop_back(); }));
  EXPECT_TRUE(differ([](Everything& e) { e.names["c"] = Tensor(1); }));
  EXPECT_TRUE(differ([](Everything& e) { e.numbers.erase(10), e.numbers[11] = Tensor(1); }));
  EXPECT_TRUE(differ([](Everything& e) { e.pair.second = 6; }));
  EXPECT_TRUE(differ([](Everything& e) { e.present.reset(); }));
  EXPECT_TRUE(differ([](Everything& e) { e.absent = Tensor(1); }));
  EXPECT_TRUE(differ([](Everything& e) { e.variant = 3; }));
  EXPECT_TRUE(differ([](Everything& e) { e.pointer.reset(); }));
  EXPECT_TRUE(differ([](Everything& e) { e.bits[1] = true; }));
  EXPECT_TRUE(differ([](Everything& e) { e.axes = {1}; }));
  EXPECT_TRUE(differ([](Everything& e) { e.text = "x"; }));
  EXPECT_TRUE(differ([](Everything& e) { e.layers[0].width = 4; }));
  EXPECT_TRUE(differ([](Everything& e) { e.layers[0].activation = Activation::kTanh; }));
  EXPECT_TRUE(differ([](Everything& e) { e.layers[0].name = "other"; }));
}

TEST(Tree, J_072_names_cannot_be_mistaken_for_structure) {
  using Names = std::map<std::string, Tensor>;
  const Names a{{"a", 1}, {"bT.c", 2}}, b{{"aT.b", 1}, {"c", 2}};
  EXPECT_NE(tree::structure(a), tree::structure(b));
  EXPECT_NE(tree::structure(std::pair<Tensor, Tensor>()),
            tree::structure(std::tuple<Tensor, Tensor>()));
  EXPECT_NE(tree::structure(std::make_pair(1, 2.0)), tree::structure(std::make_pair(1, 2.0f)));
}

TEST(Tree, J_073_different_paths_have_different_texts) {
  const std::vector<std::vector<std::string>> all{{"a/bc"},       {"a", "bc"}, {"ab", "c"},
                                                  {"a\\", "bc"},  {"a\\/bc"},  {"a", "b", "c"},
                                                  {"a", "", "c"}, {}};
  std::set<std::string> texts;
  for (const auto& names : all) {
    const std::string text = tree::to_string(names);
    texts.insert(text);
    EXPECT_EQ(tree::split_path(text), names) << text;
  }
  EXPECT_EQ(texts.size(), all.size());
  EXPECT_EQ(tree::to_string(tree::Path{{"blocks", -1}, {"", 3}, {"-2", -1}}), "blocks/3/-2");
}

TEST(Tree, unordered_maps_are_in_the_order_of_their_keys) {
  std::unordered_map<int, Tensor> numbers;
  for (int i : {5, -3, 100}) numbers[i] = Tensor(i);
  std::string out;
  for (const auto& [path, leaf] : tree::leaves_with_path(numbers))
    out += path + "=" + std::to_string(leaf.item<int>()) + " ";
  EXPECT_EQ(out, "-3=-3 5=5 100=100 ");
  const auto twice = tree::map(numbers, [](const Tensor& t) { return t * 2; });
  EXPECT_EQ(twice.at(5).item<int>(), 10);
}

Tensor twice(const Tensor& x) { return x + x; }
Tensor thrice(const Tensor& x) { return x + x + x; }

TEST(Tree, functions_have_identities) {
  using Activation = Function<Tensor(const Tensor&)>;
  struct Unit {
    Tensor w;
    Activation activation;
    LINNET_FIELDS(w, activation)
  };
  const auto same = [](const Unit& a, const Unit& b) {
    return tree::structure(a) == tree::structure(b);
  };
  const auto plain = [](const Tensor& x) { return x; };
  const auto times = [](double factor) { return [factor](const Tensor& x) { return x * factor; }; };
  EXPECT_TRUE(same({1, plain}, {2, plain}));
  EXPECT_TRUE(same({1, twice}, {2, &twice}));
  EXPECT_FALSE(same({1, twice}, {1, thrice}));
  EXPECT_FALSE(same({1, twice}, {1, {}}));
  EXPECT_FALSE(same({1, times(2)}, {1, times(2)})) << "captures cannot be compared";
  const Unit two{1, times(2)};
  EXPECT_TRUE(same(two, tree::copy(two)));
  EXPECT_TRUE(static_cast<bool>(two.activation));
  EXPECT_FALSE(static_cast<bool>(Activation()));

  Unit unit{Tensor(3), times(2)};
  const auto f = jit([](const Unit& u) { return u.activation(u.w); });
  EXPECT_EQ(f(unit).item<int>(), 6);
  EXPECT_EQ(f(tree::copy(unit)).item<int>(), 6);
  EXPECT_EQ(f.trace_count(), 1u);
  unit.activation = times(10);
  EXPECT_EQ(f(unit).item<int>(), 30);
  unit.activation = thrice;
  EXPECT_EQ(f(unit).item<int>(), 9);
  EXPECT_EQ(f.trace_count(), 3u);
}

TEST(Tree, shared_constants_are_static_leaves_by_address) {
  using Shared = std::shared_ptr<const std::string>;
  const Shared a = std::make_shared<std::string>("x"), b = std::make_shared<std::string>("x");
  EXPECT_EQ(tree::leaves(a).size(), 0u);
  EXPECT_EQ(tree::structure(a), tree::structure(Shared(a)));
  EXPECT_NE(tree::structure(a), tree::structure(b));
}

TEST(Tree, many_addresses_are_numbered_in_order) {
  std::vector<int> objects(1000);
  tree::AddressTable table;
  for (int& object : objects) EXPECT_EQ(table.number(&object), -1);
  for (size_t i = 0; i < objects.size(); ++i) {
    EXPECT_EQ(table.number(&objects[i]), static_cast<int64_t>(i));
  }
}

TEST(Tree, J_072_map_and_unflatten_keep_the_type) {
  Layer layer{ones({2}), zeros({3}), 7, Activation::kTanh, "x"};
  const Layer twice = tree::map(layer, [](const Tensor& t) { return t + t; });
  EXPECT_EQ(twice.width, 7);
  EXPECT_EQ(twice.name, "x");
  EXPECT_EQ(test::values(twice.kernel), test::floats({2, 2}));
  const Layer sum = tree::map(layer, twice, [](const Tensor& a, const Tensor& b) { return a + b; });
  EXPECT_EQ(test::values(sum.kernel), test::floats({3, 3}));
  std::vector<std::string> paths;
  (void)tree::map_with_path(layer, [&](const std::string& path, const Tensor& t) {
    paths.push_back(path);
    return t;
  });
  EXPECT_EQ(paths, (std::vector<std::string>{"kernel", "bias"}));
  const TensorList given{ones({1}), ones({2})};
  EXPECT_EQ(tree::unflatten(layer, given).bias_.impl(), given[1].impl());
}

TEST(Tree, mapping_variables_makes_new_ones) {
  const std::vector<Box> boxes{Box(Tensor(1)), Box(Tensor(2))};
  const std::vector<Box> more = tree::map(boxes, [](const Tensor& t) { return t * 10; });
  EXPECT_EQ(boxes[1].value().item<int>(), 2);
  EXPECT_EQ(more[1].value().item<int>(), 20);
}

TEST(Tree, J_072_mismatched_trees_are_named) {
  using Tensors = std::map<std::string, std::vector<Tensor>>;
  const auto add = [](const Tensor& a, const Tensor& b) { return a + b; };
  const Tensors a{{"w", {1, 2}}, {"b", {1}}}, b{{"w", {1}}, {"c", {1, 2, 3, 4}}};
  expect_error<TreeError>(
      "tree::map: the trees differ in structure\n  only in the first: b/0, w/1\n"
      "  only in the second: c/0, c/1, c/2 and 1 more",
      [&] { tree::map(a, b, add); });
  const Tensors c{{"w", {1, 2}}};
  expect_error<TreeError>("tree::map: the trees differ in structure\n  only in the first: b/0",
                          [&] { tree::map(a, c, add); });
  const std::pair<Tensor, int> one{1, 1}, two{1, 2};
  expect_error<TreeError>(
      "tree::map: the trees have the same leaves but differ in types or static members",
      [&] { tree::map(one, two, add); });
  const TensorList three(3, Tensor(1));
  expect_error<TreeError>("tree: 3 tensors were given for a tree of 2 leaves", [&] {
    (void)tree::unflatten(std::make_pair(Tensor(), Tensor()), three);
  });
}

TEST(Tree, writing_the_wrong_number_changes_nothing) {
  std::vector<Tensor> object{1, 2, 3};
  const TensorList two{7, 8};
  EXPECT_THROW(tree::write(tree::flatten(object).leaves, two), TreeError);
  EXPECT_EQ(object[0].item<int>(), 1);
}

TEST(Tree, copies_share_storage_but_not_identity) {
  std::vector<Layer> layers{{test::ramp({100}), Tensor(0)}};
  std::vector<Layer> copy = tree::copy(layers);
  EXPECT_EQ(copy[0].kernel.impl(), layers[0].kernel.impl());
  copy[0].kernel = copy[0].kernel + 1;
  EXPECT_FLOAT_EQ(layers[0].kernel[0].item<float>(), 0);
}

struct Forgotten {
  Tensor a, b, c;
  LINNET_FIELDS(a, c)
};
/// Two small members: the second is no padding of the third.
struct ForgottenSmall {
  Tensor a;
  float first = 1, second = 2, third = 3;
  LINNET_FIELDS(a, first, third)
};
struct OnlyPadding {
  bool flag = false;
  Tensor a;
  char small = 0;
  int64_t number = 0;
  bool last = true;
  LINNET_FIELDS(flag, a, small, number, last)
};
struct ForgottenLast {
  Tensor a;
  std::vector<Tensor> more;
  LINNET_FIELDS(a)
};
struct ForgottenNothing {
  char small = 0;
  Tensor a;
  bool flag = false;
  LINNET_FIELDS(a, flag, small)
};
struct Base {
  virtual ~Base() = default;
  Tensor a;
  LINNET_FIELDS(a)
};
struct Derived : Base {
  Tensor b;
  LINNET_FIELDS(a, b)
};
struct ForgottenInherited : Base {
  Tensor b;
};
struct Renamed : Base {};
struct WithBase : Base {
  Tensor b_;
  LINNET_FIELDS_AND_BASE(Base, b_)
};
struct WithoutMore : Base {
  LINNET_FIELDS_AND_BASE(Base)
};
struct Third : WithBase {
  Tensor c, d;
  LINNET_FIELDS_AND_BASE(WithBase, c, d)
};
static_assert(!lists_own_fields<ForgottenInherited>(), "visiting it does not compile");
static_assert(lists_own_fields<Renamed>() && lists_own_fields<Derived>() &&
              lists_own_fields<WithBase>());

struct OnlyItsOwn : Base {
  Tensor b;
  LINNET_FIELDS(b)
};
#if !defined(__clang__)
static_assert(!lists_base_fields<OnlyItsOwn>(), "visiting it does not compile");
#endif
static_assert(lists_base_fields<Derived>() && lists_base_fields<WithBase>() &&
              lists_base_fields<WithoutMore>() && lists_base_fields<Third>() &&
              lists_base_fields<Base>() && lists_base_fields<Layer>());

struct VirtualLayer {
  virtual ~VirtualLayer() = default;
};
struct LastLayer final : VirtualLayer {};
static_assert(!tree::detail::is_whole<VirtualLayer>,
              "a unique_ptr to a base with virtual functions does not compile");
static_assert(tree::detail::is_pointer_to_tree<Layer*> &&
                  tree::detail::is_pointer_to_tree<Tensor*> &&
                  !tree::detail::is_pointer_to_tree<const Layer*> &&
                  !tree::detail::is_pointer_to_tree<const char*>,
              "a plain pointer to something with leaves does not compile");
static_assert(tree::detail::is_whole<LastLayer> && tree::detail::is_whole<Layer>);

TEST(Tree, J_074_a_forgotten_field_is_reported_at_first_use) {
  Forgotten middle;
  expect_error<TreeError>(
      "linnet::tree_test::(anonymous namespace)::Forgotten: the 8 bytes at offset 8 are in no "
      "member of "
      "LINNET_FIELDS(a, c)\n"
      "  hint: list every member; one that is left out would not be trained, saved or traced",
      [&] { (void)tree::leaves(middle); });
  expect_error<TreeError>(
      "linnet::tree_test::(anonymous namespace)::Forgotten: the 8 bytes at offset 8 are in no "
      "member of "
      "LINNET_FIELDS(a, c)\n"
      "  hint: list every member; one that is left out would not be trained, saved or traced",
      [&] { (void)tree::leaves(middle); });
  ForgottenSmall small;
  expect_error<TreeError>(
      "linnet::tree_test::(anonymous namespace)::ForgottenSmall: the 4 bytes at offset 12 are in "
      "no member of "
      "LINNET_FIELDS(a, first, third)\n"
      "  hint: list every member; one that is left out would not be trained, saved or traced",
      [&] { (void)tree::leaves(small); });
  OnlyPadding padded;
  EXPECT_EQ(tree::leaves(padded).size(), 1u);
  const std::vector<ForgottenLast> nested(1);
  expect_error<TreeError>(
      "linnet::tree_test::(anonymous namespace)::ForgottenLast: the 24 bytes at offset 8 are in no "
      "member of "
      "LINNET_FIELDS(a)\n"
      "  hint: list every member; one that is left out would not be trained, saved or traced",
      [&] { (void)tree::leaves(nested); });
}

TEST(Tree, J_074_derived_classes_list_their_base) {
  const auto paths = [](const auto& object) {
    std::string out;
    for (const auto& [path, leaf] : tree::leaves_with_path(object)) out += path + " ";
    return out;
  };
  EXPECT_EQ(paths(WithBase()), "b a ");
  EXPECT_EQ(paths(WithoutMore()), "a ");
  EXPECT_EQ(paths(Third()), "c d b a ");
  EXPECT_EQ(paths(Renamed()), "a ");
}

struct SmallBase {
  bool flag = false;
  LINNET_FIELDS(flag)
};
struct OnlyTheTensor : SmallBase {
  Tensor b;
  LINNET_FIELDS(b)
};
struct Second {
  int64_t other = 0;
  LINNET_FIELDS(other)
};
struct OnlyTheFirst : Layer, Second {
  LINNET_FIELDS_AND_BASE(Layer)
};

/// Where the compiler cannot name the bases of a class, the first visit finds what is missing.
TEST(Tree, J_074_members_of_a_base_that_are_not_listed_are_found_at_first_use) {
  const auto refused = [](auto object, const std::string& where) {
    const auto expect = [&](const auto& visit) {
      try {
        visit();
        ADD_FAILURE() << "nothing was thrown, expected: " << where;
      } catch (const TreeError& error) {
        EXPECT_NE(std::string(error.what()).find(where), std::string::npos) << error.what();
      }
    };
    expect([&] { tree::detail::check_described(object); });
#if defined(__clang__)
    expect([&] { (void)tree::leaves(object); });
#endif
  };
  refused(OnlyItsOwn(), "the 8 bytes at offset 8 are in no member of LINNET_FIELDS(b)");
  refused(OnlyTheTensor(), "the 8 bytes at offset 0 are in no member of LINNET_FIELDS(b)");
  refused(OnlyTheFirst(), "the 8 bytes at offset " + std::to_string(sizeof(Layer)));
}

TEST(Tree, J_074_padding_and_virtual_tables_are_no_fields) {
  EXPECT_EQ(tree::leaves(ForgottenNothing{}).size(), 1u);
  EXPECT_EQ(tree::leaves(Derived()).size(), 2u);
}

TEST(Tree, aggregates_of_every_size_are_trees) {
  struct Seven {
    Tensor a, b;
    int c;
    Tensor d, e;
    double f;
    Tensor g;
  };
  struct Twelve {
    Tensor a, b, c, d, e, f, g, h, i, j, k, l;
  };
  struct Nothing {};
  EXPECT_EQ(tree::leaves(Seven{}).size(), 5u);
  EXPECT_EQ(tree::leaves(Twelve{}).size(), 12u);
  EXPECT_EQ(tree::leaves(Nothing{}).size(), 0u);
  EXPECT_EQ(tree::leaves(std::make_tuple()).size(), 0u);
}

struct Link {
  Tensor value;
  std::unique_ptr<Link> next;
  LINNET_FIELDS(value, next)
};

TEST(Tree, nesting_without_end_is_an_error_and_no_overflow_of_the_stack) {
  Link first;
  first.value = ones({});
  Link* last = &first;
  for (int i = 0; i < 300'000; ++i) {
    last->next = std::make_unique<Link>();
    last = last->next.get();
    last->value = first.value;
  }
  expect_error<TreeError>([&] { tree::leaves(first); }, "tree: nested too deeply");
  expect_error<TreeError>([&] { tree::structure(first); }, "tree: nested too deeply");
  // Link by link: destructors would recurse as well.
  while (first.next) first.next = std::move(first.next->next);
  EXPECT_EQ(tree::leaves(first).size(), 1u);
}

}  // namespace
}  // namespace linnet::tree_test
