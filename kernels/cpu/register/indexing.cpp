// Kernels of slices at computed starts, gather and scatter.
#include "core/ops/indexing.h"

#include <array>
#include <cstring>
#include <limits>

#include "kernels/cpu/index/gather.h"
#include "kernels/cpu/index/strided_copy.h"
#include "kernels/cpu/register/families.h"
#include "linnet/visit_dtype.h"

namespace linnet {
namespace {

int64_t read_integer(DType dtype, const void* at) {
  return visit_dtype(dtype, [&](auto zero) -> int64_t {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T>) {
      const T value = *static_cast<const T*>(at);
      constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
      if constexpr (std::is_same_v<T, uint64_t>) {
        if (value > kMost) return static_cast<int64_t>(kMost);
      }
      return static_cast<int64_t>(value);
    } else {
      return 0;  // starts are integers; inference has checked that
    }
  });
}

Axes read_starts(const KernelRequest& request, const void* const* in, size_t first) {
  Axes starts;
  for (size_t i = first; i < request.inputs.size(); ++i) {
    starts.push_back(read_integer(request.inputs[i].dtype, in[i]));
  }
  return starts;
}

void run_dynamic_slice(const KernelRequest& request, const void* const* in, void* const* out,
                       void*) {
  const OperandView& x = request.inputs[0];
  cpu::dynamic_slice(x.dtype, in[0], x.shape, x.strides, read_starts(request, in, 1),
                     request.outputs[0].shape, out[0]);
}

/// Brings the operand into the result, unless both are the same memory.
void copy_operand(const KernelRequest& request, const void* from, void* to) {
  if (from == to) return;
  const OperandView& x = request.inputs[0];
  cpu::strided_copy(size_of(x.dtype), x.shape, from, x.strides, to, request.outputs[0].strides);
}

void run_dynamic_update_slice(const KernelRequest& request, const void* const* in, void* const* out,
                              void*) {
  const OperandView& update = request.inputs[1];
  copy_operand(request, in[0], out[0]);
  cpu::dynamic_update_slice(update.dtype, out[0], request.outputs[0].shape, in[1], update.shape,
                            update.strides, read_starts(request, in, 2));
}

/// What the fill mode reads out of range: NaN, the least signed or the greatest unsigned value,
/// true.
std::array<uint64_t, 2> fill_bits(DType dtype) {
  std::array<uint64_t, 2> bits{};
  if (is_complex(dtype)) return fill_bits(real_dtype_of(dtype));  // and no imaginary part
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    T value;
    if constexpr (std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>) {
      value = T(std::numeric_limits<float>::quiet_NaN());
    } else if constexpr (std::is_floating_point_v<T>) {
      value = std::numeric_limits<T>::quiet_NaN();
    } else if constexpr (std::is_signed_v<T>) {
      value = std::numeric_limits<T>::min();
    } else {
      value = std::numeric_limits<T>::max();
    }
    std::memcpy(bits.data(), &value, sizeof value);
  });
  return bits;
}

cpu::IndexMode mode_of(GatherMode mode) {
  return mode == GatherMode::kFill   ? cpu::IndexMode::kFill
         : mode == GatherMode::kClip ? cpu::IndexMode::kClip
                                     : cpu::IndexMode::kInBounds;
}

cpu::IndexMode mode_of(ScatterMode mode) {
  return mode == ScatterMode::kDrop   ? cpu::IndexMode::kFill
         : mode == ScatterMode::kClip ? cpu::IndexMode::kClip
                                      : cpu::IndexMode::kInBounds;
}

/// Whole rows of a dense table: [rows, …] indexed along axis 0, the row in the last dimensions.
bool gathers_rows(const GatherParams& p, const KernelRequest& request) {
  const OperandView& x = request.inputs[0];
  if (!p.operand_batching_dims.empty() || p.start_index_map != Axes{0}) return false;
  if (p.collapsed_slice_dims != Axes{0} || x.shape[0] == 0) return false;
  for (size_t i = 1; i < x.shape.size(); ++i) {
    if (p.slice_sizes[i] != x.shape[i]) return false;
  }
  const size_t rank = request.outputs[0].shape.size();
  for (size_t i = 0; i < p.offset_dims.size(); ++i) {
    if (p.offset_dims[i] != static_cast<int64_t>(rank - p.offset_dims.size() + i)) return false;
  }
  const OperandView& indices = request.inputs[1];
  return is_dense(x.shape, x.strides) && is_dense(indices.shape, indices.strides);
}

