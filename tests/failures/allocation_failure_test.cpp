// Every allocation of a scenario fails in turn: state is then as before, nothing ends the process,
// and the scenario succeeds afterwards.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <new>
#include <sstream>

#include "linnet/kernel.h"
#include "linnet/linnet.h"
#include "tests/failures/allocation_walk.h"

namespace linnet::allocation_failure_test {
namespace {

using testing::Scenario;
using testing::walk;
using testing::Whose;

struct Model {
  nnx::Param w{ones({64})};
  nnx::Param b{zeros({64})};
  LINNET_FIELDS(w, b)
};

struct Net {
  nnx::Linear up;
  nnx::BatchNorm norm;
  nnx::Dropout dropout;
  explicit Net(nnx::Rngs& rngs) : up(3, 4, rngs), norm(4, rngs), dropout(0.5, rngs) {}
  LINNET_FIELDS(up, norm, dropout)
  Tensor operator()(const Tensor& x) { return dropout(norm(up(x))); }
};

TEST(AllocationFailure, R_041_eager_operations) {
  walk(
      [] {
        const Tensor x = ones({8, 8});
        return Scenario{.run = [x] { return sum(exp(x) * 2 + sin(x).transpose()); },
                        .state = [x] { return TensorList{x}; }};
      },
      1);
}

TEST(AllocationFailure, R_041_captured_model_in_a_jitted_step) {
  const auto make = [] {
    auto model = std::make_shared<Model>();
    const auto body = [model](const Tensor& x) {
      model->w = model->w.value() * 0.9 + x;
      return sum(model->w.value());
    };
    auto step = std::make_shared<decltype(jit(body))>(jit(body));
    return Scenario{.run = [=] { return (*step)(ones({64})); },
                    .state = [=] { return tree::leaves(*model); }};
  };
  walk(make, 0);
  walk(make, 1, 0);
}

TEST(AllocationFailure, R_041_gradients_of_a_model_with_statistics_and_streams) {
  walk(
      [] {
        nnx::Rngs rngs(0);
        auto net = std::make_shared<Net>(rngs);
        const Tensor x = sin(arange(0.0, 12.0)).reshape({4, 3});
        return Scenario{.run =
                            [=] {
                              auto [loss, gradients] = nnx::value_and_grad(
                                  [&](Net& n) { return sum(square(n(x))); }, *net);
                              return loss;
                            },
                        .state = [=] { return tree::leaves(*net); },
                        .whose = Whose::kOurs};
      },
      1);
}

/// A step of training whose model and optimiser are arguments.
Scenario training_step() {
  nnx::Rngs rngs(0);
  auto net = std::make_shared<Net>(rngs);
  auto optimizer = std::make_shared<optim::Optimizer>(*net, optim::adam(1e-2));
  const auto body = [](Net& n, optim::Optimizer& o, const Tensor& x) {
    auto [loss, gradients] =
        nnx::value_and_grad([&](Net& inner) { return sum(square(inner(x))); }, n);
    o.update(n, gradients);
    return std::make_pair(loss, std::map<std::string, Tensor>{{"norm", sum(square(x))}});
  };
  auto step = std::make_shared<decltype(jit(body))>(jit(body));
  const Tensor x = sin(arange(0.0, 12.0)).reshape({4, 3});
  return Scenario{.run = [=] { return (*step)(*net, *optimizer, x).first; },
                  .state =
                      [=] {
                        TensorList out = tree::leaves(*net);
                        for (const Tensor& t : tree::leaves(*optimizer)) out.push_back(t);
                        return out;
                      },
                  .whose = Whose::kOurs};
}

TEST(AllocationFailure, R_041_first_call_of_a_jitted_training_step) { walk(training_step, 0); }
TEST(AllocationFailure, R_041_later_calls_of_a_jitted_training_step) {
  walk(training_step, 1);
  walk(training_step, 2);
}

struct Log {
  std::vector<nnx::Param> weights;
  std::vector<Tensor> history;
  std::string last = "nothing";
  int64_t steps = 0;
  LINNET_FIELDS(weights, history, last, steps)
};

/// The state argument gets another structure in each call, so that each is traced anew.
Scenario growing_state() {
  auto log = std::make_shared<Log>();
  log->weights.emplace_back(ones({64}));
  log->weights.emplace_back(zeros({64}));
  auto other = std::make_shared<Model>();
  const auto body = [](Log& l, Model& m, const Tensor& x) {
    for (nnx::Param& w : l.weights) w = w.value() * 0.9 + x;
    m.b = m.b.value() - x;
    l.history.push_back(l.weights[0].value() * 2);
    l.last = "a text that is too long to be held in the object itself";
    ++l.steps;
    return sum(m.b.value());
  };
  auto step = std::make_shared<decltype(jit(body))>(jit(body));
  return Scenario{.run = [=] { return (*step)(*log, *other, ones({64})); },
                  .state =
                      [=] {
                        TensorList out = tree::leaves(*log);
                        for (const Tensor& t : tree::leaves(*other)) out.push_back(t);
                        out.push_back(Tensor(static_cast<double>(log->steps)));
                        out.push_back(Tensor(static_cast<double>(log->last.size())));
                        return out;
                      }};
}

TEST(AllocationFailure, R_041_state_whose_structure_changes_in_a_jitted_call) {
  walk(growing_state, 0);
  walk(growing_state, 1);
}

/// Donated state is written over by the first kernel; what the second one is short of shows in it.
void expect_no_memory_for(const char* name, const std::function<Tensor(const Tensor&)>& f,
                          DType dtype) {
  SCOPED_TRACE(name);
  walk(
      [&] {
        auto state = std::make_shared<Tensor>(sin(arange(0.0, 12000.0)).reshape({40, 300}));
        const auto body = [f, dtype](Tensor& s, const Tensor& scale) {
          s = s * scale;
          return f(s.astype(dtype));
        };
        auto step = std::make_shared<decltype(jit(body))>(jit(body));
        return Scenario{.run = [=] { return (*step)(*state, Tensor(0.5f)); },
                        .state = [=] { return TensorList{*state}; },
                        .whose = Whose::kOurs};
      },
      1, 0);
}

TEST(AllocationFailure, R_041_kernels_say_that_they_never_throw) {
  kernel_table(kCpu);  // defines every primitive that has a kernel
  int kernels = 0;
  for (const Primitive* primitive : all_primitives()) {
    for (const KernelImplementation& kernel : kernel_table(kCpu).implementations(*primitive)) {
      EXPECT_TRUE(kernel.never_throws) << primitive->name << ": " << kernel.name;
      ++kernels;
    }
  }
  EXPECT_GT(kernels, 100);
}

TEST(AllocationFailure, R_041_kernels_take_no_memory_of_their_own) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const auto expect = [&](const char* name, const std::function<Tensor(const Tensor&)>& f) {
      expect_no_memory_for(name, f, dtype);
    };
    expect("softmax", [](const Tensor& x) { return softmax(x); });
    expect("softmax of columns", [](const Tensor& x) { return log_softmax(x, 0); });
    expect("logsumexp", [](const Tensor& x) { return logsumexp(x, Axes{1}); });
    expect("gradient of softmax", [](const Tensor& x) {
      return grad([](const Tensor& y) { return sum(square(softmax(y))); })(x);
    });
    expect("cross entropy", [](const Tensor& x) {
      const Tensor labels = zeros({40}, DType::kI32);
      return grad([&](const Tensor& y) {
        return sum(softmax_cross_entropy_with_integer_labels(y, labels));
      })(x);
    });
    expect("sort", [](const Tensor& x) { return sort(x, 0); });
    expect("cumsum", [](const Tensor& x) { return cumsum(x, 1); });
    expect("windows", [](const Tensor& x) {
      return grad([](const Tensor& y) {
        return sum(layers::max_pool(y.reshape({1, 40, 30, 10}), {2, 2}, {2, 2}));
      })(x);
    });
    expect("gather and scatter", [](const Tensor& x) {
      return index_add(x, tensor({3, 5}), take(x, tensor({1, 1}), 0));
    });
    expect("normal numbers",
           [](const Tensor& x) { return random::normal(Key(3), x.shape(), x.dtype()) + x; });
    expect("a chain", [](const Tensor& x) { return tanh(exp(x) * x + 1).transpose() * 2; });
  }
  expect_no_memory_for(
      "integer product", [](const Tensor& x) { return matmul(x, x.transpose()); }, DType::kI32);
  expect_no_memory_for(
      "orthogonal", [](const Tensor& x) { return random::orthogonal(Key(0), 20) + sum(x); },
      DType::kF32);
  expect_no_memory_for(
      "gamma and poisson",
      [](const Tensor& x) {
        return random::gamma(Key(0), full({30}, 2.5f)) +
               random::poisson(Key(1), full({30}, 20.0f)) + sum(x);
      },
      DType::kF32);
}

