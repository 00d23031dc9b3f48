// The table of rewrite rules. All are exact: the result has the same bits, NaN payloads aside.
#include <cmath>

#include "core/ops/activation.h"
#include "core/ops/arithmetic.h"
#include "core/ops/convert.h"
#include "core/ops/creation.h"
#include "core/ops/indexing.h"
#include "core/ops/shape_ops.h"
#include "core/passes/rewriter.h"
#include "core/trace/eval.h"

namespace linnet {
namespace {

using Node = Graph::Node;

/// Whether `value` is `wanted`; signed zeros differ.
bool is_number(const Tensor* value, double wanted) {
  if (!value || is_complex(value->dtype())) return false;
  const double got = value->item<double>();
  return got == wanted && std::signbit(got) == std::signbit(wanted);
}

template <class P>
const P& params_of(const Node& node) {
  return node.params.as<P>();
}

bool fold_scalars(Rewriter& r, Node& node) {
  if (!node.primitive->pointwise() || !r.type(node.outputs[0]).shape.empty() || node.inputs.empty())
    return false;
  TensorList operands;
  for (ValueId id : node.inputs) {
    const Tensor* value = r.number(id);
    if (!value || r.type(id) != value->type()) return false;
    operands.push_back(*value);
  }
  return r.replace(node, r.constant(evaluate(*node.primitive, operands, node.params)[0]));
}

bool identity(Rewriter& r, Node& node) {
  const Primitive* p = node.primitive;
  const bool same = p == &stop_gradient_primitive() || p == &checkpoint_name_primitive() ||
                    (p == &concatenate_primitive() && node.inputs.size() == 1);
  return same && r.replace(node, node.inputs[0]);
}

bool multiply_by_one(Rewriter& r, Node& node) {
  if (node.primitive != &mul_primitive()) return false;
  for (size_t i : {0, 1}) {
    if (is_number(r.number(node.inputs[i]), 1) && r.replace(node, node.inputs[1 - i])) return true;
  }
  return false;
}

bool divide_by_one(Rewriter& r, Node& node) {
  return node.primitive == &div_primitive() && is_number(r.number(node.inputs[1]), 1) &&
         r.replace(node, node.inputs[0]);
}

/// x + -0 is x for every x, but -0 + 0 is 0: only integers may drop a positive zero.
bool add_zero(Rewriter& r, Node& node) {
  if (node.primitive != &add_primitive()) return false;
  const bool floating = is_inexact(r.type(node.outputs[0]).dtype);
  for (size_t i : {0, 1}) {
    const Tensor* value = r.number(node.inputs[i]);
    if (is_number(value, floating ? -0.0 : 0.0) && r.replace(node, node.inputs[1 - i])) return true;
  }
  return false;
}

/// x - 0 is x for every x, also -0; x - -0 is not.
bool subtract_zero(Rewriter& r, Node& node) {
  return node.primitive == &sub_primitive() && is_number(r.number(node.inputs[1]), 0) &&
         r.replace(node, node.inputs[0]);
}

bool double_negation(Rewriter& r, Node& node) {
  if (node.primitive != &neg_primitive()) return false;
  const ValueId inner = r.operand_of(node.inputs[0], neg_primitive());
  return inner >= 0 && r.replace(node, inner);
}

/// relu(x) > 0 exactly where x > 0, so that x need not be kept for the derivative.
bool relu_grad_of_result(Rewriter& r, Node& node) {
  if (node.primitive != &relu_grad_primitive()) return false;
  const ValueId y = r.relu_of(node.inputs[0]);
  if (y < 0) return false;
  node.inputs[0] = y;
  return true;
}

bool convert_to_same(Rewriter& r, Node& node) {
  return node.primitive == &convert_primitive() && r.replace(node, node.inputs[0]);
}

/// To a float format that holds every number of the first one, and back.
bool convert_there_and_back(Rewriter& r, Node& node) {
  if (node.primitive != &convert_primitive()) return false;
  const ValueId x = r.operand_of(node.inputs[0], convert_primitive());
  if (x < 0) return false;
  const DType from = r.type(x).dtype, over = r.type(node.inputs[0]).dtype;
  const bool exact = is_floating(from) && is_floating(over) && size_of(over) > size_of(from);
  return exact && r.replace(node, x);
}

bool reshape_to_same(Rewriter& r, Node& node) {
  return node.primitive == &reshape_primitive() && r.replace(node, node.inputs[0]);
}

bool reshape_of_reshape(Rewriter& r, Node& node) {
  if (node.primitive != &reshape_primitive()) return false;
  const ValueId x = r.operand_of(node.inputs[0], reshape_primitive());
  if (x < 0) return false;
  node.inputs[0] = x;
  return true;
}

bool transpose_to_same(Rewriter& r, Node& node) {
  if (node.primitive != &transpose_primitive()) return false;
  const Axes& permutation = params_of<TransposeParams>(node).permutation;
  return permutation == all_axes(permutation.size()) && r.replace(node, node.inputs[0]);
}

bool transpose_of_transpose(Rewriter& r, Node& node) {
  if (node.primitive != &transpose_primitive()) return false;
  const Node* inner = r.producer(node.inputs[0]);
  if (!inner || inner->primitive != &transpose_primitive()) return false;
  Axes combined;
  for (int64_t axis : params_of<TransposeParams>(node).permutation) {
    combined.push_back(params_of<TransposeParams>(*inner).permutation[axis]);
  }
  node.inputs[0] = inner->inputs[0];
  node.params = Params(TransposeParams{combined});
  return true;
}

bool broadcast_to_same(Rewriter& r, Node& node) {
  return node.primitive == &broadcast_in_dim_primitive() && r.replace(node, node.inputs[0]);
}

bool broadcast_of_broadcast(Rewriter& r, Node& node) {
  if (node.primitive != &broadcast_in_dim_primitive()) return false;
  const Node* inner = r.producer(node.inputs[0]);
  if (!inner || inner->primitive != &broadcast_in_dim_primitive()) return false;
  const auto& outer = params_of<BroadcastInDimParams>(node);
  Axes combined;
  for (int64_t axis : params_of<BroadcastInDimParams>(*inner).dimensions)
    combined.push_back(outer.dimensions[axis]);
  const BroadcastInDimParams params{outer.shape, combined};
  node.inputs[0] = inner->inputs[0];
  node.params = Params(params);
  return true;
}

/// What is repeated may lack dimensions of size 1 that a reshape gave it.
bool broadcast_of_unit_dimensions(Rewriter& r, Node& node) {
  if (node.primitive != &broadcast_in_dim_primitive()) return false;
  const Node* inner = r.producer(node.inputs[0]);
  if (!inner || inner->primitive != &reshape_primitive()) return false;
  const Shape &small = r.type(inner->inputs[0]).shape, &large = r.type(inner->outputs[0]).shape;
  const auto& outer = params_of<BroadcastInDimParams>(node);
  Axes dimensions;
  for (size_t i = 0; i < large.size(); ++i) {
    if (dimensions.size() < small.size() && small[dimensions.size()] == large[i])
      dimensions.push_back(outer.dimensions[i]);
    else if (large[i] != 1)
      return false;
  }
  if (dimensions.size() != small.size()) return false;
  const BroadcastInDimParams params{outer.shape, dimensions};
  node.inputs[0] = inner->inputs[0];
  node.params = Params(params);
  return true;
}

bool slice_of_all(Rewriter& r, Node& node) {
  return node.primitive == &slice_primitive() && r.replace(node, node.inputs[0]);
}

/// Whatever is rearranged, if all elements are equal the result is a broadcast of one.
bool rearranged_number(Rewriter& r, Node& node) {
  const Primitive* p = node.primitive;
  const bool rearranges = p == &reshape_primitive() || p == &transpose_primitive() ||
                          p == &slice_primitive() || p == &reverse_primitive();
  if (!rearranges) return false;
  const Node* inner = r.producer(node.inputs[0]);
  if (!inner || inner->primitive != &broadcast_in_dim_primitive() ||
      !r.type(inner->inputs[0]).shape.empty()) {
    return false;
  }
  node.inputs[0] = inner->inputs[0];
  node.primitive = &broadcast_in_dim_primitive();
  node.params = Params(BroadcastInDimParams{r.type(node.outputs[0]).shape, {}});
  return true;
}

/// Where all operands of an elementwise node are repeated from one smaller shape, or from numbers,
/// the node is computed on the smaller shape and its result repeated.
bool hoist_broadcast(Rewriter& r, Node& node) {
  const TensorType result = r.type(node.outputs[0]);
  if (!node.primitive->pointwise() || result.shape.empty()) return false;
  const BroadcastInDimParams* pattern = nullptr;
  Shape small;
  for (ValueId id : node.inputs) {
    const Node* made = r.producer(id);
    if (!made || made->primitive != &broadcast_in_dim_primitive()) return false;
    const auto& params = params_of<BroadcastInDimParams>(*made);
    const Shape& shape = r.type(made->inputs[0]).shape;
    if (shape.empty()) continue;
    if (pattern && !(pattern->dimensions == params.dimensions && small == shape)) return false;
    pattern = &params;
    small = shape;
  }
  if (element_count(small) >= element_count(result.shape)) return false;
  const BroadcastInDimParams outer{result.shape, pattern ? pattern->dimensions : AxisMap{}};
  std::vector<ValueId> operands;
  for (ValueId id : node.inputs) {
    ValueId x = r.producer(id)->inputs[0];
    if (r.type(x).shape != small) {
      const TensorType type{r.type(x).dtype, small, r.type(x).weak, r.type(x).device};
      x = r.emit(broadcast_in_dim_primitive(), BroadcastInDimParams{small, {}}, {x}, type,
                 node.path);
    }
    operands.push_back(x);
  }
  const TensorType type{result.dtype, small, result.weak, result.device};
  const ValueId y = r.emit(*node.primitive, node.params, operands, type, node.path);
  node.primitive = &broadcast_in_dim_primitive();
  node.params = Params(outer);
  node.inputs = {y};
  return true;
}

constexpr Rewriter::Rule kRules[] = {
    {"fold_scalars", fold_scalars},
    {"identity", identity},
    {"multiply_by_one", multiply_by_one},
    {"divide_by_one", divide_by_one},
    {"add_zero", add_zero},
    {"subtract_zero", subtract_zero},
    {"double_negation", double_negation},
    {"relu_grad_of_result", relu_grad_of_result},
    {"convert_to_same", convert_to_same},
    {"convert_there_and_back", convert_there_and_back},
    {"reshape_to_same", reshape_to_same},
    {"reshape_of_reshape", reshape_of_reshape},
    {"transpose_to_same", transpose_to_same},
    {"transpose_of_transpose", transpose_of_transpose},
    {"broadcast_to_same", broadcast_to_same},
    {"broadcast_of_broadcast", broadcast_of_broadcast},
    {"broadcast_of_unit_dimensions", broadcast_of_unit_dimensions},
    {"slice_of_all", slice_of_all},
    {"rearranged_number", rearranged_number},
    {"hoist_broadcast", hoist_broadcast},
};

}  // namespace

std::span<const Rewriter::Rule> rewrite_rules() { return kRules; }

}  // namespace linnet
