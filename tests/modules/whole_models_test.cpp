// What holds of whole models in both module APIs: derivatives against differences, the same bits in
// another process, and that nothing is left of them.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "linnet/core.h"
#include "linnet/device.h"
#include "linnet/linen.h"
#include "linnet/nnx.h"
#include "linnet/nnx_tools.h"
#include "linnet/optim.h"

extern char** environ;

namespace linnet::whole_models_test {
namespace {

using linen::Scope;
using linen::Variables;

/// Convolution, statistics, attention, normalisation and products; smooth everywhere.
struct Functional {
  DType dtype = DType::kF32;
  LINNET_FIELDS(dtype)
  Tensor operator()(Scope& s, const Tensor& x) const {
    const linen::Conv conv{.features = 4, .kernel = {3, 3}, .param_dtype = dtype};
    Tensor h = gelu(s("conv", conv, x));
    h = s("statistics", linen::BatchNorm{.use_running_average = false, .param_dtype = dtype}, h);
    h = h.reshape({h.shape(0), -1, 4});
    h = h + s("attention", linen::SelfAttention{.heads = 2, .param_dtype = dtype}, h);
    h = s("norm", linen::LayerNorm{.param_dtype = dtype}, h);
    return s("head", linen::Dense{.features = 3, .param_dtype = dtype}, mean(h, 1));
  }
};
struct Stateful {
  nnx::Conv conv;
  nnx::BatchNorm statistics;
  nnx::SelfAttention attention;
  nnx::LayerNorm norm;
  nnx::Linear head;
  Stateful(nnx::Rngs& rngs, DType dtype)
      : conv(2, 4, {3, 3}, {.param_dtype = dtype}, rngs),
        statistics(4, {.param_dtype = dtype}, rngs),
        attention(4, 2, {.param_dtype = dtype}, rngs),
        norm(4, {.param_dtype = dtype}, rngs),
        head(4, 3, {.param_dtype = dtype}, rngs) {}
  LINNET_FIELDS(conv, statistics, attention, norm, head)
  Tensor operator()(const Tensor& x) {
    Tensor h = statistics(gelu(conv(x)));
    h = h.reshape({h.shape(0), -1, 4});
    h = norm(h + attention(h));
    return head(mean(h, 1));
  }
};

Tensor pictures(DType dtype) { return random::normal(Key(1), {3, 4, 4, 2}).astype(dtype); }
Tensor loss_of(const Tensor& y) { return mean(square(y - 0.5)); }
Tensor direction(int64_t number, const Tensor& like) {
  return random::normal(Key(number), like.shape(), like.dtype());
}

/// `loss(h)` is that of parameters moved by h times a direction, along which the gradient is
/// `slope`.
void expect_slope(const std::function<double(double)>& loss, double slope) {
  const double h = 1e-4;
  const double near = (loss(h) - loss(-h)) / (2 * h);
  const double far = (loss(2 * h) - loss(-2 * h)) / (4 * h);
  const double difference = (4 * near - far) / 3;
  EXPECT_GT(std::abs(slope), 1e-3) << "a direction that says something";
  EXPECT_NEAR(slope, difference, 1e-7 * (1 + std::abs(difference)));
}

TEST(WholeModels, R_011_a_functional_model_along_a_direction) {
  const Functional model{DType::kF64};
  const Tensor x = pictures(DType::kF64);
  const Variables variables = linen::init(model, Key(0), x);
  const auto loss = [&](const Variables& params) {
    const Variables all = variables | Variables{{"params", params}};
    return loss_of(linen::apply_with({.mutate = "batch_stats"}, model, all, x).first);
  };
  const Variables params = variables["params"], slopes = grad(loss)(params);
  for (int64_t run = 0; run < 3; ++run) {
    int64_t number = 100 * run;
    const Variables along =
        tree::map(params, [&](const Tensor& t) { return direction(++number, t); });
    double slope = 0;
    const TensorList a = tree::leaves(slopes), b = tree::leaves(along);
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) slope += sum(a[i] * b[i]).item<double>();
    expect_slope(
        [&](double h) {
          return loss(tree::map(params, along,
                                [&](const Tensor& p, const Tensor& d) { return p + h * d; }))
              .item<double>();
        },
        slope);
  }
}

TEST(WholeModels, R_011_an_object_model_along_a_direction) {
  nnx::Rngs rngs(0);
  Stateful model(rngs, DType::kF64);
  const Tensor x = pictures(DType::kF64);
  Stateful differentiated = nnx::clone(model);
  const nnx::State slopes = nnx::grad([&](Stateful& m) { return loss_of(m(x)); }, differentiated);
  for (int64_t run = 0; run < 3; ++run) {
    std::map<std::string, Tensor> along;
    double slope = 0;
    for (const auto& [path, leaf] : slopes.entries()) {
      const Tensor d = direction(100 * run + static_cast<int64_t>(along.size()), leaf.value());
      along.emplace(tree::to_string(path), d);
      slope += sum(leaf.value() * d).item<double>();
    }
    expect_slope(
        [&](double h) {
          Stateful moved = nnx::map(model, [&](const tree::Path& path, const nnx::StateLeaf& leaf) {
            const auto found = along.find(tree::to_string(path));
            return found == along.end() ? leaf.value() : leaf.value() + h * found->second;
          });
          return loss_of(moved(x)).item<double>();
        },
        slope);
  }
}

/// Three steps of training in both APIs, and the texts of what ran: bits and text of everything.
std::string account_of_training() {
  std::ostringstream out;
  const auto add = [&](const Tensor& t) {
    for (const float value : t.astype(DType::kF32).to_vector<float>())
      out << std::bit_cast<uint32_t>(value) << ' ';
    out << '\n';
  };
  const Tensor x = pictures(DType::kF32);
  nnx::Rngs rngs(0);
  Stateful model(rngs, DType::kF32);
  optim::Optimizer optimizer(model, optim::adam(1e-2));
  const auto step = jit([](Stateful& m, optim::Optimizer& o, const Tensor& in) {
    const auto [loss, slopes] = nnx::value_and_grad([&](Stateful& n) { return loss_of(n(in)); }, m);
    o.update(m, slopes);
    return loss;
  });
  out << step.lower(model, optimizer, x).text() << '\n';
  for (int i = 0; i < 3; ++i) add(step(model, optimizer, x));
  const nnx::State state = nnx::state(model);
  for (const auto& [path, leaf] : state.entries()) add(leaf.value());
  const Functional functional;
  const Variables variables = linen::init(functional, Key(0), x);
  const auto slopes = jit([&](const Variables& params) {
    return grad([&](const Variables& p) {
      const Variables all = variables | Variables{{"params", p}};
      return loss_of(linen::apply_with({.mutate = "batch_stats"}, functional, all, x).first);
    })(params);
  });
  out << slopes.lower(variables["params"]).text() << '\n';
  for (const Tensor& t : tree::leaves(slopes(variables["params"]))) add(t);
  return out.str();
}

constexpr const char* kAccount = "LINNET_TEST_ACCOUNT_OF_TRAINING";

TEST(WholeModels, child) {
  const char* path = std::getenv(kAccount);
  if (!path) GTEST_SKIP() << "runs in the process that another test starts";
  std::ofstream(path) << account_of_training();
}

TEST(WholeModels, R_031_R_034_bits_and_programs_are_those_of_another_process) {
  const std::string here = account_of_training();
  const auto lines = [](const std::string& text) {
    std::vector<std::string> out;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) out.push_back(line);
    return out;
  };
  const std::string path = ::testing::TempDir() + "linnet-account-" + std::to_string(::getpid());
  std::string entry = std::string(kAccount) + "=" + path;
  std::vector<char*> environment{entry.data()};
  for (char** each = environ; *each; ++each) environment.push_back(*each);
  environment.push_back(nullptr);
  const char* arguments[] = {"child", "--gtest_filter=WholeModels.child", "--gtest_brief=1",
                             nullptr};
  pid_t process = 0;
  ASSERT_EQ(::posix_spawn(&process, "/proc/self/exe", nullptr, nullptr,
                          const_cast<char* const*>(arguments), environment.data()),
            0);
  int status = 0;
  ::waitpid(process, &status, 0);
  EXPECT_EQ(status, 0);
  std::stringstream there;
  there << std::ifstream(path).rdbuf();
  ::unlink(path.c_str());
  EXPECT_GT(here.size(), 10000u);
  EXPECT_EQ(lines(there.str()), lines(here)) << "another process";
  EXPECT_EQ(lines(account_of_training()), lines(here)) << "again in this one";
}

