// Kernels of contractions.
#include <algorithm>

#include "core/ops/dot_training.h"
#include "core/ops/fused.h"
#include "core/ops/scaled_dot.h"
#include "kernels/cuda/copy/copy.h"
#include "kernels/cuda/cublas/tuning.h"
#include "kernels/cuda/driver/driver.h"
#include "kernels/cuda/launch/workspace.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/register/families.h"
#include "linnet/detail/format.h"
#include "linnet/precision.h"

namespace linnet::cuda {
namespace {

/// Of copies in the workspace, as far as kernels gain from it.
constexpr size_t kPackedAlignment = 16;
/// Calls of the library for one product, before the CPU is faster.
constexpr int64_t kManyCalls = 4096;

/// What follows the product.
struct Epilogue {
  bool has_bias = false, has_residual = false;
  Activation activation = {};
  ProductExtra extra = ProductExtra::kNone;
  bool has_scales = false;  ///< of both operands, behind them

  bool extra_is_operand() const { return extra == ProductExtra::kGradient; }
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
  spec.extra = epilogue.extra;
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
  if (spec.extra != ProductExtra::kNone) {
    spec.extra_alignment =
        (epilogue.extra_is_operand() ? request.inputs[2] : request.outputs[1]).alignment;
  }
  return true;
}

/// An operand that is copied into the workspace first.
struct PackedOperand {
  size_t index;
  DotLayout::Packing packing;
};

/// How a contraction becomes a product.
struct Plan {
  std::optional<Product> product;
  std::vector<PackedOperand> packed;
};

/// Which operands are copied where their strides are not the library's.
enum class Packs : uint8_t { kNothing, kWhatMustBe, kBoth };

Plan plan_product(const KernelRequest& request, const DotParams& params, const Epilogue& epilogue,
                  Packs packs, std::string& reason) {
  const OperandView &lhs = request.inputs[0], &rhs = request.inputs[1];
  DotLayout layout(params, lhs, rhs);
  if (packs != Packs::kBoth && !layout.lhs_is_matrix()) layout.move_rows_to_batch();
  ProductSpec spec;
  spec.operands = lhs.dtype;
  spec.result = request.outputs[0].dtype;
  spec.tf32 = matmul_precision() != Precision::kHighest;
  spec.lhs_alignment = lhs.alignment;
  spec.rhs_alignment = rhs.alignment;
  spec.out_alignment = request.outputs[0].alignment;
  Plan plan;
  const auto must_pack = [&](bool is_matrix) {
    return packs == Packs::kBoth || (packs == Packs::kWhatMustBe && !is_matrix);
  };
  const bool lhs_is_matrix = layout.lhs_is_matrix(), rhs_is_matrix = layout.rhs_is_matrix();
  if (must_pack(lhs_is_matrix)) {
    plan.packed.push_back({0, layout.pack_lhs()});
    spec.lhs_alignment = kPackedAlignment;
  }
  if (must_pack(rhs_is_matrix)) {
    plan.packed.push_back({1, layout.pack_rhs()});
    spec.rhs_alignment = kPackedAlignment;
  }
  if (packs == Packs::kNothing && !(lhs_is_matrix && rhs_is_matrix)) {
    reason = fmt::format("the strides of the {} operand are not those of matrices",
                         lhs_is_matrix ? "right" : "left");
    return plan;
  }
  layout.batch.merge();
  spec.product = layout.product();
  if (packs == Packs::kBoth) spec.most_calls = kManyCalls;
  if (describe_epilogue(request, epilogue, spec, reason))
    plan.product = Product::describe(spec, reason);
  return plan;
}

/// [batch…, outer, k] as eight-bit products read it: k numbers side by side, everything else at
/// multiples of 16 bytes.
bool lies_for_float8(const OperandView& x) {
  constexpr int64_t kMultiple = 16;
  const size_t rank = x.shape.size();
  if (x.alignment < kMultiple || x.strides[rank - 1] != 1) return false;
  const auto is_good = [](int64_t stride) { return stride >= 0 && stride % kMultiple == 0; };
  return x.strides[rank - 2] >= x.shape[rank - 1] &&
         std::all_of(x.strides.begin(), x.strides.end() - 1, is_good);
}

/// Operands that do not lie so are copied.
Plan plan_float8(const KernelRequest& request, const ScaledDotParams& params, std::string& reason) {
  ProductSpec spec;
  spec.operands = DType::kU8;
  spec.lhs_format = params.lhs;
  spec.rhs_format = params.rhs;
  spec.result = request.outputs[0].dtype;
  spec.out_alignment = request.outputs[0].alignment;
  Plan plan;
  Strides strides[2];
  size_t alignments[2];
  for (size_t i = 0; i < 2; ++i) {
    const OperandView& x = request.inputs[i];
    strides[i] = Strides(x.strides);
    alignments[i] = x.alignment;
    if (lies_for_float8(x)) continue;
    const Strides dense = dense_strides(x.shape);
    plan.packed.push_back({i, {Shape(x.shape), strides[i], dense, element_count(x.shape)}});
    strides[i] = dense;
    alignments[i] = kPackedAlignment;
  }
  spec.lhs_alignment = alignments[0];
  spec.rhs_alignment = alignments[1];
  const auto &lhs = request.inputs[0].shape, &rhs = request.inputs[1].shape;
  const size_t outer = lhs.size() - 2, k = lhs.size() - 1;
  DotRole batch;
  for (size_t d = 0; d < outer; ++d) batch.add(lhs[d], strides[0][d], strides[1][d]);
  batch.merge();
  MatrixProduct& p = spec.product;
  p.batch = batch.sizes;
  p.m = lhs[outer];
  p.n = rhs[outer];
  p.k = lhs[k];
  p.a_strides = batch.lhs;
  p.a_strides.push_back(strides[0][outer]);
  p.a_strides.push_back(strides[0][k]);
  p.b_strides = batch.rhs;
  p.b_strides.push_back(strides[1][k]);
  p.b_strides.push_back(strides[1][outer]);
  plan.product = Product::describe(spec, reason);
  return plan;
}

/// A product, the copies before it, and where everything lies in the workspace.
class MatmulKernel final : public DeviceKernel {
 public:
  MatmulKernel(const KernelRequest& request, std::unique_ptr<TunedProduct> product,
               const Plan& plan, const Epilogue& epilogue)
      : product_(std::move(product)),
        epilogue_(epilogue),
        workspace_bytes_(workspace_size(product_->workspace_bytes())) {
    for (const PackedOperand& packed : plan.packed) {
      const OperandView& x = request.inputs[packed.index];
      const DotLayout::Packing& p = packed.packing;
      copies_.push_back({packed.index, workspace_bytes_,
                         CopyPlan(size_of(x.dtype), p.shape, {p.from, 0, x.alignment},
                                  {p.to, 0, kPackedAlignment})});
      workspace_bytes_ += workspace_size(static_cast<size_t>(p.size) * size_of(x.dtype));
    }
  }

