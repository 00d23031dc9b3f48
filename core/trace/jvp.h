// Forward mode: values travel with their tangents.
#pragma once

#include "linnet/trace.h"

namespace linnet {

class JvpTracer final : public Tracer {
 public:
  JvpTracer(Tensor primal, Tensor tangent)
      : primal(std::move(primal)), tangent(std::move(tangent)) {}
  Tensor primal, tangent;
};

class JvpTrace final : public Trace {
 public:
  TensorList process(const Primitive& primitive, Inputs inputs, ParamsRef params) override;
  const char* transformation() const override { return "jvp"; }

  /// A tensor with its tangent; an undefined tangent means zero and gives `primal` back.
  Tensor lift(const Tensor& primal, const Tensor& tangent);
  Tensor primal(const Tensor& tensor) const;
  /// Undefined if zero.
  Tensor tangent(const Tensor& tensor) const;
};

}  // namespace linnet
