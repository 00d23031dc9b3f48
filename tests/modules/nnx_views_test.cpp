// Views of a model, values captured on the way through it, and gradients of them.
#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/error.h"
#include "linnet/nnx.h"
#include "linnet/nnx_tools.h"
#include "linnet/optim.h"
#include "tests/modules/error_message.h"

namespace linnet::nnx_views_test {
namespace {

std::vector<float> floats(const Tensor& t) { return t.to_vector<float>(); }
struct Block {
  nnx::Linear linear;
  nnx::Dropout drop;
  nnx::BatchNorm norm;
  int64_t repeats = 1;
  double scale = 1;
  std::string name = "block";
  explicit Block(nnx::Rngs& rngs) : linear(4, 4, rngs), drop(0.5, rngs), norm(4, rngs) {}
  LINNET_FIELDS(linear, drop, norm, repeats, scale, name)
  Tensor operator()(const Tensor& x) { return drop(norm(linear(x))) * scale; }
};
struct Net {
  std::vector<Block> blocks;
  nnx::Dropout last;
  explicit Net(nnx::Rngs& rngs) : last(0.1, rngs) {
    for (int i = 0; i < 2; ++i) blocks.emplace_back(rngs);
  }
  LINNET_FIELDS(blocks, last)
  Tensor operator()(const Tensor& x) {
    Tensor y = x;
    for (Block& block : blocks) y = block(y);
    return last(y);
  }
};
Net make() {
  nnx::Rngs rngs(0);
  return Net(rngs);
}

TEST(NnxViews, N_033_other_modes_on_the_same_variables) {
  Net model = make();
  Net serving = nnx::view(model, {{"deterministic", true}, {"use_running_average", true}});
  EXPECT_FALSE(model.blocks[0].drop.deterministic || model.blocks[1].norm.use_running_average);
  EXPECT_TRUE(serving.blocks[0].drop.deterministic && serving.blocks[1].norm.use_running_average);
  EXPECT_TRUE(serving.last.deterministic);
  EXPECT_EQ(serving.blocks[1].linear.kernel.cell(), model.blocks[1].linear.kernel.cell());
  const Tensor x = random::normal(Key(1), {3, 4});
  model(x);
  EXPECT_EQ(floats(serving.blocks[0].norm.mean), floats(model.blocks[0].norm.mean));
  EXPECT_EQ(floats(serving(x)), floats(serving(x)));
  // Of some modules only.
  const Net partly =
      nnx::view(model, {{"deterministic", true}},
                {.only = [](const tree::Path& path, const nnx::ModuleRef& module) {
                  return module.as<nnx::Dropout>() && tree::to_string(path).starts_with("blocks/1");
                }});
  EXPECT_FALSE(partly.blocks[0].drop.deterministic || partly.last.deterministic);
  EXPECT_TRUE(partly.blocks[1].drop.deterministic);
  // Names that nobody uses.
  EXPECT_HAS(message<ValueError>([&] {
               nnx::view(model, {{"unknown", true}, {"another", false}, {"deterministic", true}});
             }),
             "view: no module has or takes another, unknown");
  EXPECT_HAS(message<ValueError>([&] {
               nnx::view(model, {{"scale", 2.0}});
             }),
             "scale")
      << "a view changes modes";
  nnx::view(model, {{"unknown", true}}, {.raise_if_not_found = false});
  EXPECT_HAS(message<ValueError>([&] {
               nnx::view(model, {{"deterministic", 1.5}});
             }),
             "'deterministic': expected a bool, got a number");
}

/// Takes what it knows.
struct Noisy {
  nnx::Param w;
  double noise = 0;
  explicit Noisy(float value) : w(ones({2}) * value) {}
  void set_view(nnx::Attributes& attributes) {
    if (const auto level = attributes.take<double>("noise_level")) noise = *level;
  }
  LINNET_FIELDS(w, noise)
};

TEST(NnxViews, N_033_modules_take_what_they_know) {
  const std::vector<Noisy> models{Noisy(1), Noisy(2)};
  const std::vector<Noisy> noisy = nnx::view(models, {{"noise_level", 0.25}});
  EXPECT_EQ(noisy[1].noise, 0.25);
  EXPECT_EQ(models[1].noise, 0);
  EXPECT_EQ(noisy[1].w.cell(), models[1].w.cell());
  EXPECT_EQ(nnx::view(models, {{"noise_level", 3}})[0].noise, 3) << "whole numbers are numbers";
  // Attention allocates a cache of the view's own.
  nnx::Rngs rngs(0);
  nnx::MultiHeadAttention attention(2, 6, rngs);
  nnx::MultiHeadAttention decoder =
      nnx::view(attention, {{"decode", true}, {"batch_size", 3}, {"max_length", 5}});
  EXPECT_EQ(decoder.cached_key->shape(), (Shape{3, 5, 2, 3}));
  EXPECT_FALSE(attention.cached_key || attention.decode);
  EXPECT_EQ(decoder.query.kernel.cell(), attention.query.kernel.cell());
  EXPECT_EQ(decoder(ones({3, 1, 6})).shape(), (Shape{3, 1, 6}));
  EXPECT_HAS(message<ValueError>([&] {
               nnx::view(attention, {{"batch_size", 3}});
             }),
             "batch_size and max_length are given together");
}

TEST(NnxViews, N_035_settings_of_a_sharing_copy) {
  Net model = make();
  const Net other = nnx::with_attributes(
      model,
      {{"scale", 2}, {"repeats", 3}, {"name", std::string("other")}, {"deterministic", true}});
  EXPECT_EQ(other.blocks[1].scale, 2);
  EXPECT_EQ(other.blocks[0].repeats, 3);
  EXPECT_EQ(other.blocks[0].name, "other");
  EXPECT_TRUE(other.last.deterministic);
  EXPECT_EQ(model.blocks[1].scale, 1);
  EXPECT_EQ(model.blocks[0].name, "block");
  EXPECT_EQ(other.blocks[0].linear.kernel.cell(), model.blocks[0].linear.kernel.cell());
  const Net chosen =
      nnx::with_attributes(model, {{"rate", 0.25}}, {.only = nnx::of_module<nnx::Dropout>()});
  EXPECT_EQ(chosen.last.rate, 0.25);
  EXPECT_HAS(message<ValueError>([&] {
               nnx::with_attributes(model, {{"zz", 1}, {"aa", 1}, {"scale", 1}});
             }),
             "with_attributes: no module has or takes aa, zz");
  EXPECT_HAS(
      message<ValueError>([&] {
        nnx::with_attributes(model, {{"rate", 0.1}}, {.only = nnx::of_module<nnx::Linear>()});
      }),
      "rate")
      << "no chosen module has it";
}

bool cache_was_kept = false;

struct Layer {
  nnx::Linear up;
  std::optional<nnx::Intermediate> features, total;
  std::optional<nnx::Perturbation> before;
  std::optional<nnx::Cache> other;
  explicit Layer(nnx::Rngs& rngs) : up(3, 3, rngs) {}
  LINNET_FIELDS(up, features, total, before, other)
  Tensor operator()(const Tensor& x) {
    const Tensor h = nnx::perturb(before, up(x));
    nnx::sow(features, h);
    nnx::sow(
        total, sum(h), [](const Tensor& a, const Tensor& b) { return a + b; }, Tensor(0.f));
    cache_was_kept = nnx::sow(other, x);
    return h * h;
  }
};
struct Twice {
  nnx::Shared<Layer> first;
  Layer second;
  explicit Twice(nnx::Rngs& rngs) : first(nnx::Shared<Layer>::make(rngs)), second(rngs) {}
  LINNET_FIELDS(first, second)
  Tensor operator()(const Tensor& x) { return second((*first)((*first)(x))); }
};
Twice twice() {
  nnx::Rngs rngs(0);
  return Twice(rngs);
}

TEST(NnxCapture, N_038_N_161_states_of_what_was_sown) {
  Twice model = twice();
  const Tensor x = ones({2, 3});
  auto [y, kept] = nnx::capture<nnx::Intermediate>(model, [&](Twice& m) { return m(x); });
  EXPECT_EQ(kept.size(), 4u) << nnx::to_string(kept);
  EXPECT_EQ(kept["first"]["features"].leaf().cell->raw().tensors.size(), 2u) << "called twice";
  EXPECT_EQ(kept["second"]["features"].leaf().cell->raw().tensors.size(), 1u);
  EXPECT_EQ(floats(kept["second"]["features"].leaf().cell->raw().tensors[0] *
                   kept["second"]["features"].leaf().cell->raw().tensors[0]),
            floats(y));
  EXPECT_NEAR(kept["second"]["total"].value().item<float>(),
              sum(kept["second"]["features"].leaf().cell->raw().tensors[0]).item<float>(), 1e-5f);
  EXPECT_FALSE(model.first->features || model.second.total || model.second.other);
  EXPECT_FALSE(cache_was_kept) << "that kind was not asked for";
  // Several kinds, one state each.
  const auto [z, features, caches] =
      nnx::capture<nnx::Intermediate, nnx::Cache>(model, [&](Twice& m) { return m(x); });
  EXPECT_EQ(floats(z), floats(y));
  EXPECT_EQ(features.size(), 4u);
  EXPECT_EQ(caches.size(), 2u);
  // Through a method, through jit, and of a part.
  const auto [w, part] = nnx::capture<nnx::Intermediate>(model.second, [&](Layer& m) {
    return jit([](Layer& l, const Tensor& v) { return l(v); })(m, x);
  });
  EXPECT_EQ(part.size(), 2u);
  EXPECT_FALSE(model.second.features);
  EXPECT_FALSE(part["features"].leaf().cell->raw().tensors[0].traced());
}

TEST(NnxCapture, N_038_the_model_is_as_it_was_afterwards) {
  Twice model = twice();
  model(ones({2, 3}));
  const state::CellPtr held = model.second.features->cell();
  const size_t count = nnx::state(model).size();
  EXPECT_THROW(nnx::capture<nnx::Intermediate>(model,
                                               [&](Twice& m) -> Tensor {
                                                 m(ones({2, 3}));
                                                 throw ValueError("stop");
                                               }),
               ValueError);
  EXPECT_EQ(model.second.features->cell(), held);
  EXPECT_EQ(held->raw().tensors.size(), 1u);
  EXPECT_EQ(nnx::state(model).size(), count);
  nnx::Intermediate stray(ones({1}));
  nnx::State init;
  init.insert({{"nowhere", -1}}, {stray.cell(), {}});
  EXPECT_HAS(message<ValueError>([&] {
               nnx::capture<nnx::Intermediate>(
                   model,
                   [&](Twice& m) {
                     return m(ones({2, 3}));
                   },
                   init);
             }),
             "no member 'nowhere'");
}

TEST(NnxCapture, N_161_sown_values_are_popped) {
  Twice model = twice();
  model(ones({2, 3}));
  model(ones({2, 3}));
  const nnx::State sown = nnx::pop(model, nnx::of_type<nnx::Intermediate>());
  // A perturbation is an intermediate.
  EXPECT_EQ(sown.size(), 6u) << nnx::to_string(sown);
  EXPECT_EQ(sown["first"]["features"].leaf().cell->raw().tensors.size(), 4u);
  EXPECT_FALSE(model.first->features);
  nnx::pop(model, nnx::of_type<nnx::Cache>());
  // In a jitted training step they come out with the results.
  const auto step = jit([](Twice& m, const Tensor& x) {
    const Tensor y = m(x);
    return std::make_pair(y, nnx::pop(m, nnx::of_type<nnx::Intermediate>()));
  });
  for (int i = 0; i < 3; ++i) {
    const auto [y, out] = step(model, ones({2, 3}));
    EXPECT_EQ(out["second"]["features"].leaf().cell->raw().tensors.size(), 1u);
    nnx::pop(model, nnx::of_type<nnx::Cache>());
  }
  EXPECT_FALSE(model.second.features);
  EXPECT_EQ(step.trace_count(), 1u);
}

TEST(NnxCapture, N_037_gradients_of_values_on_the_way) {
  Twice model = twice();
  const Tensor x = random::normal(Key(1), {2, 3});
  // 1: zeros.
  const auto [y, zeros_of] =
      nnx::capture<nnx::Perturbation>(model.second, [&](Layer& m) { return m(x); });
  EXPECT_EQ(zeros_of["before"].shape(), (Shape{2, 3}));
  EXPECT_EQ(sum(abs(zeros_of["before"].value())).item<float>(), 0);
  EXPECT_FALSE(model.second.before);
  // 2 and 3: gradients with respect to them.
  const auto loss = [&](Layer& m, nnx::State& perturbations) {
    const auto [out, kept] = nnx::capture<nnx::Intermediate>(
        m, [&](Layer& layer) { return layer(x); }, perturbations);
    return std::make_pair(sum(out), kept);
  };
  nnx::State perturbations = zeros_of;
  const auto [gradients, kept] =
      nnx::grad(loss, nnx::DiffState<0>(), nnx::DiffState<1>(nnx::of_type<nnx::Perturbation>()))(
          model.second, perturbations);
  const Tensor h = model.second.up(x);
  const auto got = floats(std::get<1>(gradients)["before"]), wanted = floats(2 * h);
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 1e-5f) << "d sum(h²) / dh";
  EXPECT_EQ(std::get<0>(gradients).size(), 2u);
  EXPECT_EQ(kept.size(), 2u);
  EXPECT_EQ(floats(y), floats(h * h));
  // Without a capture the zeros stay in the model; in one of other kinds nothing is added.
  model.second(x);
  EXPECT_TRUE(model.second.before);
  model.second.before = ones({2, 3});
  EXPECT_EQ(floats(model.second(x)), floats((h + 1) * (h + 1)));
  const auto [plain, none] =
      nnx::capture<nnx::Intermediate>(model.second, [&](Layer& m) { return m(x); });
  EXPECT_EQ(floats(plain), floats(h * h));
}

TEST(NnxCapture, N_036_values_are_kept_between_calls) {
  Twice model = twice();
  for (size_t calls = 1; calls <= 2; ++calls) {
    model.second(ones({2, 3}));
    EXPECT_EQ(model.second.features->raw_value().tensors.size(), calls);
  }
  EXPECT_NEAR(model.second.total->value().item<float>(),
              2 * sum(model.second.up(ones({2, 3}))).item<float>(), 1e-4f);
  EXPECT_TRUE(cache_was_kept);
}

}  // namespace
}  // namespace linnet::nnx_views_test
