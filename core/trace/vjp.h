// Reverse mode: a tape of vjp rules.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "linnet/trace.h"

namespace linnet {

class VjpTracer final : public Tracer {
 public:
  VjpTracer(Tensor primal, int64_t id) : primal(std::move(primal)), id(id) {}
  Tensor primal;
  int64_t id;  ///< position of its cotangent
};

/// Records what derivative rules need while it is current; `pullback` then runs them backwards.
class VjpTrace final : public Trace {
 public:
  TensorList process(const Primitive& primitive, Inputs inputs, ParamsRef params) override;
  const char* transformation() const override { return "grad"; }

  /// A tensor to differentiate with respect to. Non-floating tensors come back unchanged.
  Tensor input(const Tensor& primal);
  /// The value without derivative information of this trace.
  Tensor primal(const Tensor& tensor) const;
  /// The same for a list.
  TensorList primals(Inputs tensors) const;

  /// Cotangents of `inputs` (made by `input`) given those of `outputs`; may be called again and
  /// again. Unused inputs get zeros; non-floating inputs get undefined tensors.
  /// @param consume frees each tape record as it is used; then this may be called only once.
  TensorList pullback(Inputs outputs, Inputs cotangents, Inputs inputs, bool consume = false);

  /// Called with the cotangents of the results (undefined means zero); gives those of the operands.
  using Rule = std::function<TensorList(Inputs cotangents)>;
  /// Records results computed elsewhere (control primitives, custom rules) with their own rule.
  TensorList record(Inputs inputs, const TensorList& primal_outputs, Rule rule);

 private:
  struct Node {
    const Primitive* primitive = nullptr;
    Params params;
    TensorList inputs, outputs;      ///< saved values, or types only
    std::vector<int64_t> input_ids;  ///< -1: constant to this trace
    int64_t first_output = 0;
    size_t output_count = 0;
    Rule rule;
  };

  int64_t id_of(const Tensor& tensor) const;
  TensorList wrap_outputs(Node node, const TensorList& outputs);
  void run_node(Node& node, std::vector<Tensor>& cotangents);

  std::vector<Node> nodes_;
  int64_t next_id_ = 0;
};

}  // namespace linnet
