// The passes of the compiler, each a function on graphs, and the order they run in.
//
//   Graph optimized = optimize(graph, compile_options());
#pragma once

#include <string_view>
#include <vector>

#include "core/graph/graph.h"
#include "core/passes/options.h"

namespace linnet {

/// All passes that `options` leaves on, in order.
Graph optimize(const Graph& graph, const CompileOptions& options);

/// Gives a program that calls functions with effects a last result more, on which they all depend
/// one after the other; leaves others as they are. Comes first, and only once.
Graph order_effects(const Graph& graph);
/// Puts the bodies of primitives that are `is_its_body` in their places.
Graph inline_control(Graph graph);
/// Removes nodes and constants whose results nothing reads, and numbers the values anew.
void remove_dead_code(Graph& graph);
/// Equal constants, and nodes of equal primitive, parameters and operands, become one, unless the
/// primitive is `distinct`.
void merge_common_subexpressions(Graph& graph);
/// Applies the rewrite rules until none fits. @return whether one did.
bool simplify(Graph& graph);
/// Replaces composites that the device's implementation list declines by what they consist of.
Graph select_composites(Graph graph);
/// Makes one node of a product or convolution and the bias, activation and residual that follow it.
void fuse_epilogues(Graph& graph);
/// Joins what only a step of training has: what is kept for the way back, a derivative behind a
/// product, the gradients of a kernel and a bias, a loss and its gradient.
void fuse_training(Graph& graph);
/// Makes one `fused_elementwise` node of each cluster of elementwise nodes.
void fuse_elementwise(Graph& graph);

/// Names of the rewrite rules of `simplify`.
std::vector<std::string_view> rule_names();
/// Applies one rule to all nodes once. @return whether it changed anything.
bool apply_rule(std::string_view name, Graph& graph);

/// Whether the device has a kernel for a node with dense operands of these types.
bool has_kernel(const Primitive& primitive, ParamsRef params, const TypeList& operands,
                const TypeList& results);

}  // namespace linnet
