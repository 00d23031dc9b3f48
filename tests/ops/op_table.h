// One table of operations that drives every generic check. A row says what an operation is called,
// how it is computed through public operations, what its operands look like and what it should
// give; the checks (op_checks.h) do the rest.
//
//   table.add("softplus", softplus).inputs(uniform(-4, 4)).orders(3).reference(
//       [](double x) { return std::log1p(std::exp(x)); });
#pragma once

#include <deque>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "linnet/ops.h"

namespace linnet::testing {

using TensorsFunction = std::function<TensorList(const TensorList&)>;

/// What references compute with: f64 on the host, dense in row-major order.
struct HostArray {
  Shape shape;
  std::vector<double> values;

  explicit HostArray(const Shape& s, double value = 0)
      : shape(s), values(static_cast<size_t>(element_count(s)), value) {}
  HostArray(const Shape& s, std::vector<double> v) : shape(s), values(std::move(v)) {}

  double& at(const Axes& index) { return values[offset(index)]; }
  double at(const Axes& index) const { return values[offset(index)]; }
  size_t offset(const Axes& index) const;
};
using HostArrays = std::vector<HostArray>;

/// Calls `visit` with every index below `shape` in row-major order.
void for_each_index(const Shape& shape, const std::function<void(const Axes&)>& visit);
/// Every line along `axis` replaced by what `function` makes of it.
HostArray map_lines(const HostArray& x, int64_t axis,
                    const std::function<std::vector<double>(std::vector<double>)>& function);
/// Every line along `axes` (ascending), flattened, replaced by one number; the axes disappear.
HostArray fold_lines(const HostArray& x, const Axes& axes,
                     const std::function<double(const std::vector<double>&)>& function);

/// How the elements of one operand are drawn.
struct Values {
  enum class Kind : uint8_t {
    kReal,     ///< distinct numbers of the dtype under test (or of a fixed one)
    kInteger,  ///< whole numbers
    kBool,
    kGiven,
    kKey  ///< random key data, u32
  };
  Kind kind = Kind::kReal;
  double low = 0, high = 1;
  double grid = 0;             ///< stay away from multiples of this
  std::optional<DType> dtype;  ///< fixed; otherwise the dtype under test
  std::vector<double> given;

  Values off(double multiples) const {
    Values out = *this;
    out.grid = multiples;
    return out;
  }
  Values as(DType fixed) const {
    Values out = *this;
    out.dtype = fixed;
    return out;
  }
};
Values uniform(double low, double high);
/// Whole numbers from `low` to `high`, both included; i32 unless said otherwise.
Values integers(double low, double high);
Values booleans();
/// The same in every draw.
Values given(std::vector<double> values);
Values keys();

struct Operand {
  Shape shape;
  Values values;
};
using Sample = std::vector<Operand>;

/// Dtypes that an operation takes for its real operands. All others must be refused.
enum class Takes : uint8_t {
  kFloats,
  kWideFloats,  ///< f32 and f64
  kNumbers,
  kAny,
  kIntegers,
  kIntegersAndBool,
  kBool,
  kUnchecked  ///< floats are tried, nothing has to be refused
};
bool taken(Takes takes, DType dtype);

/// Dtype of the first result, from that of the real operands.
enum class Gives : uint8_t { kSame, kFloating, kBool, kI32, kAccumulated, kUnchecked };
DType given_dtype(Gives gives, DType dtype);

using Reference = std::function<HostArrays(const HostArrays&)>;

/// A row. Tolerances are in units of the last place (elementwise) or of eps times the largest
/// element of the reference.
struct OpCase {
  std::string name, primitive;
  TensorsFunction function;
  int arity = -1;  ///< -1: any number
  std::vector<Sample> samples;
  Reference reference;
  bool elementwise = false;
  int orders = 2;  ///< of derivatives that are compared with differences
  Takes takes = Takes::kFloats;
  Gives gives = Gives::kSame;
  double ulps_f32 = 2, ulps_f64 = 4, slack = 0, scale = 16;
  double gradient_scale = 1;
  double jit_tolerance = 0, reordered_tolerance = 0;
  bool linear = false;
  bool zero_slope = false;   ///< derivative zero by definition, whatever differences say
  bool no_gradient = false;  ///< differentiation is an error that names the primitive
  bool special_values = false;
  bool nan = true;  ///< the reference knows what becomes of NaN
  /// Kernels may multiply padding, which is then no obstacle to NaN, or leave it out.
  bool padding_may_count = false;
  bool signed_zeros = true;
  bool exact_integers = false;
  bool low_precision = true;   ///< values and gradients are meaningful in 16 bits
  std::vector<int> constants;  ///< real operands without derivative
  std::vector<std::pair<double, double>> slopes;  ///< derivative at points where it is a choice

  DType base_dtype() const;
};

/// Fills in a row.
class CaseBuilder {
 public:
  explicit CaseBuilder(OpCase& row) : row_(row) {}

