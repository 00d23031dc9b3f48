// The pieces of docs/errors.md that use modules, variables and checkpoints.
#include <filesystem>
#include <memory>

#include "linnet/jit.h"
#include "linnet/io/checkpoint.h"
#include "linnet/linen.h"
#include "linnet/nnx.h"
#include "tests/docs/documents.h"

namespace {

using namespace linnet;
namespace linen = linnet::linen;
namespace nnx = linnet::nnx;

class ErrorsModules : public docs::Snippet {};

// [inside-a-module]
struct Head {
  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    return s("logits", linen::Dense{.features = 10}, x) + ones({3});
  }
};

struct Model {
  Tensor operator()(linen::Scope& s, const Tensor& x) const { return s("head", Head{}, x); }
};
// [inside-a-module]

TEST_F(ErrorsModules, inside_a_module_use) {
  message<ShapeError>([] {
    // [inside-a-module-use]
    linen::init(Model{}, Key(0), ones({2, 4}));
    // [inside-a-module-use]
  });
}

TEST_F(ErrorsModules, written_under_vmap) {
  message<TraceError>([] {
    // [written-under-vmap]
    nnx::Variable last(zeros({}));
    vmap([&](const Tensor& x) {
      last = sum(x);                       // a different value for every row
      return x;
    })(ones({3, 2}));
    // [written-under-vmap]
  });
}

TEST_F(ErrorsModules, written_in_a_rule) {
  message<TraceError>([] {
    // [written-in-a-rule]
    nnx::Variable calls(zeros({}));
    auto f = custom_vjp([](const Tensor& x) { return sin(x); },
                        [](const Tensor& x) { return std::pair(sin(x), x); },
                        [&](const Tensor& x, const Tensor& ct) {
                          calls = calls.value() + 1;
                          return ct * cos(x);
                        });
    grad(f)(1.0);
    // [written-in-a-rule]
  });
}

TEST_F(ErrorsModules, captured_gone) {
  message<TraceError>([] {
    // [captured-gone]
    auto scale = std::make_unique<nnx::Param>(ones({}));
    auto f = jit([&](const Tensor& x) { return x * scale->value(); });
    f(ones({3}));
    scale = std::make_unique<nnx::Param>(zeros({}));
    f(ones({3}));
    // [captured-gone]
  });
}

TEST_F(ErrorsModules, mode_not_said) {
  message<ValueError>([] {
    // [mode-not-said]
    linen::init(linen::Dropout{.rate = 0.5}, Key(0), ones({3}));
    // [mode-not-said]
  });
}

TEST_F(ErrorsModules, two_axes) {
  message<ValueError>([] {
    // [two-axes]
    nnx::Rngs rngs(0);
    nnx::Linear layer(4, 4, rngs);
    nnx::vmap([](nnx::Linear&, nnx::Param& kernel) { return sum(kernel.value()); },
              {.in_axes = {nnx::kNone, 0}})(layer, layer.kernel);
    // [two-axes]
  });
}

TEST_F(ErrorsModules, broadcast_written) {
  message<ValueError>([] {
    // [broadcast-written]
    nnx::Rngs rngs(0);
    nnx::BatchNorm norm(4, rngs);
    nnx::scan([](const Tensor& x, nnx::BatchNorm& n) { return n(x); },
              {.in_axes = {nnx::kCarry, nnx::kNone}, .out_axes = {nnx::kCarry}, .length = 3})(
        ones({2, 4}), norm);
    // [broadcast-written]
  });
}

TEST_F(ErrorsModules, no_variables) {
  message<ModuleError>([] {
    // [no-variables]
    linen::apply(linen::Dense{.features = 10}, {}, ones({2, 4}));
    // [no-variables]
  });
}

TEST_F(ErrorsModules, parameter_shape) {
  message<ModuleError>([] {
    // [parameter-shape]
    linen::Variables vars = linen::init(linen::Dense{.features = 10}, Key(0), ones({2, 4}));
    linen::apply(linen::Dense{.features = 10}, vars, ones({2, 5}));
    // [parameter-shape]
  });
}

// [name-in-use]
struct Twice {
  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    Tensor h = s("layer", linen::Dense{.features = 4}, x);
    return s("layer", linen::Dense{.features = 4}, h);
  }
};
// [name-in-use]

TEST_F(ErrorsModules, name_in_use_use) {
  message<ModuleError>([] {
    // [name-in-use-use]
    linen::init(Twice{}, Key(0), ones({2, 4}));
    // [name-in-use-use]
  });
}

TEST_F(ErrorsModules, immutable_collection) {
  message<ModuleError>([] {
    // [immutable-collection]
    linen::BatchNorm norm{.use_running_average = false};
    linen::Variables vars = linen::init(norm, Key(0), ones({2, 4}));
    linen::apply(norm, vars, ones({2, 4}));
    // [immutable-collection]
  });
}

TEST_F(ErrorsModules, no_stream) {
  message<ModuleError>([] {
    // [no-stream]
    linen::Dropout drop{.rate = 0.5, .deterministic = false};
    linen::apply(drop, {}, ones({3}));
    // [no-stream]
  });
}

TEST_F(ErrorsModules, lifted_collection) {
  message<ModuleError>([] {
    // [lifted-collection]
    auto batched = linen::vmap(linen::Dense{.features = 4}, {.split_rngs = {{"params", true}}});
    linen::init(batched, Key(0), ones({3, 2, 5}));
    // [lifted-collection]
  });
}

TEST_F(ErrorsModules, const_layer) {
  message<ModuleError>([] {
    // [const-layer]
    nnx::Rngs rngs(0);
    const nnx::BatchNorm norm(4, rngs);
    norm(ones({2, 4}));
    // [const-layer]
  });
}

TEST_F(ErrorsModules, no_object_stream) {
  message<ModuleError>([] {
    // [no-object-stream]
    nnx::Rngs rngs{{"dropout", Key(0)}};
    nnx::Linear layer(4, 10, rngs);
    // [no-object-stream]
  });
}

TEST_F(ErrorsModules, unknown_path) {
  message<ModuleError>([] {
    // [unknown-path]
    nnx::Rngs rngs(0);
    nnx::Linear with_bias(4, 10, rngs), without(4, 10, {.use_bias = false}, rngs);
    nnx::update(without, nnx::state(with_bias));
    // [unknown-path]
  });
}

TEST_F(ErrorsModules, other_checkpoint) {
  const std::string folder =
      (std::filesystem::temp_directory_path() / "linnet_errors_checkpoint").string();
  const std::filesystem::path previous = std::filesystem::current_path();
  std::filesystem::create_directories(folder);
  std::filesystem::current_path(folder);
  message<IoError>([] {
    // [other-checkpoint]
    nnx::Rngs rngs(0);
    nnx::Linear small(4, 10, rngs), large(8, 10, rngs);
    save_checkpoint("run", small);
    load_checkpoint("run", large);
    // [other-checkpoint]
  });
  std::filesystem::current_path(previous);
  std::filesystem::remove_all(folder);
}

}  // namespace
