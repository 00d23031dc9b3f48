// `call`: a program as a primitive, with rules that transform its graph.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/graph/graph.h"

namespace linnet {

class Executable;

/// A graph with what is derived from it on demand: the executable and the programs of its
/// derivatives and batched form. Shared, thread-safe.
class Program {
 public:
  explicit Program(Graph graph) : graph_(std::move(graph)) {}
  const Graph& graph() const { return graph_; }

  /// Compiled at first use.
  const Executable& executable() const;

  /// Results followed by tangents of the floating results, for operands [inputs..., tangents of
  /// those marked active...].
  std::shared_ptr<const Program> jvp(const std::vector<uint8_t>& active) const;
  /// Forward: results followed by residuals. Backward: (residuals, cotangents of floating results)
  /// to cotangents of the active inputs.
  struct Vjp {
    std::shared_ptr<const Program> forward, backward;
    size_t residuals = 0;
  };
  Vjp vjp(const std::vector<uint8_t>& active) const;
  /// All results batched in front.
  std::shared_ptr<const Program> batch(const std::vector<uint8_t>& batched, int64_t size) const;

 private:
  Graph graph_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Executable> executable_;
  // Keys are the flags, one character each.
  mutable std::map<std::string, std::shared_ptr<const Program>> jvps_;
  mutable std::map<std::string, Vjp> vjps_;
  mutable std::map<std::pair<std::string, int64_t>, std::shared_ptr<const Program>> batches_;
};

using ProgramPtr = std::shared_ptr<const Program>;

struct CallParams {
  ProgramPtr program;
  LINNET_FIELDS(program)
};

const Primitive& call_primitive();
const Graph& called_graph(ParamsRef params);
/// Emits `call`.
TensorList call(const ProgramPtr& program, Inputs inputs);

}  // namespace linnet
