// What a functional module is in C++: a value with fields, bound to a scope while it is called. The
// counterparts of Flax's fields, setup, compact methods, adoption and names.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "linnet/core.h"
#include "linnet/io/json.h"
#include "linnet/linen.h"
#include "linnet/linen/errors.h"
#include "linnet/linen/method.h"
#include "linnet/linen/module_identity.h"
#include "linnet/profile.h"

namespace linnet::linen_modules_test {
namespace {

using linen::Scope;
using linen::Variables;

using Names = std::vector<std::string>;

Tensor x() { return ones({2, 3}); }

template <class E, class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing of this type was thrown";
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Mlp {
  int64_t hidden = 4;
  double slope = 0.1;
  LINNET_FIELDS(hidden, slope)

  Tensor operator()(Scope& s, const Tensor& y) const {
    return leaky_relu(s(linen::Dense{.features = hidden}, y), slope);
  }
};

struct DeepMlp : Mlp {
  int64_t depth = 2;
  LINNET_FIELDS_AND_BASE(Mlp, depth)

  Tensor operator()(Scope& s, Tensor y) const {
    for (int64_t i = 0; i < depth; ++i) y = Mlp::operator()(s, y);
    return y;
  }
};

TEST(LinenModule, L_024_L_025_fields_are_values_in_the_order_of_inheritance) {
  const DeepMlp deep{{.hidden = 5}, 3};  // those of the base first, then its own
  DeepMlp wider = deep;
  wider.hidden = 6;
  EXPECT_EQ(deep.hidden, 5) << "a copy is a module of its own";
  const Variables vars = linen::init(wider, Key(0), x());
  EXPECT_EQ(vars["params"].keys(), (Names{"Dense_0", "Dense_1", "Dense_2"}));
  EXPECT_EQ(vars["params"]["Dense_2"]["kernel"].shape(), (Shape{6, 6}));
  EXPECT_EQ(summary(deep), "DeepMlp(depth=3, hidden=5, slope=0.1)");
  // Fields without defaults may follow those that have them: all have names.
  struct Required : Mlp {
    int64_t outputs;
    LINNET_FIELDS_AND_BASE(Mlp, outputs)
  };
  EXPECT_EQ((Required{{.slope = 0.5}, 3}).outputs, 3);
  // A field may be called `name` or `parent`: no such words are reserved.
  struct Named {
    std::string name;
    int64_t parent = 0;
    LINNET_FIELDS(name, parent)
    Tensor operator()(Scope& s, const Tensor& y) const {
      return s(name, linen::Dense{.features = parent}, y);
    }
  };
  EXPECT_EQ(linen::init(Named{"up", 2}, Key(0), x())["params"].keys(), Names{"up"});
}

TEST(LinenModule, L_026_equality_and_identity_by_type_and_fields) {
  using linen::detail::identity_of;
  EXPECT_EQ(identity_of(Mlp{3}), identity_of(Mlp{3}));
  EXPECT_NE(identity_of(Mlp{3}), identity_of(Mlp{4}));
  EXPECT_NE(identity_of(Mlp{4}), identity_of(DeepMlp{{4}, 0}));
  EXPECT_EQ(std::set<std::string>({identity_of(Mlp{3}), identity_of(Mlp{3})}).size(), 1u);
  // A function is equal to its copies only, and so is a module that holds one.
  const linen::Dense a{.features = 2, .kernel_init = init::normal(0.02)};
  const linen::Dense b{.features = 2, .kernel_init = init::normal(0.02)};
  EXPECT_EQ(identity_of(linen::Dense(a)), identity_of(a));
  EXPECT_NE(identity_of(a), identity_of(b));
  // A user's equality is C++'s own.
  struct Compared {
    int64_t id = 0, note = 0;
    bool operator==(const Compared& other) const { return id == other.id; }
  };
  EXPECT_EQ((Compared{1, 2}), (Compared{1, 3}));
}

struct Stack {
  std::vector<linen::Dense> layers;
  std::map<std::string, linen::Dense> heads;
  LINNET_FIELDS(layers, heads)

