// The maps of dimensions tell the truth: what they say about an index is tried on the operations
// that the rows of the op table emit.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

#include "linnet/error.h"
#include "linnet/primitive.h"
#include "linnet/trace.h"
#include "op_checks.h"

namespace linnet::testing::op_dims_test {
namespace {

/// One application of a primitive to values.
struct Application {
  const Primitive* primitive;
  Params params;
  TensorList inputs;
};

/// Notes all applications.
class ApplicationTrace final : public Trace {
 public:
  explicit ApplicationTrace(std::vector<Application>& out) : out_(out) {}
  TensorList process(const Primitive& primitive, Inputs inputs, ParamsRef params) override {
    out_.push_back({&primitive, Params(params), TensorList(inputs.begin(), inputs.end())});
    TraceScope scope(parent());
    return emit(primitive, inputs, params);
  }
  const char* transformation() const override { return "recording"; }

 private:
  std::vector<Application>& out_;
};

std::vector<Application> applications(const OpCase& row, const Sample& sample, unsigned seed) {
  std::vector<Application> out;
  const TensorList x = make_operands(sample, row.base_dtype(), seed);
  ApplicationTrace trace(out);
  TraceScope scope(&trace);
  row.function(x);
  return out;
}

/// The shape with every factor a dimension of its own, and which dimension factor `f` is (-1:
/// none).
struct Split {
  Shape shape;
  int64_t axis = -1;
};
Split split_of(const DimMap& map, const TensorFactors& tensor, int64_t f) {
  Split out;
  for (const auto& factors : tensor) {
    for (int64_t factor : factors) {
      if (factor == f) out.axis = static_cast<int64_t>(out.shape.size());
      out.shape.push_back(map.factors[factor].size);
    }
  }
  return out;
}

/// `chosen` where factor `f` is 0, `other` elsewhere; all of `other` if the factor is not there.
Tensor where_first(const DimMap& map, const TensorFactors& tensor, int64_t f, const Tensor& chosen,
                   const Tensor& other) {
  const Split split = split_of(map, tensor, f);
  if (split.axis < 0) return other;
  const Tensor first = equal(iota(DType::kI32, split.shape, split.axis), 0);
  return reshape(where(first, reshape(chosen, split.shape), reshape(other, split.shape)),
                 other.shape());
}

Tensor reversed(const DimMap& map, const TensorFactors& tensor, int64_t f, const Tensor& x) {
  const Split split = split_of(map, tensor, f);
  return split.axis < 0 ? x : reshape(flip(reshape(x, split.shape), {split.axis}), x.shape());
}

std::string check_sizes(const DimMap& map, const std::vector<TensorFactors>& tensors,
                        const TensorList& values, const char* what) {
  if (tensors.size() != values.size())
    return fmt::format("{} {} in the map, {} there", tensors.size(), what, values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (tensors[i].size() != values[i].rank())
      return fmt::format("{} {} has {} dimensions in the map", what, i, tensors[i].size());
    for (size_t d = 0; d < values[i].rank(); ++d) {
      int64_t size = 1;
      for (int64_t factor : tensors[i][d]) size *= map.factors[factor].size;
      if (size != values[i].shape()[d])
        return fmt::format("{} {} dimension {} has size {} in the map, {} there", what, i, d, size,
                           values[i].shape()[d]);
    }
  }
  return {};
}

/// Part 0 of the results depends on part 0 of the operands that have the factor, the rest on the
/// rest.
std::string check_pass(const DimMap& map, int64_t f, const Application& a, const Application& b,
                       const TensorList& y, double tolerance) {
  TensorList mixed, there = a.inputs;
  for (size_t i = 0; i < a.inputs.size(); ++i) {
    const bool has = split_of(map, map.operands[i], f).axis >= 0;
    if (has) there[i] = b.inputs[i];
    mixed.push_back(has ? where_first(map, map.operands[i], f, b.inputs[i], a.inputs[i])
                        : a.inputs[i]);
  }
  const TensorList other = emit(*a.primitive, there, a.params);
  const TensorList got = emit(*a.primitive, mixed, a.params);
  TensorList expected;
  for (size_t k = 0; k < y.size(); ++k) {
    // A result without the factor must not depend on the operands that have it.
    expected.push_back(where_first(map, map.results[k], f, other[k], y[k]));
  }
  return difference(got, expected, tolerance);
}

/// The order of what is combined does not matter.
std::string check_reduce(const DimMap& map, int64_t f, const Application& a, const TensorList& y) {
  TensorList turned;
  for (size_t i = 0; i < a.inputs.size(); ++i)
    turned.push_back(reversed(map, map.operands[i], f, a.inputs[i]));
  for (const TensorFactors& result : map.results) {
    if (split_of(map, result, f).axis >= 0) return "is reduced, but a result has it";
  }
  return difference(emit(*a.primitive, turned, a.params), y, 1e-12);
}

struct Tally {
  int pass = 0, reduced = 0;
};

void check_application(const OpCase& row, const Application& a, const Application& b,
                       Tally& tally) {
  const DimMap map = dim_map(*a.primitive, a.params, a.inputs);
  const TensorList y = emit(*a.primitive, a.inputs, a.params);
  const auto context = [&](const std::string& text) {
    return fmt::format("{} {{{}}} of {}, by row {}: {}", a.primitive->name, a.params.ref().text(),
                       describe(a.inputs), row.name, text);
  };
  for (const std::string& text : {check_sizes(map, map.operands, a.inputs, "operands"),
                                  check_sizes(map, map.results, y, "results")}) {
    ASSERT_TRUE(text.empty()) << context(text);
  }
  const double tolerance = std::max(row.reordered_tolerance, 1e-14);
  for (size_t f = 0; f < map.factors.size(); ++f) {
    const Factor& factor = map.factors[f];
    if (factor.size < 2 || factor.kind == FactorKind::kWhole) continue;
    const int64_t number = static_cast<int64_t>(f);
    const bool pass = factor.kind == FactorKind::kPass;
    const std::string text =
        pass ? check_pass(map, number, a, b, y, tolerance) : check_reduce(map, number, a, y);
    EXPECT_TRUE(text.empty()) << context(fmt::format("factor {} ", f) + text);
    ++(pass ? tally.pass : tally.reduced);
  }
}

/// Calls `visit` with the applications of every row, and the same with other values.
void for_each_application(
    const std::function<void(const OpCase&, const Application&, const Application&)>& visit) {
  define_all_primitives();
  for (const OpCase& row : op_table().rows()) {
    for (const Sample& sample : row.samples) {
      const std::vector<Application> a = applications(row, sample, 31);
      const std::vector<Application> b = applications(row, sample, 32);
      for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        if (a[i].primitive != b[i].primitive) break;  // the values decide what is emitted
        if (a[i].params.ref() == b[i].params.ref()) visit(row, a[i], b[i]);
      }
    }
  }
}

TEST(OpDims, maps_hold_on_every_row) {
  Tally tally;
  for_each_application([&](const OpCase& row, const Application& a, const Application& b) {
    check_application(row, a, b, tally);
  });
  EXPECT_GT(tally.pass, 500);
  EXPECT_GT(tally.reduced, 20);
}

/// The check is checked: whatever is said to be combined or needed whole is said to pass. Some
/// values do not show it, such as a maximum that lies elsewhere; for each primitive some must.
TEST(OpDims, factors_that_do_not_pass_are_found_out) {
  std::map<std::string, int> found;
  for_each_application([&](const OpCase& row, const Application& a, const Application& b) {
    if (std::holds_alternative<maps::Parts>(a.primitive->map)) return;
    DimMap map = dim_map(*a.primitive, a.params, a.inputs);
    const TensorList y = emit(*a.primitive, a.inputs, a.params);
    for (size_t f = 0; f < map.factors.size(); ++f) {
      const int64_t number = static_cast<int64_t>(f);
      const bool used = std::any_of(
          map.operands.begin(), map.operands.end(),
          [&](const TensorFactors& operand) { return split_of(map, operand, number).axis >= 0; });
      if (!used || map.factors[f].size < 2 || map.factors[f].kind == FactorKind::kPass) continue;
      const bool wrong =
          !check_pass(map, number, a, b, y, std::max(row.reordered_tolerance, 1e-14)).empty();
      found[a.primitive->name] += wrong;
    }
  });
  EXPECT_GT(found.size(), 40u);
  // Their rows read the same values in every draw, or not the part that is exchanged.
  for (const char* silent : {"cholesky", "dynamic_slice", "reshape"}) found.erase(silent);
  for (const auto& [name, count] : found) EXPECT_GT(count, 0) << name;
}

/// A dimension in front of everything is one more factor, in front of everything.
TEST(OpDims, a_dimension_in_front_is_a_factor_in_front) {
  define_all_primitives();
  constexpr int64_t kSize = 3;
  int checked = 0;
  for (const OpCase& row : op_table().rows()) {
    for (const Application& a : applications(row, row.samples[0], 33)) {
      const auto* dims = std::get_if<maps::Dims>(&a.primitive->map);
      if (!dims) continue;
      TensorList stacked;
      for (const Tensor& x : a.inputs) stacked.push_back(stack(TensorList(kSize, x)));
      const DimMap one = dim_map(*a.primitive, a.params, a.inputs);
      const DimMap all = dim_map(*a.primitive, dims->with_leading(a.params, kSize), stacked);
      SCOPED_TRACE(a.primitive->name + " {" + a.params.ref().text() + "} by row " + row.name);
      const auto compare = [&](const std::vector<TensorFactors>& before,
                               const std::vector<TensorFactors>& after) {
        ASSERT_EQ(before.size(), after.size());
        for (size_t i = 0; i < before.size(); ++i) {
          ASSERT_EQ(before[i].size() + 1, after[i].size());
          for (size_t d = 0; d < before[i].size(); ++d) {
            ASSERT_EQ(before[i][d].size(), after[i][d + 1].size());
            for (size_t n = 0; n < before[i][d].size(); ++n) {
              const Factor& x = one.factors[before[i][d][n]];
              const Factor& y = all.factors[after[i][d + 1][n]];
              EXPECT_EQ(x.size, y.size);
              EXPECT_EQ(x.kind, y.kind);
            }
          }
          ASSERT_EQ(after[i][0].size(), 1u);
          EXPECT_EQ(all.factors[after[i][0][0]].size, kSize);
          EXPECT_EQ(all.factors[after[i][0][0]].kind, FactorKind::kPass);
        }
      };
      compare(one.operands, all.operands);
      compare(one.results, all.results);
      ++checked;
    }
  }
  EXPECT_GT(checked, 70);
}

/// A stored program can name its operations and give their parameters as text.
TEST(PrimitiveText, parameters_of_every_row_are_read_back) {
  define_all_primitives();
  int checked = 0;
  for (const OpCase& row : op_table().rows()) {
    for (const Sample& sample : row.samples) {
      for (const Application& a : applications(row, sample, 34)) {
        const std::string text = a.params.ref().text();
        SCOPED_TRACE(a.primitive->name + " {" + text + "} by row " + row.name);
        const Primitive* named = find_primitive(a.primitive->name);
        ASSERT_EQ(named, a.primitive);
        const Params read = named->read_params(text);
        EXPECT_TRUE(read.ref() == a.params.ref());
        EXPECT_EQ(read.ref().text(), text);
        ++checked;
      }
    }
  }
  EXPECT_GT(checked, 500);
}

TEST(PrimitiveText, a_named_operation_runs) {
  define_all_primitives();
  const Primitive* sum = find_primitive("reduce_sum");
  ASSERT_NE(sum, nullptr);
  const Tensor x = arange(0.0, 6.0, 1.0, DType::kF32);
  EXPECT_EQ(emit_one(*sum, {reshape(x, {2, 3})}, sum->read_params("axes=[1]")).to_vector<float>(),
            (std::vector<float>{3, 12}));
  EXPECT_EQ(find_primitive("no such operation"), nullptr);
}

TEST(PrimitiveText, text_of_other_parameters_is_refused_with_its_place) {
  define_all_primitives();
  const Primitive& sum = *find_primitive("reduce_sum");
  for (const char* text : {"", "axis=1", "axes=1", "axes=[1", "axes=[1] ", "axes=[x]", "axes=[1,]",
                           "axes=[99999999999999999999]"}) {
    try {
      sum.read_params(text);
      ADD_FAILURE() << text;
    } catch (const ValueError& error) {
      EXPECT_NE(std::string(error.what()).find("position"), std::string::npos) << error.what();
    }
  }
}

TEST(OpDims, products_name_batch_free_and_contracted_dimensions) {
  std::vector<Application> made;
  {
    ApplicationTrace trace(made);
    TraceScope scope(&trace);
    matmul(ones({8, 3, 4}), ones({8, 4, 5}));
  }
  const Application& product = made.back();
  ASSERT_EQ(product.primitive->name, "dot_general");
  const DimMap map = dim_map(*product.primitive, product.params, product.inputs);
  ASSERT_EQ(map.factors.size(), 4u);
  EXPECT_EQ(map.operands[0][0], map.operands[1][0]);
  EXPECT_EQ(map.operands[0][2], map.operands[1][1]);
  EXPECT_EQ(map.factors[map.operands[0][2][0]].kind, FactorKind::kSum);
  EXPECT_EQ(map.results[0],
            (TensorFactors{map.operands[0][0], map.operands[0][1], map.operands[1][2]}));
}

TEST(OpDims, reshape_splits_both_shapes_into_common_factors) {
  const auto map_of = [](const Shape& from, const Shape& to) {
    const Tensor x = zeros(from);
    std::vector<Application> made;
    {
      ApplicationTrace trace(made);
      TraceScope scope(&trace);
      reshape(x, to);
    }
    return dim_map(*made.back().primitive, made.back().params, made.back().inputs);
  };
  const DimMap merged = map_of({2, 3, 4}, {6, 4});
  EXPECT_EQ(merged.results[0][0].size(), 2u);
  EXPECT_EQ(merged.results[0][1], merged.operands[0][2]);
  const DimMap parted = map_of({4, 6}, {6, 4});
  EXPECT_EQ(parted.operands[0][0][0], parted.results[0][0][0]);
  EXPECT_EQ(parted.factors[parted.operands[0][0][0]].kind, FactorKind::kPass);
  EXPECT_EQ(parted.factors[parted.operands[0][1][0]].kind, FactorKind::kWhole);
}

}  // namespace
}  // namespace linnet::testing::op_dims_test
