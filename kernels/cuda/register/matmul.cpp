// Kernels of contractions.
#include "core/ops/fused.h"
#include "kernels/cuda/cublas/tuning.h"
#include "kernels/cuda/driver/driver.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/register/families.h"
#include "linnet/detail/format.h"
#include "linnet/precision.h"

namespace linnet::cuda {
namespace {

/// What follows the product.
struct Epilogue {
  bool has_bias = false, has_residual = false;
  Activation activation = {};
};

bool is_empty(const KernelRequest& request) {
  for (const OperandView& x : request.inputs) {
    if (element_count(x.shape) == 0) return true;
  }
  return false;
}

/// Sums over nothing. Results lie in blocks of more than four bytes, so the last word is theirs.
std::unique_ptr<Kernel> make_zeros(const OperandView& y) {
  const size_t bytes = static_cast<size_t>(element_count(y.shape)) * size_of(y.dtype);
  return make_device_kernel([words = (bytes + 3) / 4](LaunchSink& sink, Operands, Operands out,
                                                      Address) { sink.fill(out[0], 0, words); });
}

/// Sets `reason` if the library has no such activation.
ProductActivation activation_of(const Activation& activation, std::string& reason) {
  if (!activation) return ProductActivation::kNone;
  if (*activation == ScalarOp::kRelu) return ProductActivation::kRelu;
  if (*activation == ScalarOp::kGeluTanh) return ProductActivation::kGeluTanh;
  reason = fmt::format("{} cannot follow a product of cuBLASLt", name_of(*activation));
  return ProductActivation::kNone;
}

bool describe_epilogue(const KernelRequest& request, const Epilogue& epilogue, ProductSpec& spec,
                       std::string& reason) {
  spec.has_bias = epilogue.has_bias;
  spec.has_residual = epilogue.has_residual;
  spec.activation = activation_of(epilogue.activation, reason);
  if (!reason.empty()) return false;
  for (const OperandView& x : request.inputs.subspan(2)) {
    if (is_dense(x.shape, x.strides)) continue;
    reason = "strides of the bias or the residual";
    return false;
  }
  if (spec.has_bias) spec.bias_alignment = request.inputs[2].alignment;
  if (spec.has_residual)
    spec.residual_alignment = request.inputs[size_t{2} + spec.has_bias].alignment;
  return true;
}

std::optional<Product> describe(const KernelRequest& request, const DotParams& params,
                                const Epilogue& epilogue, std::string& reason) {
  const OperandView &lhs = request.inputs[0], &rhs = request.inputs[1];
  DotLayout layout(params, lhs, rhs);
  if (!layout.lhs_is_matrix()) layout.move_rows_to_batch();
  if (!layout.lhs_is_matrix() || !layout.rhs_is_matrix()) {
    reason = fmt::format("the strides of the {} operand are not those of matrices",
                         layout.lhs_is_matrix() ? "right" : "left");
    return std::nullopt;
  }
  ProductSpec spec{.product = layout.product(),
                   .operands = lhs.dtype,
                   .result = request.outputs[0].dtype,
                   .tf32 = matmul_precision() != Precision::kHighest,
                   .lhs_alignment = lhs.alignment,
                   .rhs_alignment = rhs.alignment,
                   .out_alignment = request.outputs[0].alignment};
  if (!describe_epilogue(request, epilogue, spec, reason)) return std::nullopt;
  return Product::describe(spec, reason);
}

/// Operands: those of the primitive, the result, the workspace.
struct Enqueued {
  std::unique_ptr<TunedProduct> product;
  bool has_bias, has_residual;

  static void run(const void* prepared, void* stream, void* const* operands) {
    const auto& self = *static_cast<const Enqueued*>(prepared);
    const auto at = [&](size_t i) { return static_cast<std::byte*>(operands[i]); };
    size_t next = 2;
    const std::byte* const bias = self.has_bias ? at(next++) : nullptr;
    const std::byte* const residual = self.has_residual ? at(next++) : nullptr;
    self.product->enqueue(static_cast<CUstream>(stream),
                          {at(0), at(1), bias, residual, at(next), operands[next + 1]});
  }
};

std::unique_ptr<Kernel> prepare_product(const KernelRequest& request, const DotParams& params,
                                        const Epilogue& epilogue, std::string& reason) {
  if (!find_driver()) {
    reason = driver_reason();
    return nullptr;
  }
  if (!find_cublaslt()) {
    reason = cublaslt_reason();
    return nullptr;
  }
  std::optional<Product> described = describe(request, params, epilogue, reason);
  if (!described) return nullptr;
  std::unique_ptr<TunedProduct> tuned = TunedProduct::prepare(std::move(*described), reason);
  if (!tuned) return nullptr;
  const size_t workspace_bytes = tuned->workspace_bytes();
  auto enqueued = std::make_shared<const Enqueued>(
      Enqueued{std::move(tuned), epilogue.has_bias, epilogue.has_residual});
  return make_device_kernel(
      [enqueued](LaunchSink& sink, Operands in, Operands out, Address workspace) {
        SmallVector<Address, 8> operands(in.begin(), in.end());
        operands.push_back(out[0]);
        operands.push_back(workspace);
        sink.library(enqueued.get(), Enqueued::run, {operands.data(), operands.size()});
      },
      workspace_bytes);
}

std::unique_ptr<Kernel> prepare_dot(const KernelRequest& request, std::string& reason) {
  if (is_empty(request)) return make_zeros(request.outputs[0]);
  return prepare_product(request, request.params.as<DotParams>(), {}, reason);
}

std::unique_ptr<Kernel> prepare_linear(const KernelRequest& request, std::string& reason) {
  if (is_empty(request)) {
    reason = "an empty operand";
    return nullptr;
  }
  const auto& p = request.params.as<LinearBiasActivationParams>();
  return prepare_product(request, p.dot, {p.has_bias, p.has_residual, p.activation}, reason);
}

}  // namespace

void register_matmul(KernelTable& table) {
  // Where the strides of operands are not the library's, those of dense copies may be.
  for (const bool strided : {true, false}) {
    const char* const name = strided ? "cublaslt" : "cublaslt on dense operands";
    table.add(dot_general_primitive(),
              {.name = name, .strided = strided, .prepare = prepare_dot, .never_throws = true});
    table.add(linear_bias_activation_primitive(),
              {.name = name, .strided = strided, .prepare = prepare_linear, .never_throws = true});
  }
}

}  // namespace linnet::cuda
