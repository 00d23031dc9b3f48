#include "core/passes/loops.h"

#include "core/control/loops.h"

namespace linnet {
namespace {

ProgramPtr optimized(const ProgramPtr& program, const CompileOptions& options) {
  return std::make_shared<Program>(optimize(program->graph(), options));
}

}  // namespace

void optimize_bodies(Graph& graph, const CompileOptions& options) {
  for (Graph::Node& node : graph.nodes) {
    if (node.primitive == &scan_primitive()) {
      ScanParams p = node.params.as<ScanParams>();
      p.body = optimized(p.body, options);
      node.params = Params(p);
    } else if (node.primitive == &while_primitive()) {
      WhileParams p = node.params.as<WhileParams>();
      p.condition = optimized(p.condition, options);
      p.body = optimized(p.body, options);
      node.params = Params(p);
    } else if (node.primitive == &cond_primitive()) {
      CondParams p = node.params.as<CondParams>();
      for (ProgramPtr& branch : p.branches) branch = optimized(branch, options);
      node.params = Params(p);
    }
  }
}

}  // namespace linnet