  /// Why it cannot be run; empty if it can.
  std::string reason() const {
    for (const Copy& copy : copies_) {
      if (!copy.plan.reason().empty()) return copy.plan.reason();
    }
    return {};
  }

  size_t workspace_bytes() const override { return workspace_bytes_; }
  void emit(LaunchSink& sink, Operands in, Operands out, Address workspace) const override {
    SmallVector<Address, 8> operands(in.begin(), in.end());
    for (const Copy& copy : copies_) {
      const Address to{workspace.word + copy.at};
      copy.plan.emit(sink, in[copy.index], to);
      operands[copy.index] = to;
    }
    operands.push_back(out[0]);
    operands.push_back(workspace);
    if (out.size() > 1) operands.push_back(out[1]);
    sink.library(this, enqueue, {operands.data(), operands.size()});
  }

 private:
  struct Copy {
    size_t index, at;
    CopyPlan plan;
  };

  /// Operands: those of the primitive, the result, the workspace, another result.
  static void enqueue(const void* prepared, void* stream, void* const* operands) {
    const auto& self = *static_cast<const MatmulKernel*>(prepared);
    const auto at = [&](size_t i) { return static_cast<std::byte*>(operands[i]); };
    size_t next = 2;
    const Epilogue& epilogue = self.epilogue_;
    const std::byte* const bias = epilogue.has_bias ? at(next++) : nullptr;
    const std::byte* const residual = epilogue.has_residual ? at(next++) : nullptr;
    const std::byte* const lhs_scale = epilogue.has_scales ? at(next++) : nullptr;
    const std::byte* const rhs_scale = epilogue.has_scales ? at(next++) : nullptr;
    std::byte* extra = epilogue.extra_is_operand() ? at(next++) : nullptr;
    if (epilogue.extra != ProductExtra::kNone && !extra) extra = at(next + 2);
    self.product_->enqueue(
        static_cast<CUstream>(stream),
        {at(0), at(1), bias, residual, at(next), operands[next + 1], extra, lhs_scale, rhs_scale});
  }

