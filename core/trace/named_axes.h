// The names that collectives may use: what binds them, and which primitives ask for one.
//
// Whatever runs a function once for each element of an axis binds its name while the function runs:
// `vmap`, whose trace gives collectives their meaning, or a mesh of processes. Bindings are per
// thread, and the innermost of a name counts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/graph/graph.h"

namespace linnet {

/// An axis over which a function is run for each element; without a name nothing can speak of it.
struct NamedAxis {
  std::string name;
  int64_t size = 0;
};

/// Binds a name for a scope.
class NamedAxisScope {
 public:
  explicit NamedAxisScope(const NamedAxis& axis);
  ~NamedAxisScope();
  NamedAxisScope(const NamedAxisScope&) = delete;
  NamedAxisScope& operator=(const NamedAxisScope&) = delete;

 private:
  bool bound_;
};

/// The size of an axis. @throws UnknownAxisError naming `operation` and the names that are bound.
int64_t size_of_named_axis(const char* operation, const std::string& name);

/// All bindings as text: programs that are recorded under others are others.
std::string named_axes_key();

/// Whether an application of `primitive`, or a program that it holds, asks for the axis.
bool asks_for_axis(const Primitive& primitive, ParamsRef params, std::string_view name);

}  // namespace linnet
