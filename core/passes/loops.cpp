#include "core/passes/loops.h"

#include <algorithm>

#include "core/control/loops.h"
#include "core/passes/open_scan.h"

namespace linnet {
namespace {

/// Rebuilds the nodes of a graph, of which some become several.
class BodyOptimizer {
 public:
  BodyOptimizer(Graph& graph, const CompileOptions& options)
      : graph_(graph), options_(options), replaced_(graph), uses_(use_counts(graph)) {}

  void run() {
    if (options_.simplify) drop_unread();
    std::vector<Graph::Node> nodes = std::move(graph_.nodes);
    graph_.nodes.clear();
    for (Graph::Node& node : nodes) {
      for (ValueId& id : node.inputs) id = replaced_.find(id);
      if (node.primitive == &scan_primitive())
        add_scan(node);
      else if (node.primitive == &while_primitive())
        add_while(std::move(node));
      else if (node.primitive == &cond_primitive())
        add_cond(std::move(node));
      else
        graph_.nodes.push_back(std::move(node));
    }
    replaced_.apply(graph_);
    remove_dead_code(graph_);
  }

 private:
  /// The body of a loop. What does not change in the turns of loops within it stands before these:
  /// from there it can leave this loop too.
  Graph cleaned(const ProgramPtr& program) const {
    Graph graph = inline_control(program->graph());
    clean(graph, options_);
    if (options_.loop_motion && lift_from_loops(graph)) clean(graph, options_);
    return graph;
  }

  /// @return whether anything has moved
  bool lift_from_loops(Graph& graph) const {
    bool moved = false;
    std::vector<Graph::Node> nodes = std::move(graph.nodes);
    graph.nodes.clear();
    for (Graph::Node& node : nodes) {
      if (node.primitive == &scan_primitive()) {
        ScanParams p = node.params.as<ScanParams>();
        Graph body = cleaned(p.body);
        moved |= lift_invariants(graph, node, 0, p.constants, body);
        p.body = std::make_shared<Program>(std::move(body));
        node.params = Params(p);
      } else if (node.primitive == &while_primitive()) {
        WhileParams p = node.params.as<WhileParams>();
        Graph body = cleaned(p.body);
        moved |= lift_invariants(graph, node, p.condition_constants, p.body_constants, body);
        p.body = std::make_shared<Program>(std::move(body));
        node.params = Params(p);
      }
      graph.nodes.push_back(std::move(node));
    }
    return moved;
  }

  /// What `body` computes from its constants alone, the operands of the loop from `first` on, is
  /// computed before the loop and becomes constants.
  /// @return whether there was any
  static bool lift_invariants(Graph& outer, Graph::Node& loop, int64_t first, int64_t& constants,
                              Graph& body) {
    const Graph hoisted = hoist_invariants(body, static_cast<size_t>(constants));
    if (hoisted.outputs.empty()) return false;
    const auto begin = loop.inputs.begin() + first;
    const std::vector<ValueId> given(begin, begin + constants);
    const std::vector<ValueId> more = append(outer, outer.nodes, hoisted, given);
    loop.inputs.insert(begin + constants, more.begin(), more.end());
    constants += static_cast<int64_t>(more.size());
    return true;
  }
  ProgramPtr optimized(const Graph& graph) const {
    return std::make_shared<Program>(optimize(graph, options_));
  }

  /// Later loops may read less than they are given, so that earlier ones need not make it.
  void drop_unread() {
    for (size_t n = graph_.nodes.size(); n-- > 0;) {
      if (graph_.nodes[n].primitive != &scan_primitive()) continue;
      const std::vector<int32_t> uses = use_counts(graph_);
      const Graph::Node node = graph_.nodes[n];
      OpenScan scan(graph_, replaced_, node, cleaned(node.params.as<ScanParams>().body),
                    [&](ValueId id) { return uses[id] > 0; });
      scan.prune();
      const std::vector<Graph::Node> closed = scan.close();
      if (closed.empty())
        graph_.nodes.erase(graph_.nodes.begin() + static_cast<int64_t>(n));
      else
        graph_.nodes[n] = closed[0];
      replaced_.apply(graph_);
    }
    uses_ = use_counts(graph_);
  }

  void add_scan(const Graph::Node& node) {
    OpenScan scan(graph_, replaced_, node, cleaned(node.params.as<ScanParams>().body),
                  [&](ValueId id) { return uses_[id] > 0; });
    if (options_.loop_motion) move_work(scan);
    for (Graph::Node& made : scan.close()) {
      if (made.primitive == &scan_primitive()) {
        ScanParams p = made.params.as<ScanParams>();
        p.body = optimized(p.body->graph());
        made.params = Params(p);
        if (options_.loop_motion && p.length > 1) lay_out_in_panels(graph_, made);
      }
      graph_.nodes.push_back(std::move(made));
    }
  }

  void add_while(Graph::Node node) {
    WhileParams p = node.params.as<WhileParams>();
    p.condition = optimized(p.condition->graph());
    Graph body = cleaned(p.body);
    if (options_.loop_motion)
      lift_invariants(graph_, node, p.condition_constants, p.body_constants, body);
    p.body = optimized(body);
    node.params = Params(p);
    graph_.nodes.push_back(std::move(node));
  }

  void add_cond(Graph::Node node) {
    CondParams p = node.params.as<CondParams>();
    for (ProgramPtr& branch : p.branches) branch = optimized(branch->graph());
    node.params = Params(p);
    graph_.nodes.push_back(std::move(node));
  }

  Graph& graph_;
  const CompileOptions& options_;
  Replacements replaced_;
  std::vector<int32_t> uses_;
};

}  // namespace

bool optimize_bodies(Graph& graph, const CompileOptions& options) {
  const bool any = std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Graph::Node& node) {
    return node.primitive == &scan_primitive() || node.primitive == &while_primitive() ||
           node.primitive == &cond_primitive();
  });
  if (any) BodyOptimizer(graph, options).run();
  return any;
}

}  // namespace linnet
