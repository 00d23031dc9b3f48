// Destructors and moves ask for no memory: they run while an exception for want of it is on
// its way, and what they throw ends the process.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>

#include "linnet/bridge.h"
#include "linnet/data/loader.h"
#include "linnet/data/prefetch.h"
#include "linnet/io/json.h"
#include "linnet/linen/transforms.h"
#include "linnet/linnet.h"
#include "linnet/metrics.h"
#include "linnet/nnx/rngs_split.h"
#include "linnet/optim/wrappers.h"
#include "tests/failures/allocation_hook.h"

namespace linnet::destruction_test {
namespace {

using testing::CountedAllocations;

/// What `action` allocates in this thread.
template <class F>
int64_t allocations(const F& action) {
  const CountedAllocations counted;
  action();
  return CountedAllocations::count();
}

/// Objects that `make` gives are destroyed, and moved and exchanged if that is said not to throw.
template <class F>
void expect_none(const char* what, const F& make) {
  SCOPED_TRACE(what);
  using T = decltype(make());
  std::optional<T> first(make()), second(make()), target;
  if constexpr (std::is_nothrow_move_constructible_v<T>)
    EXPECT_EQ(allocations([&] { target.emplace(std::move(*first)); }), 0) << "moved";
  else
    target.emplace(make());
  if constexpr (std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>) {
    EXPECT_EQ(allocations([&] { std::swap(*target, *second); }), 0) << "exchanged";
    EXPECT_EQ(allocations([&] { *target = std::move(*second); }), 0) << "assigned by a move";
  }
  EXPECT_EQ(allocations([&] { first.reset(); }), 0) << "destroyed after a move";
  EXPECT_EQ(allocations([&] { target.reset(); }), 0) << "destroyed";
  EXPECT_EQ(allocations([&] { second.reset(); }), 0) << "destroyed";
}

struct Net {
  nnx::Linear up;
  nnx::BatchNorm norm;
  nnx::Dropout dropout;
  explicit Net(nnx::Rngs& rngs) : up(3, 4, rngs), norm(4, rngs), dropout(0.5, rngs) {}
  LINNET_FIELDS(up, norm, dropout)
  Tensor operator()(const Tensor& x) { return dropout(norm(up(x))); }
};
Net net() {
  nnx::Rngs rngs(0);
  return Net(rngs);
}

TEST(Destruction, R_044_tensors_and_trees) {
  expect_none("Tensor", [] { return ones({3}); });
  expect_none("traced view", [] { return slice(ones({8}), {2}, {5}).reshape({3, 1}); });
  // So many and so different that pools must take more than they ever held.
  expect_none("TensorList", [] {
    TensorList out;
    for (int64_t i = 0; i < 1500; ++i) out.push_back(zeros({1 + 37 * i}));
    return out;
  });
  expect_none("Shape", [] { return Shape(20, 3); });
  expect_none("Key", [] { return random::split(Key(0), 2); });
  expect_none("map", [] { return std::map<std::string, Tensor>{{"a", ones({2})}}; });
  expect_none("error", [] { return ShapeError("a text that is too long to lie in the object"); });
  expect_none("Json", [] { return Json(Json::Object{{"a", Json::Array{1, "x", 2.5}}}); });
}

TEST(Destruction, R_044_modules_and_their_states) {
  expect_none("module", net);
  expect_none("variable", [] { return nnx::Param(ones({2})); });
  expect_none("Rngs", [] { return nnx::Rngs{{"params", 0}, {"dropout", 1}}; });
  expect_none("State", [] {
    Net model = net();
    return nnx::state(model);
  });
  expect_none("GraphDef", [] {
    Net model = net();
    return nnx::graphdef(model);
  });
  expect_none("Variables", [] {
    return linen::init(linen::Dense{.features = 2}, Key(0), ones({1, 3}));
  });
  expect_none("ToNNX", [] {
    return bridge::ToNNX(linen::Dense{.features = 2}, nnx::Rngs(0)).lazy_init(ones({1, 3}));
  });
  expect_none("ToLinen", [] { return bridge::to_linen<Net>(); });
  expect_none("metric", [] {
    metrics::Average average;
    average.update(ones({2}));
    return average;
  });
}

TEST(Destruction, R_044_functions) {
  const auto step = [](Net& model, const Tensor& x) {
    return nnx::value_and_grad([&](Net& m) { return sum(m(x)); }, model).first;
  };
  expect_none("jit", [&] {
    auto out = jit(step);
    Net model = net();
    out(model, ones({2, 3}));
    return out;
  });
  expect_none("pullback",
              [] { return vjp([](const Tensor& x) { return sin(x) * x; }, ones({3})).second; });
  expect_none("vmap",
              [] { return vmap([](const Tensor& x) { return x; }, {.axis_name = "rows"}); });
}

TEST(Destruction, R_044_optimisers) {
  const auto tx = [] {
    return optim::multi_steps(
        optim::apply_if_finite(optim::adam(optim::cosine_decay_schedule(1, 9)), 3), 2);
  };
  expect_none("GradientTransformation", tx);
  expect_none("TransformState", [&] { return tx().init(ones({4})); });
  expect_none("Optimizer", [&] {
    Net model = net();
    return optim::Optimizer(model, tx());
  });
}

TEST(Destruction, R_044_loaders) {
  for (const int workers : {0, 1}) {
    expect_none("Loader", [&] {
      data::Loader loader(data::in_memory(arange(8.0)),
                          {.batch_size = 2, .shuffle = Key(3), .workers = workers});
      (void)loader.next();
      return loader;
    });
  }
  expect_none("LoaderState", [] { return data::LoaderState(); });
  expect_none("Prefetch", [] {
    data::Prefetch out([] { return std::optional<Tensor>(ones({2})); }, kCpu);
    (void)out.next();
    return out;
  });
}

/// Values that go back when a function does not end, in whatever way.
TEST(Destruction, R_044_what_puts_values_back_needs_no_memory) {
  nnx::Rngs rngs(0);
  for (const bool fails : {false, true}) {
    std::optional<CountedAllocations> counted;
    try {
      const nnx::RestoreRngs after(nnx::split_rngs(rngs, {.splits = 2}));
      const std::unique_ptr<std::runtime_error> error(new std::runtime_error("stop"));
      counted.emplace();
      if (fails) throw *error;
    } catch (const std::runtime_error&) {
    }
    EXPECT_EQ(CountedAllocations::count(), 0);
    // The key that was split is given once by the call that ends.
    EXPECT_EQ(rngs["default"].count().item<uint32_t>(), 1u);
  }
  EXPECT_EQ(rngs["default"].key().data().rank(), 1u);
}

}  // namespace
}  // namespace linnet::destruction_test
