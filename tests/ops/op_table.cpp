#include "op_table.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace linnet::testing {

size_t HostArray::offset(const Axes& index) const {
  int64_t at = 0;
  for (size_t i = 0; i < shape.size(); ++i) at = at * shape[i] + index[i];
  return static_cast<size_t>(at);
}

void for_each_index(const Shape& shape, const std::function<void(const Axes&)>& visit) {
  Axes index(shape.size(), 0);
  for (int64_t count = element_count(shape); count > 0; --count) {
    visit(index);
    for (size_t i = shape.size(); i-- > 0;) {
      if (++index[i] < shape[i]) break;
      index[i] = 0;
    }
  }
}

HostArray map_lines(const HostArray& x, int64_t axis,
                    const std::function<std::vector<double>(std::vector<double>)>& function) {
  HostArray out(x.shape);
  Shape starts = x.shape;
  starts[axis] = 1;
  for_each_index(starts, [&](const Axes& start) {
    Axes at = start;
    std::vector<double> line;
    for (at[axis] = 0; at[axis] < x.shape[axis]; ++at[axis]) line.push_back(x.at(at));
    line = function(std::move(line));
    for (at[axis] = 0; at[axis] < x.shape[axis]; ++at[axis]) {
      out.at(at) = line[static_cast<size_t>(at[axis])];
    }
  });
  return out;
}

HostArray fold_lines(const HostArray& x, const Axes& axes,
                     const std::function<double(const std::vector<double>&)>& function) {
  Shape kept, folded;
  std::vector<bool> folds(x.shape.size(), false);
  for (int64_t axis : axes) folds[static_cast<size_t>(axis)] = true;
  for (size_t i = 0; i < x.shape.size(); ++i) (folds[i] ? folded : kept).push_back(x.shape[i]);
  HostArray out(kept);
  for_each_index(kept, [&](const Axes& position) {
    std::vector<double> line;
    for_each_index(folded, [&](const Axes& inner) {
      Axes at;
      size_t k = 0, f = 0;
      for (size_t i = 0; i < folds.size(); ++i) at.push_back(folds[i] ? inner[f++] : position[k++]);
      line.push_back(x.at(at));
    });
    out.at(position) = function(line);
  });
  return out;
}

Values uniform(double low, double high) {
  Values out;
  out.low = low;
  out.high = high;
  return out;
}
Values integers(double low, double high) {
  Values out = uniform(low, high);
  out.kind = Values::Kind::kInteger;
  out.dtype = DType::kI32;
  return out;
}
Values booleans() {
  Values out;
  out.kind = Values::Kind::kBool;
  out.dtype = DType::kBool;
  return out;
}
Values given(std::vector<double> values) {
  Values out;
  out.kind = Values::Kind::kGiven;
  out.given = std::move(values);
  return out;
}
Values keys() {
  Values out;
  out.kind = Values::Kind::kKey;
  out.dtype = DType::kU32;
  return out;
}

bool taken(Takes takes, DType dtype) {
  switch (takes) {
    case Takes::kFloats:
    case Takes::kUnchecked:
      return is_floating(dtype);
    case Takes::kWideFloats:
      return dtype == DType::kF32 || dtype == DType::kF64;
    case Takes::kNumbers:
      return dtype != DType::kBool;
    case Takes::kAny:
      return true;
    case Takes::kIntegers:
      return is_integer(dtype);
    case Takes::kIntegersAndBool:
      return !is_floating(dtype);
    case Takes::kBool:
      break;
  }
  return dtype == DType::kBool;
}

DType given_dtype(Gives gives, DType dtype) {
  switch (gives) {
    case Gives::kFloating:
      return is_floating(dtype) ? dtype : DType::kF32;
    case Gives::kBool:
      return DType::kBool;
    case Gives::kI32:
      return DType::kI32;
    case Gives::kAccumulated:
      if (is_floating(dtype) || size_of(dtype) >= 4) return dtype;
      return is_unsigned_integer(dtype) ? DType::kU32 : DType::kI32;
    case Gives::kSame:
    case Gives::kUnchecked:
      break;
  }
  return dtype;
}

