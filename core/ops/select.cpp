// Selection and the identities that only transformations and the compiler notice.
#include "core/ops/arithmetic.h"
#include "core/ops/dims.h"
#include "core/ops/elementwise.h"
#include "core/ops/families.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/checkpoint_policy.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {

const Primitive& select_primitive() {
  // Zero, not a product with zero, goes to the branch not taken: what stands there cannot leak.
  static const Primitive& p = define(Elementwise<NoParams>{
      .name = "select",
      .arity = 3,
      .vjp =
          [](const NoParams&, Inputs x, Outputs, const Tensor& ct) {
            return TensorList{Tensor(), where(x[0], ct, 0), where(x[0], 0, ct)};
          },
      .accepts = Accepts::kAny,
      .predicate_first = true,
      .linear = true,
      .saves_inputs = bits_of({0}),
      .saves_outputs = 0,
      .complex = true});
  return p;
}

namespace {

template <class P>
std::optional<TensorLayout> same_place(const P&, const LayoutRef& x) {
  return TensorLayout{x.dtype, x.shape, x.strides};
}

}  // namespace

const Primitive& stop_gradient_primitive() {
  static const Primitive& p = define(Elementwise<NoParams>{.name = "stop_gradient",
                                                           .arity = 1,
                                                           .accepts = Accepts::kAny,
                                                           .zero_derivative = true,
                                                           .saves_inputs = 0,
                                                           .saves_outputs = 0,
                                                           .view = same_place<NoParams>,
                                                           .complex = true});
  return p;
}

const Primitive& checkpoint_name_primitive() {
  static const Primitive& p = define(
      Elementwise<CheckpointNameParams>{.name = "checkpoint_name",
                                        .arity = 1,
                                        .vjp = [](const CheckpointNameParams&, Inputs, Outputs,
                                                  const Tensor& ct) { return TensorList{ct}; },
                                        .accepts = Accepts::kAny,
                                        .linear = true,
                                        .saves_inputs = 0,
                                        .saves_outputs = 0,
                                        .view = same_place<CheckpointNameParams>,
                                        .complex = true});
  return p;
}

namespace {

/// The defined ones of `tensors` behind a barrier for each device, where they stay; undefined ones
/// stay so.
TensorList barrier_of_defined(Inputs tensors) {
  TensorList out(tensors.begin(), tensors.end());
  std::vector<uint8_t> behind(out.size());
  for (size_t first = 0; first < out.size(); ++first) {
    if (behind[first] || !out[first].defined()) continue;
    TensorList group;
    std::vector<size_t> places;
    for (size_t i = first; i < out.size(); ++i) {
      if (!out[i].defined() || out[i].device() != out[first].device()) continue;
      group.push_back(out[i]);
      places.push_back(i);
    }
    group = emit(optimization_barrier_primitive(), group);
    for (size_t i = 0; i < places.size(); ++i) {
      out[places[i]] = group[i];
      behind[places[i]] = 1;
    }
  }
  return out;
}

}  // namespace

const Primitive& optimization_barrier_primitive() {
  static const Primitive& p = define(Smooth<NoParams>{
      .name = "optimization_barrier",
      .infer =
          [](const NoParams&, Inputs x) {
            TypeList types;
            for (const Tensor& t : x) types.push_back(t.type());
            return types;
          },
      .vjp = [](const NoParams&, Inputs, Outputs, Inputs cts) { return barrier_of_defined(cts); },
      .jvp = [](const NoParams&, Inputs, Outputs,
                Inputs tangents) { return barrier_of_defined(tangents); },
      .dims = [](const NoParams&, Inputs x) { return dims::separate(x); },
      .saves_inputs = 0,
      .saves_outputs = 0,
      .distinct = true,
      .complex = true});
  return p;
}

void define_identities() {
  stop_gradient_primitive();
  checkpoint_name_primitive();
  optimization_barrier_primitive();
}

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  if (condition.dtype() != DType::kBool) return where(not_equal(condition, 0), a, b);
  const Tensor& chosen = condition;
  if (a.dtype() == b.dtype() && a.shape() == b.shape() && chosen.shape() == a.shape())
    return emit_one(select_primitive(), BorrowedTensors<3>(chosen, a, b));
  const auto [x, y] = promote_and_broadcast("where", a, b);
  if (chosen.shape() == x.shape())
    return emit_one(select_primitive(), BorrowedTensors<3>(chosen, x, y));
  const Shape shape = broadcast_shapes("where", chosen.shape(), x.shape());
  const auto fit = [&](const Tensor& t, const Tensor& other) {
    return broadcast_trailing(beside(t, other), shape);
  };
  return emit_one(select_primitive(), {fit(chosen, x), fit(x, chosen), fit(y, chosen)});
}

Tensor stop_gradient(const Tensor& x) { return emit_one(stop_gradient_primitive(), {x}); }

Tensor checkpoint_name(const Tensor& x, const std::string& name) {
  return emit_one(checkpoint_name_primitive(), {x}, CheckpointNameParams{name});
}

TensorList optimization_barrier(const TensorList& tensors) {
  if (tensors.empty() || current_trace() == nullptr) return tensors;
  for (const Tensor& t : tensors) {
    if (!t.defined()) fail<ValueError>("optimization_barrier: an operand is an undefined tensor");
  }
  return barrier_of_defined(tensors);
}

}  // namespace linnet