TEST(AllocationFailure, R_041_jitted_call_inside_a_transformation) {
  walk(
      [] {
        auto model = std::make_shared<Model>();
        const auto body = [](Model& m, Tensor& n, const Tensor& x) {
          m.w = m.w.value() * 0.9 + x;
          n = n + 1;
          return sum(m.w.value() * x);
        };
        auto step = std::make_shared<decltype(jit(body))>(jit(body));
        return Scenario{.run =
                            [=] {
                              return grad([&](const Tensor& x) {
                                Tensor local = zeros({3});
                                return (*step)(*model, local, x) + sum(local);
                              })(ones({64}));
                            },
                        .state = [=] { return tree::leaves(*model); }};
      },
      1);
}

TEST(AllocationFailure, R_041_optimiser_step) {
  walk(
      [] {
        nnx::Rngs rngs(0);
        auto net = std::make_shared<Net>(rngs);
        auto optimizer = std::make_shared<optim::Optimizer>(*net, optim::adam(1e-2));
        const Tensor x = sin(arange(0.0, 12.0)).reshape({4, 3});
        const nnx::State gradients = nnx::grad([&](Net& n) { return sum(square(n(x))); }, *net);
        return Scenario{.run =
                            [=] {
                              optimizer->update(*net, gradients);
                              return Tensor();
                            },
                        .state =
                            [=] {
                              TensorList out = tree::leaves(*net);
                              for (const Tensor& t : tree::leaves(*optimizer)) out.push_back(t);
                              return out;
                            },
                        .whose = Whose::kOurs};
      },
      1);
}