DType OpCase::base_dtype() const {
  if (taken(takes, DType::kF64)) return DType::kF64;
  return taken(takes, DType::kI32) ? DType::kI32 : DType::kBool;
}

CaseBuilder& CaseBuilder::inputs(const std::vector<Shape>& shapes,
                                 const std::vector<Values>& values) {
  const size_t arity = values.size() > 1 ? values.size() : static_cast<size_t>(row_.arity);
  for (const Shape& shape : shapes) {
    Sample sample;
    for (size_t i = 0; i < arity; ++i) {
      sample.push_back({shape, values.size() > 1 ? values[i] : values[0]});
    }
    row_.samples.push_back(std::move(sample));
  }
  return *this;
}

CaseBuilder& CaseBuilder::inputs(const std::vector<Values>& values) {
  // Zero-dimensional, empty, small, of a prime length beyond any vector, and of several dimensions.
  static const std::vector<Shape> kShapes{Shape{},     Shape{7},  Shape{3, 5},   Shape{0},
                                          Shape{3, 0}, Shape{67}, Shape{2, 3, 2}};
  return inputs(kShapes, values);
}

CaseBuilder& CaseBuilder::sample(std::vector<Operand> operands) {
  row_.samples.push_back(std::move(operands));
  return *this;
}

CaseBuilder& CaseBuilder::elementwise(Reference reference) {
  row_.elementwise = true;
  row_.special_values = true;
  row_.reference = std::move(reference);
  return *this;
}

CaseBuilder& CaseBuilder::reference(double (*f)(double)) {
  return elementwise([f](const HostArrays& x) {
    HostArray y(x[0].shape);
    for (size_t i = 0; i < y.values.size(); ++i) y.values[i] = f(x[0].values[i]);
    return HostArrays{std::move(y)};
  });
}
CaseBuilder& CaseBuilder::reference(double (*f)(double, double)) {
  return elementwise([f](const HostArrays& x) {
    HostArray y(x[0].shape);
    for (size_t i = 0; i < y.values.size(); ++i) {
      y.values[i] = f(x[0].values[i], x[1].values[i]);
    }
    return HostArrays{std::move(y)};
  });
}
CaseBuilder& CaseBuilder::reference(double (*f)(double, double, double)) {
  return elementwise([f](const HostArrays& x) {
    HostArray y(x[0].shape);
    for (size_t i = 0; i < y.values.size(); ++i) {
      y.values[i] = f(x[0].values[i], x[1].values[i], x[2].values[i]);
    }
    return HostArrays{std::move(y)};
  });
}
CaseBuilder& CaseBuilder::reference(HostArray (*f)(const HostArray&)) {
  return set(row_.reference, [f](const HostArrays& x) { return HostArrays{f(x[0])}; });
}
CaseBuilder& CaseBuilder::reference(HostArray (*f)(const HostArrays&)) {
  return set(row_.reference, [f](const HostArrays& x) { return HostArrays{f(x)}; });
}
CaseBuilder& CaseBuilder::reference(HostArrays (*f)(const HostArrays&)) {
  return set(row_.reference, f);
}

CaseBuilder OpTable::add_row(const char* name, TensorsFunction function, int arity) {
  OpCase& row = rows_.emplace_back();
  row.name = row.primitive = name;
  row.function = std::move(function);
  row.arity = arity;
  return CaseBuilder(row);
}
CaseBuilder OpTable::add(const char* name, Tensor (*f)(const Tensor&)) {
  return add_row(
      name, [f](const TensorList& x) { return TensorList{f(x[0])}; }, 1);
}
CaseBuilder OpTable::add(const char* name, Tensor (*f)(const Tensor&, const Tensor&)) {
  return add_row(
      name, [f](const TensorList& x) { return TensorList{f(x[0], x[1])}; }, 2);
}
CaseBuilder OpTable::add(const char* name, Tensor (*f)(const TensorList&)) {
  return add_row(
      name, [f](const TensorList& x) { return TensorList{f(x)}; }, -1);
}
CaseBuilder OpTable::add(const char* name, TensorList (*f)(const TensorList&)) {
  return add_row(name, f, -1);
}

