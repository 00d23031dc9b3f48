// Matrix products and convolutions through oneDNN, with own kernels where those are faster.
//
//   MatmulSpec spec{.m = 64, .n = 256, .k = 784, .a_strides = {784, 1}, .b_strides = {256, 1}};
//   spec.has_bias = true;
//   spec.activation = ScalarOp::kRelu;
//   PrepareResult result = prepare_matmul(spec);
//   const void* inputs[] = {x, w, bias};
//   void* outputs[] = {y};
//   result.kernel->execute(inputs, outputs, workspace);
#pragma once

#include "core/ops/scalar_functions.h"
#include "kernels/cpu/onednn/prepared.h"
#include "linnet/dtype.h"
#include "linnet/instruction_set.h"
#include "linnet/shape.h"

namespace linnet::cpu::onednn {

/// out[b, i, j] = activation(sum_p a[b, i, p] b[b, p, j] + bias[j]) + residual[b, i, j].
/// Strides count elements and have the rank of `batch` plus two, outermost first: (batch..., m, k),
/// (batch..., k, n), (batch..., m, n). A batch stride of 0 repeats the operand.
struct MatmulSpec {
  Shape batch;
  int64_t m = 0, n = 0, k = 0;
  DType dtype = DType::kF32;       ///< of a and b: f32, f64 or bf16
  DType out_dtype = DType::kF32;   ///< of out and residual: as `dtype`, or f32 for bf16 operands
  DType bias_dtype = DType::kF32;  ///< as `out_dtype`, or f32
  Strides a_strides, b_strides;
  Strides out_strides;    ///< also of the residual; empty: dense; the last one is 1
  bool has_bias = false;  ///< bias[n], dense
  bool has_residual = false;
  Activation activation = {};
};

/// Inputs: a, b, then the bias if there is one, then the residual if there is one. Output: out.
/// Declines f16, integers, empty operands, and for bf16 operands without a unit inner stride.
PrepareResult prepare_matmul(const MatmulSpec& spec);

/// Geometry of y = conv(x, w) with dense channels-last layouts:
/// x[batch, spatial..., in], w[kernel..., in / groups, out], y[batch, spatial..., out].
/// y[n, o, c] = sum over kernel positions t and input channels i of the group of c of
/// x[n, o * stride - padding_low + t * dilation, i] w[t, i, c] (cross-correlation).
struct ConvSpec {
  int64_t batch = 0, in_channels = 0, out_channels = 0, groups = 1;
  Shape in_size, kernel_size;       ///< 1 to 3 spatial dimensions
  Shape strides;                    ///< empty: ones
  Shape padding_low, padding_high;  ///< empty: zeros
  Shape dilation;                   ///< of the kernel; empty: ones
  Shape lhs_dilation;               ///< of the input; declined unless ones or empty
  DType dtype = DType::kF32;        ///< of both operands: f32 or bf16
  DType out_dtype = DType::kF32;    ///< of the result: as `dtype`, or f32 for bf16 operands
  DType bias_dtype = DType::kF32;   ///< as `out_dtype`, or f32
  bool has_bias = false;  ///< forward: adds bias[out]; backward weights: also gives its gradient
  Activation activation = {};  ///< forward only, after the bias
  /// f32 3x3 convolutions of stride 1 may use Winograd's F(4x4, 3x3) where it is faster, at a
  /// relative error about four times that of the direct sum.
  bool allow_winograd = false;

  /// Spatial sizes of y.
  Shape out_size() const;
};

/// Inputs: x, w, then the bias if there is one. Output: y.
PrepareResult prepare_conv_forward(const ConvSpec& spec);
/// Gradient with respect to x, or the transposed convolution. Inputs: dy, w. Output: dx.
PrepareResult prepare_conv_backward_data(const ConvSpec& spec);
/// Gradients with respect to w and the bias. Inputs: x, dy. Outputs: dw, then the gradient of the
/// bias if there is one.
PrepareResult prepare_conv_backward_weights(const ConvSpec& spec);

/// Lets oneDNN use this instruction set and no wider one. False if it is too late: once, and before
/// anything else here.
bool limit_instruction_set(InstructionSet set);

}  // namespace linnet::cpu::onednn
