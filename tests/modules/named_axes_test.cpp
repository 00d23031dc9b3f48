// Normalisation and collectives over a named axis against JAX and Flax, in both module APIs.
#include <gtest/gtest.h>

#include "linnet/linen.h"
#include "linnet/nnx.h"
#include "tests/ops/golden_file.h"

namespace linnet::named_axes_test {
namespace {

using testing::expect_golden;

const testing::GoldenFile& golden() {
  static const testing::GoldenFile file("named_axes");
  return file;
}

/// Four numbers for each variance, which is a difference of two sums.
constexpr double kFewElements = 1e-5;

template <class F>
auto over(const char* name, F f, std::vector<std::optional<int64_t>> out_axes = {}) {
  return vmap(std::move(f), {.out_axes = std::move(out_axes), .axis_name = name});
}

/// The gradient of <gradient of f, direction>.
template <class F>
Tensor second(const F& f, const Tensor& x, const Tensor& direction) {
  return grad([&](const Tensor& v) { return sum(grad(f)(v) * direction); })(x);
}

/// Of f over the batch x: what it gives, and first and second derivatives from outside of the vmap;
/// second ones of its sine, since most collectives are linear.
template <class F>
TensorList outside_of(const F& f, const Tensor& x) {
  const Tensor out = over("i", f)(x);
  const Tensor weights = random::normal(Key(2), out.shape());
  const auto loss = [&](const Tensor& v) { return sum(over("i", f)(v) * weights); };
  const auto bent = [&](const Tensor& v) { return sum(sin(over("i", f)(v)) * weights); };
  return {out, grad(loss)(x), second(bent, x, random::normal(Key(3), x.shape()))};
}

/// From inside, where each element has a loss of its own.
template <class F>
TensorList inside_of(const F& f, const Tensor& x, const Shape& out) {
  const auto one = [&](const Tensor& r, const Tensor& w) {
    return grad([&](const Tensor& v) { return sum(f(v) * w); })(r);
  };
  const auto two = [&](const Tensor& r, const Tensor& w, const Tensor& direction) {
    return second([&](const Tensor& v) { return sum(sin(f(v)) * w); }, r, direction);
  };
  const Tensor weights = random::normal(Key(2), out);
  return {over("i", one)(x, weights),
          over("i", two)(x, weights, random::normal(Key(3), x.shape()))};
}

/// Each tensor of the golden file under its name.
void check_each(const TensorList& got, const std::vector<std::string>& names,
                const std::string& prefix) {
  for (size_t i = 0; i < names.size(); ++i) {
    const double tolerance = names[i] == "out" ? 1e-6 : 1e-5;
    expect_golden(got.at(i), golden().tensor(prefix + names[i]), tolerance, prefix + names[i]);
  }
}

/// Values, first and second derivatives from outside and, where the reference has them, from inside
/// of the vmap; compiled too.
template <class F>
void check_collective(const std::string& name, F f) {
  const std::string prefix = "collective/" + name + "/";
  const Tensor x = golden().tensor(prefix + "in");
  const bool has_inside = golden().contains(prefix + "grad/inside");
  const Shape out = golden().tensor(prefix + "out").shape();
  const auto outside = [&](const Tensor& v) { return outside_of(f, v); };
  const auto inside = [&](const Tensor& v) { return inside_of(f, v, out); };
  for (const bool compiled : {false, true}) {
    check_each(compiled ? jit(outside)(x) : outside(x), {"out", "grad/outside", "second/outside"},
               prefix);
    if (has_inside)
      check_each(compiled ? jit(inside)(x) : inside(x), {"grad/inside", "second/inside"}, prefix);
  }
}

TEST(NamedAxes, J_033_collectives_as_in_jax) {
  check_collective("psum", [](const Tensor& r) { return psum(sin(r), "i"); });
  check_collective("pmean", [](const Tensor& r) { return pmean(r * r, "i") * r; });
  check_collective("all_gather", [](const Tensor& r) { return all_gather(r, "i", {.axis = 1}); });
  check_collective("all_gather_tiled",
                   [](const Tensor& r) { return all_gather(r, "i", {.axis = 1, .tiled = true}); });
  check_collective("psum_scatter", [](const Tensor& r) { return psum_scatter(r, "i"); });
  check_collective("all_to_all", [](const Tensor& r) { return all_to_all(r, "i", 0, 1); });
  check_collective("all_to_all_tiled",
                   [](const Tensor& r) { return all_to_all(r, "i", 0, 1, {.tiled = true}); });
  check_collective("ppermute", [](const Tensor& r) {
    return ppermute(r, "i", {{0, 2}, {1, 0}, {2, 1}}) * r;
  });
  check_collective("axis_index",
                   [](const Tensor& r) { return r * axis_index("i") + psum(1, "i"); });
  check_collective("softmax", [](const Tensor& r) { return exp(r) / psum(exp(r), "i"); });
}

TEST(NamedAxes, J_033_extremes_as_in_jax) {
  const auto check = [](const std::string& name, const auto& f) {
    const std::string prefix = "extreme/" + name + "/";
    const Tensor x = golden().tensor(prefix + "in");
    const auto all = [&](const Tensor& v) { return outside_of(f, v); };
    check_each(all(x), {"out", "grad", "second"}, prefix);
    check_each(jit(all)(x), {"out", "grad", "second"}, prefix);
  };
  check("pmax", [](const Tensor& r) { return pmax(sin(r), "i") * r; });
  check("pmin", [](const Tensor& r) { return pmin(sin(r), "i") * r; });
}

/// A functional layer, one set of variables for all elements.
template <class Layer>
void check_linen(const std::string& name, const Layer& layer, double tolerance = 3e-6) {
  const std::string prefix = "linen/" + name + "/";
  const Tensor x = golden().tensor(prefix + "in");
  const linen::Variables variables =
      over("batch", [&](const Tensor& r) { return linen::init(layer, Key(0), r); }, {kNone})(x);
  const linen::ApplyOptions options{.mutate = "batch_stats"};
  const auto apply = [&](const linen::Variables& params, const Tensor& batch) {
    const linen::Variables all = variables | linen::Variables{{"params", params}};
    return over("batch", [&](const Tensor& r) { return linen::apply_with(options, layer, all, r); },
                {0, kNone})(batch);
  };
  const auto [out, updates] = apply(variables["params"], x);
  expect_golden(out, golden().tensor(prefix + "out"), tolerance, prefix + "out");
  for (const auto& [path, leaf] : linen::flat_leaves(updates)) {
    const std::string key = prefix + "updates/" + path.at(0) + "/" + path.at(1);
    expect_golden(leaf->value(), golden().tensor(key), 3e-6, key);
  }
  const Tensor weights = random::normal(Key(2), out.shape());
  const auto loss = [&](const linen::Variables& params, const Tensor& batch) {
    return sum(apply(params, batch).first * weights);
  };
  const auto [of_params, of_x] = grad<0, 1>(loss)(variables["params"], x);
  expect_golden(of_x, golden().tensor(prefix + "grad/in"), 3e-5, prefix + "grad/in");
  for (const auto& [path, leaf] : linen::flat_leaves(of_params)) {
    const std::string key = prefix + "grad/params/" + path.at(0);
    expect_golden(leaf->value(), golden().tensor(key), 3e-5, key);
  }
}

TEST(NamedAxes, L_129_L_127_batch_norm_over_a_named_axis) {
  const linen::BatchNorm norm{.use_running_average = false, .momentum = 0.9, .axis_name = "batch"};
  check_linen("batch_norm", norm);
  linen::BatchNorm slow = norm;
  slow.use_fast_variance = false;
  check_linen("batch_norm_slow", slow);
}

TEST(NamedAxes, L_127_other_norms_over_a_named_axis) {
  check_linen("layer_norm", linen::LayerNorm{.axis_name = "batch"});
  check_linen("rms_norm", linen::RMSNorm{.axis_name = "batch"});
  check_linen("group_norm", linen::GroupNorm{.num_groups = 3, .axis_name = "batch"});
  check_linen("instance_norm", linen::InstanceNorm{.axis_name = "batch"}, kFewElements);
}

TEST(NamedAxes, L_129_init_needs_no_axis_and_takes_its_own_batch) {
  const linen::BatchNorm norm{.use_running_average = false, .axis_name = "batch"};
  const Tensor x = random::normal(Key(1), {4, 3});
  const linen::Variables variables = linen::init(norm, Key(0), x);
  EXPECT_EQ(linen::flat_leaves(variables).size(), 4u);
  EXPECT_THROW(linen::apply_with({.mutate = "batch_stats"}, norm, variables, x), UnknownAxisError);
}

/// An object layer, captured: one for all elements.
template <class Layer>
void check_nnx(const std::string& name, Layer layer, double tolerance = 3e-6) {
  const std::string prefix = "nnx/" + name + "/";
  const Tensor x = golden().tensor(prefix + "in");
  const Tensor out = over("batch", [&](const Tensor& r) { return layer(r); })(x);
  expect_golden(out, golden().tensor(prefix + "out"), tolerance, prefix + "out");
  const nnx::State statistics = nnx::state(layer, nnx::of_type<nnx::BatchStat>());
  for (const auto& [path, leaf] : statistics.entries()) {
    const std::string key = prefix + "batch_stats_after/" + tree::to_string(path);
    expect_golden(leaf.value(), golden().tensor(key), 3e-6, key);
  }
}

TEST(NamedAxes, N_123_N_124_norms_of_objects_over_a_named_axis) {
  nnx::Rngs rngs(0);
  check_nnx("batch_norm", nnx::BatchNorm(6, {.momentum = 0.9, .axis_name = "batch"}, rngs));
  check_nnx("layer_norm", nnx::LayerNorm(6, {.axis_name = "batch"}, rngs));
  check_nnx("rms_norm", nnx::RMSNorm(6, {.axis_name = "batch"}, rngs));
  check_nnx("group_norm", nnx::GroupNorm(6, {.num_groups = 3, .axis_name = "batch"}, rngs));
  check_nnx("instance_norm", nnx::InstanceNorm(6, {.axis_name = "batch"}, rngs), kFewElements);
}

TEST(NamedAxes, N_123_a_named_axis_is_a_larger_batch) {
  nnx::Rngs rngs(0);
  nnx::BatchNorm split(5, {.axis_name = "batch"}, rngs), whole(5, {}, rngs);
  const Tensor x = random::normal(Key(3), {4, 6, 5}) * 3 + 1;
  const Tensor a = over("batch", [&](const Tensor& r) { return split(r); })(x);
  const Tensor b = whole(reshape(x, {24, 5}));
  expect_golden(reshape(a, {24, 5}), b, 1e-5, "normalised");
  expect_golden(split.mean.value(), whole.mean.value(), 1e-6, "mean");
  expect_golden(split.var.value(), whole.var.value(), 1e-5, "variance");
  // In evaluation no axis is asked for.
  const nnx::BatchNorm& fixed = split;
  EXPECT_NO_THROW(fixed(x[0], true));
}

TEST(NamedAxes, N_123_groups_of_a_named_axis) {
  nnx::Rngs rngs(0);
  const nnx::LayerNorm grouped(5, {.axis_name = "batch", .axis_index_groups = {{0, 1}, {2, 3}}},
                               rngs);
  const nnx::LayerNorm all(5, {.axis_name = "batch"}, rngs);
  const Tensor x = random::normal(Key(4), {4, 2, 5}) * 3 + 1;
  const Tensor got = over("batch", [&](const Tensor& r) { return grouped(r); })(x);
  for (int64_t first : {0, 2}) {
    const Tensor pair = stack({x[first], x[first + 1]});
    const Tensor wanted = over("batch", [&](const Tensor& r) { return all(r); })(pair);
    expect_golden(got[first], wanted[0], 1e-6, "group");
    expect_golden(got[first + 1], wanted[1], 1e-6, "group");
  }
}

TEST(NamedAxes, L_084_vmap_of_a_module_with_batch_norm) {
  const linen::BatchNorm norm{.use_running_average = false, .momentum = 0.9, .axis_name = "batch"};
  const auto batched =
      linen::vmap(norm, {.variable_axes = {{"params", kNone}, {"batch_stats", kNone}},
                         .split_rngs = {{"params", false}},
                         .axis_name = "batch"});
  const std::string prefix = "linen/batch_norm/";
  const Tensor x = golden().tensor(prefix + "in");
  const linen::Variables variables = linen::init(batched, Key(0), x);
  const auto [out, updates] = linen::apply_with({.mutate = "batch_stats"}, batched, variables, x);
  expect_golden(out, golden().tensor(prefix + "out"), 3e-6, "out");
  for (const auto& [path, leaf] : linen::flat_leaves(updates)) {
    const std::string key = prefix + "updates/batch_stats/" + path.back();
    expect_golden(leaf->value(), golden().tensor(key), 3e-6, key);
  }
}

TEST(NamedAxes, N_100_vmap_of_objects_binds_a_name) {
  nnx::Rngs rngs(0);
  nnx::BatchNorm norm(6, {.momentum = 0.9, .axis_name = "batch"}, rngs);
  const Tensor x = golden().tensor("nnx/batch_norm/in");
  const auto f = nnx::vmap([](nnx::BatchNorm& n, const Tensor& r) { return n(r); },
                           {.in_axes = {nnx::kNone, 0}, .axis_name = "batch"});
  expect_golden(f(norm, x), golden().tensor("nnx/batch_norm/out"), 3e-6, "out");
  expect_golden(norm.mean.value(), golden().tensor("nnx/batch_norm/batch_stats_after/mean"), 3e-6,
                "mean");
}

}  // namespace
}  // namespace linnet::named_axes_test
