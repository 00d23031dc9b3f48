// What a module is made of: members, what is data and what is static, containers, cycles, parts
// that can be taken out.
#include <gtest/gtest.h>

#include <map>

#include "linnet/core.h"
#include "linnet/error.h"
#include "linnet/nnx.h"
#include "linnet/nnx_tools.h"
#include "linnet/trace.h"
#include "tests/modules/error_message.h"

namespace linnet::nnx_modules_test {
namespace {

std::vector<float> floats(const Tensor& t) { return t.to_vector<float>(); }
std::string paths_of(const nnx::State& state) {
  std::string out;
  for (const auto& [path, leaf] : state.entries())
    out += (out.empty() ? "" : " ") + tree::to_string(path);
  return out;
}

/// Members out of order, of all sorts.
struct Mixed {
  nnx::Param zeta;
  nnx::Linear alpha;
  Tensor offset;  ///< data without a variable
  std::map<int, nnx::Param> numbered;
  double rate = 0.5;
  int64_t steps = 3;
  std::string name = "mixed";
  explicit Mixed(nnx::Rngs& rngs) : zeta(ones({2})), alpha(2, 2, rngs), offset(zeros({2})) {
    for (int i : {10, 2}) numbered.emplace(i, nnx::Param(ones({1}) * i));
  }
  LINNET_FIELDS(zeta, alpha, offset, numbered, rate, steps, name)
  Tensor operator()(const Tensor& x) const { return (alpha(x) * zeta + offset) * rate; }
};
Mixed make() {
  nnx::Rngs rngs(0);
  return Mixed(rngs);
}

TEST(NnxModules, N_020_attributes_are_traversed_by_name_and_number) {
  Mixed model = make();
  EXPECT_EQ(paths_of(nnx::state(model)),
            "alpha/bias alpha/kernel numbered/2 numbered/10 offset zeta")
      << "names in order, numbers by size";
  // The constructor runs first; what it leaves is checked when the module is first used.
  struct Forgetful {
    nnx::Linear kept;
    std::optional<nnx::Param> forgotten;
    explicit Forgetful(nnx::Rngs& rngs) : kept(2, 2, rngs), forgotten(ones({2})) {}
    LINNET_FIELDS(kept)
  };
  nnx::Rngs rngs(0);
  Forgetful forgetful(rngs);
  EXPECT_HAS(message<TreeError>([&] { nnx::state(forgetful); }), "Forgetful");
}

TEST(NnxModules, N_021_data_and_static_members_are_told_apart_by_type) {
  Mixed model = make();
  const nnx::State data = nnx::state(model);
  for (const char* name : {"zeta", "offset"}) EXPECT_TRUE(data.contains(name)) << name;
  for (const char* name : {"rate", "steps", "name"}) EXPECT_FALSE(data.contains(name)) << name;
  // A number is static; the same number as a tensor or variable is data: what `data` and `static`
  // decide in Flax is the member's type here, and no assignment changes it.
  struct Chosen {
    double fixed = 2;
    Tensor free{2.0};
    LINNET_FIELDS(fixed, free)
  };
  Chosen chosen;
  EXPECT_EQ(nnx::state(chosen).size(), 1u);
  chosen.free = Tensor(3.0);
  chosen.fixed = 3;
  EXPECT_EQ(paths_of(nnx::state(chosen)), "free");
  const Chosen gradient = grad([](const Chosen& c) { return c.free * c.free * c.fixed; })(chosen);
  EXPECT_EQ(gradient.free.item<float>(), 18);
  EXPECT_EQ(gradient.fixed, 3);
}

TEST(NnxModules, N_022_containers_of_modules_and_tensors_are_data) {
  // In Flax a list of modules is an error unless it is an nnx.List; here a vector is one.
  struct Stack {
    std::vector<nnx::Linear> layers;
    std::map<std::string, Tensor> tables;
    std::tuple<nnx::Param, int> pair;
    LINNET_FIELDS(layers, tables, pair)
  };
  nnx::Rngs rngs(0);
  Stack stack{{}, {}, {nnx::Param(ones({1})), 4}};
  EXPECT_EQ(paths_of(nnx::state(stack)), "pair/0");
  // Filled after construction: seen all the same.
  stack.layers.emplace_back(2, 2, rngs);
  stack.tables["a"] = ones({3});
  EXPECT_EQ(paths_of(nnx::state(stack)), "layers/0/bias layers/0/kernel pair/0 tables/a");
}

TEST(NnxModules, N_023_static_members_are_compared_and_compile_anew) {
  Mixed a = make(), b = make();
  EXPECT_TRUE(nnx::graphdef(a) == nnx::graphdef(b));
  EXPECT_EQ(nnx::graphdef(a).hash(), nnx::graphdef(b).hash());
  const auto forward = jit([](const Mixed& m, const Tensor& x) { return m(x); });
  const Tensor x = ones({1, 2}), y = forward(a, x);
  forward(b, x);
  EXPECT_EQ(forward.trace_count(), 1u);
  b.rate = 1;
  EXPECT_FALSE(nnx::graphdef(a) == nnx::graphdef(b));
  EXPECT_EQ(floats(forward(b, x)), floats(y * 2));
  EXPECT_EQ(forward.trace_count(), 2u);
  b.rate = 0.5;
  b.name = "other";
  forward(b, x);
  EXPECT_EQ(forward.trace_count(), 3u);
}

TEST(NnxModules, N_025_writes_from_inside_a_transformation_leave_it_as_values) {
  // Flax refuses to change an attribute of an object from outside the transformation; here tensors
  // and variables of captured objects are lifted where they can leave, and refused where not.
  struct Holder {
    nnx::Variable seen;
    LINNET_FIELDS(seen)
  };
  Holder holder{nnx::Variable(zeros({}))};
  jit([&](const Tensor& x) {
    holder.seen = sum(x);
    return x;
  })(ones({4}));
  EXPECT_EQ(holder.seen.value().item<float>(), 4);
  EXPECT_FALSE(holder.seen.value().traced());
  EXPECT_HAS(message<TraceError>([&] {
               vmap([&](const Tensor& x) {
                 holder.seen = x;
                 return x;
               })(ones({4}));
             }),
             "vmap");
  EXPECT_EQ(holder.seen.value().item<float>(), 4);
  // A plain tensor that leaves by assignment to a captured name is refused when it is used.
  Tensor leaked;
  jit([&](const Tensor& x) {
    leaked = x * 2;
    return x;
  })(ones({4}));
  EXPECT_THROW((void)leaked.to_vector<float>(), TraceError);
}

struct Circle {
  nnx::Param w;
  nnx::Shared<Circle> self;
  explicit Circle(float value) : w(ones({2}) * value) {}
  LINNET_FIELDS(w, self)
  Tensor operator()(const Tensor& x, int turns) const {
    return turns == 0 ? x : (*self)(x * w, turns - 1);
  }
};

TEST(NnxModules, N_046_a_module_that_holds_itself) {
  auto model = nnx::Shared<Circle>::make(2.f);
  model->self = model;
  auto [graphdef, state] = nnx::split(model);
  EXPECT_EQ(paths_of(state), "w");
  auto merged = nnx::merge<nnx::Shared<Circle>>(graphdef, state);
  EXPECT_EQ(&*merged->self, &*merged);
  EXPECT_EQ(merged->w.cell(), model->w.cell());
  auto copy = nnx::clone(model);
  EXPECT_EQ(&*copy->self, &*copy);
  EXPECT_NE(&*copy, &*model);
  EXPECT_EQ(floats((*copy)(ones({2}), 3)), (std::vector<float>{8, 8}));
  EXPECT_TRUE(nnx::graphdef(copy) == graphdef);
  const nnx::State grads =
      nnx::grad([](nnx::Shared<Circle>& m) { return sum((*m)(ones({2}), 3)); }, model);
  EXPECT_EQ(floats(grads["w"]), (std::vector<float>{12, 12}));
  jit([](nnx::Shared<Circle>& m, const Tensor& x) {
    m->self->w = m->w + x;
    return x;
  })(model, ones({2}));
  EXPECT_EQ(floats(model->w), (std::vector<float>{3, 3}));
  EXPECT_EQ(&*model->self, &*model);
  // Two that hold each other.
  auto a = nnx::Shared<Circle>::make(2.f), b = nnx::Shared<Circle>::make(3.f);
  a->self = b;
  b->self = a;
  auto [both, values] = nnx::split(a);
  EXPECT_EQ(paths_of(values), "self/w w");
  auto again = nnx::merge<nnx::Shared<Circle>>(both, values);
  EXPECT_EQ(&*again->self->self, &*again);
  for (const auto& node : {model, merged, copy, a, again}) node->self = nnx::Shared<Circle>();
}

TEST(NnxModules, N_046_definitions_of_circles_are_freed) {
  std::weak_ptr<Circle> node;
  {
    auto model = nnx::Shared<Circle>::make(2.f);
    model->self = model;
    const nnx::GraphDef graphdef = nnx::graphdef(model);
    const auto prototype =
        std::static_pointer_cast<const nnx::Shared<Circle>>(graphdef.definition()->prototype);
    node = nnx::Shared<Circle>(*prototype).pointer();
    ASSERT_EQ(node.lock()->self, *prototype);
    EXPECT_FALSE(node.expired());
    model->self = nnx::Shared<Circle>();
  }
  EXPECT_TRUE(node.expired());
}

TEST(NnxModules, N_052_the_definition_alone) {
  Mixed model = make();
  const nnx::GraphDef definition = nnx::graphdef(model);
  EXPECT_TRUE(definition == std::get<0>(nnx::split(model)));
  EXPECT_EQ(tree::leaves(definition).size(), 0u) << "holds no arrays";
  EXPECT_HAS(definition.text(), "Mixed");
  EXPECT_HAS(definition.text(), "alpha/kernel");
  // It outlives the model.
  Mixed other = make();
  other.zeta = ones({2}) * 9;
  EXPECT_EQ(floats(nnx::merge<Mixed>(definition, nnx::state(other)).zeta)[0], 9);
}

struct Removable {
  nnx::Param fixed;
  std::optional<nnx::Intermediate> kept, also;
  std::map<std::string, nnx::Cache> cache;
  LINNET_FIELDS(fixed, kept, also, cache)
};
Removable removable() {
  Removable out{nnx::Param(ones({2})), nnx::Intermediate(ones({1})), {}, {}};
  out.cache.emplace("a", nnx::Cache(ones({3})));
  out.cache.emplace("b", nnx::Cache(ones({4})));
  return out;
}

TEST(NnxModules, N_053_pop_takes_variables_out) {
  Removable model = removable();
  const nnx::State taken = nnx::pop(model, nnx::of_type<nnx::Intermediate>());
  EXPECT_EQ(paths_of(taken), "kept");
  EXPECT_FALSE(model.kept);
  EXPECT_EQ(paths_of(nnx::state(model)), "cache/a cache/b fixed");
  EXPECT_TRUE(nnx::pop(model, nnx::of_type<nnx::Intermediate>()).empty());
  // Several filters: the first that chooses a leaf has it.
  model.kept.emplace(ones({1}));
  const auto [b, rest] =
      nnx::pop(model, nnx::path_in({"cache/b"}), nnx::not_(nnx::of_type<nnx::Param>()));
  EXPECT_EQ(paths_of(b), "cache/b");
  EXPECT_EQ(paths_of(rest), "cache/a kept");
  EXPECT_TRUE(model.cache.empty());
}

TEST(NnxModules, N_053_pop_gives_shared_variables_once_and_refuses_plain_members) {
  Removable model = removable();
  model.also.emplace(ones({1}));
  model.also->cell() = model.kept->cell();
  EXPECT_EQ(nnx::pop(model, nnx::of_type<nnx::Intermediate>()).size(), 1u);
  EXPECT_FALSE(model.kept || model.also);
  const std::string text = message<ValueError>([&] { nnx::pop(model, nnx::everything()); });
  EXPECT_HAS(text, "'fixed' cannot be taken out");
  EXPECT_EQ(model.cache.size(), 2u) << "nothing is removed then";
  // An array cannot be without an element.
  std::vector<nnx::Param> list(2, nnx::Param(ones({1})));
  EXPECT_HAS(message<ValueError>([&] { nnx::pop(list, nnx::everything()); }), "'0', '1'");
}

TEST(NnxModules, N_026_deep_copies_keep_sharing) {
  struct Pair {
    nnx::Shared<nnx::Linear> first, second;
    Tensor table;
    LINNET_FIELDS(first, second, table)
  };
  nnx::Rngs rngs(0);
  Pair model{nnx::Shared<nnx::Linear>::make(2, 2, rngs), nnx::Shared<nnx::Linear>(), ones({2})};
  model.second = model.first;
  Pair copy = nnx::clone(model);
  EXPECT_EQ(&*copy.first, &*copy.second);
  EXPECT_NE(&*copy.first, &*model.first);
  copy.first->kernel = zeros({2, 2});
  copy.table = zeros({2});
  EXPECT_NE(floats(model.first->kernel)[0], 0);
  EXPECT_EQ(floats(model.table)[0], 1);
  EXPECT_EQ(floats(copy.second->kernel)[0], 0);
  Pair shared = nnx::share(model);
  EXPECT_EQ(shared.first->kernel.cell(), model.first->kernel.cell());
  EXPECT_NE(&*shared.first, &*model.first);
}

/// Declared as a record: members with defaults, no constructor.
struct Record {
  nnx::Linear layer;
  int64_t repeats = 2;
  std::string name = "record";
  std::optional<nnx::Param> scale = {};
  LINNET_FIELDS(layer, repeats, name, scale)
  Tensor operator()(const Tensor& x) const {
    Tensor y = x;
    for (int64_t i = 0; i < repeats; ++i) y = layer(y);
    return scale ? y * *scale : y;
  }
};

TEST(NnxModules, N_027_records_are_modules) {
  nnx::Rngs rngs(0);
  Record model{.layer = nnx::Linear(2, 2, rngs)};
  EXPECT_EQ(model.repeats, 2);
  EXPECT_EQ(paths_of(nnx::state(model)), "layer/bias layer/kernel");
  const Tensor x = ones({1, 2});
  EXPECT_EQ(floats(model(x)), floats(model.layer(model.layer(x))));
  Record scaled{.layer = model.layer, .repeats = 1, .scale = nnx::Param(ones({2}) * 2)};
  EXPECT_EQ(paths_of(nnx::state(scaled)), "layer/bias layer/kernel scale");
  EXPECT_FALSE(nnx::graphdef(model) == nnx::graphdef(scaled));
  auto [graphdef, state] = nnx::split(scaled);
  EXPECT_EQ(floats(nnx::merge<Record>(graphdef, state)(x)), floats(scaled(x)));
}

// What nnx.List and nnx.Dict do is what std::vector and std::map do.
TEST(NnxModules, N_040_lists_and_dictionaries) {
  struct Lists {
    std::vector<nnx::Linear> list;
    std::map<std::string, nnx::Linear> dict;
    std::array<nnx::Param, 2> fixed{nnx::Param(ones({1})), nnx::Param(zeros({1}))};
    LINNET_FIELDS(list, dict, fixed)
  };
  nnx::Rngs rngs(0);
  Lists model;
  for (int i = 0; i < 11; ++i) model.list.emplace_back(1, 1, rngs);
  model.dict.emplace("head", nnx::Linear(1, 2, rngs));
  nnx::State state = nnx::state(model);
  EXPECT_EQ(state.size(), 26u);
  // Positions are numbers: 2 before 10.
  EXPECT_EQ(tree::to_string(state.entries()[2].first), "fixed/0");
  EXPECT_EQ(tree::to_string(state.entries()[6].first), "list/1/bias");
  EXPECT_EQ(tree::to_string(state.entries()[24].first), "list/10/bias");
  EXPECT_EQ(state["list"][10]["kernel"].shape(), (Shape{1, 1}));
  EXPECT_EQ(state["dict"]["head"]["kernel"].shape(), (Shape{1, 2}));
  // The whole interface of a sequence. Elements that move hand on their values: a variable that is
  // assigned to keeps its identity.
  const std::vector<float> second = floats(model.list[1].kernel);
  const state::CellPtr first = model.list[0].kernel.cell();
  model.list.erase(model.list.begin());
  EXPECT_EQ(model.list.size(), 10u);
  EXPECT_EQ(floats(model.list.front().kernel), second);
  EXPECT_EQ(model.list.front().kernel.cell(), first);
  model.list.insert(model.list.begin(), nnx::Linear(1, 1, rngs));
  model.list.pop_back();
  EXPECT_THROW(model.list.at(10), std::out_of_range);
  EXPECT_THROW(model.dict.at("tail"), std::out_of_range);
  EXPECT_HAS(message<ModuleError>([&] { state["dict"]["tail"].value(); }), "dict/head/kernel");
  const std::vector<nnx::Linear> slice(model.list.begin() + 2, model.list.begin() + 5);
  EXPECT_EQ(slice.size(), 3u);
  EXPECT_NE(slice[0].kernel.cell(), model.list[2].kernel.cell()) << "a slice is a copy";
  auto [graphdef, all] = nnx::split(model);
  EXPECT_EQ(nnx::merge<Lists>(graphdef, all).list.size(), 10u);
}

}  // namespace
}  // namespace linnet::nnx_modules_test
