// State and trees of object modules: structure and paths, calls that fail, variables made inside
// transformations, and modules under vmap.
#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <unordered_map>

#include "linnet/core.h"
#include "linnet/error.h"
#include "linnet/linen.h"
#include "linnet/nnx.h"
#include "linnet/optim.h"
#include "linnet/trace.h"

namespace linnet::nnx_state_test {
namespace {

template <class E, class F>
void expect_error(const std::string& part, F&& f) {
  try {
    f();
    ADD_FAILURE() << "nothing thrown; expected: " << part;
  } catch (const E& e) {
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}

nnx::Linear linear(int64_t in, int64_t out, int64_t seed = 0) {
  nnx::Rngs rngs(seed);
  return nnx::Linear(in, out, rngs);
}
std::vector<double> doubles(const Tensor& t) { return t.to_vector<double>(); }

/// Every leaf's bytes, as text.
template <class M>
std::string snapshot(const M& model) {
  std::string out;
  for (const auto& [path, leaf] : tree::leaves_with_path(model)) {
    out += path + " " + to_string(leaf.type());
    for (double v : leaf.template to_vector<double>()) out += "," + std::to_string(v);
    out += ";";
  }
  return out;
}

// ---------------------------------------------------------------------------------- structure

struct ByNumber {
  std::map<int, nnx::Linear> blocks;
  LINNET_FIELDS(blocks)
};
struct ByName {
  std::map<std::string, nnx::Linear> blocks;
  LINNET_FIELDS(blocks)
};
struct Hashed {
  std::unordered_map<std::string, nnx::Linear> blocks;
  LINNET_FIELDS(blocks)
};

TEST(NnxTree, N_043_negative_and_different_keys_are_different_paths) {
  ByNumber model;
  model.blocks.emplace(-1, linear(2, 2));
  model.blocks.emplace(-2, linear(2, 2));
  const nnx::State state = nnx::state(model);
  EXPECT_EQ(state.size(), 4u);
  EXPECT_TRUE(state.contains("blocks/-1/kernel"));
  EXPECT_TRUE(state.contains("blocks/-2/kernel"));
  EXPECT_EQ(to_string(state["blocks"][-2]["bias"].shape()), "[2]");
  ByNumber one, seven;
  one.blocks.emplace(1, linear(2, 2));
  seven.blocks.emplace(7, linear(2, 2));
  EXPECT_FALSE(nnx::graphdef(one) == nnx::graphdef(seven));
  EXPECT_NE(tree::structure(one), tree::structure(seven));
  auto forward = jit([](ByNumber& m, const Tensor& x) { return m.blocks.begin()->second(x); });
  forward(one, ones({1, 2}));
  forward(seven, ones({1, 2}));
  EXPECT_EQ(forward.trace_count(), 2u);
}

TEST(NnxTree, N_043_names_with_slashes_and_digits_are_found_and_do_not_collide) {
  ByName model;
  model.blocks.emplace("a/kernel", linear(2, 3));
  model.blocks.emplace("a", linear(2, 4));
  model.blocks.emplace("0", linear(2, 5));
  const nnx::State state = nnx::state(model);
  EXPECT_EQ(state.size(), 6u);
  EXPECT_EQ(state["blocks"]["a"]["kernel"].shape(), (Shape{2, 4}));
  EXPECT_EQ(state["blocks"]["a\\/kernel"]["kernel"].shape(), (Shape{2, 3}));
  EXPECT_EQ(state["blocks"]["0"]["kernel"].shape(), (Shape{2, 5}));
  EXPECT_EQ(state["blocks"][0]["kernel"].shape(), (Shape{2, 5}));
  std::set<std::string> paths;
  for (const auto& [path, leaf] : state.entries()) paths.insert(tree::to_string(path));
  EXPECT_EQ(paths.size(), 6u);
  for (const std::string& path : paths) EXPECT_TRUE(state.contains(path)) << path;
  EXPECT_EQ(tree::leaves_with_path(state).size(), 6u);
  EXPECT_EQ(tree::leaves_with_path(state)[0].first, tree::to_string(state.entries()[0].first));
}

TEST(NnxTree, N_048_graph_definitions_hold_sizes_kinds_and_metadata) {
  EXPECT_FALSE(nnx::graphdef(linear(2, 3)) == nnx::graphdef(linear(2, 4)));
  EXPECT_TRUE(nnx::graphdef(linear(2, 3)) == nnx::graphdef(linear(2, 3, 1)));
  EXPECT_EQ(nnx::graphdef(linear(2, 3)).hash(), nnx::graphdef(linear(2, 3, 1)).hash());
  const nnx::Variable a(nnx::Param::static_type(), ones({2})),
      b(nnx::BatchStat::static_type(), ones({2})),
      c(nnx::Param::static_type(), ones({2}), {{"tag", std::string("frozen")}}),
      d(nnx::Param::static_type(), ones({2}, DType::kF64));
  EXPECT_FALSE(nnx::graphdef(a) == nnx::graphdef(b));
  EXPECT_FALSE(nnx::graphdef(a) == nnx::graphdef(c));
  EXPECT_FALSE(nnx::graphdef(a) == nnx::graphdef(d));
  EXPECT_NE(tree::structure(a), tree::structure(b)) << "compiled functions may ask for the kind";
}

TEST(NnxTree, hashed_maps_are_visited_in_the_order_of_their_keys) {
  Hashed model;
  for (const char* name : {"z", "m", "a"}) model.blocks.emplace(name, linear(2, 2));
  std::string paths;
  for (const auto& [path, leaf] : tree::leaves_with_path(model)) paths += path + " ";
  EXPECT_EQ(paths,
            "blocks/a/kernel blocks/a/bias blocks/m/kernel blocks/m/bias blocks/z/kernel "
            "blocks/z/bias ");
  Hashed copy = nnx::clone(model);
  copy.blocks.at("m").kernel = zeros({2, 2});
  EXPECT_NE(doubles(model.blocks.at("m").kernel.value())[0], 0);
  EXPECT_EQ(nnx::grad(
                [](Hashed& m) {
                  return sum(m.blocks.at("z")(ones({1, 2})));
                },
                model)
                .size(),
            6u);
}

TEST(NnxTree, N_045_two_handles_of_one_variable_are_one_leaf_and_stay_one_in_copies) {
  struct Two {
    nnx::Param first, second;
    LINNET_FIELDS(first, second)
  };
  nnx::Param first(ones({2}));
  Two model{nnx::Param(first), nnx::Param(first)};
  model.second.cell() = model.first.cell();
  EXPECT_EQ(nnx::state(model).size(), 1u);
  EXPECT_EQ(tree::leaves(model).size(), 1u);
  const Two copy = tree::copy(model);
  EXPECT_EQ(copy.first.cell(), copy.second.cell());
  EXPECT_NE(copy.first.cell(), model.first.cell());
  auto [definition, state] = nnx::split(model);
  const Two merged = nnx::merge<Two>(definition, state);
  EXPECT_EQ(merged.first.cell(), merged.second.cell());
  const nnx::State grads =
      nnx::grad([](Two& m) { return sum(m.first.value() * m.second.value()); }, model);
  EXPECT_EQ(doubles(grads["first"]), (std::vector<double>{2, 2}));
}

// ---------------------------------------------------------------------- calls that are refused

struct Net {
  nnx::Linear a;
  nnx::BatchNorm norm;
  nnx::Dropout drop;
  Tensor calls = zeros({});
  explicit Net(nnx::Rngs& rngs) : a(8, 16, rngs), norm(16, rngs), drop(0.3, rngs) {}
  LINNET_FIELDS(a, norm, drop, calls)
  Tensor operator()(const Tensor& x) {
    calls = calls + 1;
    return drop(norm(a(x)));
  }
};

struct Refused : ::testing::Test {
  nnx::Rngs rngs{0};
  Net net{rngs};
  Tensor x = reshape(sin(arange(0.0, 64.0)), {8, 8});

  template <class F>
  void unchanged(const char* what, F&& f) {
    const std::string before = snapshot(net);
    EXPECT_ANY_THROW(f()) << what;
    EXPECT_EQ(snapshot(net), before) << what;
    EXPECT_EQ(state::current_scope(), nullptr);
    EXPECT_EQ(current_trace(), nullptr);
  }
};

TEST_F(Refused, N_094_a_refused_loss_changes_nothing) {
  unchanged("not scalar", [&] { nnx::value_and_grad([&](Net& m) { return m(x); }, net); });
  unchanged("integer loss", [&] {
    nnx::value_and_grad([&](Net& m) { return sum(m(x)).astype(DType::kI32); }, net);
  });
  unchanged("undefined loss",
            [&] { nnx::value_and_grad([&](Net& m) { return m(x), Tensor(); }, net); });
  unchanged("throws after the forward pass", [&] {
    nnx::value_and_grad(
        [&](Net& m) -> Tensor {
          (void)m(x);
          throw ValueError("user");
        },
        net);
  });
  unchanged("with auxiliary result",
            [&] { nnx::value_and_grad([&](Net& m) { return std::make_pair(m(x), m(x)); }, net); });
  unchanged("core grad of a captured module", [&] {
    grad([&](const Tensor& v) {
      const Tensor y = net.norm(net.a(v));
      return y;
    })(x);
  });
  unchanged("inside jit", [&] {
    jit([](Net& m, const Tensor& v) {
      return nnx::value_and_grad([&](Net& k) { return k(v); }, m).first;
    })(net, x);
  });
  expect_error<ValueError>("the loss is an undefined tensor",
                           [&] { nnx::value_and_grad([&](Net&) { return Tensor(); }, net); });
}

TEST_F(Refused, J_080_J_082_other_transformations_check_before_they_write) {
  unchanged("tangent of another shape",
            [&] { jvp([&](const Tensor& v) { return net.norm(net.a(v)); }, x, ones({3})); });
  unchanged("out_axes none for a mapped result", [&] {
    vmap([&](const Tensor& v) { return net.a(v) + sum(net.drop(ones({4}))); },
         {.out_axes = {kNone}})(x);
  });
  unchanged("a batched write", [&] {
    vmap([&](const Tensor& v) { return net.norm(net.a(reshape(v, {1, 8}))); })(x);
  });
}

TEST_F(Refused, N_050_update_and_optimisers_check_before_they_write) {
  nnx::Linear other = linear(8, 16, 1), narrow = linear(4, 16, 1);
  optim::Optimizer optimizer(net, optim::adam(0.1));
  const std::string state_before = snapshot(optimizer);
  unchanged("gradients of another model", [&] {
    optimizer.update(net, nnx::grad([&](nnx::Linear& l) { return sum(l(x)); }, other));
  });
  unchanged("a gradient of another shape", [&] {
    nnx::State grads = nnx::state(net, nnx::of_type<nnx::Param>());
    grads.insert(grads.entries().back().first, {nullptr, ones({3})});
    optimizer.update(net, grads);
  });
  EXPECT_EQ(snapshot(optimizer), state_before);
  unchanged("update with wrong shapes", [&] { nnx::update(net.a, nnx::state(narrow)); });
  unchanged("update with an unknown path last", [&] {
    nnx::State state = nnx::state(other);
    state.insert({{"zzz", -1}}, {nullptr, ones({})});
    nnx::update(net.a, state);
  });
  expect_error<ShapeError>("'kernel' is f32[8,16] in the module and f32[4,16] in the state",
                           [&] { nnx::update(net.a, nnx::state(narrow)); });
}

TEST(NnxState, a_parameter_keeps_its_shape) {
  nnx::Linear layer = linear(2, 3);
  expect_error<ShapeError>("f32[2,3] cannot become f32[3,2]", [&] { layer.kernel = ones({3, 2}); });
  expect_error<ShapeError>("cannot become", [&] { layer.bias = nnx::Param(ones({4})).value(); });
  layer.kernel = ones({2, 3}, DType::kF64);
  EXPECT_EQ(layer.kernel.dtype(), DType::kF64);
  nnx::Cache cache(ones({2}));
  cache = ones({5});
  EXPECT_EQ(cache.shape(), (Shape{5}));
}

TEST(NnxState, a_filter_that_chooses_nothing_is_named) {
  nnx::Linear layer = linear(2, 3);
  const auto loss = [](nnx::Linear& l) { return sum(l(ones({1, 2}))); };
  expect_error<ValueError>("grad: the filter PathContains(nope,true) chooses none",
                           [&] { nnx::value_and_grad(loss, layer, nnx::path_contains("nope")); });
  expect_error<ValueError>(
      "grad: the filter OfType(LoRAParam) chooses none of the module's leaves\n  it has kernel "
      "(Param), bias (Param)",
      [&] { nnx::value_and_grad<nnx::LoRAParam>(loss, layer); });
  expect_error<ValueError>("optimizer: the filter Nothing chooses none",
                           [&] { optim::Optimizer o(layer, optim::sgd(0.1), nnx::nothing()); });
}

TEST(NnxState, N_094_plain_tensors_are_differentiated_and_lowered) {
  struct Plain {
    Tensor w, calls;
    LINNET_FIELDS(w, calls)
  };
  Plain model{tensor({1.f, 2.f}), zeros({})};
  const auto [loss, grads] = nnx::value_and_grad(
      [](Plain& m) {
        m.calls = m.calls + sum(m.w);
        return sum(square(m.w));
      },
      model, nnx::path_in({"w"}));
  EXPECT_EQ(doubles(grads["w"]), (std::vector<double>{2, 4}));
  EXPECT_EQ(model.calls.item<double>(), 3) << "what is written leaves without derivatives";
  EXPECT_EQ(doubles(model.w), (std::vector<double>{1, 2}));
  EXPECT_THROW(nnx::value_and_grad(
                   [](Plain& m) {
                     m.calls = m.calls + sum(m.w);
                     return m.w;
                   },
                   model, nnx::path_in({"w"})),
               ShapeError);
  EXPECT_EQ(model.calls.item<double>(), 3);
}

struct Block {
  nnx::Linear up;
  nnx::LayerNorm norm;
  explicit Block(nnx::Rngs& rngs) : up(4, 4, rngs), norm(4, rngs) {}
  LINNET_FIELDS(up, norm)
  Tensor operator()(const Tensor& x) const { return norm(up(x)); }
};
struct Stack {
  std::vector<Block> blocks;
  nnx::MultiHeadAttention attention;
  nnx::Linear head;
  explicit Stack(nnx::Rngs& rngs) : attention(2, 4, rngs), head(3, 2, rngs) {
    for (int i = 0; i < 2; ++i) blocks.emplace_back(rngs);
  }
  LINNET_FIELDS(blocks, attention, head)
  Tensor operator()(const Tensor& x) {
    Tensor h = x;
    for (const Block& block : blocks) h = block(h);
    return head(attention(h));
  }
};

TEST(NnxState, errors_and_programs_carry_the_place_in_the_model) {
  nnx::Rngs rngs(0);
  Stack model(rngs);
  nnx::train(model);
  const Tensor x = ones({1, 3, 4});
  const auto loss = [&](Stack& m) { return sum(m(x)); };
  expect_error<ShapeError>("\n  in head", [&] { nnx::value_and_grad(loss, model); });
  expect_error<ShapeError>("\n  in blocks/0/up", [&] { model(ones({1, 3, 5})); });
  nnx::LayerNorm& norm = model.blocks[1].norm;
  expect_error<Error>("\n  in blocks/1/norm", [&] { norm(ones({2, 5})); });
  expect_error<Error>("\n  in attention", [&] { model.attention(ones({1, 3, 5})); });
  EXPECT_TRUE(module_path().empty());
  Block& block = model.blocks[0];
  const std::string program =
      jit([](const Block& b, const Tensor& v) { return b(v); }).lower(block, x).text();
  EXPECT_NE(program.find("blocks/0/up"), std::string::npos) << program;
  // A copy keeps the names; a model that nobody has walked has none.
  Stack copy = nnx::clone(model);
  expect_error<ShapeError>("\n  in blocks/0/up", [&] { copy(ones({1, 3, 5})); });
  Block fresh(rngs);
  try {
    fresh(ones({1, 3, 5}));
  } catch (const ShapeError& e) {
    EXPECT_EQ(std::string(e.what()).find("\n  in "), std::string::npos) << e.what();
  }
}

TEST(NnxState, places_below_an_outer_scope_are_not_repeated) {
  nnx::Param w(ones({1}));
  w.cell()->label = "model/attention/query/kernel";
  const auto place = [&](int above) {
    const nnx::LayerPath path(w, above);
    return module_path();
  };
  EXPECT_EQ(place(1), "model/attention/query");
  EXPECT_EQ(place(2), "model/attention");
  EXPECT_EQ(place(9), "");
  const ModulePathScope outer("wrapper/model");
  EXPECT_EQ(place(1), "wrapper/model/attention/query");
  const nnx::LayerPath attention(w, 2);
  EXPECT_EQ(place(1), "wrapper/model/attention/query");
  EXPECT_EQ(place(2), "wrapper/model/attention");
}

// ------------------------------------------------------- variables made inside transformations

/// Makes a variable at its first call.
struct Lazy {
  std::optional<nnx::Param> w;
  LINNET_FIELDS(w)
  Tensor operator()(const Tensor& x) {
    if (!w) w.emplace(ones({x.shape(-1)}) * 2);
    return x * w->value();
  }
};

TEST(NnxState, variables_made_inside_a_transformation_of_a_captured_module_hold_values) {
  const Tensor x = ones({4, 3});
  const auto check = [&](const char* what, auto f) {
    Lazy model;
    f(model);
    ASSERT_TRUE(model.w) << what;
    EXPECT_FALSE(model.w->value().traced()) << what;
    EXPECT_EQ(doubles(model(x))[0], 2) << what;
  };
  check("grad", [&](Lazy& m) { grad([&](const Tensor& t) { return sum(m(t)); })(x); });
  check("vjp", [&](Lazy& m) { vjp([&](const Tensor& t) { return m(t); }, x); });
  check("jvp", [&](Lazy& m) { jvp([&](const Tensor& t) { return m(t); }, x, x); });
  check("vmap", [&](Lazy& m) { vmap([&](const Tensor& t) { return m(t); })(x); });
  check("jit", [&](Lazy& m) {
    const auto f = jit([&](const Tensor& t) { return m(t); });
    f(x);
    EXPECT_EQ(doubles(m.w->value()), (std::vector<double>{2, 2, 2}));
    EXPECT_EQ(doubles(f(x))[0], 2);
  });
  check("grad in jit", [&](Lazy& m) {
    jit([&](const Tensor& t) { return grad([&](const Tensor& z) { return sum(m(z)); })(t); })(x);
  });
  check("jit in grad", [&](Lazy& m) {
    grad([&](const Tensor& t) { return jit([&](const Tensor& z) { return sum(m(z)); })(t); })(x);
  });
  check("nnx grad of another module", [&](Lazy& m) {
    nnx::Linear layer = linear(3, 3);
    nnx::grad([&](nnx::Linear& l) { return sum(m(l(x))); }, layer);
  });
  check("a loss that is refused",
        [&](Lazy& m) { EXPECT_THROW(grad([&](const Tensor& t) { return m(t); })(x), ShapeError); });
}

TEST(NnxState, variables_that_would_have_no_value_are_refused_where_they_are_made) {
  const Tensor x = ones({4, 3});
  Lazy model;
  expect_error<TraceError>("eval_shape: a variable was made inside and outlives it",
                           [&] { eval_shape([&](const Tensor& t) { return model(t); }, x); });
  struct Keeper {
    std::optional<nnx::Param> last;
  } keeper;
  expect_error<TraceError>("vmap: a variable was made inside, outlives it and differs", [&] {
    vmap([&](const Tensor& t) {
      keeper.last.emplace(t * 2);
      return t;
    })(x);
  });
  EXPECT_THROW((void)(keeper.last->value() + 1).item<float>(), TraceError);
}

TEST(NnxState, N_137_weights_sown_inside_grad_of_a_captured_module_are_readable) {
  nnx::Rngs rngs(0);
  nnx::MultiHeadAttention layer(2, 4, rngs);
  grad([&](const Tensor& q) { return sum(layer(q, {.sow_weights = true})); })(ones({1, 3, 4}));
  const state::Value sown = layer.attention_weights->raw_value();
  ASSERT_EQ(sown.tensors.size(), 1u);
  EXPECT_EQ((sown.tensors[0] + 0).shape(), (Shape{1, 2, 3, 3}));
  EXPECT_FALSE(sown.tensors[0].traced());
}

TEST(NnxState, N_036_sow_under_jit_grows_with_arguments_and_is_refused_when_captured) {
  const Tensor q = ones({1, 3, 4});
  nnx::Rngs rngs(0);
  nnx::MultiHeadAttention passed(2, 4, rngs), captured(2, 4, rngs);
  const auto step =
      jit([](nnx::MultiHeadAttention& m, const Tensor& v) { return m(v, {.sow_weights = true}); });
  for (size_t calls = 1; calls <= 3; ++calls) {
    step(passed, q);
    EXPECT_EQ(passed.attention_weights->raw_value().tensors.size(), calls);
  }
  EXPECT_EQ(step.trace_count(), 3u) << "each length is a structure of its own";
  const auto closed = jit([&](const Tensor& v) { return captured(v, {.sow_weights = true}); });
  closed(q);
  EXPECT_EQ(captured.attention_weights->raw_value().tensors.size(), 1u);
  expect_error<TraceError>("take the values out between calls", [&] { closed(q); });
  EXPECT_EQ(captured.attention_weights->raw_value().tensors.size(), 1u);
}

// ------------------------------------------------------------------------------ modules in vmap

struct OneLayer {
  nnx::Linear a;
  explicit OneLayer(nnx::Rngs& rngs) : a(3, 2, rngs) {}
  LINNET_FIELDS(a)
  Tensor operator()(const Tensor& x) const { return a(x); }
};

struct Vmapped : ::testing::Test {
  Tensor keys = random::split(Key(0), 5).data(), x = ones({4, 3});
  static OneLayer make(const Tensor& key) {
    nnx::Rngs rngs{Key(key)};
    return OneLayer(rngs);
  }
  OneLayer one(int64_t i) { return make(index_axis(keys, i, 0)); }
};

TEST_F(Vmapped, J_082_states_are_made_and_read_in_a_batch) {
  const nnx::State states = vmap([](const Tensor& key) {
    OneLayer m = make(key);
    return nnx::state(m);
  })(keys);
  EXPECT_EQ(states["a"]["kernel"].shape(), (Shape{5, 3, 2}));
  const Tensor sums =
      vmap([](const nnx::State& s) { return sum(s["a"]["kernel"].value()); })(states);
  OneLayer prototype = one(0);
  const nnx::GraphDef definition = nnx::graphdef(prototype);
  const Tensor outputs = vmap(
      [&](const nnx::State& s, const Tensor& v) { return nnx::merge<OneLayer>(definition, s)(v); },
      {.in_axes = {0, kNone}})(states, x);
  ASSERT_EQ(outputs.shape(), (Shape{5, 4, 2}));
  for (int64_t i = 0; i < 5; ++i) {
    const OneLayer m = one(i);
    EXPECT_NEAR(sums[i].item<double>(), sum(m.a.kernel.value()).item<double>(), 1e-6);
    const auto got = doubles(index_axis(outputs, i, 0)), wanted = doubles(m(x));
    for (size_t k = 0; k < got.size(); ++k) EXPECT_NEAR(got[k], wanted[k], 1e-6);
  }
}

TEST_F(Vmapped, J_082_modules_are_made_and_called_in_a_batch) {
  const OneLayer many = vmap([](const Tensor& key) { return make(key); })(keys);
  EXPECT_EQ(many.a.kernel.shape(), (Shape{5, 3, 2}));
  const auto call = [](const OneLayer& m, const Tensor& v) { return m(v); };
  const Tensor outputs = vmap(call, {.in_axes = {0, kNone}})(many, x);
  EXPECT_EQ(outputs.shape(), (Shape{5, 4, 2}));
  const Tensor jitted = jit([&](const OneLayer& m, const Tensor& v) {
    return vmap(call, {.in_axes = {0, kNone}})(m, v);
  })(many, x);
  EXPECT_EQ(doubles(jitted), doubles(outputs));
  const OneLayer grads = grad([&](const OneLayer& m) {
    return sum(vmap(call, {.in_axes = {0, kNone}})(m, x));
  })(many);
  EXPECT_EQ(doubles(grads.a.bias->value()), std::vector<double>(10, 4));
}

TEST_F(Vmapped, J_082_batch_statistics_of_a_copy_come_out_as_results) {
  nnx::Rngs rngs(0);
  nnx::BatchNorm norm(2, rngs);
  const Tensor xs = random::normal(Key(1), {3, 4, 2});
  const auto [y, means] = vmap(
      [](const nnx::BatchNorm& b, const Tensor& v) {
        nnx::BatchNorm own = b;
        const Tensor out = own(v);
        return std::make_pair(out, own.mean.value());
      },
      {.in_axes = {kNone, 0}})(norm, xs);
  EXPECT_EQ(y.shape(), (Shape{3, 4, 2}));
  EXPECT_EQ(means.shape(), (Shape{3, 2}));
  EXPECT_EQ(doubles(norm.mean.value()), (std::vector<double>{0, 0}));
}

TEST(NnxState, J_078_core_transformations_take_modules_and_states) {
  OneLayer model = Vmapped::make(Key(3).data());
  const Tensor x = ones({4, 3});
  const OneLayer g = grad([&](const OneLayer& m) { return sum(m(x)); })(model);
  EXPECT_EQ(doubles(g.a.kernel), std::vector<double>(6, 4));
  const nnx::State state = nnx::state(model);
  const nnx::State gs =
      grad([](const nnx::State& s) { return sum(square(s["a"]["kernel"].value())); })(state);
  EXPECT_EQ(doubles(gs["a"]["kernel"].value()), doubles(model.a.kernel.value() * 2));
  const auto total = jit([](const nnx::State& s) { return sum(s["a"]["kernel"].value()); });
  EXPECT_NEAR(total(state).item<double>(), sum(model.a.kernel.value()).item<double>(), 1e-6);
  auto [y, pull] = vjp([&](const OneLayer& m) { return m; }, model);
  const OneLayer back = pull(y);
  EXPECT_EQ(doubles(back.a.kernel), doubles(model.a.kernel)) << "results may be modules";
}

TEST(Printing, what_stands_for_a_tensor_prints_as_one_and_a_variable_with_its_kind) {
  nnx::Rngs rngs(0);
  nnx::Linear linear(2, 1, {.use_bias = false}, rngs);
  linear.kernel = ones({2, 1});
  linen::Variables vars;
  vars.at_path({"params", "kernel"}) = linen::Variables(ones({2, 1}));
  std::ostringstream expected, got;
  for (int i = 0; i < 2; ++i) expected << ones({2, 1}) << ";";
  for (int i = 0; i < 2; ++i) expected << "Param(" << ones({2, 1}) << ", 8 bytes);";
  const std::optional<nnx::Param> parameter = linear.kernel;
  got << vars["params"]["kernel"] << ";" << nnx::state(linear)["kernel"] << ";" << linear.kernel
      << ";" << parameter << ";";
  EXPECT_EQ(got.str(), expected.str());
  std::ostringstream none;
  none << std::optional<nnx::Param>();
  EXPECT_EQ(none.str(), "nullopt");
}

}  // namespace
}  // namespace linnet::nnx_state_test