  Tensor operator()(Scope& s, Tensor y) const {
    for (size_t i = 0; i < layers.size(); ++i) y = s("layers_" + std::to_string(i), layers[i], y);
    Tensor out = zeros({});
    for (const auto& [name, head] : heads) out = out + sum(s("heads_" + name, head, y));
    return out;
  }
};

TEST(LinenModule, L_027_L_035_containers_of_modules_are_values) {
  std::vector<linen::Dense> layers{{.features = 4}, {.features = 5}};
  const Stack stack{layers, {{"a", {.features = 1}}, {"b", {.features = 2}}}};
  layers.push_back({.features = 6});
  layers[0].features = 9;
  const Variables vars = linen::init(stack, Key(0), x());
  EXPECT_EQ(vars["params"].keys(), (Names{"heads_a", "heads_b", "layers_0", "layers_1"}))
      << "the list outside is another one";
  EXPECT_EQ(vars["params"]["layers_0"]["kernel"].shape(), (Shape{3, 4}));
  // Sharing is that of the scope, whichever module of equal settings is called in it.
  const auto shared = [&](Scope& s, const Tensor& y) {
    Scope scope = s.child("layers_0");
    const std::vector<linen::Dense> same{{.features = 3}, {.features = 3}};
    return Scope::call(scope, same[1], Scope::call(scope, same[0], y));
  };
  EXPECT_EQ(linen::init(shared, Key(0), x())["params"].keys(), Names{"layers_0"});
}

struct NotConst {
  int64_t calls = 0;
  Tensor operator()(Scope&, const Tensor& y) {
    ++calls;
    return y;
  }
};
template <class M>
concept Assignable = requires(const M& module) { module.hidden = 3; };

TEST(LinenModule, L_028_modules_cannot_be_changed_while_they_run) {
  // Refused by the compiler: operator() is const, and what is not is no module.
  static_assert(!Assignable<Mlp>);
  static_assert(!std::is_invocable_v<const NotConst&, Scope&, const Tensor&>);
  static_assert(linen::detail::ModuleCheck<Mlp, Tensor>::kCallable);
  Mlp module;
  module.hidden = 7;  // outside of a call it is a struct like any other
  const auto vars = linen::init(module, Key(0), x());
  EXPECT_EQ(vars["params"]["Dense_0"]["bias"].shape(), Shape{7});
  EXPECT_EQ(module.hidden, 7);
}

TEST(LinenModule, L_029_a_module_is_a_child_of_the_scope_that_calls_it) {
  const linen::Dense outside{.features = 2};
  const auto model = [&](Scope& s, const Tensor& y) {
    EXPECT_EQ(Scope::current()->path(), Names{}) << "the call in progress";
    std::thread([] { EXPECT_EQ(Scope::current(), nullptr) << "of this thread alone"; }).join();
    const Tensor a = s(
        "left", [&](Scope& t, const Tensor& z) { return t("dense", outside, z); }, y);
    return s("right", outside, a);
  };
  EXPECT_EQ(Scope::current(), nullptr);
  const Variables vars = linen::init(model, Key(0), x());
  EXPECT_EQ(Scope::current(), nullptr);
  EXPECT_EQ(to_string(vars["params"]),
            "left/dense/bias: f32[2]\nleft/dense/kernel: f32[3,2]\n"
            "right/bias: f32[2]\nright/kernel: f32[2,2]\n");
  // Without a scope there is nothing to call.
  static_assert(!std::is_invocable_v<const linen::Dense&, const Tensor&>);
}

TEST(LinenModule, L_033_names_of_members_and_of_variables_need_not_agree) {
  const auto model = [](Scope& s) {
    std::vector<Tensor> biases;
    for (int i = 0; i < 2; ++i)
      biases.push_back(s.param("bias_" + std::to_string(i), init::ones(), {2}));
    const Tensor other = s.param("scale", init::ones(), {2});
    return biases[0] + biases[1] * other;
  };
  EXPECT_EQ(linen::init(model, Key(0))["params"].keys(), (Names{"bias_0", "bias_1", "scale"}));
}

/// Takes its layers from outside.
template <class Encoder, class Decoder>
struct Coder {
  Encoder encoder;
  Decoder decoder;
  Tensor operator()(Scope& s, const Tensor& y) const {
    return s("decoder", decoder, s("encoder", encoder, y));
  }
};

TEST(LinenModule, L_034_modules_from_outside_have_the_name_of_the_call) {
  const linen::Dense dense{.features = 3};
  const Coder<linen::Dense, linen::Dense> coder{dense, dense};
  const Variables two = linen::init(coder, Key(0), x());
  EXPECT_EQ(two["params"].keys(), (Names{"decoder", "encoder"}))
      << "copies of one value, each with parameters of its own";
  const auto shared = [&](Scope& s, const Tensor& y) {
    Scope encoder = s.child("encoder");
    const auto call = [&](Scope&, const Tensor& z) { return Scope::call(encoder, dense, z); };
    return Coder<decltype(call), decltype(call)>{call, call}(s, y);
  };
  // The scope of the first name is handed to both: the same parameters twice.
  const auto nested = [&](Scope& s, const Tensor& y) {
    Scope encoder = s.child("encoder");
    return Scope::call(encoder, dense, Scope::call(encoder, dense, y));
  };
  const Variables one = linen::init(nested, Key(0), x());
  EXPECT_EQ(one["params"].keys(), Names{"encoder"});
  EXPECT_TRUE(contains(message<linen::NameInUseError>([&] { linen::init(shared, Key(0), x()); }),
                       "'encoder'"))
      << "a name is given once, whoever has it";
}

struct Autoencoder {
  int64_t latent = 2, features = 3;
  LINNET_FIELDS(latent, features)

