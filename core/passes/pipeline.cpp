#include <utility>

#include "core/passes/fuse_reductions.h"
#include "core/passes/loops.h"
#include "core/passes/passes.h"
#include "linnet/detail/format.h"

namespace linnet {

void clean(Graph& graph, const CompileOptions& options) {
  if (options.simplify) {
    merge_common_subexpressions(graph);
    if (simplify(graph)) merge_common_subexpressions(graph);
  }
  remove_dead_code(graph);
}

Graph optimize(const Graph& graph, const CompileOptions& options) {
  Graph out = graph;
  const auto check = [&](const char* pass) {
    if (options.verify) verify(out, pass);
  };
  check("recording");
  out = inline_control(std::move(out));
  check("inline_control");
  clean(out, options);
  check("simplify");
  if (optimize_bodies(out, options)) {
    check("optimize_bodies");
    clean(out, options);
    check("simplify");
  }
  out = select_composites(std::move(out));
  check("select_composites");
  clean(out, options);
  check("simplify");
  if (options.epilogues) {
    fuse_epilogues(out);
    remove_dead_code(out);
    check("fuse_epilogues");
    fuse_training(out);
    remove_dead_code(out);
    check("fuse_training");
  }
  if (options.fusion) {
    fuse_elementwise(out);
    remove_dead_code(out);
    check("fuse_elementwise");
    fuse_reductions(out);
    remove_dead_code(out);
    check("fuse_reductions");
  }
  return out;
}

}  // namespace linnet
