// associative_scan: partial combinations by the odd-even scheme (Blelloch, Prefix Sums and Their
// Applications, 1990): pairs are combined, their scan is taken, and the elements between follow.
#include "core/control/loops.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/control_flow.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet::detail {
namespace {

using Combine = std::function<TensorList(const TensorList&, const TensorList&)>;

/// Every second element from `first` on, before `last`.
TensorList every_second(const TensorList& elements, int64_t first, int64_t last, int64_t axis) {
  TensorList out;
  for (const Tensor& x : elements) {
    const size_t rank = x.rank();
    std::vector<int64_t> start(rank, 0), stop(x.shape().begin(), x.shape().end()), step(rank, 1);
    start[static_cast<size_t>(axis)] = first;
    stop[static_cast<size_t>(axis)] = std::max(first, last);
    step[static_cast<size_t>(axis)] = 2;
    out.push_back(slice(x, start, stop, step));
  }
  return out;
}

TensorList part(const TensorList& elements, int64_t first, int64_t last, int64_t axis) {
  TensorList out;
  for (const Tensor& x : elements) out.push_back(slice_axis(x, first, last, axis));
  return out;
}

/// even[0], odd[0], even[1], odd[1], …; there may be one more of the even ones.
Tensor interleaved(const Tensor& even, const Tensor& odd, int64_t axis) {
  const int64_t pairs = odd.shape(axis);
  const Tensor both = stack({slice_axis(even, 0, pairs, axis), odd}, axis + 1);
  Shape shape = odd.shape();
  shape[static_cast<size_t>(axis)] = 2 * pairs;
  const Tensor joined = reshape(both, shape);
  if (even.shape(axis) == pairs) return joined;
  return concatenate({joined, slice_axis(even, pairs, pairs + 1, axis)}, axis);
}

TensorList combined(const Combine& combine, const TensorList& a, const TensorList& b) {
  TensorList out = combine(a, b);
  if (out.size() != a.size()) {
    fail<TreeError>("associative_scan: the function gives {} tensors for elements of {}",
                    out.size(), a.size());
  }
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i].defined() && out[i].shape() == a[i].shape() && out[i].dtype() == a[i].dtype())
      continue;
    fail<ShapeError>("associative_scan: the function must keep types; it gives {} for {}",
                     type_of(out[i]), to_string(a[i].type()));
  }
  return out;
}

TensorList scanned(const Combine& combine, const TensorList& elements, int64_t axis) {
  const int64_t n = elements[0].shape(axis);
  if (n < 2) return elements;
  const int64_t pairs = n / 2;
  const TensorList odd = scanned(combine,
                                 combined(combine, every_second(elements, 0, 2 * pairs, axis),
                                          every_second(elements, 1, n, axis)),
                                 axis);
  const int64_t between = (n + 1) / 2 - 1;
  TensorList even = part(elements, 0, 1, axis);
  if (between > 0) {
    const TensorList rest =
        combined(combine, part(odd, 0, between, axis), every_second(elements, 2, n, axis));
    for (size_t i = 0; i < even.size(); ++i) even[i] = concatenate({even[i], rest[i]}, axis);
  }
  TensorList out;
  for (size_t i = 0; i < even.size(); ++i) out.push_back(interleaved(even[i], odd[i], axis));
  return out;
}

}  // namespace

TensorList associative_scan_call(const TensorList& elements, const AssociativeScanOptions& options,
                                 const Combine& combine) {
  require_defined(elements, "associative_scan", "a leaf of the elements");
  if (elements.empty()) return {};
  const int64_t axis = normalize_axis(options.axis, elements[0].rank(), "associative_scan");
  for (const Tensor& x : elements) {
    if (static_cast<int64_t>(x.rank()) > axis && x.shape(axis) == elements[0].shape(axis)) continue;
    fail<ShapeError>("associative_scan: all leaves must have one size along axis {}, got {} and {}",
                     axis, to_string(elements[0].type()), to_string(x.type()));
  }
  if (!options.reverse) return scanned(combine, elements, axis);
  TensorList out;
  for (const Tensor& x : elements) out.push_back(flip(x, {axis}));
  out = scanned(combine, out, axis);
  for (Tensor& x : out) x = flip(x, {axis});
  return out;
}

}  // namespace linnet::detail