  std::unique_ptr<TunedProduct> product_;
  Epilogue epilogue_;
  size_t workspace_bytes_;
  std::vector<Copy> copies_;
};

/// Sets `reason` if a library is missing.
bool has_libraries(std::string& reason) {
  if (!find_driver())
    reason = driver_reason();
  else if (!find_cublaslt())
    reason = cublaslt_reason();
  return reason.empty();
}

std::unique_ptr<Kernel> prepare_planned(const KernelRequest& request, Plan plan,
                                        const Epilogue& epilogue, std::string& reason) {
  if (!plan.product) return nullptr;
  std::unique_ptr<TunedProduct> tuned = TunedProduct::prepare(std::move(*plan.product), reason);
  if (!tuned) return nullptr;
  auto kernel = std::make_unique<MatmulKernel>(request, std::move(tuned), plan, epilogue);
  reason = kernel->reason();
  if (!reason.empty()) return nullptr;
  return kernel;
}

std::unique_ptr<Kernel> prepare_product(const KernelRequest& request, const DotParams& params,
                                        const Epilogue& epilogue, bool packs, std::string& reason) {
  if (!has_libraries(reason)) return nullptr;
  Plan plan =
      plan_product(request, params, epilogue, packs ? Packs::kWhatMustBe : Packs::kNothing, reason);
  if (!plan.product && packs) {
    reason.clear();
    plan = plan_product(request, params, epilogue, Packs::kBoth, reason);
  }
  return prepare_planned(request, std::move(plan), epilogue, reason);
}

template <bool packs>
std::unique_ptr<Kernel> prepare_dot(const KernelRequest& request, std::string& reason) {
  if (is_empty(request)) return make_zeros(request.outputs[0]);
  return prepare_product(request, request.params.as<DotParams>(), {}, packs, reason);
}

template <bool packs>
std::unique_ptr<Kernel> prepare_linear(const KernelRequest& request, std::string& reason) {
  if (is_empty(request)) {
    reason = "an empty operand";
    return nullptr;
  }
  const auto& p = request.params.as<LinearBiasActivationParams>();
  return prepare_product(request, p.dot, {p.has_bias, p.has_residual, p.activation}, packs, reason);
}

std::unique_ptr<Kernel> prepare_training(const KernelRequest& request, const DotParams& dot,
                                         const Epilogue& epilogue, std::string& reason) {
  if (is_empty(request)) {
    reason = "an empty operand";
    return nullptr;
  }
  return prepare_product(request, dot, epilogue, false, reason);
}

std::unique_ptr<Kernel> prepare_scaled(const KernelRequest& request, std::string& reason) {
  if (is_empty(request)) {
    reason = "an empty operand";
    return nullptr;
  }
  if (!has_libraries(reason)) return nullptr;
  Plan plan = plan_float8(request, request.params.as<ScaledDotParams>(), reason);
  return prepare_planned(request, std::move(plan), {.has_scales = true}, reason);
}

std::unique_ptr<Kernel> prepare_activation_and_input(const KernelRequest& request,
                                                     std::string& reason) {
  const auto& p = request.params.as<LinearActivationParams>();
  return prepare_training(request, p.dot, {p.has_bias, false, p.activation, ProductExtra::kInput},
                          reason);
}

std::unique_ptr<Kernel> prepare_activation_grad(const KernelRequest& request, std::string& reason) {
  const auto& p = request.params.as<DotActivationGradParams>();
  return prepare_training(request, p.dot, {.extra = ProductExtra::kGradient}, reason);
}

std::unique_ptr<Kernel> prepare_sums(const KernelRequest& request, std::string& reason) {
  const auto& p = request.params.as<DotAndSumsParams>();
  return prepare_training(request, p.dot,
                          {.extra = p.of_lhs ? ProductExtra::kSumsOfLhs : ProductExtra::kSumsOfRhs},
                          reason);
}

}  // namespace

void register_matmul(KernelTable& table) {
  const Primitive &dot = dot_general_primitive(), &linear = linear_bias_activation_primitive();
  table.add(
      dot,
      {.name = "cublaslt", .strided = true, .prepare = prepare_dot<false>, .never_throws = true});
  table.add(dot, {.name = "cublaslt on packed operands",
                  .strided = true,
                  .prepare = prepare_dot<true>,
                  .never_throws = true});
  table.add(linear, {.name = "cublaslt",
                     .strided = true,
                     .prepare = prepare_linear<false>,
                     .never_throws = true});
  // Also of biases and residuals, which must be dense.
  table.add(linear, {.name = "cublaslt on packed operands",
                     .strided = false,
                     .prepare = prepare_linear<true>,
                     .never_throws = true});
  const auto add = [&](const Primitive& primitive, auto prepare) {
    table.add(primitive,
              {.name = "cublaslt", .strided = true, .prepare = prepare, .never_throws = true});
  };
  add(linear_activation_and_input_primitive(), prepare_activation_and_input);
  add(dot_activation_grad_primitive(), prepare_activation_grad);
  add(dot_and_sums_primitive(), prepare_sums);
  add(scaled_dot_primitive(), prepare_scaled);
}

}  // namespace linnet::cuda