  /// The primitive the row stands for, if it has another name.
  CaseBuilder& of(const char* primitive) { return set(row_.primitive, primitive); }
  /// Elementwise samples: one per shape, with one kind of values for all operands or one for each.
  CaseBuilder& inputs(const std::vector<Shape>& shapes, const std::vector<Values>& values);
  CaseBuilder& inputs(const std::vector<Values>& values);
  CaseBuilder& inputs(const Values& values) { return inputs(std::vector<Values>{values}); }
  CaseBuilder& sample(std::vector<Operand> operands);
  CaseBuilder& orders(int count) { return set(row_.orders, count); }
  CaseBuilder& takes(Takes takes) { return set(row_.takes, takes); }
  CaseBuilder& gives(Gives gives) { return set(row_.gives, gives); }
  CaseBuilder& ulps(double f32, double f64) {
    row_.ulps_f32 = f32;
    return set(row_.ulps_f64, f64);
  }
  /// Allowed in addition, in units of eps * max(1, |first operand|).
  CaseBuilder& slack(double units) { return set(row_.slack, units); }
  CaseBuilder& scale(double units) { return set(row_.scale, units); }
  /// The result is moved, not computed.
  CaseBuilder& exact() { return scale(0); }
  CaseBuilder& gradient_scale(double factor) { return set(row_.gradient_scale, factor); }
  CaseBuilder& jit_within(double tolerance) { return set(row_.jit_tolerance, tolerance); }
  /// Of vmap and of strided operands: sums are taken in another order.
  CaseBuilder& reordered_within(double tolerance) {
    return set(row_.reordered_tolerance, tolerance);
  }
  CaseBuilder& linear() { return set(row_.linear, true); }
  CaseBuilder& zero_slope() {
    row_.orders = 0;
    return set(row_.zero_slope, true);
  }
  CaseBuilder& no_gradient() {
    row_.orders = 0;
    return set(row_.no_gradient, true);
  }
  CaseBuilder& no_special() { return set(row_.special_values, false); }
  CaseBuilder& special() { return set(row_.special_values, true); }
  CaseBuilder& no_nan() { return set(row_.nan, false); }
  CaseBuilder& padding_may_count() { return set(row_.padding_may_count, true); }
  CaseBuilder& any_zero() { return set(row_.signed_zeros, false); }
  CaseBuilder& exact_integers() { return set(row_.exact_integers, true); }
  CaseBuilder& wide_only() { return set(row_.low_precision, false); }
  CaseBuilder& constants(std::vector<int> operands) {
    return set(row_.constants, std::move(operands));
  }
  CaseBuilder& slopes(std::vector<std::pair<double, double>> points) {
    return set(row_.slopes, std::move(points));
  }

  /// Element by element; also on special values.
  CaseBuilder& reference(double (*f)(double));
  CaseBuilder& reference(double (*f)(double, double));
  CaseBuilder& reference(double (*f)(double, double, double));
  CaseBuilder& reference(HostArray (*f)(const HostArray&));
  CaseBuilder& reference(HostArray (*f)(const HostArrays&));
  CaseBuilder& reference(HostArrays (*f)(const HostArrays&));
  /// A reference with state, for rows made in a loop.
  CaseBuilder& reference_function(Reference reference) {
    return set(row_.reference, std::move(reference));
  }

 private:
  template <class T, class U>
  CaseBuilder& set(T& field, U&& value) {
    field = std::forward<U>(value);
    return *this;
  }
  CaseBuilder& elementwise(Reference reference);

  OpCase& row_;
};

class OpTable {
 public:
  CaseBuilder add(const char* name, Tensor (*f)(const Tensor&));
  CaseBuilder add(const char* name, Tensor (*f)(const Tensor&, const Tensor&));
  CaseBuilder add(const char* name, Tensor (*f)(const TensorList&));
  CaseBuilder add(const char* name, TensorList (*f)(const TensorList&));
  /// A function with state, for rows made in a loop.
  CaseBuilder add_function(const std::string& name, TensorsFunction f) {
    return add_row(name.c_str(), std::move(f), -1);
  }

  const std::deque<OpCase>& rows() const { return rows_; }

 private:
  CaseBuilder add_row(const char* name, TensorsFunction function, int arity);

  std::deque<OpCase> rows_;
};

/// The table, in the order of its files.
const OpTable& op_table();

/// Operands of a sample in `dtype`; draws with different seeds differ.
TensorList make_operands(const Sample& sample, DType dtype, unsigned seed);
HostArray to_host(const Tensor& x);
HostArrays to_host(const TensorList& x);

void add_arithmetic_cases(OpTable& table);
void add_function_cases(OpTable& table);
void add_shape_cases(OpTable& table);
void add_indexing_cases(OpTable& table);
void add_reduction_cases(OpTable& table);
void add_product_cases(OpTable& table);
void add_network_cases(OpTable& table);
void add_random_cases(OpTable& table);
void add_complex_cases(OpTable& table);

}  // namespace linnet::testing
