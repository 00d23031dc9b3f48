#include "core/exec/executable.h"

namespace linnet {
namespace {

/// Runs the nodes one by one.
class NodeList final : public Executable {
 public:
  explicit NodeList(Graph graph) : graph_(std::move(graph)) {}
  TensorList run(TensorList& inputs, std::span<const uint8_t>) const override {
    return run_graph(graph_, inputs);
  }
  const Graph& graph() const override { return graph_; }
  size_t arena_bytes() const override { return 0; }

 private:
  Graph graph_;
};

}  // namespace

std::shared_ptr<const Executable> compile(const Graph& graph) { return std::make_shared<NodeList>(graph); }

}  // namespace linnet
