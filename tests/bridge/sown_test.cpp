// Values sown on the way through wrapped modules: several calls of one in one apply, and capture of
// what functional modules sow inside object ones.
#include <algorithm>

#include "bridge/bridge_modules.h"
#include "linnet/nnx/capture.h"
#include "linnet/nnx/transforms.h"

namespace linnet::bridge_tests::sown_test {
namespace {

using bridge::to_linen;
using bridge::to_linen_with;
using bridge::ToNNX;
using linen::Scope;
using linen::Variables;

Tensor added(const Tensor& a, const Tensor& b) { return a + b; }

/// Object: a tuple, a sum and a perturbation, of what a layer gives.
struct Object {
  nnx::Linear up;
  std::optional<nnx::Intermediate> seen, total;
  std::optional<nnx::Perturbation> nudge;
  explicit Object(nnx::Rngs& rngs) : up(3, 3, rngs) {}
  LINNET_FIELDS(up, seen, total, nudge)
  Tensor operator()(const Tensor& x) {
    const Tensor h = nnx::perturb(nudge, up(x));
    nnx::sow(seen, h);
    nnx::sow(total, sum(h), added, Tensor(0.f));
    return h * h;
  }
};

/// The same as a functional module.
struct Functional {
  Tensor operator()(Scope& s, const Tensor& x) const {
    const Tensor h = s.perturb("nudge", s("up", linen::Dense{.features = 3}, x));
    s.sow("intermediates", "seen", h);
    s.sow("intermediates", "total", sum(h), added, [] { return Tensor(0.f); });
    return h * h;
  }
};

/// A module called twice in one call of its parent.
template <class M>
struct CalledTwice {
  M inner;
  Tensor operator()(Scope& s, const Tensor& x) const {
    Scope child = s.child("inner");
    return Scope::call(child, inner, Scope::call(child, inner, x));
  }
};
template <class M>
CalledTwice(M) -> CalledTwice<M>;

const state::Value& leaf_at(const Variables& variables, std::vector<std::string> path) {
  const Variables* found = variables.find_path(path);
  if (!found) throw ValueError("there is no " + path.back());
  return found->leaf();
}

/// Object modules in functional ones as they are written, and wrapped once more.
struct Sandwich {
  ToNNX<Functional> inner;
  explicit Sandwich(nnx::Rngs& rngs) : inner(Functional{}, rngs) {}
  LINNET_FIELDS(inner)
  Tensor operator()(const Tensor& x) { return inner(x); }
};

template <class M>
void expect_two_calls(const M& module, const std::vector<std::string>& below,
                      const linen::CollectionFilter& mutate) {
  const Tensor x = normal({2, 3});
  const CalledTwice model{module};
  const CalledTwice plain{Functional{}};
  Variables vars = linen::init(model, Key(0), x);
  vars.children().erase("perturbations");
  Variables same;
  std::vector<std::string> path{"params", "inner"};
  path.insert(path.end(), below.begin(), below.end());
  same.at_path({"params", "inner"}) = *vars.find_path(path);
  const auto [expected, wanted] = linen::apply_with({.mutate = {"intermediates"}}, plain, same, x);
  path.front() = "intermediates";
  const auto with = [&](const char* name) {
    std::vector<std::string> full = path;
    full.push_back(name);
    return full;
  };
  const auto [out, updates] = linen::apply_with({.mutate = mutate}, model, vars, x);
  expect_near(out, expected);
  ASSERT_EQ(leaf_at(updates, with("seen")).tensors.size(), 2u);
  for (size_t i = 0; i < 2; ++i)
    expect_near(leaf_at(updates, with("seen")).tensors[i],
                leaf_at(wanted, {"intermediates", "inner", "seen"}).tensors[i]);
  expect_near(leaf_at(updates, with("total")).tensors.at(0),
              leaf_at(wanted, {"intermediates", "inner", "total"}).tensors.at(0), 1e-4);
  // Handed to the next call they go on, as those of a functional module.
  const auto again = linen::apply_with({.mutate = mutate}, model, vars | updates, x).second;
  EXPECT_EQ(leaf_at(again, with("seen")).tensors.size(), 4u);
  expect_near(leaf_at(again, with("total")).tensors.at(0),
              leaf_at(wanted, {"intermediates", "inner", "total"}).tensors.at(0) * 2, 1e-4);
}

TEST(BridgeSown, B_105_B_109_a_wrapped_module_sows_in_each_of_two_calls) {
  for (const linen::CollectionFilter& mutate :
       {linen::CollectionFilter("intermediates"), linen::CollectionFilter{"intermediates", "nnx"},
        linen::CollectionFilter(true)}) {
    SCOPED_TRACE(mutate.text());
    expect_two_calls(to_linen<Object>(), {}, mutate);
    expect_two_calls(to_linen_with<Object>({.store_graphdef = false}), {}, mutate);
    expect_two_calls(to_linen<Sandwich>(), {"inner"}, mutate);
    expect_two_calls(to_linen_with<Sandwich>({.store_graphdef = false}), {"inner"}, mutate);
  }
}

/// Members that a call may fill, or never does.
struct Members {
  nnx::Linear up;
  std::optional<nnx::Intermediate> seen;
  std::optional<nnx::Perturbation> never;
  explicit Members(nnx::Rngs& rngs) : up(3, 3, rngs) {}
  LINNET_FIELDS(up, seen, never)
  Tensor operator()(const Tensor& x) {
    nnx::sow(seen, x);
    return up(x);
  }
};

TEST(BridgeSown, B_105_only_what_can_be_sown_is_made) {
  const Tensor x = normal({2, 3});
  const auto model = to_linen<Members>();
  const Variables vars = linen::init(model, Key(0), x);
  const auto with = [&](const std::vector<std::string>& path) {
    Variables out = vars;
    out.at_path(path) = Variables(state::Value::tuple_of({x}));
    return out;
  };
  const auto updates =
      linen::apply_with({.mutate = {"intermediates"}}, model, with({"intermediates", "seen"}), x)
          .second;
  EXPECT_EQ(leaf_at(updates, {"intermediates", "seen"}).tensors.size(), 2u);
  const std::vector<std::vector<std::string>> wrong{{"intermediates", "unknown"},
                                                    {"intermediates", "never"},
                                                    {"batch_stats", "seen"},
                                                    {"perturbations", "up", "kernel_"}};
  for (const auto& path : wrong)
    EXPECT_THROW(linen::apply(model, with(path), x), ModuleError) << path.back();
}

/// Initialised while perturbations are, the graph definition has members whose values nobody keeps.
TEST(BridgeSown, B_099_members_without_values_are_empty_again) {
  const Tensor x = normal({2, 3});
  for (const bool wrapped : {false, true}) {
    const auto run = [&](const auto& model) {
      Variables vars = linen::init(model, Key(0), x);
      ASSERT_TRUE(vars.contains("perturbations"));
      ASSERT_FALSE(vars.contains("intermediates"));
      const Tensor out = linen::apply(model, vars, x);
      vars.children().erase("perturbations");
      const auto [y, updates] = linen::apply_with({.mutate = {"intermediates"}}, model, vars, x);
      expect_equal(y, out);
      std::vector<std::string> path{"intermediates", "total"};
      if (wrapped) path.insert(path.begin() + 1, "inner");
      EXPECT_EQ(leaf_at(updates, path).tensors.size(), 1u);
    };
    wrapped ? run(to_linen<Sandwich>()) : run(to_linen<Object>());
  }
}

/// Functional, with what it sows below a submodule.
struct Deep {
  Tensor operator()(Scope& s, const Tensor& x) const { return s("block", Functional{}, x); }
};
struct Model {
  std::vector<ToNNX<Functional>> layers;
  ToNNX<Deep> deep;
  Object object;
  explicit Model(nnx::Rngs& rngs) : deep(Deep{}, rngs), object(rngs) {
    for (int i = 0; i < 2; ++i) layers.emplace_back(Functional{}, rngs);
  }
  LINNET_FIELDS(layers, deep, object)
  Tensor operator()(const Tensor& x) {
    Tensor y = x;
    for (auto& layer : layers) y = layer(y);
    return object(deep(deep(y)));
  }
};
Model made() {
  nnx::Rngs rngs(0);
  Model model(rngs);
  bridge::lazy_init(model, ones({2, 3}));
  nnx::pop(model.object, nnx::of_type<nnx::Intermediate>());
  return model;
}
std::vector<std::string> paths(const nnx::State& state) {
  std::vector<std::string> out;
  for (const auto& [path, leaf] : state.entries()) out.push_back(tree::to_string(path));
  std::sort(out.begin(), out.end());
  return out;
}
const std::vector<std::string> kSown{"deep/block/seen", "deep/block/total", "layers/0/seen",
                                     "layers/0/total",  "layers/1/seen",    "layers/1/total",
                                     "object/seen",     "object/total"};

TEST(BridgeSown, N_038_B_069_capture_sees_what_wrapped_modules_sow) {
  Model model = made();
  const Tensor x = normal({2, 3});
  const std::vector<std::string> before = paths(nnx::state(model));
  const Tensor plain = model(x);
  nnx::pop(model.object, nnx::of_type<nnx::Intermediate>());
  const auto [y, kept] = nnx::capture<nnx::Intermediate>(model, [&](Model& m) { return m(x); });
  expect_equal(y, plain);
  EXPECT_EQ(paths(kept), kSown);
  const auto tensors = [&kept = kept](const char* path) {
    for (const auto& [at, leaf] : kept.entries())
      if (tree::to_string(at) == path) return leaf.cell->raw().tensors;
    return TensorList();
  };
  ASSERT_EQ(tensors("deep/block/seen").size(), 2u) << "called twice";
  expect_near(tensors("deep/block/total").at(0),
              sum(tensors("deep/block/seen")[0]) + sum(tensors("deep/block/seen")[1]), 1e-4);
  expect_near(tensors("layers/0/seen").at(0),
              matmul(x, model.layers[0]["up"]["kernel"]) + model.layers[0]["up"]["bias"].value());
  EXPECT_EQ(paths(nnx::state(model)), before);
  // No collection may change in calls outside of a capture.
  EXPECT_FALSE(model.layers[0].attributes().contains("seen"));
  model.layers[0].call({}, x);
  EXPECT_FALSE(model.layers[0].attributes().contains("seen"));
}

TEST(BridgeSown, N_038_wrappers_are_afterwards_as_they_were) {
  Model model = made();
  const Tensor x = normal({2, 3});
  model.deep.call({.mutate = {"intermediates"}}, x);
  const auto held = model.deep["block"]["seen"].variable().cell();
  const TensorList values = held->raw().tensors;
  const std::vector<std::string> before = paths(nnx::state(model));
  const auto [y, kept] =
      nnx::capture<nnx::Intermediate>(model, [&](Model& m) { return m.deep(x); });
  EXPECT_EQ(kept["deep"]["block"]["seen"].leaf().cell->raw().tensors.size(), 1u);
  EXPECT_THROW(nnx::capture<nnx::Intermediate>(model,
                                               [&](Model& m) -> Tensor {
                                                 m(x);
                                                 throw ValueError("stop");
                                               }),
               ValueError);
  EXPECT_EQ(model.deep["block"]["seen"].variable().cell(), held);
  ASSERT_EQ(held->raw().tensors.size(), 1u);
  expect_equal(held->raw().tensors[0], values[0]);
  EXPECT_EQ(paths(nnx::state(model)), before);
  // Kinds that nobody asked for are not sown, and state stays where it is.
  const auto [z, params] = nnx::capture<nnx::Param>(model, [&](Model& m) { return m(x); });
  EXPECT_EQ(params.size(), 0u);
  EXPECT_EQ(paths(nnx::state(model)), before);
  ASSERT_EQ(held->raw().tensors.size(), 1u);
}

TEST(BridgeSown, N_038_programs_of_the_time_before_the_capture_are_traced_anew) {
  Model model = made();
  const Tensor x = normal({2, 3});
  const auto step = jit([](ToNNX<Deep>& deep, const Tensor& v) { return deep(v); });
  const Tensor plain = step(model.deep, x);
  for (int i = 0; i < 2; ++i) {
    const auto [y, kept] =
        nnx::capture<nnx::Intermediate>(model, [&](Model& m) { return step(m.deep, x); });
    expect_near(y, plain);
    EXPECT_EQ(paths(kept), (std::vector<std::string>{"deep/block/seen", "deep/block/total"}));
    EXPECT_FALSE(kept["deep"]["block"]["seen"].leaf().cell->raw().tensors.at(0).traced());
  }
  EXPECT_EQ(step.trace_count(), 2u);
  step(model.deep, x);
  EXPECT_EQ(step.trace_count(), 2u);
}

TEST(BridgeSown, N_037_gradients_of_values_inside_wrapped_modules) {
  Model model = made();
  const Tensor x = normal({2, 3});
  auto& layer = model.layers[0];
  layer["nudge"] = ones({2, 3});
  const auto zeros_of =
      std::get<1>(nnx::capture<nnx::Perturbation>(model, [&](Model& m) { return m.layers[0](x); }));
  const std::vector<std::string> where{"deep/block/nudge", "layers/0/nudge", "layers/1/nudge"};
  EXPECT_EQ(paths(zeros_of), where);
  for (const auto& [path, leaf] : zeros_of.entries()) expect_equal(leaf.value(), zeros({2, 3}));
  expect_equal(layer["nudge"], ones({2, 3}));
  const auto loss = [&](Model& m, nnx::State& nudges) {
    return sum(std::get<0>(nnx::capture<nnx::Intermediate>(
        m, [&](Model& inner) { return inner.layers[0](x); }, nudges)));
  };
  nnx::State nudges = zeros_of;
  const auto gradients =
      nnx::grad(loss, nnx::DiffState<1>(nnx::of_type<nnx::Perturbation>()))(model, nudges);
  const Tensor h = matmul(x, layer["up"]["kernel"]) + layer["up"]["bias"].value();
  expect_near(gradients["layers"]["0"]["nudge"].value(), h * 2);
  expect_equal(layer["nudge"], ones({2, 3}));
  nnx::State stray;
  stray.insert({{"deep", -1}, {"nudge", -1}}, {nnx::Perturbation(ones({1})).cell(), {}});
  EXPECT_NE(thrown<ValueError>([&] { loss(model, stray); }).find("no member 'deep/nudge'"),
            std::string::npos);
}

TEST(BridgeSown, N_038_functional_modules_around_object_ones) {
  struct Around {
    Tensor operator()(Scope& s, const Tensor& x) const { return s("inner", to_linen<Object>(), x); }
  };
  nnx::Rngs rngs(0);
  const Tensor x = normal({2, 3});
  auto model = ToNNX(Around{}, rngs).lazy_init(x);
  const auto [y, kept] =
      nnx::capture<nnx::Intermediate>(model, [&](ToNNX<Around>& m) { return m(m(x)); });
  EXPECT_EQ(paths(kept), (std::vector<std::string>{"inner/seen", "inner/total"}));
  EXPECT_EQ(kept["inner"]["seen"].leaf().cell->raw().tensors.size(), 2u);
  expect_near(y, model(model(x)));
}

}  // namespace
}  // namespace linnet::bridge_tests::sown_test
