// Functions made of others, against jax.numpy, jax.scipy and jax.image (golden/numpy.safetensors):
// values over shapes, dtypes and special values, and all transformations of each.
#include <map>

#include "linnet/error.h"
#include "linnet/image.h"
#include "linnet/linalg_functions.h"
#include "linnet/numpy_arrays.h"
#include "linnet/numpy_functions.h"
#include "linnet/numpy_statistics.h"
#include "linnet/special.h"
#include "tests/ops/elementwise_support.h"
#include "tests/ops/golden_file.h"
#include "tests/ops/transform_check.h"

namespace linnet::numpy_functions_test {
namespace {

using testing::check_transforms;
using testing::distinct;
using testing::expect_error;
using testing::expect_golden;
using testing::expect_tensor;
using testing::GoldenFile;

using In = const TensorList&;
using Call = std::function<TensorList(In)>;
using Unary = Tensor (*)(const Tensor&);
using Binary = Tensor (*)(const Tensor&, const Tensor&);

/// What a case is called, how it is computed, and how far from JAX's value it may be.
struct Row {
  std::string name;
  Call call;
  double tolerance = 2e-6;
};

Row one(const char* name, Unary f, double tolerance = 2e-6) {
  return {name, [f](In x) { return TensorList{f(x[0])}; }, tolerance};
}
Row two(const char* name, Binary f, double tolerance = 2e-6) {
  return {name, [f](In x) { return TensorList{f(x[0], x[1])}; }, tolerance};
}
Row row(const std::string& name, std::function<Tensor(In)> f, double tolerance = 2e-6) {
  return {name, [f = std::move(f)](In x) { return TensorList{f(x)}; }, tolerance};
}
TensorList list(const std::pair<Tensor, Tensor>& x) { return {x.first, x.second}; }

void expect_cases(const std::vector<Row>& rows) {
  const GoldenFile golden("numpy");
  for (const Row& r : rows) {
    int calls = 0;
    for (;; ++calls) {
      const std::string prefix = r.name + "/" + std::to_string(calls);
      TensorList in, wanted;
      const auto read = [&](const char* part, TensorList& to) {
        for (int i = 0;; ++i) {
          const std::string name = prefix + part + std::to_string(i);
          if (!golden.contains(name)) return;
          to.push_back(golden.tensor(name));
        }
      };
      read("/in/", in);
      read("/out/", wanted);
      if (wanted.empty()) break;
      const TensorList got = r.call(in);
      ASSERT_EQ(got.size(), wanted.size()) << prefix;
      for (size_t i = 0; i < got.size(); ++i) {
        const double eps = wanted[i].dtype() == DType::kBF16 ? 0x1p-6 : r.tolerance;
        expect_golden(got[i], wanted[i], eps, prefix);
      }
    }
    EXPECT_GT(calls, 0) << r.name;
  }
}

struct Derived {
  const char* name;
  std::function<Tensor(In)> f;
  TensorList x;
};
void expect_transforms(const std::vector<Derived>& rows) {
  for (const Derived& r : rows) {
    SCOPED_TRACE(r.name);
    check_transforms(r.f, r.x);
  }
}

TEST(NumpyFunctions, J_017_J_018_J_019_J_020_element_by_element) {
  expect_cases({one("log10", log10), one("signbit", signbit), one("sinc", sinc),
                one("deg2rad", deg2rad), one("rad2deg", rad2deg), one("isposinf", isposinf),
                one("isneginf", isneginf), two("hypot", hypot), two("logaddexp2", logaddexp2),
                two("copysign", copysign), two("heaviside", heaviside), two("fmod", fmod),
                two("fmax", fmax), two("fmin", fmin), two("fmax_integers", fmax),
                two("logical_xor", logical_xor), two("ldexp", ldexp)});
  expect_cases({{"modf", [](In x) { return list(modf(x[0])); }}});
  const auto doubled = [](const Tensor& x) { return zeros_like(x) + 2; };
  expect_cases({row("piecewise",
                    [&](In x) {
                      return piecewise(x[0], {x[0]<-1, x[0]> 1}, {neg, doubled, square});
                    }),
                row("piecewise_zero", [&](In x) {
                  return piecewise(x[0], {x[0]<-1, x[0]> 1}, {neg, doubled});
                })});
  expect_error<ValueError>([] { piecewise(ones({2}), {}, {neg, neg}); }, "expected 0 or 1");
}

TEST(NumpyFunctions, J_017_J_023_along_an_axis_and_products) {
  std::vector<Row> rows;
  for (int64_t axis : {0, -1}) {
    const std::string at = std::to_string(axis);
    rows.push_back(row("gradient" + at, [=](In x) { return gradient(x[0], 0.5, axis); }));
    rows.push_back(
        row("trapezoid" + at, [=](In x) { return trapezoid(x[0], {.dx = 0.5, .axis = axis}); }));
  }
  const std::pair<const char*, ConvolveMode> modes[] = {{"correlate_valid", ConvolveMode::kValid},
                                                        {"correlate_same", ConvolveMode::kSame},
                                                        {"correlate_full", ConvolveMode::kFull}};
  for (const auto& [name, mode] : modes)
    rows.push_back(row(name, [mode = mode](In x) { return correlate(x[0], x[1], mode); }));
  expect_cases(rows);
  expect_cases({row("trapezoid_at", [](In x) { return trapezoid(x[0], {.x = x[1]}); }),
                row(
                    "unwrap", [](In x) { return unwrap(x[0]); }, 1e-5),
                row("vecdot", [](In x) { return vecdot(x[0], x[1]); }), two("matvec", matvec),
                two("vecmat", vecmat), two("polyval", polyval), two("polyadd", polyadd),
                two("polymul", polymul), one("polyint", polyint),
                row("polyder", [](In x) { return polyder(x[0]); }),
                row("polyder2", [](In x) { return polyder(x[0], 2); }),
                row(
                    "polyfit", [](In x) { return polyfit(x[0], x[1], 2); }, 2e-5)});
  expect_error<ShapeError>([] { gradient(ones({1})); }, "at least two elements");
}

TEST(NumpyFunctions, J_006_J_008_J_015_arrangements) {
  const auto joined = [](Tensor (*f)(const std::vector<Tensor>&)) {
    return [f](In x) { return f(x); };
  };
  std::vector<Row> rows = {one("atleast_1d", atleast_1d),
                           one("atleast_2d", atleast_2d),
                           one("atleast_3d", atleast_3d),
                           row("hstack", joined(hstack)),
                           row("vstack", joined(vstack)),
                           row("dstack", joined(dstack)),
                           row("column_stack", joined(column_stack)),
                           row("append", [](In x) { return append(x[0], x[1]); }),
                           row("append0", [](In x) { return append(x[0], x[1], 0); }),
                           row("insert", [](In x) { return insert(x[0], 1, x[1], 0); }),
                           row("remove",
                               [](In x) {
                                 return remove(x[0], {1, -1}, -1);
                               }),
                           row("resize",
                               [](In x) {
                                 return resize(x[0], {3, 4});
                               }),
                           row("roll", [](In x) { return roll(x[0], 2); }),
                           row("roll_axes",
                               [](In x) {
                                 return roll(x[0], {1, -2}, {0, 1});
                               }),
                           row("diagonal_axes", [](In x) { return diagonal(x[0], 1, 2, 0); }),
                           two("fill_diagonal", fill_diagonal),
                           {"indices",
                            [](In) {
                              return indices({2, 3});
                            }},
                           row("ravel_multi_index",
                               [](In x) {
                                 return ravel_multi_index(x, {3, 4});
                               }),
                           row("vander", [](In x) { return vander(x[0]); }),
                           row("vander_rising", [](In x) { return vander(x[0], 5, true); }),
                           row("logspace", [](In) { return logspace(-1, 2, 7); }),
                           row("geomspace", [](In) { return geomspace(-1, -1000, 5); })};
  for (int64_t k : {0, 1, 2, 3, -1}) {
    rows.push_back(row("rot90_" + std::to_string(k), [=](In x) { return rot90(x[0], k); }));
    rows.push_back(row("rot90_axes_" + std::to_string(k), [=](In x) {
      return rot90(x[0], k, {2, 0});
    }));
  }
  for (int64_t k : {-1, 0, 2, 9}) {
    const std::string at = std::to_string(k);
    rows.push_back(row("diagonal" + at, [=](In x) { return diagonal(x[0], k); }));
    rows.push_back(row("trace" + at, [=](In x) { return trace(x[0], k); }));
    rows.push_back(row("diagflat" + at, [=](In x) { return diagflat(x[0], k); }));
    rows.push_back({"tril_indices" + at, [=](In) { return list(tril_indices(3, k, 4)); }});
    rows.push_back({"triu_indices" + at, [=](In) { return list(triu_indices(3, k)); }});
  }
  expect_cases(rows);
  expect_tensor(unstack(tensor({{1, 2}, {3, 4}}), 1)[1], {DType::kI32, {2}}, {2, 4});
  expect_error<ValueError>([] { remove(ones({3}), {3}, 0); }, "entry 3 is not in axis 0");
  expect_error<ValueError>([] { insert(ones({3}), 4, 0, 0); }, "entry 4 is not in axis 0");
  expect_error<ShapeError>([] { resize(zeros({0}), {2}); }, "no elements to fill");
  expect_error<ShapeError>([] { diagonal(ones({3})); }, "two axes of f32[3]");
  expect_error<ValueError>([] { roll(ones({2, 2}), {1}, {0, 1}); }, "1 shifts were given for 2");
}

TEST(NumpyFunctions, J_010_J_012_J_014_J_032_picking_order_and_sets) {
  std::vector<Row> rows = {
      row("dynamic_slice_in_dim", [](In x) { return dynamic_slice_in_dim(x[0], x[1], 2); }),
      row("dynamic_index_in_dim", [](In x) { return dynamic_index_in_dim(x[0], x[1], -1, false); }),
      row("dynamic_update_slice_in_dim",
          [](In x) { return dynamic_update_slice_in_dim(x[0], x[1], x[2], 1); }),
      row("select_n",
          [](In x) {
            return select_n(x[0], {x[1], x[2]});
          }),
      row("select_three",
          [](In x) {
            return select_n(x[0], {x[1], x[2], x[3]});
          }),
      row("put_along_axis", [](In x) { return put_along_axis(x[0], x[1], x[2], 1); }),
      row("argwhere", [](In x) { return argwhere(x[0], 5, -1); }),
      row("flatnonzero", [](In x) { return flatnonzero(x[0], 5, -1); }),
      row("lexsort", [](In x) { return lexsort(x); }),
      row("diff2", [](In x) { return diff(x[0], 2); }),
      two("isin", isin)};
  for (int64_t axis : {0, -1}) {
    const std::string at = std::to_string(axis);
    rows.push_back(row(
        "cummin" + at, [=](In x) { return cummin(x[0], axis); }, 0));
    rows.push_back(row("diff" + at, [=](In x) { return diff(x[0], 1, axis); }));
  }
  for (int64_t size : {2, 8}) {
    const std::string at = std::to_string(size);
    rows.push_back(row("union1d_" + at, [=](In x) { return union1d(x[0], x[1], size); }));
    rows.push_back(row("intersect1d_" + at, [=](In x) { return intersect1d(x[0], x[1], size); }));
    rows.push_back(row("setdiff1d_" + at, [=](In x) { return setdiff1d(x[0], x[1], size); }));
    rows.push_back(
        row("union1d_" + at + "_filled", [=](In x) { return union1d(x[0], x[1], size, -1); }));
    rows.push_back(row("intersect1d_" + at + "_filled",
                       [=](In x) { return intersect1d(x[0], x[1], size, -1); }));
    rows.push_back(
        row("setdiff1d_" + at + "_filled", [=](In x) { return setdiff1d(x[0], x[1], size, -1); }));
  }
  expect_cases(rows);
}

TEST(NumpyFunctions, J_014_J_021_statistics) {
  const auto both = [](const Histogram& h) { return TensorList{h.counts, h.edges}; };
  std::vector<Row> rows = {
      {"histogram", [&](In x) { return both(histogram(x[0], {.bins = 4})); }},
      {"histogram_range",
       [&](In x) {
         return both(histogram(x[0], {.bins = 4, .range = {{-1, 1.5}}}));
       }},
      {"histogram_density",
       [&](In x) { return both(histogram(x[0], {.bins = 4, .weights = x[1], .density = true})); },
       1e-5},
      {"histogram_edges", [&](In x) { return both(histogram(x[0], {.edges = x[1]})); }},
      row("digitize0", [](In x) { return digitize(x[0], x[1]); }),
      row("digitize1", [](In x) { return digitize(x[0], x[1], true); }),
      row("average", [](In x) { return average(x[0]); }),
      row("average_weighted", [](In x) { return average(x[0], x[1], 1); }),
      row(
          "cov", [](In x) { return cov(x[0]); }, 1e-5),
      row(
          "cov_columns", [](In x) { return cov(x[0], {.rows = false, .ddof = 0}); }, 1e-5),
      row(
          "corrcoef", [](In x) { return corrcoef(x[0]); }, 1e-5),
      row("ptp", [](In x) { return ptp(x[0], 0); }),
      row("percentile", [](In x) { return percentile(x[0], x[1]); }),
      row("nanpercentile", [](In x) { return nanpercentile(x[0], x[1]); }),
      row("nanmedian", [](In x) { return nanmedian(x[0], {.keepdims = true}); }),
      row("nanprod", [](In x) { return nanprod(x[0]); }),
      row("nanprod1", [](In x) { return nanprod(x[0], 1); }),
      row("nanvar", [](In x) { return nanvar(x[0]); }),
      row("nanvar1", [](In x) { return nanvar(x[0], 1); }),
      row("nanstd", [](In x) { return nanstd(x[0]); }),
      row("nanstd1", [](In x) { return nanstd(x[0], 1); }),
      row("nanargmax", [](In x) { return nanargmax(x[0]); }),
      row("nanargmax1", [](In x) { return nanargmax(x[0], 1); }),
      row("nanargmin", [](In x) { return nanargmin(x[0]); }),
      row("nanargmin1", [](In x) { return nanargmin(x[0], 1); }),
      row("nancumsum", [](In x) { return nancumsum(x[0], 1); }),
      row("nancumprod", [](In x) { return nancumprod(x[0], 1); })};
  const std::pair<const char*, QuantileMethod> methods[] = {{"linear", QuantileMethod::kLinear},
                                                            {"lower", QuantileMethod::kLower},
                                                            {"higher", QuantileMethod::kHigher},
                                                            {"midpoint", QuantileMethod::kMidpoint},
                                                            {"nearest", QuantileMethod::kNearest}};
  for (const auto& [name, method] : methods) {
    const QuantileOptions plain{.axis = 1, .method = method},
        kept{.axis = 0, .keepdims = true, .method = method};
    rows.push_back(
        row(std::string("quantile_") + name, [=](In x) { return quantile(x[0], x[1], plain); }));
    rows.push_back(row(std::string("nanquantile_") + name,
                       [=](In x) { return nanquantile(x[0], x[1], kept); }));
  }
  expect_cases(rows);
  expect_error<ShapeError>([] { histogram(ones({3}), {.edges = ones({1})}); }, "at least two");
  // Axes in braces are axes.
  EXPECT_EQ(sum(ones({2, 3}), {}).item<float>(), 6);
  EXPECT_EQ(mean(ones({2, 3}), {0}, true).shape(), (Shape{1, 3}));
  EXPECT_EQ(max(ones({2, 3}), {0, 1}).shape(), (Shape{}));
}

TEST(NumpyFunctions, J_019_special_functions) {
  using namespace special;  // NOLINT(google-build-using-namespace)
  expect_cases({one("entr", entr), one("logit", logit), one("expit", expit), one("ndtr", ndtr),
                one("log_ndtr", log_ndtr, 4e-6), one("ndtri", ndtri, 1e-5),
                one("gammaln", special::gammaln, 4e-6), one("gamma", special::gamma, 1e-5),
                one("factorial", factorial, 1e-5), two("xlogy", xlogy), two("xlog1py", xlog1py),
                two("rel_entr", rel_entr, 4e-6), two("kl_div", special::kl_div, 4e-6),
                two("betaln", betaln, 1e-5), two("beta", special::beta, 3e-5),
                two("boxcox", boxcox, 1e-5), two("boxcox1p", boxcox1p, 1e-5),
                row("multigammaln", [](In x) { return multigammaln(x[0], 3); })});
}

TEST(NumpyFunctions, J_030_functions_of_matrices) {
  using namespace linalg;  // NOLINT(google-build-using-namespace)
  expect_cases({one("expm", expm, 5e-5), two("cho_solve", cho_solve, 1e-5),
                row("matrix_rank", [](In x) { return matrix_rank(x[0]); }), one("cond", cond, 1e-4),
                row(
                    "multi_dot", [](In x) { return multi_dot(x); }, 1e-5),
                row(
                    "tensorinv", [](In x) { return tensorinv(x[0]); }, 1e-4),
                two("tensorsolve", tensorsolve, 1e-4)});
  EXPECT_TRUE(std::isnan(expm(full({1, 1}, 1e6)).item<float>()));
  expect_error<ValueError>([] { multi_dot({ones({2, 2})}); }, "at least two");
  expect_error<ShapeError>([] { tensorinv(ones({2, 3})); }, "different numbers of elements");
}

const std::pair<const char*, image::Method> kMethods[] = {
    {"nearest", image::Method::kNearest},   {"linear", image::Method::kLinear},
    {"cubic", image::Method::kCubic},       {"cubic-pytorch", image::Method::kCubicPytorch},
    {"lanczos3", image::Method::kLanczos3}, {"lanczos5", image::Method::kLanczos5},
    {"area", image::Method::kArea}};

TEST(Image, resized_as_by_jax) {
  const GoldenFile golden("numpy");
  for (const auto& [name, method] : kMethods) {
    for (bool antialias : {true, false}) {
      const std::string end = std::string(name) + (antialias ? "_1/" : "_0/");
      for (int k = 0; k < 7; ++k) {
        const std::string at = "resize_" + end + std::to_string(k);
        Shape shape;
        for (int size : golden.tensor(at + "/shape").to_vector<int>()) shape.push_back(size);
        const Tensor wanted = golden.tensor(at + "/out/0");
        expect_golden(image::resize(golden.tensor(at + "/in/0"), shape, method, antialias), wanted,
                      wanted.dtype() == DType::kBF16 ? 0x1p-6 : 5e-6, at);
      }
      if (method == image::Method::kNearest) continue;
      expect_cases({row(
          "scale_and_translate_" + std::string(name) + (antialias ? "_1" : "_0"),
          [method = method, antialias](In x) {
            return image::scale_and_translate(x[0], {6, 4}, {0, 1}, x[1], x[2], method, antialias);
          },
          1e-5)});
    }
  }
  EXPECT_EQ(image::resize(zeros({2, 3}), {0, 3}, image::Method::kCubic).shape(), (Shape{0, 3}));
  EXPECT_EQ(image::resize(zeros({0, 3}), {0, 5}, image::Method::kLinear).shape(), (Shape{0, 5}));
  expect_error<ShapeError>([] { image::resize(zeros({0}), {2}, image::Method::kLinear); },
                           "axis 0 of f32[0] cannot have 2");
  expect_error<ShapeError>(
      [] {
        image::resize(zeros({2}), {2, 2}, image::Method::kLinear);
      },
      "expected 1 sizes");
  expect_error<ValueError>(
      [] { image::scale_and_translate(zeros({2}), {2}, {0}, 1.0, 0.0, image::Method::kNearest); },
      "expected a kernel");
}

TEST(NumpyFunctions, derivatives_batches_and_compilation) {
  // Of another scale, so that no element of one is equal to one of the other.
  const Tensor v = distinct({5}), w = distinct({5}, 0.43), m = distinct({3, 4});
  const Tensor p = from_vector(std::vector<double>{0.2, 0.7, 0.4}, {3});
  const Tensor r = from_vector(std::vector<double>{1.3, 2.6, 3.9}, {3});
  const auto f = [](Unary g) { return [g](In x) { return g(x[0]); }; };
  const auto g = [](Binary h) { return [h](In x) { return h(x[0], x[1]); }; };
  expect_transforms(
      {{"log10", f(log10), {r}},
       {"sinc", f(sinc), {from_vector(std::vector<double>{0, 0.03, -1.2}, {3})}},
       {"hypot", g(hypot), {v, w}},
       {"logaddexp2", g(logaddexp2), {v, w}},
       {"copysign", g(copysign), {v, w}},
       {"fmax", g(fmax), {v, w}},
       {"gradient", [](In x) { return gradient(x[0], 0.5, 0); }, {m}},
       {"trapezoid", [](In x) { return trapezoid(x[0], {.x = x[1]}); }, {m, distinct({4})}},
       {"correlate", [](In x) { return correlate(x[0], x[1], ConvolveMode::kSame); }, {p, v}},
       {"polyfit", [](In x) { return polyfit(x[0], x[1], 1); }, {p, r}},
       {"polyval", g(polyval), {p, v}}});
  expect_transforms(
      {{"vstack", [](In x) { return vstack(x); }, {p, r}},
       {"insert", [](In x) { return insert(x[0], -1, x[1], 0, 2); }, {m, distinct({4})}},
       {"remove", [](In x) { return remove(x[0], {1}, 1); }, {m}},
       {"rot90", [](In x) { return rot90(x[0]); }, {m}},
       {"diagonal", [](In x) { return diagonal(x[0], 1); }, {m}},
       {"fill_diagonal", g(fill_diagonal), {m, p}},
       {"vander", [](In x) { return vander(x[0], 4); }, {p}},
       {"put_along_axis",
        [](In x) { return put_along_axis(x[0], x[1], x[2], 1); },
        {m, tensor({{0}, {2}, {-1}}), distinct({3, 1})}},
       {"dynamic_slice_in_dim",
        [](In x) { return dynamic_slice_in_dim(x[0], x[1], 2, 1); },
        {m, scalar_integer(1, DType::kI32)}},
       {"cummin", [](In x) { return cummin(x[0], 1); }, {m}}});
  expect_transforms(
      {{"average",
        [](In x) { return average(x[0], x[1], 1); },
        {m, from_vector(std::vector<double>{1, 2, 3, 4}, {4})}},
       {"corrcoef", [](In x) { return corrcoef(x[0]); }, {distinct({2, 5})}},
       {"nanquantile",
        [](In x) {
          const Tensor gaps = where(x[1] > 0, x[0], NAN);
          return nanquantile(gaps, 0.3, {.axis = 0});
        },
        {m, tensor({{1, 1, 1, 1}, {1, 0, 1, 1}, {1, 1, 0, 1}})}},
       {"quantile",
        [](In x) {
          return quantile(x[0], tensor({0.2, 0.9}),
                          {.axis = 1, .method = QuantileMethod::kMidpoint});
        },
        {m}},
       {"xlogy", g(special::xlogy), {v, r[0]}},
       {"rel_entr", [](In x) { return special::rel_entr(exp(x[0]), exp(x[1])); }, {p, r}},
       {"log_ndtr", f(special::log_ndtr), {from_vector(std::vector<double>{-25, -3, 0.5, 9}, {4})}},
       {"gamma", f(special::gamma), {from_vector(std::vector<double>{-1.5, 0.7, 3.2}, {3})}},
       {"betaln", g(special::betaln), {p, r}},
       {"boxcox", g(special::boxcox), {r, p}}});
  expect_transforms({{"expm", f(linalg::expm), {distinct({2, 2})}},
                     {"multi_dot",
                      [](In x) { return linalg::multi_dot(x); },
                      {distinct({2, 3}), distinct({3, 2}), distinct({2})}}});
  for (const auto& [name, method] : kMethods) {
    expect_transforms({{name,
                        [method = method](In x) {
                          return image::resize(x[0], {5, 2}, method);
                        },
                        {m}}});
  }
  expect_transforms(
      {{"scale_and_translate",
        [](In x) {
          return image::scale_and_translate(x[0], {4, 4}, {0}, x[1], x[2], image::Method::kCubic);
        },
        {m, scalar(1.37, DType::kF64), scalar(-0.21, DType::kF64)}}});
}

}  // namespace
}  // namespace linnet::numpy_functions_test