const OpTable& op_table() {
  static const OpTable table = [] {
    OpTable fresh;
    for (auto* add : {add_arithmetic_cases, add_function_cases, add_shape_cases, add_indexing_cases,
                      add_reduction_cases, add_product_cases, add_network_cases, add_random_cases,
                      add_complex_cases}) {
      add(fresh);
    }
    return fresh;
  }();
  return table;
}

namespace {

double kept_off_grid(double value, double grid) {
  const double nearest = std::round(value / grid) * grid;
  const double distance = value - nearest;
  const double margin = 0.15 * grid;
  if (std::abs(distance) >= margin) return value;
  return nearest + std::copysign(margin + 0.5 * std::abs(distance), distance);
}

/// One number per real element of a sample, each in a cell of its own of [0, 1): no two are equal,
/// so that differences cross no tie.
class Draw {
 public:
  Draw(const Sample& sample, unsigned seed) : engine_(seed * 7919 + 17) {
    int64_t total = 0;
    for (const Operand& operand : sample) total += element_count(operand.shape);
    cells_.resize(static_cast<size_t>(total));
    std::iota(cells_.begin(), cells_.end(), int64_t{0});
    std::shuffle(cells_.begin(), cells_.end(), engine_);
  }
  double next() {
    const double inside = 0.2 + 0.6 * static_cast<double>(engine_()) / 4294967296.0;
    return (static_cast<double>(cells_[next_++]) + inside) / static_cast<double>(cells_.size());
  }
  uint32_t word() { return static_cast<uint32_t>(engine_()); }

 private:
  std::mt19937 engine_;
  std::vector<int64_t> cells_;
  size_t next_ = 0;
};

double drawn(const Values& values, size_t position, Draw& draw) {
  const double fraction = draw.next();
  switch (values.kind) {
    case Values::Kind::kReal: {
      const double value = values.low + (values.high - values.low) * fraction;
      return values.grid > 0 ? kept_off_grid(value, values.grid) : value;
    }
    case Values::Kind::kInteger:
      return values.low + std::floor((values.high - values.low + 1) * fraction);
    case Values::Kind::kBool:
      return fraction < 0.5 ? 0 : 1;
    case Values::Kind::kGiven:
      return values.given[position % values.given.size()];
    case Values::Kind::kKey:
      break;
  }
  return draw.word();
}

}  // namespace

TensorList make_operands(const Sample& sample, DType dtype, unsigned seed) {
  Draw draw(sample, seed);
  TensorList out;
  for (const Operand& operand : sample) {
    const DType type = operand.values.dtype.value_or(dtype);
    std::vector<double> values(static_cast<size_t>(element_count(operand.shape)));
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = drawn(operand.values, i, draw);
      if (!is_floating(type)) values[i] = std::round(values[i]);
      if (is_unsigned_integer(type)) values[i] = std::abs(values[i]);
      if (type == DType::kBool) values[i] = values[i] >= 0.5;
    }
    const Tensor exact = from_vector(values, operand.shape);
    out.push_back(type == DType::kF64 ? exact : exact.astype(type));
  }
  return out;
}

HostArray to_host(const Tensor& x) { return {x.shape(), x.to_vector<double>()}; }
HostArrays to_host(const TensorList& x) {
  HostArrays out;
  for (const Tensor& t : x) out.push_back(to_host(t));
  return out;
}

}  // namespace linnet::testing
