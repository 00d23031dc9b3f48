// Private: functions of the host as primitives, and what programs owe to those with effects.
#pragma once

#include <memory>

#include "core/graph/graph.h"
#include "linnet/callback.h"

namespace linnet {

struct HostCallback {
  const char* name;
  detail::CallbackKind kind;
  detail::HostFunction function;
  TypeList results;
  VmapMethod method;
};

/// In a compiled program callbacks with effects are a chain: each reads the token that the one
/// before it made, as its last operand, and makes one, as its last result. What follows data
/// follows the order of effects too, and nothing else needs to know of them.
struct CallbackParams {
  std::shared_ptr<const HostCallback> callback;
  bool token = false;
  LINNET_FIELDS(callback, token)
};
inline const TensorType kTokenType{DType::kBool, {}};

const Primitive& debug_callback_primitive();
const Primitive& io_callback_primitive();
const Primitive& pure_callback_primitive();

inline bool is_effect(const Primitive& primitive) {
  return &primitive == &debug_callback_primitive() || &primitive == &io_callback_primitive();
}
/// Whether a run of the graph, or of one that a node holds, calls functions with effects.
bool has_effects(const Graph& graph);
bool has_effects(const Graph::Node& node);
/// Whether it calls a function of the host, or holds a program that does.
bool calls_host(const Graph::Node& node);
/// Whether it calls functions by `io_callback`.
bool has_input_output(const Graph& graph);

/// Emits a callback that is there already.
TensorList emit_callback(const std::shared_ptr<const HostCallback>& callback, Inputs operands);

}  // namespace linnet
