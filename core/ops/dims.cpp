#include "core/ops/dims.h"

#include <algorithm>
#include <numeric>

namespace linnet::dims {
namespace {

bool contains(const Axes& axes, size_t axis) {
  return std::find(axes.begin(), axes.end(), static_cast<int64_t>(axis)) != axes.end();
}

}  // namespace

DimMap aligned(Inputs x, const Axes& whole, const Shape& result) {
  DimMap map;
  std::vector<int64_t> common;
  for (size_t i = 0; i < result.size(); ++i)
    common.push_back(contains(whole, i) ? -1 : map.add(result[i]));
  const auto factors_of = [&](const Shape& shape) {
    TensorFactors out;
    for (size_t i = 0; i < shape.size(); ++i)
      out.push_back({common[i] >= 0 ? common[i] : map.add(shape[i], FactorKind::kWhole)});
    return out;
  };
  for (const Tensor& operand : x) map.operands.push_back(factors_of(operand.shape()));
  map.results.push_back(factors_of(result));
  return map;
}

DimMap reduced(const Tensor& x, const Axes& axes, FactorKind kind) {
  DimMap map;
  TensorFactors operand, result;
  for (size_t i = 0; i < x.rank(); ++i) {
    const bool gone = contains(axes, i);
    operand.push_back({map.add(x.shape()[i], gone ? kind : FactorKind::kPass)});
    if (!gone) result.push_back(operand.back());
  }
  map.operands = {std::move(operand)};
  map.results = {std::move(result)};
  return map;
}

DimMap leading(Inputs x, const TypeList& results, size_t count) {
  DimMap map;
  for (size_t i = 0; i < count; ++i) map.add(x[0].shape()[i]);
  const auto factors_of = [&](const Shape& shape) {
    TensorFactors out;
    for (size_t i = 0; i < shape.size(); ++i)
      out.push_back({i < count ? static_cast<int64_t>(i) : map.add(shape[i], FactorKind::kWhole)});
    return out;
  };
  for (const Tensor& operand : x) map.operands.push_back(factors_of(operand.shape()));
  for (const TensorType& type : results) map.results.push_back(factors_of(type.shape));
  return map;
}

DimMap placed(const Tensor& x, const Axes& axes, const Shape& result) {
  DimMap map;
  TensorFactors from, to;
  for (int64_t size : result) to.push_back({map.add(size)});
  for (size_t i = 0; i < x.rank(); ++i) {
    const bool repeats = x.shape()[i] != result[axes[i]];
    from.push_back(repeats ? std::vector<int64_t>{map.add(x.shape()[i], FactorKind::kWhole)}
                           : to[axes[i]]);
  }
  map.operands = {std::move(from)};
  map.results = {std::move(to)};
  return map;
}

DimMap regrouped(const Shape& from, const Shape& to) {
  DimMap map;
  TensorFactors a(from.size()), b(to.size());
  size_t i = 0, j = 0;             // the dimension that is being split in each shape
  int64_t left_a = 1, left_b = 1;  // what is left of it
  const auto next = [](const Shape& shape, size_t& at, int64_t& left) {
    while (left == 1 && at < shape.size()) left = shape[at++];
  };
  const bool empty = element_count(from) == 0;
  while (!empty) {
    next(from, i, left_a);
    next(to, j, left_b);
    const int64_t size = std::gcd(left_a, left_b);
    if (size <= 1) break;  // the end, or the shapes part ways
    const int64_t factor = map.add(size);
    a[i - 1].push_back(factor);
    b[j - 1].push_back(factor);
    left_a /= size;
    left_b /= size;
  }
  // What lies below the place where they parted is needed whole.
  const auto finish = [&map](const Shape& shape, TensorFactors& factors) {
    for (size_t d = 0; d < shape.size(); ++d) {
      int64_t covered = 1;
      for (int64_t factor : factors[d]) covered *= map.factors[factor].size;
      if (shape[d] != covered)
        factors[d].push_back(map.add(shape[d] / covered, FactorKind::kWhole));
    }
  };
  finish(from, a);
  finish(to, b);
  map.operands = {std::move(a)};
  map.results = {std::move(b)};
  return map;
}

DimMap separate(Inputs x) {
  DimMap map;
  for (const Tensor& operand : x) {
    TensorFactors factors;
    for (int64_t size : operand.shape()) factors.push_back({map.add(size)});
    map.operands.push_back(factors);
    map.results.push_back(std::move(factors));
  }
  return map;
}

}  // namespace linnet::dims
