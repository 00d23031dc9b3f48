// Collectives over the named axis of a vmap: values, derivatives, nesting, errors.
#include <numeric>

#include "tests/core/core_support.h"

namespace linnet::collectives_test {
namespace {

using test::expect_error;
using test::floats;
using test::type_text;
using test::values;

template <class F>
auto over_i(F f, std::vector<std::optional<int64_t>> out_axes = {}) {
  return vmap(std::move(f), {.out_axes = std::move(out_axes), .axis_name = "i"});
}

const Tensor& rows() {
  static const Tensor x = tensor({{1.f, 5.f}, {2.f, 4.f}, {4.f, 3.f}, {8.f, 2.f}});
  return x;
}

TEST(Collectives, J_033_reductions_give_all_elements_one_value) {
  const Tensor x = rows();
  const auto sums = over_i([](const Tensor& r) { return psum(r, "i"); }, {kNone});
  EXPECT_EQ(type_text(sums(x)), "f32[2]") << "the same for all, so it need not be mapped";
  EXPECT_EQ(values(sums(x)), floats({15, 14}));
  const auto all = over_i([](const Tensor& r) {
    return TensorList{psum(r, "i"), pmean(r, "i"), pmax(r, "i"), pmin(r, "i")};
  });
  const TensorList y = all(x);
  EXPECT_EQ(type_text(y[0]), "f32[4,2]");
  EXPECT_EQ(values(y[0]), floats({15, 14, 15, 14, 15, 14, 15, 14}));
  EXPECT_EQ(values(y[1][0]), floats({3.75, 3.5}));
  EXPECT_EQ(values(y[2][3]), floats({8, 5}));
  EXPECT_EQ(values(y[3][1]), floats({1, 2}));
}

TEST(Collectives, J_033_values_that_are_the_same_for_all) {
  const auto f = over_i(
      [](const Tensor& r) {
        const Tensor w = ones({2}) * 3;
        return std::make_tuple(r, psum(1, "i"), psum(w, "i"), pmean(w, "i"), pmax(w, "i"),
                               all_gather(w, "i"), Tensor(axis_size("i")));
      },
      {0, kNone, kNone, kNone, kNone, kNone, kNone});
  const auto [r, one, sum, mean, largest, gathered, size] = f(rows());
  EXPECT_EQ(one.item<int>(), 4);
  EXPECT_EQ(values(sum), floats({12, 12}));
  EXPECT_EQ(values(mean), floats({3, 3}));
  EXPECT_EQ(values(largest), floats({3, 3}));
  EXPECT_EQ(type_text(gathered), "f32[4,2]");
  EXPECT_EQ(size.item<int>(), 4);
}

TEST(Collectives, J_033_dtypes_are_kept_and_bools_are_counted) {
  const auto type_of_sum = [](DType dtype) {
    return type_text(
        over_i([](const Tensor& r) { return psum(r, "i"); }, {kNone})(astype(rows(), dtype)));
  };
  EXPECT_EQ(type_of_sum(DType::kI8), "i8[2]");
  EXPECT_EQ(type_of_sum(DType::kBF16), "bf16[2]");
  EXPECT_EQ(type_of_sum(DType::kF64), "f64[2]");
  EXPECT_EQ(type_of_sum(DType::kBool), "i32[2]");
  const Tensor mean =
      over_i([](const Tensor& r) { return pmean(r, "i"); }, {kNone})(astype(rows(), DType::kI32));
  EXPECT_EQ(type_text(mean), "f32[2]");
  EXPECT_EQ(values(mean), floats({3.75, 3.5}));
  expect_error<DTypeError>("pmax, pmin: expected numbers, got bool[2]", [] {
    over_i([](const Tensor& r) { return pmax(r > 2, "i"); })(rows());
  });
}

TEST(Collectives, J_033_trees) {
  const std::map<std::string, Tensor> y = over_i([](const Tensor& r) {
    return psum(std::map<std::string, Tensor>{{"a", r}, {"b", sum(r)}}, "i");
  })(rows());
  EXPECT_EQ(values(y.at("a")[0]), floats({15, 14}));
  EXPECT_EQ(y.at("b")[2].item<float>(), 29);
}

TEST(Collectives, J_033_axis_index) {
  const Tensor x = zeros({3, 2});
  const Tensor index = over_i([](const Tensor&) { return axis_index("i"); })(x);
  EXPECT_EQ(type_text(index), "i32[3]");
  EXPECT_EQ(index.to_vector<int>(), (std::vector<int>{0, 1, 2}));
  const auto both = over_i([](const Tensor& row) {
    return vmap([](const Tensor&) { return axis_index({"i", "j"}); }, {.axis_name = "j"})(row);
  });
  EXPECT_EQ(both(x).to_vector<int>(), (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

TEST(Collectives, J_033_all_gather) {
  const Tensor x = rows();
  const Tensor all = over_i([](const Tensor& r) { return all_gather(r, "i"); }, {kNone})(x);
  EXPECT_EQ(type_text(all), "f32[4,2]");
  EXPECT_EQ(values(all), values(x));
  const auto last =
      over_i([](const Tensor& r) { return all_gather(r, "i", {.axis = -1}); }, {kNone});
  EXPECT_EQ(type_text(last(x)), "f32[2,4]");
  EXPECT_EQ(values(last(x)), values(x.transpose().contiguous()));
  const auto tiled =
      over_i([](const Tensor& r) { return all_gather(r, "i", {.tiled = true}); }, {kNone});
  EXPECT_EQ(type_text(tiled(x)), "f32[8]");
  EXPECT_EQ(values(tiled(x)), values(x));
}

TEST(Collectives, J_033_psum_scatter) {
  const Tensor x = test::ramp({3, 3, 2});
  const Tensor part = over_i([](const Tensor& r) { return psum_scatter(r, "i"); })(x);
  EXPECT_EQ(type_text(part), "f32[3,2]");
  EXPECT_EQ(values(part), values(sum(x, 0)));
  const Tensor y = test::ramp({3, 2, 6});
  const Tensor tiled = over_i([](const Tensor& r) {
    return psum_scatter(r, "i", {.scatter_dimension = 1, .tiled = true});
  })(y);
  EXPECT_EQ(type_text(tiled), "f32[3,2,2]");
  EXPECT_EQ(values(tiled), values(moveaxis(reshape(sum(y, 0), {2, 3, 2}), 1, 0).contiguous()));
  const auto one = over_i([](const Tensor&) { return psum_scatter(ones({3}), "i"); });
  EXPECT_EQ(values(one(x)), floats({3, 3, 3}));
  expect_error<ShapeError>(
      "psum_scatter: dimension 0 of f32[4] is not as long as the 3 elements of 'i'",
      [&] { over_i([](const Tensor&) { return psum_scatter(ones({4}), "i"); })(x); });
}

TEST(Collectives, J_033_all_to_all) {
  const Tensor x = test::ramp({3, 3, 2});
  const Tensor swapped = over_i([](const Tensor& r) { return all_to_all(r, "i", 0, 0); })(x);
  EXPECT_EQ(values(swapped), values(swapaxes(x, 0, 1).contiguous()));
  // Element j gets, along the last dimension, part j of every element.
  const Tensor moved = over_i([](const Tensor& r) { return all_to_all(r, "i", 0, 1); })(x);
  EXPECT_EQ(type_text(moved), "f32[3,2,3]");
  for (int64_t j = 0; j < 3; ++j) {
    for (int64_t i = 0; i < 3; ++i)
      EXPECT_EQ(moved[j][1][i].item<float>(), x[i][j][1].item<float>());
  }
  const Tensor y = test::ramp({2, 4, 3});
  const Tensor tiled =
      over_i([](const Tensor& r) { return all_to_all(r, "i", 0, 1, {.tiled = true}); })(y);
  EXPECT_EQ(type_text(tiled), "f32[2,2,6]");
  const Tensor first = concatenate({y[0], y[1]}, 1);  // [4, 6]
  EXPECT_EQ(values(tiled), values(first)) << "rows 0 and 1 for element 0, the others for 1";
}

TEST(Collectives, J_033_ppermute_and_pshuffle) {
  const Tensor x = tensor({1.f, 2.f, 3.f});
  const auto shifted = over_i([](const Tensor& r) { return ppermute(r, "i", {{0, 1}, {1, 2}}); });
  EXPECT_EQ(values(shifted(x)), floats({0, 1, 2})) << "zeros where nothing arrives";
  const auto around = over_i([](const Tensor& r) {
    return ppermute(r, "i", {{0, 1}, {1, 2}, {2, 0}});
  });
  EXPECT_EQ(values(around(x)), floats({3, 1, 2}));
  const auto shuffled = over_i([](const Tensor& r) { return pshuffle(r, "i", {2, 0, 1}); });
  EXPECT_EQ(values(shuffled(x)), floats({3, 1, 2}));
  const auto constant = over_i([](const Tensor&) { return ppermute(Tensor(7.f), "i", {{0, 2}}); });
  EXPECT_EQ(values(constant(x)), floats({0, 0, 7}));
}

TEST(Collectives, J_033_groups) {
  const AxisIndexGroups groups{{0, 2}, {3, 1}};
  const Tensor x = rows();
  const auto f = over_i([&](const Tensor& r) {
    return TensorList{psum(r, "i", groups),
                      pmean(r, "i", groups),
                      pmax(r, "i", groups),
                      all_gather(r[0], "i", {.axis_index_groups = groups}),
                      psum_scatter(r, "i", {.axis_index_groups = groups}),
                      all_to_all(r, "i", 0, 0, {.axis_index_groups = groups})};
  });
  const TensorList y = f(x);
  EXPECT_EQ(values(y[0]), floats({5, 8, 10, 6, 5, 8, 10, 6}));
  EXPECT_EQ(values(y[1]), floats({2.5, 4, 5, 3, 2.5, 4, 5, 3}));
  EXPECT_EQ(values(y[2]), floats({4, 5, 8, 4, 4, 5, 8, 4}));
  EXPECT_EQ(values(y[3]), floats({1, 4, 8, 2, 1, 4, 8, 2}));
  EXPECT_EQ(values(y[4]), floats({5, 6, 8, 10}));
  EXPECT_EQ(values(y[5]), floats({1, 4, 2, 4, 5, 3, 8, 2}));
  const AxisIndexGroups uneven{{1}, {0, 2, 3}};
  const auto mean = over_i([&](const Tensor& r) { return pmean(r[0], "i", uneven); });
  EXPECT_EQ(values(mean(x)), floats({13 / 3.f, 2, 13 / 3.f, 13 / 3.f}));
  const auto count = over_i([&](const Tensor&) { return psum(1, "i", uneven); });
  EXPECT_EQ(count(x).to_vector<int>(), (std::vector<int>{3, 1, 3, 3}));
}

TEST(Collectives, J_033_several_names) {
  const Tensor x = test::ramp({2, 3, 4});
  const auto over_both = [](auto f) {
    return vmap(
        [f](const Tensor& rows) { return vmap(f, {.out_axes = {kNone}, .axis_name = "j"})(rows); },
        {.out_axes = {kNone}, .axis_name = "i"});
  };
  const Tensor total = over_both([](const Tensor& r) { return psum(r, {"i", "j"}); })(x);
  const Tensor expected = sum(x, {0, 1});
  for (int64_t k = 0; k < 4; ++k)
    EXPECT_FLOAT_EQ(total[k].item<float>(), expected[k].item<float>());
  EXPECT_EQ(over_both([](const Tensor&) { return psum(1, {"j", "i"}); })(x).item<int>(), 6);
  const Tensor all = over_both([](const Tensor& r) { return all_gather(r, {"i", "j"}); })(x);
  EXPECT_EQ(type_text(all), "f32[6,4]");
  EXPECT_EQ(values(all), values(x));
  const Tensor swapped = over_both([](const Tensor& r) { return all_gather(r, {"j", "i"}); })(x);
  EXPECT_EQ(values(swapped), values(swapaxes(x, 0, 1).contiguous()));
  EXPECT_EQ(over_both([](const Tensor&) {
              return Tensor(axis_size({"i", "j"}));
            })(x)
                .item<int>(),
            6);
  const auto scattered = vmap(
      [](const Tensor& rows) {
        return vmap(
            [](const Tensor&) {
              return psum_scatter(iota(DType::kF32, {6}), {"i", "j"});
            },
            {.axis_name = "j"})(rows);
      },
      {.axis_name = "i"});
  EXPECT_EQ(values(scattered(x)), floats({0, 6, 12, 18, 24, 30}));
}

TEST(Collectives, J_033_the_inner_of_two_axes_of_one_name) {
  const Tensor x = test::ramp({2, 3});
  const auto f = over_i([](const Tensor& row) {
    const Tensor inner = vmap([](const Tensor& t) { return psum(t, "i"); },
                              {.out_axes = {kNone}, .axis_name = "i"})(row);
    return std::make_pair(inner, psum(inner, "i"));
  });
  const auto [inner, outer] = f(x);
  EXPECT_FLOAT_EQ(inner[0].item<float>(), 0.3f);
  EXPECT_FLOAT_EQ(inner[1].item<float>(), 1.2f);
  EXPECT_FLOAT_EQ(outer[0].item<float>(), 1.5f);
}

TEST(Collectives, J_033_other_batches_around_and_inside) {
  const Tensor x = test::ramp({2, 3, 4});
  const auto check = [&](auto f) {
    // The named axis is the middle one; whether the batch is inside or outside of it is the same.
    const Tensor outside = vmap(over_i(f))(x);
    const Tensor inside = vmap([&](const Tensor& r) { return vmap(f)(r); },
                               {.in_axes = {1}, .out_axes = {1}, .axis_name = "i"})(x);
    EXPECT_EQ(values(outside), values(inside));
    for (int64_t b = 0; b < 2; ++b) EXPECT_EQ(values(outside[b]), values(over_i(f)(x[b])));
  };
  check([](const Tensor& r) { return psum(r, "i"); });
  check([](const Tensor& r) { return pmax(r, "i"); });
  check([](const Tensor& r) { return all_gather(r, "i", {.axis = 1}); });
  check([](const Tensor& r) { return all_gather(r, "i", {.axis = 0, .tiled = true}); });
  check([](const Tensor& r) {
    return psum_scatter(outer(r, ones({3})), "i", {.scatter_dimension = 1});
  });
  check([](const Tensor& r) { return all_to_all(outer(r, iota(DType::kF32, {3})), "i", 1, 0); });
  check([](const Tensor& r) {
    return all_to_all(outer(r, iota(DType::kF32, {6})), "i", 1, 0, {.tiled = true});
  });
  check([](const Tensor& r) { return ppermute(r, "i", {{2, 0}}); });
  check([](const Tensor& r) { return r * axis_index("i"); });
}

TEST(Collectives, J_033_gradients_exchange_cotangents) {
  const Tensor x = tensor({1.f, 2.f, 4.f});
  // As a function of all elements, psum gives each of n losses each cotangent.
  EXPECT_EQ(values(over_i(grad([](const Tensor& r) { return psum(r * r, "i"); }))(x)),
            floats({6, 12, 24}));
  EXPECT_EQ(values(over_i(grad([](const Tensor& r) { return pmean(r * r, "i"); }))(x)),
            floats({2, 4, 8}));
  const auto total = [](auto f) { return [f](const Tensor& t) { return sum(over_i(f)(t)); }; };
  const auto both = [&](auto f) {
    const Tensor outside = grad(total(f))(x), inside = over_i(grad(f))(x);
    EXPECT_EQ(values(outside), values(inside));
    return values(inside);
  };
  both([](const Tensor& r) { return sin(psum(r * r, "i")); });
  EXPECT_EQ(both([](const Tensor& r) { return pmax(r, "i"); }), floats({0, 0, 3}));
  EXPECT_EQ(both([](const Tensor& r) {
              return ppermute(r, "i", {{0, 1}, {1, 2}}) * r;
            }),
            floats({2, 5, 2}));
  EXPECT_EQ(both([](const Tensor& r) {
              return sum(all_gather(r, "i") * iota(DType::kF32, {3})) * (axis_index("i") + 1);
            }),
            floats({0, 6, 12}));
  both([](const Tensor& r) { return psum_scatter(r * iota(DType::kF32, {3}), "i") * r; });
  both([](const Tensor& r) {
    return sum(all_to_all(r * iota(DType::kF32, {3}), "i", 0, 0) * r * iota(DType::kF32, {3}));
  });
  both([](const Tensor& r) { return psum(r * r * r, "i", {{0, 2}, {1}}); });
}

TEST(Collectives, J_033_the_extremes_share_their_cotangent) {
  const Tensor x = tensor({3.f, 1.f, 3.f});
  const Tensor g = over_i(grad([](const Tensor& r) { return pmax(r, "i") * 2; }))(x);
  EXPECT_EQ(values(g), floats({3, 0, 3}));
  const auto [y, t] =
      jvp(over_i([](const Tensor& r) { return pmin(r, "i"); }), x, tensor({5.f, 7.f, 9.f}));
  EXPECT_EQ(values(t), floats({7, 7, 7}));
  const Tensor inside = over_i([](const Tensor& r) {
    return jvp([](const Tensor& z) { return pmax(z, "i"); }, r, axis_index("i") * 2.f).second;
  })(x);
  EXPECT_EQ(values(inside), floats({2, 2, 2}));
}

TEST(Collectives, J_033_forward_mode_and_second_derivatives) {
  const Tensor x = from_vector<double>({0.5, -1, 2}, {3});
  const auto f = [](const Tensor& r) { return psum(sin(r) * r, "i") * r; };
  const Tensor ones_like_x = ones_like(x);
  const Tensor outside = jvp(over_i(f), x, ones_like_x).second;
  const Tensor inside =
      over_i([&](const Tensor& r) { return jvp(f, r, scalar(1, DType::kF64)).second; })(x);
  EXPECT_EQ(outside.to_vector<double>(), inside.to_vector<double>());
  // The Hessian of the sum over all losses against the formula.
  const auto total = [&](const Tensor& t) { return sum(over_i(f)(t)); };
  const auto plain = [](const Tensor& t) { return sum(sum(sin(t) * t) * t); };
  const auto a = hessian(total)(x).to_vector<double>(), b = hessian(plain)(x).to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-12);
}

TEST(Collectives, J_033_unmapped_values_have_gradients) {
  const Tensor x = tensor({1.f, 2.f, 4.f});
  const Tensor w = scalar(3, DType::kF32);
  // sum over i of (n w) x_i
  const auto loss = [&](const Tensor& v) {
    return sum(over_i([&](const Tensor& r) { return psum(v, "i") * r; })(x));
  };
  EXPECT_EQ(grad(loss)(w).item<float>(), 21);
  const Tensor inner = over_i([&](const Tensor& r) {
    return grad([&](const Tensor& v) { return psum(v, "i") * r; })(w);
  })(x);
  EXPECT_EQ(values(inner), floats({7, 7, 7}));
}

TEST(Collectives, J_033_inside_programs) {
  const Tensor x = tensor({1.f, 2.f, 4.f});
  const auto f = [](const Tensor& r) { return r * psum(r, "i") + axis_index("i"); };
  const std::vector<float> expected = values(over_i(f)(x));
  EXPECT_EQ(expected, floats({7, 15, 30}));
  EXPECT_EQ(values(jit([&](const Tensor& t) { return over_i(f)(t); })(x)), expected);
  const auto jitted = jit(f);
  EXPECT_EQ(values(over_i([&](const Tensor& r) { return jitted(r); })(x)), expected);
  EXPECT_EQ(values(over_i([&](const Tensor& r) { return checkpoint(f)(r); })(x)), expected);
  const auto g = grad([&](const Tensor& t) { return sum(over_i(f)(t)); })(x);
  for (bool outside : {true, false}) {
    const auto through = [&](const auto& inner) {
      if (outside) return values(grad([&](const Tensor& t) { return sum(over_i(inner)(t)); })(x));
      return values(over_i(grad(inner))(x));
    };
    EXPECT_EQ(through([&](const Tensor& r) { return jitted(r); }), values(g));
    EXPECT_EQ(through([&](const Tensor& r) { return checkpoint(f)(r); }), values(g));
  }
}

TEST(Collectives, J_033_programs_that_take_no_mapped_operand) {
  const Tensor x = tensor({1.f, 2.f, 4.f});
  const auto program = jit([](const Tensor& w) { return psum(w, "i") + axis_index("i"); });
  const auto f = over_i([&](const Tensor&) { return program(Tensor(2.f)); });
  EXPECT_EQ(values(f(x)), floats({6, 7, 8}));
  const auto again = checkpoint([](const Tensor& w) { return psum(w * w, "i"); });
  EXPECT_EQ(values(over_i([&](const Tensor&) { return again(Tensor(2.f)); }, {kNone})(x)),
            floats({12}));
}

TEST(Collectives, J_033_compiled_functions_depend_on_what_is_bound) {
  const auto f = jit([](const Tensor& r) { return psum(r, "i"); });
  const auto sums = [&](int64_t n) {
    return values(over_i([&](const Tensor& r) { return f(r); }, {kNone})(ones({n})));
  };
  EXPECT_EQ(sums(3), floats({3}));
  EXPECT_EQ(sums(5), floats({5}));
  EXPECT_EQ(f.trace_count(), 2u);
  EXPECT_EQ(sums(3), floats({3}));
  EXPECT_EQ(f.trace_count(), 2u);
  EXPECT_THROW(f(ones({})), UnknownAxisError);
}

TEST(Collectives, J_033_inside_loops_and_branches) {
  const Tensor x = tensor({1.f, 2.f, 4.f});
  const auto check = [&](auto f, const std::vector<float>& expected) {
    EXPECT_EQ(values(over_i(f)(x)), expected);
    EXPECT_EQ(values(jit([&](const Tensor& t) { return over_i(f)(t); })(x)), expected);
    const auto jitted = jit(f);
    EXPECT_EQ(values(over_i([&](const Tensor& r) { return jitted(r); })(x)), expected);
  };
  // Each turn: the mean of all, halfway.
  const auto scanned = [](const Tensor& r) {
    return scan([](const Tensor& c) { return std::pair((c + pmean(c, "i") * 3) / 4, Tensor(0.f)); },
                r * 3, ScanOptions{.length = 1})
        .first;
  };
  check(scanned, floats({6, 6.75, 8.25}));
  // The carry begins as one for all and becomes one for each.
  const auto grows = [](const Tensor&) {
    return fori_loop(
        0, 2, [](const Tensor&, const Tensor& c) { return c + axis_index("i"); }, Tensor(1.f));
  };
  check(grows, floats({1, 3, 5}));
  const auto whiled = [](const Tensor& r) {
    return while_loop([](const Tensor& c) { return psum(c, "i") < 50; },
                      [](const Tensor& c) { return c * 2; }, r);
  };
  check(whiled, floats({8, 16, 32}));
  const auto branched = [](const Tensor& r) {
    return cond(
        psum(r, "i") > 5, [&] { return r - pmean(r, "i"); }, [&] { return r * 0; });
  };
  check([&](const Tensor& r) { return branched(r * 3); }, floats({-4, -1, 5}));
  check([&](const Tensor& r) { return branched(r / 2); }, floats({0, 0, 0}));
}

TEST(Collectives, J_033_gradients_through_loops) {
  const Tensor x = from_vector<double>({0.5, -1, 2}, {3});
  const auto turn = [](const Tensor& c) { return sin(c) + pmean(c * c, "i"); };
  const auto plain = [&](const Tensor& r) { return turn(turn(turn(r))); };
  const auto looped = [&](auto body) {
    return [body](const Tensor& r) {
      return scan([&](const Tensor& c) { return std::pair(body(c), Tensor(0.f)); }, r,
                  ScanOptions{.length = 3})
          .first;
    };
  };
  const auto near = [](const Tensor& a, const Tensor& b) {
    const auto p = a.to_vector<double>(), q = b.to_vector<double>();
    for (size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(p[i], q[i], 1e-12);
  };
  const auto total = [](auto f) { return [f](const Tensor& t) { return sum(over_i(f)(t)); }; };
  const Tensor expected = grad(total(plain))(x);
  const auto check = [&](auto f) {
    near(grad(total(f))(x), expected);
    near(over_i(grad(f))(x), expected);
    near(jit([&](const Tensor& t) { return grad(total(f))(t); })(x), expected);
    near(jvp(over_i(f), x, ones_like(x)).second, jvp(over_i(plain), x, ones_like(x)).second);
  };
  check(looped(turn));
  check(looped(checkpoint(turn)));
  check(checkpoint(looped(turn)));
}

TEST(Collectives, J_033_custom_rules_see_the_axis) {
  const Tensor x = tensor({1.f, 2.f, 4.f});
  const auto f = custom_vjp([](const Tensor& r) { return psum(r, "i"); },
                            [](const Tensor& r) { return std::make_pair(psum(r, "i"), r); },
                            [](const Tensor& r, const Tensor& ct) { return pmean(ct, "i") * r; });
  const auto scaled = [&](const Tensor& r) { return f(r) * r; };
  // The rule: mean of the cotangents (7 / 3), times r; and the direct part, the sum.
  const std::vector<float> expected{7 + 7 / 3.f, 7 + 14 / 3.f, 7 + 28 / 3.f};
  const auto near = [&](const Tensor& got) {
    for (int64_t i = 0; i < 3; ++i)
      EXPECT_FLOAT_EQ(got[i].item<float>(), expected[static_cast<size_t>(i)]);
  };
  near(over_i(grad(scaled))(x));
  near(grad([&](const Tensor& t) { return sum(over_i(scaled)(t)); })(x));
  const auto jitted = jit(scaled);
  near(over_i(grad([&](const Tensor& r) { return jitted(r); }))(x));
  near(jit([&](const Tensor& t) { return over_i(grad(scaled))(t); })(x));
}

TEST(Collectives, J_033_no_elements) {
  const Tensor none = zeros({0, 2});
  const auto f = over_i([](const Tensor& r) { return psum(r, "i"); }, {kNone});
  EXPECT_EQ(values(f(none)), floats({0, 0}));
  EXPECT_EQ(type_text(over_i([](const Tensor& r) { return r * pmean(r, "i"); })(none)), "f32[0,2]");
}

TEST(Collectives, J_033_names_that_nothing_binds) {
  expect_error<UnknownAxisError>(
      "psum: no axis 'i' here; bound are: none\n"
      "  hint: vmap(f, {.axis_name = \"i\"}) binds the name while f runs",
      [] { psum(Tensor(1.f), "i"); });
  expect_error<UnknownAxisError>(
      "all_gather: no axis 'k' here; bound are: 'j' of size 2, 'i' of size 4\n"
      "  hint: vmap(f, {.axis_name = \"k\"}) binds the name while f runs",
      [] {
        over_i([](const Tensor& r) {
          return vmap([](const Tensor& t) { return all_gather(t, "k"); }, {.axis_name = "j"})(r);
        })(rows());
      });
  EXPECT_THROW(axis_index("i"), UnknownAxisError);
  EXPECT_THROW(axis_size("i"), UnknownAxisError);
  EXPECT_THROW(vmap([](const Tensor& r) { return psum(r, "i"); })(rows()), UnknownAxisError);
}

TEST(Collectives, J_033_rules_that_use_an_axis_which_is_not_bound_there) {
  const auto twice = [](const Tensor& x) { return x * 2; };
  const auto backward = custom_vjp(
      twice, [](const Tensor& x) { return std::pair(x * 2, x); },
      [](const Tensor&, const Tensor& ct) { return psum(ct, "i"); });
  const auto forward =
      custom_jvp(twice, [](const std::tuple<Tensor>& x, const std::tuple<Tensor>& t) {
        return std::pair(std::get<0>(x) * 2, psum(std::get<0>(t), "i"));
      });
  const Tensor x = tensor({1.f, 2.f, 3.f});
  const auto check = [&](const auto& rule) {
    const auto loss = [&](const Tensor& v) { return sum(rule(v)); };
    EXPECT_EQ(values(vmap(grad(loss), {.axis_name = "i"})(x)), floats({3, 3, 3}));
    EXPECT_THROW(grad(loss)(x), UnknownAxisError);
    EXPECT_THROW(jit([&](const Tensor& v) { return grad(loss)(v); })(x), UnknownAxisError);
    EXPECT_THROW(vmap(grad(loss), {.axis_name = "k"})(x), UnknownAxisError);
    EXPECT_THROW(jvp(rule, x, x), UnknownAxisError);
    // What is differentiated is the same for all elements, so the rule runs outside of the vmap.
    const auto outside = [&](const Tensor& v) {
      return sum(vmap([&](const Tensor& y) { return y * rule(sum(v)); }, {.axis_name = "i"})(x));
    };
    EXPECT_THROW(grad(outside)(x), UnknownAxisError);
    EXPECT_THROW(jit([&](const Tensor& v) { return grad(outside)(v); })(x), UnknownAxisError);
  };
  check(backward);
  check(forward);
}

TEST(Collectives, J_033_one_element_for_all) {
  const auto f = over_i([](const Tensor& r) { return pbroadcast(r, "i", 2); });
  const Tensor x = rows();
  for (int64_t i = 0; i < x.shape(0); ++i) EXPECT_EQ(values(f(x)[i]), values(x[2]));
  EXPECT_EQ(values(jit([&](const Tensor& v) { return f(v); })(x)), values(f(x)));
  // The cotangents of all go to the one.
  const Tensor g = grad([&](const Tensor& v) { return sum(f(v) * x); })(x);
  EXPECT_EQ(values(g[2]), values(sum(x, 0)));
  EXPECT_EQ(sum(abs(g[0])).item<float>(), 0);
  const Tensor same =
      over_i([](const Tensor& r) { return r * pbroadcast(Tensor(3.f), "i", 1); })(x);
  EXPECT_EQ(values(same), values(x * 3));
  expect_error<ValueError>("pbroadcast: there is no element 4 of 4", [&] {
    over_i([](const Tensor& r) { return pbroadcast(r, "i", 4); })(x);
  });
  EXPECT_THROW(pbroadcast(Tensor(1.f), "i", 0), UnknownAxisError);
}

TEST(Collectives, J_033_trees_under_every_collective) {
  const Tensor x = rows();
  using Tree = std::pair<Tensor, std::vector<Tensor>>;
  const auto tree = [](const Tensor& r) { return Tree(r, {r * 2, -r}); };
  const auto check = [&](const auto& whole, const auto& single) {
    const Tree got = vmap([&](const Tensor& r) { return whole(tree(r)); }, {.axis_name = "i"})(x);
    const auto one = [&](const Tensor& v) { return values(over_i(single)(v)); };
    EXPECT_EQ(values(got.first), one(x));
    EXPECT_EQ(values(got.second.at(0)), one(x * 2));
    EXPECT_EQ(values(got.second.at(1)), one(-x));
  };
  const auto both = [&](const auto& f) { check(f, f); };
  both([](const auto& v) { return psum(v, "i"); });
  both([](const auto& v) { return pmean(v, "i"); });
  both([](const auto& v) { return pmax(v, "i"); });
  both([](const auto& v) { return pmin(v, "i"); });
  both([](const auto& v) { return all_gather(v, "i"); });
  both([](const auto& v) { return ppermute(v, "i", {{0, 1}, {1, 0}}); });
  both([](const auto& v) { return pshuffle(v, "i", {3, 2, 1, 0}); });
  both([](const auto& v) { return pbroadcast(v, "i", 1); });
  both([](const auto& v) { return psum_scatter(all_gather(v, "i"), "i"); });
  both([](const auto& v) { return all_to_all(all_gather(v, "i"), "i", 0, 0); });
}

TEST(Collectives, J_033_what_does_not_fit_is_refused) {
  const auto refused = [](const std::string& text, auto f) {
    expect_error<ValueError>(text, [&] { over_i(f)(rows()); });
  };
  refused("psum: axis_index_groups must have each index of 'i', 0 to 3, in one group",
          [](const Tensor& r) {
            return psum(r, "i", {{0, 1}, {1, 2, 3}});
          });
  refused("all_gather: axis_index_groups must be of one size, got 1 and 3", [](const Tensor& r) {
    return all_gather(r, "i", {.axis_index_groups = {{0}, {1, 2, 3}}});
  });
  refused("ppermute: (0, 4) is not a pair of indices of 'i', which has 4", [](const Tensor& r) {
    return ppermute(r, "i", {{0, 4}});
  });
  refused("ppermute: two pairs have one destination", [](const Tensor& r) {
    return ppermute(r, "i", {{0, 1}, {2, 1}});
  });
  refused("ppermute: two pairs have one source", [](const Tensor& r) {
    return ppermute(r, "i", {{0, 1}, {0, 2}});
  });
  refused("pshuffle: expected a permutation of 4 indices, got 2", [](const Tensor& r) {
    return pshuffle(r, "i", {1, 0});
  });
  refused("all_to_all: expected one axis, got 2", [](const Tensor& r) {
    return all_to_all(r, {"i", "i"}, 0, 0);
  });
  expect_error<ShapeError>(
      "all_to_all: dimension 0 of f32[2] is not as long as the 4 elements of 'i'",
      [] { over_i([](const Tensor& r) { return all_to_all(r, "i", 0, 0); })(rows()); });
}

TEST(Collectives, parameters_have_texts) {
  const Primitive* gather = find_primitive("all_gather");
  if (!gather) {
    define_all_primitives();
    gather = find_primitive("all_gather");
  }
  ASSERT_NE(gather, nullptr);
  const std::string text = "name='i', size=2, axis=1, tiled=true, groups=[[0,2],[1,3]]";
  EXPECT_EQ(gather->read_params(text).ref().text(), text);
}

}  // namespace
}  // namespace linnet::collectives_test
