// Traces give meaning to primitives. For people who write transformations; users need transforms.h.
//
// There is one current trace per thread, and each trace knows its parent; null is eager evaluation.
// A trace recognises its own tensors by serial number and treats all others as constants.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "linnet/module_path.h"
#include "linnet/primitive.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Meaning of primitives while it is current.
class Trace {
 public:
  Trace();
  virtual ~Trace() = default;
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  virtual TensorList process(const Primitive& primitive, Inputs inputs, ParamsRef params) = 0;
  /// `jvp`, `vjp`, `vmap`, `jit`: for error texts.
  virtual const char* transformation() const = 0;

  Trace* parent() const { return parent_; }
  uint64_t serial() const { return serial_; }
  bool owns(const Tensor& tensor) const;

 private:
  Trace* parent_;
  uint64_t serial_;
};

/// The trace of this thread; null means eager.
Trace* current_trace();

/// Makes `trace` current for a scope.
class TraceScope {
 public:
  explicit TraceScope(Trace* trace);
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  Trace* previous_;
};

/// What a traced tensor carries for its trace.
class Tracer {
 public:
  virtual ~Tracer() = default;
};

/// A tensor of `type` that belongs to `trace`.
Tensor make_traced(const Trace& trace, const TensorType& type, std::unique_ptr<Tracer> tracer);
/// The payload; the tensor must belong to a trace of the matching class.
Tracer& tracer_of(const Tensor& tensor);

}  // namespace linnet

#pragma GCC visibility pop