size_t index_bytes(const KernelRequest& request) {
  return cpu::index_workspace(request.inputs[1].shape);
}

void run_gather(const KernelRequest& request, const void* const* in, void* const* out,
                void* workspace) {
  const OperandView &x = request.inputs[0], &indices = request.inputs[1];
  const GatherParams& p = request.params.as<GatherParams>();
  if (element_count(request.outputs[0].shape) == 0) return;
  const std::array<uint64_t, 2> fill = p.zero_fill ? std::array<uint64_t, 2>{} : fill_bits(x.dtype);
  if (gathers_rows(p, request)) {
    const int64_t width = element_count(x.shape.subspan(1));
    cpu::take_rows(x.dtype, in[0], x.shape[0], width, indices.dtype, in[1],
                   element_count(indices.shape), mode_of(p.mode), fill.data(), out[0], workspace);
    return;
  }
  const cpu::GatherDimensions dims{p.offset_dims, p.collapsed_slice_dims, p.start_index_map,
                                   p.operand_batching_dims, p.indices_batching_dims};
  const cpu::GatherOperands operands{x.dtype,       in[0], x.shape,       x.strides,
                                     indices.dtype, in[1], indices.shape, indices.strides};
  cpu::gather(operands, dims, p.slice_sizes, mode_of(p.mode), fill.data(), out[0], workspace);
}

template <cpu::ScatterKind kKind>
void run_scatter(const KernelRequest& request, const void* const* in, void* const* out,
                 void* workspace) {
  const OperandView &indices = request.inputs[1], &updates = request.inputs[2];
  const ScatterParams& p = request.params.as<ScatterParams>();
  copy_operand(request, in[0], out[0]);
  if (element_count(updates.shape) == 0) return;
  const cpu::ScatterDimensions dims{p.update_window_dims, p.inserted_window_dims,
                                    p.scatter_dims_to_operand_dims, p.operand_batching_dims,
                                    p.indices_batching_dims};
  cpu::scatter({kKind, updates.dtype, out[0], request.outputs[0].shape, indices.dtype, in[1],
                indices.shape, indices.strides, in[2], updates.shape, updates.strides},
               dims, mode_of(p.mode), workspace);
}

}  // namespace

void register_indexing(KernelTable& table) {
  table.add(dynamic_slice_primitive(), {.name = "copy",
                                        .strided = true,
                                        .run = run_dynamic_slice,
                                        .never_throws = true,
                                        .complex = true});
  table.add(dynamic_update_slice_primitive(), {.name = "copy",
                                               .strided = true,
                                               .in_place = true,
                                               .run = run_dynamic_update_slice,
                                               .never_throws = true,
                                               .complex = true});
  table.add(gather_primitive(), {.name = "gather",
                                 .strided = true,
                                 .run = run_gather,
                                 .workspace_bytes = index_bytes,
                                 .never_throws = true,
                                 .complex = true});
  const auto add_scatter = [&](const Primitive& primitive, auto run, bool complex) {
    table.add(primitive, {.name = "scatter",
                          .strided = true,
                          .in_place = true,
                          .run = run,
                          .workspace_bytes = index_bytes,
                          .never_throws = true,
                          .complex = complex});
  };
  add_scatter(scatter_add_primitive(), run_scatter<cpu::ScatterKind::kAdd>, true);
  add_scatter(scatter_primitive(), run_scatter<cpu::ScatterKind::kUpdate>, true);
  add_scatter(scatter_mul_primitive(), run_scatter<cpu::ScatterKind::kMul>, false);
  add_scatter(scatter_min_primitive(), run_scatter<cpu::ScatterKind::kMin>, false);
  add_scatter(scatter_max_primitive(), run_scatter<cpu::ScatterKind::kMax>, false);
}

}  // namespace linnet
