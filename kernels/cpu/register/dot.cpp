// Kernels of contractions.
#include <string>

#include "core/ops/fused.h"
#include "kernels/cpu/elementwise/elementwise.h"
#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/onednn/onednn.h"
#include "kernels/cpu/reference/matmul.h"
#include "kernels/cpu/register/families.h"
#include "kernels/cpu/register/staging.h"
#include "kernels/cpu/workspace.h"
#include "kernels/layout/dot_layout.h"
#include "linnet/detail/format.h"
#include "linnet/parallel.h"

namespace linnet {
namespace {

using cpu::StagedKernel;
using cpu::StagedOperand;
using cpu::Staging;

/// What follows the product.
struct Epilogue {
  bool has_bias = false, has_residual = false;
  Activation activation = {};
};

Staging staging_of(const DotLayout::Packing& packing, DType from, DType to) {
  return {.from = from,
          .to = to,
          .shape = packing.shape,
          .from_strides = packing.from,
          .to_strides = packing.to,
          .temporary_size = packing.size};
}

/// One way to compute a request: in `compute`, with the operands packed or as they are.
struct DotPlan {
  const KernelRequest& request;
  const DotParams& params;
  const Epilogue& epilogue;
  DType compute;

  DType operand_dtype() const { return request.inputs[0].dtype; }
  /// The dtype the product is stored in before any conversion.
  DType stored_dtype() const {
    const DType result = request.outputs[0].dtype;
    return compute == DType::kBF16 && result == DType::kF32 ? result : compute;
  }
  std::unique_ptr<Kernel> prepare(bool packed, std::string& reason) const;

 private:
  StagedOperand epilogue_operand(size_t index) const;
};

/// A dense operand of the dtype of the stored product.
StagedOperand DotPlan::epilogue_operand(size_t index) const {
  const OperandView& x = request.inputs[index];
  const Strides dense = dense_strides(x.shape);
  StagedOperand out{index};
  if (x.dtype == stored_dtype() && Strides(x.strides) == dense) return out;
  out.staging = Staging{.from = x.dtype,
                        .to = stored_dtype(),
                        .shape = x.shape,
                        .from_strides = x.strides,
                        .to_strides = dense,
                        .temporary_size = element_count(x.shape)};
  return out;
}

std::unique_ptr<Kernel> DotPlan::prepare(bool packed, std::string& reason) const {
  DotLayout layout(params, request.inputs[0], request.inputs[1]);
  std::vector<StagedOperand> operands{{0}, {1}};
  const bool converts = operand_dtype() != compute;
  if (packed || converts || !layout.lhs_is_matrix()) {
    operands[0].staging = staging_of(layout.pack_lhs(), operand_dtype(), compute);
  }
  if (packed || converts || !layout.rhs_is_matrix()) {
    operands[1].staging = staging_of(layout.pack_rhs(), operand_dtype(), compute);
  }
  const MatrixProduct product = layout.product();
  cpu::onednn::MatmulSpec spec;
  spec.batch = product.batch;
  spec.m = product.m;
  spec.n = product.n;
  spec.k = product.k;
  spec.a_strides = product.a_strides;
  spec.b_strides = product.b_strides;
  spec.dtype = compute;
  spec.out_dtype = spec.bias_dtype = stored_dtype();
  spec.has_bias = epilogue.has_bias;
  spec.has_residual = epilogue.has_residual;
  spec.activation = epilogue.activation;
  for (size_t i = 2; i < request.inputs.size(); ++i) operands.push_back(epilogue_operand(i));
  cpu::onednn::PrepareResult prepared = cpu::onednn::prepare_matmul(spec);
  if (!prepared.kernel) {
    reason = prepared.declined;
    return nullptr;
  }
  const OperandView& y = request.outputs[0];
  std::optional<Staging> result;
  if (y.dtype != stored_dtype()) result = cpu::conversion(stored_dtype(), y.dtype, Shape(y.shape));
  return std::make_unique<StagedKernel>(std::move(prepared.kernel), std::move(operands),
                                        std::move(result));
}

/// In the operands' own dtype if there are kernels for it, else in f32 or f64.
std::unique_ptr<Kernel> prepare_product(const KernelRequest& request, const DotParams& params,
                                        const Epilogue& epilogue, std::string& reason) {
  const DType operands = request.inputs[0].dtype, result = request.outputs[0].dtype;
  if (!is_floating(operands)) {
    reason = fmt::format("dtype {}", name_of(operands));
    return nullptr;
  }
  if (operands == result || (operands == DType::kBF16 && result == DType::kF32)) {
    const DotPlan plan{request, params, epilogue, operands};
    for (const bool packed : {false, true}) {
      if (auto kernel = plan.prepare(packed, reason)) return kernel;
    }
  }
  const DType wide = operands == DType::kF64 || result == DType::kF64 ? DType::kF64 : DType::kF32;
  if (wide == operands) return nullptr;
  return DotPlan{request, params, epilogue, wide}.prepare(false, reason);
}

/// Dense copies of both operands, and what a product needs.
struct ReferenceSpace {
  ReferenceSpace(cpu::Workspace& w, const KernelRequest& request)
      : layout(request.params.as<DotParams>(), request.inputs[0], request.inputs[1]),
        lhs_packing(layout.pack_lhs()),
        rhs_packing(layout.pack_rhs()),
        lhs(w.take<std::byte>(bytes_of(lhs_packing, request.inputs[0].dtype))),
        rhs(w.take<std::byte>(bytes_of(rhs_packing, request.inputs[1].dtype))),
        product{.dtype = request.inputs[0].dtype,
                .out_dtype = request.outputs[0].dtype,
                .batch = 1,
                .m = layout.m(),
                .n = layout.n(),
                .k = layout.k(),
                .a = nullptr,
                .a_strides = {0, layout.k(), 1},
                .b = nullptr,
                .b_strides = {0, layout.n(), 1},
                .out = nullptr},
        rest(w.take<std::byte>(static_cast<int64_t>(cpu::reference_matmul_workspace(product)))) {}