/// What is live after a third and after all of many runs, when nothing is on its way any more.
template <class F>
void expect_nothing_left(const F& run) {
  size_t before = 0, after = 0;
  for (int i = 0; i < 12; ++i) {
    run();
    synchronize(default_device());
    after = memory_stats().live_bytes;
    if (i == 3) before = after;
  }
  EXPECT_EQ(after, before);
}

TEST(WholeModels, R_060_nothing_is_left_of_models_optimisers_and_programs) {
  const Tensor x = pictures(DType::kF32);
  expect_nothing_left([&] {
    nnx::Rngs rngs(0);
    Stateful model(rngs, DType::kF32);
    optim::Optimizer optimizer(model, optim::adam(1e-2));
    const auto step = jit([](Stateful& m, optim::Optimizer& o, const Tensor& in) {
      o.update(m, nnx::grad([&](Stateful& n) { return loss_of(n(in)); }, m));
    });
    step(model, optimizer, x);
    step(model, optimizer, x);
    const Variables variables = linen::init(Functional{}, Key(0), x);
    const auto apply = jit([&](const Variables& v) {
      return linen::apply_with({.mutate = "batch_stats"}, Functional{}, v, x).first;
    });
    apply(variables);
  });
}

TEST(WholeModels, R_061_nothing_is_left_of_steps_that_fail) {
  nnx::Rngs rngs(0);
  Stateful model(rngs, DType::kF32);
  optim::Optimizer optimizer(model, optim::adam(1e-2));
  const auto step = jit([](Stateful& m, optim::Optimizer& o, const Tensor& in) {
    const nnx::State slopes = nnx::grad([&](Stateful& n) { return loss_of(n(in)); }, m);
    o.update(m, slopes);
    if (in.shape(0) == 2) throw ValueError("refused after the update");
  });
  const Tensor x = pictures(DType::kF32);
  step(model, optimizer, x);
  const std::vector<float> kernel = model.head.kernel.value().to_vector<float>();
  expect_nothing_left([&] {
    EXPECT_THROW(step(model, optimizer, x[Slice(0, 2)]), ValueError);
    EXPECT_THROW(step(model, optimizer, ones({3, 4, 4, 5})), ShapeError);
    EXPECT_THROW(nnx::grad([&](Stateful& m) { return m(x); }, model), Error) << "no scalar";
    EXPECT_THROW(vmap([&](const Tensor& t) { return matmul(t, ones({7, 7})); })(x), ShapeError);
  });
  EXPECT_EQ(model.head.kernel.value().to_vector<float>(), kernel);
}

}  // namespace
}  // namespace linnet::whole_models_test
