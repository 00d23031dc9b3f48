#include "linnet/vectorize.h"

#include <map>

#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet::detail {
namespace {

using Names = std::vector<std::string>;

[[noreturn]] void fail_signature(const std::string& signature) {
  fail<ValueError>("vectorize: expected a signature such as (n,m),(m)->(n), got {}", signature);
}

/// `(n,m),(m)` as names per operand.
std::vector<Names> lists_of(const std::string& text, const std::string& signature) {
  std::vector<Names> out;
  size_t i = 0;
  while (i < text.size()) {
    if (text[i] != '(') fail_signature(signature);
    const size_t end = text.find(')', i);
    if (end == std::string::npos) fail_signature(signature);
    out.emplace_back();
    std::string name;
    for (size_t k = i + 1; k <= end; ++k) {
      const bool stop = text[k] == ',' || text[k] == ')';
      if (!stop) {
        name += text[k];
      } else if (!name.empty()) {
        out.back().push_back(std::move(name));
        name.clear();
      } else if (end > i + 1) {
        fail_signature(signature);
      }
    }
    i = end + 1;
    if (i < text.size() && (text[i] != ',' || i + 1 == text.size())) fail_signature(signature);
    if (i < text.size()) ++i;
  }
  return out;
}

struct Signature {
  std::vector<Names> operands;
  Names result;
};

Signature parsed(const std::string& signature) {
  std::string text;
  for (char c : signature)
    if (c != ' ') text += c;
  const size_t arrow = text.find("->");
  if (arrow == std::string::npos) fail_signature(signature);
  const std::vector<Names> results = lists_of(text.substr(arrow + 2), signature);
  if (results.size() != 1) fail_signature(signature);
  return {lists_of(text.substr(0, arrow), signature), results[0]};
}

/// Every name has one size.
void bind_sizes(const std::string& signature, const Names& names, const Tensor& x,
                std::map<std::string, int64_t>& sizes) {
  for (size_t d = 0; d < names.size(); ++d) {
    const int64_t size = x.shape()[x.rank() - names.size() + d];
    const auto [known, fresh] = sizes.emplace(names[d], size);
    if (known->second == size) continue;
    fail<ShapeError>("vectorize {}: axis {} has {} elements here and {} before, in {}", signature,
                     names[d], size, known->second, to_string(x.type()));
  }
}

}  // namespace

Tensor vectorized_call(const std::string& signature, const TensorList& operands,
                       const ListFunction& f) {
  const Signature s = parsed(signature);
  if (operands.size() != s.operands.size()) {
    fail<ValueError>("vectorize {}: {} operands were given", signature, operands.size());
  }
  std::map<std::string, int64_t> sizes;
  Shape batch;
  for (size_t i = 0; i < operands.size(); ++i) {
    const Tensor& x = operands[i];
    const size_t core = s.operands[i].size();
    if (x.rank() < core) {
      fail<ShapeError>("vectorize {}: operand {} needs {} axes at least, got {}", signature, i,
                       core, to_string(x.type()));
    }
    bind_sizes(signature, s.operands[i], x, sizes);
    batch = broadcast_shapes("vectorize", batch, {x.shape().begin(), x.shape().end() - core});
  }
  const auto checked = [&](const TensorList& x) {
    Tensor y = f(x);
    if (y.rank() != s.result.size()) {
      fail<ShapeError>("vectorize {}: the function gave {}", signature, to_string(y.type()));
    }
    bind_sizes(signature, s.result, y, sizes);
    return y;
  };
  if (batch.empty()) return checked(operands);
  TensorList flat;
  for (size_t i = 0; i < operands.size(); ++i) {
    const Shape& shape = operands[i].shape();
    Shape whole = batch, one{element_count(batch)};
    whole.append(shape.end() - s.operands[i].size(), shape.end());
    one.append(shape.end() - s.operands[i].size(), shape.end());
    flat.push_back(reshape(broadcast_to(operands[i], whole), one));
  }
  const Tensor y = vmap(checked)(flat);
  Shape shape = batch;
  shape.append(y.shape().begin() + 1, y.shape().end());
  return reshape(y, shape);
}

Tensor along_axis_call(const ListFunction& f, int64_t axis, const Tensor& x) {
  const int64_t rank = static_cast<int64_t>(x.rank());
  if (axis < -rank || axis >= rank) {
    fail<ShapeError>("apply_along_axis: axis {} is out of range for {}", axis, to_string(x.type()));
  }
  const int64_t at = axis < 0 ? axis + rank : axis;
  const Tensor lines = moveaxis(x, at, -1);
  Shape batch(lines.shape().begin(), lines.shape().end() - 1);
  const Tensor flat = reshape(lines, {element_count(batch), lines.shape(-1)});
  const Tensor y = vmap([&](const Tensor& v) { return f({v}); })(flat);
  Shape shape = batch;
  shape.append(y.shape().begin() + 1, y.shape().end());
  Tensor out = reshape(y, shape);
  // The axes of the result, from behind to the place of the one that is gone.
  for (int64_t i = 0; i < static_cast<int64_t>(y.rank()) - 1; ++i)
    out = moveaxis(out, rank - 1 + i, at + i);
  return out;
}

}  // namespace linnet::detail