  DotLayout layout;
  DotLayout::Packing lhs_packing, rhs_packing;
  std::byte *lhs, *rhs;
  cpu::MatmulProblem product;  ///< one of the batch, without addresses
  std::byte* rest;

 private:
  static int64_t bytes_of(const DotLayout::Packing& packing, DType dtype) {
    return packing.size * static_cast<int64_t>(size_of(dtype));
  }
};

size_t reference_bytes(const KernelRequest& request) {
  return cpu::workspace_bytes<ReferenceSpace>(request);
}

/// Any dtype and strides, one product at a time.
void run_reference(const KernelRequest& request, const void* const* in, void* const* out,
                   void* workspace) {
  const OperandView& y = request.outputs[0];
  const size_t lhs_size = size_of(request.inputs[0].dtype),
               rhs_size = size_of(request.inputs[1].dtype);
  cpu::Workspace parts(workspace);
  const ReferenceSpace space(parts, request);
  const DotLayout& layout = space.layout;
  const auto pack = [](size_t size, const DotLayout::Packing& p, const void* from, void* to) {
    cpu::copy_strided(size, p.shape, {from, p.from.data()}, {to, p.to.data()});
  };
  pack(lhs_size, space.lhs_packing, in[0], space.lhs);
  pack(rhs_size, space.rhs_packing, in[1], space.rhs);
  const int64_t count = layout.batch.count();
  for (int64_t b = 0; b < count; ++b) {
    int64_t rest = b, lhs_at = 0, rhs_at = 0;
    for (size_t i = layout.batch.sizes.size(); i-- > 0;) {
      const int64_t index = rest % layout.batch.sizes[i];
      rest /= layout.batch.sizes[i];
      lhs_at += index * layout.batch.lhs[i];
      rhs_at += index * layout.batch.rhs[i];
    }
    cpu::MatmulProblem product = space.product;
    product.a = space.lhs + lhs_at * static_cast<int64_t>(lhs_size);
    product.b = space.rhs + rhs_at * static_cast<int64_t>(rhs_size);
    product.out = static_cast<std::byte*>(out[0]) +
                  b * product.m * product.n * static_cast<int64_t>(size_of(y.dtype));
    cpu::reference_matmul(product, space.rest);
  }
}

bool is_empty(const KernelRequest& request) {
  for (const OperandView& x : request.inputs) {
    if (element_count(x.shape) == 0) return true;
  }
  return false;
}

std::unique_ptr<Kernel> prepare_dot(const KernelRequest& request, std::string& reason) {
  if (is_empty(request)) {
    const OperandView& y = request.outputs[0];
    return std::make_unique<cpu::ZeroKernel>(static_cast<size_t>(element_count(y.shape)) *
                                             size_of(y.dtype));
  }
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

/// A product with a matrix in panels.
class PanelKernel final : public HostKernel {
 public:
  PanelKernel(const KernelRequest& request, const PanelLinearParams& p)
      : dtype_(request.outputs[0].dtype), threads_(num_threads()) {
    const auto& x = request.inputs[0].shape;
    problem_.m = x[0];
    problem_.n = p.columns;
    problem_.k = x[1];
    problem_.a_row = x[1];
    problem_.a_column = 1;
    problem_.b_row = p.columns;
    problem_.b_column = 1;
    problem_.out_row = p.columns;
    problem_.has_bias = p.has_bias;
    problem_.has_residual = p.has_residual;
    problem_.activation = p.activation;
    problem_.b_panels = true;
  }

  size_t workspace_bytes() const override {
    return cpu::gemm_workspace_bytes(problem_, dtype_, threads_);
  }
  void run(const void* const* in, void* const* out, void* workspace) const override {
    if (dtype_ == DType::kF32)
      run_as<float>(in, out, workspace);
    else
      run_as<double>(in, out, workspace);
  }

 private:
  template <class T>
  void run_as(const void* const* in, void* const* out, void* workspace) const {
    const auto operand = [&](size_t i) { return static_cast<const T*>(in[i]); };
    cpu::GemmOperands<T> operands{.a = operand(0), .b = operand(1), .out = static_cast<T*>(out[0])};
    if (problem_.has_bias) operands.bias = operand(2);
    if (problem_.has_residual) operands.residual = operand(2 + problem_.has_bias);
    cpu::gemm(problem_, operands, workspace, threads_);
  }

  cpu::GemmProblem problem_;
  DType dtype_;
  int threads_;
};

std::unique_ptr<Kernel> prepare_panels(const KernelRequest& request, std::string& reason) {
  const DType dtype = request.outputs[0].dtype;
  const bool floats = dtype == DType::kF32 || dtype == DType::kF64;
  if (!floats || request.inputs[1].shape[2] != cpu::gemm_panel_columns(dtype) ||
      is_empty(request)) {
    reason = "panels of other columns, types or sizes";
    return nullptr;
  }
  return std::make_unique<PanelKernel>(request, request.params.as<PanelLinearParams>());
}

}  // namespace

void register_dot(KernelTable& table) {
  table.add(dot_general_primitive(),
            {.name = "matmul", .strided = true, .prepare = prepare_dot, .never_throws = true});
  table.add(dot_general_primitive(), {.name = "reference",
                                      .strided = true,
                                      .run = run_reference,
                                      .workspace_bytes = reference_bytes,
                                      .never_throws = true});
  table.add(linear_bias_activation_primitive(),
            {.name = "matmul", .strided = true, .prepare = prepare_linear, .never_throws = true});
  table.add(panel_linear_primitive(),
            {.name = "panels", .prepare = prepare_panels, .never_throws = true});
}

}  // namespace linnet