  Tensor encode(Scope& s, const Tensor& y) const {
    return s("encoder", linen::Dense{.features = latent}, y);
  }
  Tensor decode(Scope& s, const Tensor& z) const {
    return s("decoder", linen::Dense{.features = features}, z);
  }
  Tensor operator()(Scope& s, const Tensor& y) const { return decode(s, encode(s, y)); }
};

TEST(LinenModule, L_037_every_method_with_a_scope_may_declare) {
  const Variables vars = linen::init(Autoencoder{}, Key(0), x());
  EXPECT_EQ(vars["params"].keys(), (Names{"decoder", "encoder"}));
  // Several methods of a class, and a helper outside of it, in one scope.
  const auto helper = [](Scope& s, const Tensor& z) {
    return s.param("gain", init::ones(), {3}) * z;
  };
  const auto model = [&](Scope& s, const Tensor& y) {
    const Autoencoder coder;
    return helper(s, coder.decode(s, coder.encode(s, y)));
  };
  EXPECT_EQ(linen::init(model, Key(0), x())["params"].keys(),
            (Names{"decoder", "encoder", "gain"}));
  // Without a scope nothing can be declared or called: the compiler says so.
  static_assert(!std::is_invocable_v<decltype(&Autoencoder::encode), const Autoencoder&, Tensor>);
}

/// Two towers whose parts have automatic names.
struct Towers {
  Tensor up(Scope& s, const Tensor& y) const { return s(linen::Dense{.features = 4}, y); }
  Tensor down(Scope& s, const Tensor& y) const { return s(linen::Dense{.features = 3}, y); }
  Tensor operator()(Scope& s, const Tensor& y) const {
    const Tensor z = s("up", linen::method<&Towers::up>(*this), y);
    return s("down", linen::method<&Towers::down>(*this), z);
  }
};

TEST(LinenModule, L_041_methods_with_scopes_of_their_own) {
  const Variables vars = linen::init(Towers{}, Key(0), x());
  EXPECT_EQ(to_string(vars["params"]),
            "down/Dense_0/bias: f32[3]\ndown/Dense_0/kernel: f32[4,3]\n"
            "up/Dense_0/bias: f32[4]\nup/Dense_0/kernel: f32[3,4]\n");
  const auto up = [](Scope& s, const Tensor& y) {
    return s("up", linen::method<&Towers::up>(Towers{}), y);
  };
  EXPECT_EQ(linen::apply(up, vars, x()).shape(), (Shape{2, 4}));
}

TEST(LinenModule, L_038_what_setup_declares_is_there_whichever_method_runs) {
  const Autoencoder model;
  const Variables vars = linen::init(model, Key(0), x());
  // Only what runs is declared, and names do not depend on the order of methods.
  const Variables encoder = linen::init(linen::method<&Autoencoder::encode>(model), Key(0), x());
  EXPECT_EQ(encoder["params"].keys(), Names{"encoder"});
  EXPECT_EQ(encoder["params"]["encoder"]["kernel"].value().to_vector<float>(),
            vars["params"]["encoder"]["kernel"].value().to_vector<float>());
  // Printing calls nothing.
  static int calls = 0;
  struct Counting {
    int64_t features = 2;
    LINNET_FIELDS(features)
    Tensor operator()(Scope&, const Tensor& y) const {
      ++calls;
      return y;
    }
  };
  EXPECT_EQ(summary(Counting{}), "Counting(features=2)");
  EXPECT_EQ(calls, 0);
  linen::init(Counting{}, Key(0), x());
  EXPECT_EQ(calls, 1);
  // A scope is opened once, and used by each method as often as it likes.
  const auto twice = [&](Scope& s, const Tensor& y) {
    Scope shared = s.child("coder");
    const Tensor z = Scope::call(shared, linen::method<&Autoencoder::encode>(model), y);
    return Scope::call(shared, linen::method<&Autoencoder::decode>(model), z);
  };
  EXPECT_EQ(linen::init(twice, Key(0), x())["params"]["coder"].keys(),
            (Names{"decoder", "encoder"}));
}

TEST(LinenModule, L_039_L_040_members_are_read_without_a_scope_and_helpers_touch_none) {
  struct WithHelper {
    int64_t width = 3;
    int64_t doubled() const { return 2 * width; }
    Tensor operator()(Scope& s, const Tensor& y) const {
      return s(linen::Dense{.features = doubled()}, y);
    }
  };
  EXPECT_EQ(WithHelper{}.doubled(), 6);
  const auto [output, updates] = linen::apply_with({.capture_intermediates = true}, WithHelper{},
                                                   linen::init(WithHelper{}, Key(0), x()), x());
  EXPECT_EQ(updates["intermediates"].keys(), (Names{"Dense_0", "__call__"}))
      << "a function without a scope is not seen";
  // What a module would make is known by its variables alone.
  EXPECT_TRUE(contains(message<ModuleError>([] { Variables()["params"]; }), "'params'"));
}

TEST(LinenModule, L_042_parameters_are_values_and_may_be_dictionaries) {
  const auto init = [](const Key& key) {
    return Variables{{"w", linen::partitioned(random::normal(key, {3, 2}), {"in", "out"})},
                     {"b", Variables{{"up", zeros({2})}}}};
  };
  const auto model = [&](Scope& s, const Tensor& y, bool unboxed) {
    const Variables p = s.param_tree("affine", init, unboxed);
    EXPECT_EQ(p["w"].box().has_value(), !unboxed);
    return matmul(y, p["w"].value()) + p["b"]["up"].value();
  };
  const auto [out, vars] = linen::init_with_output(model, Key(0), x(), true);
  EXPECT_EQ(out.shape(), (Shape{2, 2}));
  EXPECT_TRUE(vars["params"]["affine"]["w"].box()) << "stored with its box";
  EXPECT_EQ(linen::apply(model, vars, x(), false).to_vector<float>(), out.to_vector<float>());
  // One key for the whole dictionary.
  const Tensor first =
      linen::init_with_output([](Scope& s) { return s.make_rng().data(); }, Key(0)).first;
  EXPECT_EQ(vars["params"]["affine"]["w"].value().to_vector<float>(),
            random::normal(Key(first), {3, 2}).to_vector<float>());
  Variables wrong = vars;
  wrong.at_path({"params", "affine", "b", "up"}) = Variables(zeros({5}));
  const std::string text =
      message<linen::ScopeParamShapeError>([&] { linen::apply(model, wrong, x(), true); });
  EXPECT_TRUE(contains(text, "f32[5]") && contains(text, "f32[2]") && contains(text, "'affine'"))
      << text;
  // A single parameter comes without its box as well.
  const auto single = [](Scope& s) {
    const Tensor w = s.param("w", [](const Key&) { return linen::partitioned(ones({2}), {"a"}); });
    EXPECT_TRUE(s.find_leaf("params", {"w"})->box());
    return w;
  };
  EXPECT_EQ(linen::init_with_output(single, Key(0)).first.shape(), Shape{2});
}

TEST(LinenModule, L_043_variables_are_handles_and_their_names_are_taken) {
  const auto model = [](Scope& s) {
    const linen::ScopeVariable v = s.variable("state", "v", [] { return scalar(1, DType::kF32); });
    EXPECT_TRUE(v.is_mutable());
    v.set(v.value() + 1);
    EXPECT_EQ(s.get_variable("state", "v").item<float>(), 2.f);
    return v.value();
  };
  EXPECT_EQ(linen::init(model, Key(0))["state"]["v"].value().item<float>(), 2.f);
  const auto clash = [](Scope& s) {
    s.variable("state", "v", [] { return scalar(1, DType::kF32); });
    s.variable("state", "v", [] { return scalar(1, DType::kF32); });
    return Tensor(0.f);
  };
  EXPECT_TRUE(contains(message<linen::NameInUseError>([&] { linen::init(clash, Key(0)); }), "'v'"));
}

TEST(LinenModule, L_044_L_046_variables_by_name_and_what_is_mutable) {
  std::optional<Scope> ended;
  const auto model = [&](Scope& s) {
    EXPECT_FALSE(s.has_variable("state", "v"));
    EXPECT_FALSE(s.get_variable("state", "v").defined());
    s.put_variable("state", "v", scalar(3, DType::kF32));
    EXPECT_TRUE(s.has_variable("state", "v"));
    EXPECT_EQ(s.get_variable("state", "v").item<float>(), 3.f);
    EXPECT_TRUE(s.is_mutable_collection("state"));
    EXPECT_FALSE(s.is_mutable_collection("params"));
    EXPECT_THROW(s.put_variable("params", "w", scalar(3, DType::kF32)),
                 linen::ModifyScopeVariableError);
    ended = s;
    return Tensor(0.f);
  };
  EXPECT_EQ(linen::apply_with({.mutate = "state"}, model, Variables())
                .second["state"]["v"]
                .value()
                .item<float>(),
            3.f);
  EXPECT_THROW(ended->has_variable("state", "v"), linen::InvalidScopeError);
  EXPECT_THROW(ended->get_variable("state", "v"), linen::InvalidScopeError);
  EXPECT_THROW(ended->put_variable("state", "v", scalar(1, DType::kF32)), linen::InvalidScopeError);
  EXPECT_THROW(ended->is_mutable_collection("state"), linen::InvalidScopeError);
}

TEST(LinenModule, L_047_keys_differ_by_path_and_call) {
  const auto draw = [](Scope& s) { return s.make_rng("noise").data(); };
  const auto model = [&](Scope& s) {
    const Tensor first = s.make_rng().data();  // `params` unless said
    return stack({first, s.make_rng("params").data(), s("a", draw), s("b", draw),
                  s.make_rng("noise").data(), s.make_rng("noise").data()});
  };
  const linen::ApplyOptions options{.rngs = {{"params", Key(0)}, {"noise", Key(0)}}};
  const Tensor keys = linen::apply_with(options, model, Variables()).first;
  std::set<std::vector<uint32_t>> different;
  for (int64_t i = 0; i < 6; ++i) different.insert(keys[i].to_vector<uint32_t>());
  // `params` and `noise` begin with the same key, so that their first and second are equal.
  EXPECT_EQ(different.size(), 4u);
  EXPECT_EQ(keys[0].to_vector<uint32_t>(), keys[4].to_vector<uint32_t>());
  // Counted by stream that is used: one that falls back to `params` counts on with it.
  const Tensor fallen = linen::apply_with({.rngs = Key(0)}, model, Variables()).first;
  EXPECT_EQ(fallen[0].to_vector<uint32_t>(), keys[0].to_vector<uint32_t>());
  EXPECT_NE(fallen[4].to_vector<uint32_t>(), keys[0].to_vector<uint32_t>());
  EXPECT_EQ(linen::apply_with(options, model, Variables()).first.to_vector<uint32_t>(),
            keys.to_vector<uint32_t>());
}

/// A rank-2 correction beside the parameters of the layer that it wraps.
struct LoraDense {
  linen::Dense dense;
  int64_t rank = 2;
  LINNET_FIELDS(dense, rank)

