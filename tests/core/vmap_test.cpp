// vmap: axes, sizes, trees, and its errors.
#include "tests/core/core_support.h"

namespace linnet::vmap_test {
namespace {

using test::expect_error;
using test::floats;
using test::type_text;
using test::values;

Tensor norm(const Tensor& x) { return sqrt(sum(x * x)); }

TEST(Vmap, J_082_maps_the_first_axis_of_every_argument) {
  const Tensor x = tensor({{3.f, 4.f}, {6.f, 8.f}, {0.f, 0.f}});
  EXPECT_EQ(values(vmap(norm)(x)), floats({5, 10, 0}));
  const auto dot = vmap([](const Tensor& a, const Tensor& b) { return sum(a * b); });
  EXPECT_EQ(values(dot(x, x)), floats({25, 100, 0}));
}

TEST(Vmap, J_082_in_axes) {
  const Tensor x = test::ramp({2, 3, 4});
  for (int64_t axis : {0, 1, 2, -1, -2, -3}) {
    const Tensor got = vmap(norm, {.in_axes = {axis}})(x);
    const Tensor moved = moveaxis(x, axis, 0);
    ASSERT_EQ(got.size(), moved.shape(0));
    for (int64_t i = 0; i < got.size(); ++i) {
      EXPECT_FLOAT_EQ(got[i].item<float>(), norm(moved[i]).item<float>()) << axis;
    }
  }
  const auto affine = [](const Tensor& w, const Tensor& v) { return matmul(w, v); };
  const Tensor w = test::ramp({3, 2}), v = test::ramp({2, 5});
  const Tensor shared = vmap(affine, {.in_axes = {kNone, 1}})(w, v);
  EXPECT_EQ(type_text(shared), "f32[5,3]");
  EXPECT_EQ(values(shared.transpose()), values(matmul(w, v)));
  EXPECT_EQ(type_text(vmap(affine, {.in_axes = {kNone, -1}, .out_axes = {1}})(w, v)), "f32[3,5]");
}

TEST(Vmap, J_082_out_axes) {
  const auto f = [](const Tensor& x) { return std::make_tuple(x, sum(x), Tensor(ones({2}))); };
  const Tensor x = test::ramp({4, 3});
  const auto [a, b, c] = vmap(f, {.out_axes = {1, 0, kNone}})(x);
  EXPECT_EQ(type_text(a), "f32[3,4]");
  EXPECT_EQ(type_text(b), "f32[4]");
  EXPECT_EQ(type_text(c), "f32[2]");
  EXPECT_EQ(values(a.transpose()), values(x));
  const auto [d, e, g] = vmap(f)(x);
  EXPECT_EQ(type_text(g), "f32[4,2]") << "results that do not depend on the batch are repeated";
  const Tensor last = vmap([](const Tensor& t) { return outer(t, t); }, {.out_axes = {-1}})(x);
  EXPECT_EQ(type_text(last), "f32[3,3,4]");
}

TEST(Vmap, J_075_one_axis_covers_all_leaves_of_an_argument) {
  struct Sample {
    Tensor image, label;
    int classes = 10;
  };
  const Sample batch{test::ramp({4, 3}), tensor({1, 2, 3, 4}), 7};
  const auto f = [](const Sample& s, const std::map<std::string, Tensor>& p) {
    return std::map<std::string, Tensor>{{"a", sum(s.image) * p.at("scale")},
                                         {"b", s.label * s.classes}};
  };
  const std::map<std::string, Tensor> p{{"scale", Tensor(2.f)}};
  const auto out = vmap(f, {.in_axes = {0, kNone}})(batch, p);
  EXPECT_EQ(type_text(out.at("a")), "f32[4]");
  EXPECT_EQ(out.at("b").to_vector<int>(), (std::vector<int>{7, 14, 21, 28}));
}

TEST(Vmap, J_082_axis_size_is_needed_only_if_nothing_is_mapped) {
  const auto f = [](const Tensor& x) { return x * 2; };
  EXPECT_EQ(values(vmap(f, {.in_axes = {kNone}, .axis_size = 3})(Tensor(1.f))), floats({2, 2, 2}));
  EXPECT_EQ(values(vmap([] { return Tensor(1.f); }, {.axis_size = 2})()), floats({1, 1}));
  EXPECT_EQ(values(vmap(f, {.axis_size = 2})(ones({2}))), floats({2, 2}));
  expect_error<ValueError>("vmap: no argument is mapped and axis_size is not given",
                           [&] { vmap(f, {.in_axes = {kNone}})(Tensor(1.f)); });
}

TEST(Vmap, E_24_all_sizes_are_listed_if_they_disagree) {
  const auto f = [](const Tensor& a, const Tensor& b, const Tensor&) { return a + b; };
  expect_error<ShapeError>(
      "vmap: mapped axes have different sizes: 3 along axis 0 of f32[3], 4 along axis 1 of "
      "f32[3,4]",
      [&] {
        vmap(f, {.in_axes = {0, 1, kNone}})(ones({3}), ones({3, 4}), ones({9}));
      });
  expect_error<ShapeError>(
      "vmap: mapped axes have different sizes: axis_size 5, 3 along axis 0 of f32[3]",
      [] { vmap(norm, {.axis_size = 5})(ones({3})); });
  expect_error<ShapeError>("vmap: axis 0 is out of range for a tensor without dimensions",
                           [] { vmap(norm)(Tensor(1.f)); });
  expect_error<ShapeError>("vmap: axis 2 is out of range for a tensor of rank 2; expected -2 to 1",
                           [] {
                             vmap(norm, {.in_axes = {2}})(ones({2, 2}));
                           });
  expect_error<ShapeError>("vmap: axis 1 is out of range for a tensor of rank 1; expected -1 to 0",
                           [] {
                             vmap(norm, {.out_axes = {1}})(ones({2, 2}));
                           });
}

TEST(Vmap, axes_must_fit_the_arguments_and_results) {
  const auto two = [](const Tensor& a, const Tensor& b) { return std::make_pair(a, b); };
  const Tensor x = ones({3});
  expect_error<ValueError>("vmap: in_axes has 1 entries for 2 arguments",
                           [&] { vmap(two, {.in_axes = {0}})(x, x); });
  expect_error<ValueError>("vmap: in_axes has 3 entries for 2 arguments", [&] {
    vmap(two, {.in_axes = {0, 0, 0}})(x, x);
  });
  expect_error<ValueError>("vmap: out_axes has 3 entries for 2 results", [&] {
    vmap(two, {.out_axes = {0, 0, 0}})(x, x);
  });
  expect_error<ValueError>("vmap: out_axes has 2 entries for 1 result", [&] {
    vmap(norm, {.out_axes = {0, 0}})(x);
  });
}

TEST(Vmap, J_082_results_that_differ_need_an_axis) {
  expect_error<ValueError>(
      "vmap: out_axes is none for result 0, but it differs between the elements of the batch: "
      "f32[]\n"
      "  hint: give it an axis, or reduce it over the batch",
      [] {
        vmap(norm, {.out_axes = {kNone}})(ones({3, 2}));
      });
}

TEST(Vmap, undefined_leaves_are_named) {
  expect_error<ValueError>("vmap: a leaf of the arguments is an undefined tensor",
                           [] { vmap(norm)(Tensor()); });
  expect_error<ValueError>("vmap: a result is an undefined tensor",
                           [] { vmap([](const Tensor&) { return Tensor(); })(ones({3})); });
}

TEST(Vmap, nests_and_keeps_dtypes) {
  const auto f = [](const Tensor& a, const Tensor& b) { return a * 10 + b; };
  const Tensor a = tensor({1, 2}), b = tensor({3, 4, 5});
  const Tensor table =
      vmap([&](const Tensor& x) { return vmap([&](const Tensor& y) { return f(x, y); })(b); })(a);
  EXPECT_EQ(type_text(table), "i32[2,3]");
  EXPECT_EQ(table.to_vector<int>(), (std::vector<int>{13, 14, 15, 23, 24, 25}));
  const Tensor cube = vmap(vmap(vmap([](const Tensor& x) { return x > 0; })))(zeros({2, 3, 4}));
  EXPECT_EQ(type_text(cube), "bool[2,3,4]");
  EXPECT_EQ(type_text(vmap(norm)(zeros({0, 3}))), "f32[0]");
}

TEST(Vmap, captured_tensors_are_shared_by_the_batch) {
  const Tensor w = test::ramp({2, 2});
  const Tensor x = test::ramp({3, 2});
  EXPECT_EQ(values(vmap([&](const Tensor& row) { return matmul(row, w); })(x)),
            values(matmul(x, w)));
}

}  // namespace
}  // namespace linnet::vmap_test
