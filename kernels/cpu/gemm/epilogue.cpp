#include "kernels/cpu/gemm/epilogue.h"

#include <algorithm>

#include "kernels/cpu/elementwise/loop_table.h"

namespace linnet::cpu {
namespace {

/// Elements handled at once, so that the residual meets them in the first-level cache.
constexpr int64_t kStrip = 2048;

template <class T>
void finish(Activation activation, T* values, const T* residual, int64_t count) {
  constexpr DType kDType = dtype_of<T>();
  const auto apply = activation ? elementwise_table().get(*activation, kDType) : nullptr;
  const auto add = elementwise_table().get(ScalarOp::kAdd, kDType);
  for (int64_t i = 0; i < count; i += kStrip) {
    LoopCall call;
    call.count = std::min(kStrip, count - i);
    call.in[0] = call.out = values + i;
    if (apply) apply(call);
    if (!residual) continue;
    call.in[1] = residual + i;
    add(call);
  }
}

}  // namespace

void finish_row(Activation activation, float* values, const float* residual, int64_t count) {
  finish(activation, values, residual, count);
}

void finish_row(Activation activation, double* values, const double* residual, int64_t count) {
  finish(activation, values, residual, count);
}

}  // namespace linnet::cpu