  Tensor operator()(Scope& s, const Tensor& y) const {
    const Tensor out = dense(s, y);  // in this very scope
    const Tensor a = s.param("A", init::ones(), {y.shape(-1), rank});
    const Tensor b = s.param("B", init::zeros(), {rank, dense.features});
    return out + matmul(matmul(y, a), b);
  }
};

TEST(LinenModule, L_052_modules_share_a_scope) {
  const LoraDense lora{{.features = 4}};
  const Variables vars = linen::init(lora, Key(0), x());
  EXPECT_EQ(vars["params"].keys(), (Names{"A", "B", "bias", "kernel"}));
  const Variables plain = linen::init(lora.dense, Key(0), x());
  EXPECT_EQ(vars["params"]["kernel"].value().to_vector<float>(),
            plain["params"]["kernel"].value().to_vector<float>())
      << "the keys of the layer alone";
  // Submodules of the inner module are children of the shared scope, and their names are taken.
  const auto with_children = [](Scope& s, const Tensor& y) {
    const Tensor z = Autoencoder{}(s, y);
    return s("encoder", linen::Dense{.features = 1}, z);
  };
  EXPECT_TRUE(
      contains(message<linen::NameInUseError>([&] { linen::init(with_children, Key(0), x()); }),
               "'encoder'"));
  const auto clash = [](Scope& s, const Tensor& y) {
    return linen::Dense{.features = 2}(s, y) + s.param("bias", init::zeros(), {2});
  };
  EXPECT_THROW(linen::init(clash, Key(0), x()), linen::NameInUseError);
}

TEST(LinenModule, L_053_copies_with_changed_fields) {
  const Stack stack{{{.features = 4}}, {{"a", {.features = 1}}}};
  Stack changed = stack;
  changed.layers[0].features = 7;
  changed.heads["b"] = {.features = 2};
  EXPECT_EQ(stack.layers[0].features, 4) << "submodules are copied too";
  EXPECT_EQ(stack.heads.size(), 1u);
  const Variables vars = linen::init(changed, Key(0), x());
  EXPECT_EQ(vars["params"]["layers_0"]["bias"].shape(), Shape{7});
  // A copy that is made while a module runs is free to be called anywhere.
  const auto model = [&](Scope& s, const Tensor& y) {
    const Stack copy = stack;
    return s("first", stack, y) + s("second", copy, y);
  };
  EXPECT_EQ(linen::init(model, Key(0), x())["params"].keys(), (Names{"first", "second"}));
}

TEST(LinenModule, L_065_L_069_any_method_or_function_can_be_applied) {
  const Autoencoder model;
  const Variables vars = linen::init(model, Key(0), x());
  const Tensor z = linen::apply(linen::method<&Autoencoder::encode>(model), vars, x());
  EXPECT_EQ(z.shape(), (Shape{2, 2}));
  const Tensor y = linen::apply(linen::method<&Autoencoder::decode>(model), vars, z);
  EXPECT_EQ(y.to_vector<float>(), linen::apply(model, vars, x()).to_vector<float>());
  // Any function of the scope, with init and with a result of its own.
  const auto both = [&](Scope& s, const Tensor& input) {
    const Tensor code = model.encode(s, input);
    return std::make_pair(code, model.decode(s, code));
  };
  const auto [pair, made] = linen::init_with_output(both, Key(0), x());
  EXPECT_EQ(pair.first.to_vector<float>(), z.to_vector<float>());
  EXPECT_EQ(to_string(made), to_string(vars));
  EXPECT_EQ(linen::apply_with({}, both, vars, x()).first.second.to_vector<float>(),
            y.to_vector<float>());
  // A submodule alone, by its name.
  const auto encoder = [](Scope& s, const Tensor& input) {
    return s("encoder", linen::Dense{.features = 2}, input);
  };
  EXPECT_EQ(linen::apply(encoder, vars, x()).to_vector<float>(), z.to_vector<float>());
  // A name that is not there is found out by its parameters.
  const auto unknown = [](Scope& s, const Tensor& input) {
    return s("encoders", linen::Dense{.features = 2}, input);
  };
  EXPECT_THROW(linen::apply(unknown, vars, x()), linen::ScopeParamNotFoundError);
  // What is no function of a scope does not compile.
  static_assert(!std::is_invocable_v<Tensor (*)(const Tensor&), Scope&, const Tensor&>);
  using Decode = linen::Method<&Autoencoder::decode, Autoencoder>;
  EXPECT_EQ(Decode{}.method_name(), "decode");
  EXPECT_EQ(Decode{}.class_name(), "Autoencoder");
}

TEST(LinenModules, L_060_traces_of_time_name_modules_by_path) {
  struct Block {
    Tensor operator()(Scope& s, const Tensor& in) const {
      return s("dense", linen::Dense{.features = 2}, in);
    }
  };
  struct Net {
    Tensor operator()(Scope& s, const Tensor& in) const { return s("block", Block{}, in); }
  };
  const Variables variables = linen::init(Net{}, Key(0), x());
  const std::string file = ::testing::TempDir() + "linnet_linen_trace_test.json";
  profile::start_trace(file);
  linen::apply(Net{}, variables, x());
  profile::stop_trace();
  std::set<std::string> modules;
  const Json trace = Json::parse(read_text(file));
  for (const Json& event : trace.as_array()) {
    const Json* facts = event.find("args");
    const Json* module = facts ? facts->find("module") : nullptr;
    if (module) modules.insert(module->as_string());
  }
  EXPECT_TRUE(modules.count("block/dense")) << "of " << modules.size();
  std::remove(file.c_str());
}

}  // namespace
}  // namespace linnet::linen_modules_test