TEST(AllocationFailure, R_041_vmap_and_forward_derivatives) {
  walk(
      [] {
        return Scenario{.run = [] {
          const Tensor x = ones({3, 4});
          const Tensor y = vmap([](const Tensor& row) { return sum(tanh(row) * row); })(x);
          return sum(y) + jvp([](const Tensor& v) { return sum(exp(v)); }, x, x).second;
        }};
      },
      1);
}

TEST(AllocationFailure, R_041_functional_init_and_apply) {
  walk(
      [] {
        return Scenario{
            .run =
                [] {
                  const linen::Dense dense{.features = 2};
                  const linen::Variables vars = linen::init(dense, Key(0), ones({1, 3}));
                  return sum(linen::apply(dense, vars, ones({1, 3})));
                },
            .whose = Whose::kOurs};
      },
      1);
}

TEST(AllocationFailure, R_041_text_and_error_texts) {
  walk(
      [] {
        return Scenario{.run = [] {
          const std::string text = to_string(arange(0.0, 20.0));
          try {
            (void)(ones({3}) + ones({4}));
          } catch (const ShapeError& e) {
            return Tensor(static_cast<double>(text.size() + std::strlen(e.what())));
          }
          return Tensor();
        }};
      },
      1);
}

}  // namespace
}  // namespace linnet::allocation_failure_test
