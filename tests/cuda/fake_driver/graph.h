// Graphs: nodes with dependencies, their executable form, and one run of it.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "cuda/fake_driver/action.h"

namespace linnet::fake_cuda {

class Graph;
struct Mark;

struct Node {
  Graph* graph = nullptr;
  Action action;
  std::unique_ptr<Graph> child;  ///< instead of `action`
  std::vector<Node*> dependencies;

  CUgraphNodeType type() const;
};

class Graph {
 public:
  Node& add(Action action, const std::vector<Node*>& dependencies);
  Node& add_child(const Graph& child, const std::vector<Node*>& dependencies);
  std::unique_ptr<Graph> clone() const;

  const std::vector<std::unique_ptr<Node>>& nodes() const { return nodes_; }
  bool has(const Node* node) const;
  void remove(const Node* node);
  /// Each after those that it depends on.
  /// @throws Failure if there is a cycle.
  std::vector<const Node*> in_order() const;

 private:
  std::vector<std::unique_ptr<Node>> nodes_;
};

/// The steps of an executable graph, those of graphs within it too. What a step does may be
/// replaced between two runs; their order stays.
struct GraphSteps {
  std::vector<Action> actions;
  std::vector<uint32_t> dependencies;             ///< number for each step
  std::vector<std::vector<uint32_t>> dependents;  ///< of each step
};

class GraphExec {
 public:
  explicit GraphExec(const Graph& graph);

  /// Replaces what a node does from the next run on. `original` is a node of the graph that this
  /// was made from.
  /// @throws Failure if there is no such node, or it is of another kind.
  void set(const Node* original, Action action);
  void set_child(const Node* original, const Graph& child);
  const Action& action(const Node* original) const;

  int device = 0;
  std::shared_ptr<const GraphSteps> steps() const { return steps_; }
  std::shared_ptr<Mark> last_run;

 private:
  struct Range {
    uint32_t begin = 0, end = 0;
  };
  uint32_t add(const Graph& graph, const std::vector<uint32_t>& roots,
               std::unordered_map<const Node*, Range>* ranges);
  uint32_t add_step(Action action, const std::vector<uint32_t>& dependencies);
  GraphSteps& own_steps();

  std::shared_ptr<GraphSteps> steps_ = std::make_shared<GraphSteps>();
  std::unordered_map<const Node*, Range> ranges_;
  std::unordered_map<const Node*, CUgraphNodeType> types_;
};

/// One run.
class GraphRun {
 public:
  explicit GraphRun(std::shared_ptr<const GraphSteps> steps);
  /// Does one step that may be done now. Returns whether it was the last.
  bool step(int device);

 private:
  std::shared_ptr<const GraphSteps> steps_;
  std::vector<uint32_t> waiting_for_;
  std::vector<uint32_t> ready_;  ///< ascending
  size_t left_;
};

}  // namespace linnet::fake_cuda
