// Staging: records primitives as nodes of a Graph.
#pragma once

#include <unordered_map>

#include "core/graph/graph.h"
#include "linnet/trace.h"

namespace linnet {

class GraphTracer final : public Tracer {
 public:
  explicit GraphTracer(ValueId id) : id(id) {}
  ValueId id;
};

class GraphTrace final : public Trace {
 public:
  /// What happens to concrete tensors from outside: zero-dimensional ones are always embedded;
  /// others become program inputs, or are embedded too if the program must keep the inputs it is
  /// given.
  enum class Outside { kCapture, kEmbed };
  explicit GraphTrace(Outside outside = Outside::kCapture) : policy_(outside) {}

  TensorList process(const Primitive& primitive, Inputs inputs, ParamsRef params) override;
  const char* transformation() const override { return "jit"; }

  /// A new program input.
  Tensor input(const TensorType& type);
  /// Tensors from outside that the function used; each is a program input, in order, after those
  /// made by `input` up to its first use.
  struct Capture {
    Tensor outer;
    size_t position;  ///< among the program's inputs
  };
  const std::vector<Capture>& captures() const { return captures_; }
  /// True if a captured tensor belongs to an enclosing transformation, so that the program cannot
  /// be kept.
  bool captures_traced() const;

  /// Ends the recording with these results (tensors of this trace, or from outside).
  Graph finish(Inputs outputs);
  Graph& graph() { return graph_; }
  ValueId id_of(const Tensor& tensor);

 private:
  Outside policy_;
  Graph graph_;
  std::vector<Capture> captures_;
  std::unordered_map<const TensorImpl*, ValueId> outside_;
  TensorList kept_;  ///< keeps the keys of `outside_` alive
};

/// Traces `f` on values of the given types; captures become extra inputs at the end.
struct TracedFunction {
  Graph graph;
  TensorList captured;  ///< values of the extra inputs
  bool captures_traced = false;
};
TracedFunction trace_to_graph(const std::function<TensorList(Inputs)>& f, const TypeList& types);

}  // namespace linnet
