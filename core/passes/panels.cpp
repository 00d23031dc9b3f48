// Matrices that stay the same in every turn of a loop, laid out once as products read them.
#include <map>

#include "core/ops/dot.h"
#include "core/ops/fused.h"
#include "core/ops/shape_ops.h"
#include "core/passes/loops.h"
#include "core/passes/open_scan.h"
#include "linnet/back_end.h"

namespace linnet {
namespace {

/// Above, a product hides the packing of its matrix; below, it does not pack.
constexpr int64_t kMostRows = 128, kFewestElements = 64 * 64;

/// A product of [m, k] with a matrix, in any orientation of that.
struct PanelProduct {
  const DotParams* dot = nullptr;
  PanelLinearParams params;

  static PanelProduct of(const Graph& body, const Graph::Node& node) {
    PanelProduct out;
    if (node.primitive == &dot_general_primitive()) {
      out.dot = &node.params.as<DotParams>();
    } else if (node.primitive == &linear_bias_activation_primitive()) {
      const auto& p = node.params.as<LinearBiasActivationParams>();
      out.dot = &p.dot;
      out.params = {0, p.has_bias, p.has_residual, p.activation};
    } else {
      return out;
    }
    const TensorType &x = body.types[node.inputs[0]], &w = body.types[node.inputs[1]];
    const bool fits = x.shape.size() == 2 && w.shape.size() == 2 && x.dtype == w.dtype &&
                      x.dtype == out.dot->result && out.dot->lhs_batch.empty() &&
                      out.dot->lhs_contract == Axes{1} && out.dot->rhs_contract.size() == 1;
    if (!fits || x.shape[0] > kMostRows || element_count(w.shape) <= kFewestElements)
      out.dot = nullptr;
    if (out.dot) out.params.columns = w.shape[static_cast<size_t>(1 - out.dot->rhs_contract[0])];
    return out;
  }
};

class PanelPacker {
 public:
  PanelPacker(Graph& outer, Graph::Node& scan)
      : outer_(outer), scan_(scan), p_(scan.params.as<ScanParams>()) {}

  void run() {
    Graph body = p_.body->graph();
    for (Graph::Node& node : body.nodes) {
      const PanelProduct product = PanelProduct::of(body, node);
      if (!product.dot) continue;
      const int64_t constant = constant_of(body, node.inputs[1]);
      const TensorType& type = body.types[node.inputs[1]];
      const int64_t width = back_end_of(type.device).panel_columns(type.dtype);
      if (constant < 0 || width == 0) continue;
      node.inputs[1] = packed(body, constant, product.dot->rhs_contract[0], width);
      node.primitive = &panel_linear_primitive();
      node.params = Params(product.params);
    }
    if (fresh_.empty()) return;
    p_.body = std::make_shared<Program>(std::move(body));
    scan_.params = Params(p_);
  }

 private:
  int64_t constant_of(const Graph& body, ValueId id) const {
    for (int64_t i = 0; i < p_.constants; ++i) {
      if (body.inputs[static_cast<size_t>(i)] == id) return i;
    }
    return -1;
  }

  /// The input of the body that is the matrix in panels.
  ValueId packed(Graph& body, int64_t constant, int64_t contracted, int64_t width) {
    const ValueId matrix = scan_.inputs[static_cast<size_t>(constant)];
    const auto [found, fresh] = fresh_.try_emplace({matrix, contracted}, -1);
    if (!fresh) return found->second;
    const ValueId outer = pack(matrix, contracted, width);
    const ValueId inner = body.add_value(outer_.types[outer]);
    body.inputs.insert(body.inputs.begin() + p_.constants, inner);
    scan_.inputs.insert(scan_.inputs.begin() + p_.constants, outer);
    ++p_.constants;
    return found->second = inner;
  }

  ValueId pack(ValueId matrix, int64_t contracted, int64_t width) {
    TensorType type = outer_.types[matrix];
    ValueId value = matrix;
    if (contracted == 1) {
      std::swap(type.shape[0], type.shape[1]);
      value = emit(transpose_primitive(), TransposeParams{AxisMap{1, 0}}, value, type);
    }
    const int64_t rows = type.shape[0], count = (type.shape[1] + width - 1) / width;
    if (type.shape[1] != count * width) {
      const PadParams pad{{{0, 0, 0}, {0, count * width - type.shape[1], 0}}};
      type.shape[1] = count * width;
      value = emit(pad_primitive(), pad, value, type);
    }
    type.shape = {rows, count, width};
    value = emit(reshape_primitive(), ReshapeParams{type.shape}, value, type);
    type.shape = {count, rows, width};
    return emit(transpose_primitive(), TransposeParams{AxisMap{1, 0, 2}}, value, type);
  }

  ValueId emit(const Primitive& primitive, ParamsRef params, ValueId input,
               const TensorType& type) {
    const ValueId id = outer_.add_value(type);
    outer_.nodes.push_back({&primitive, Params(params), {input}, {id}, scan_.path});
    return id;
  }

  Graph& outer_;
  Graph::Node& scan_;
  ScanParams p_;
  std::map<std::pair<ValueId, int64_t>, ValueId> fresh_;
};

}  // namespace

void lay_out_in_panels(Graph& outer, Graph::Node& scan) { PanelPacker(outer, scan).run(); }

}  // namespace linnet
