// Kernels of operations that rearrange elements. Eagerly most of them are views; these copies are
// for results that must be dense.
#include "core/ops/indexing.h"
#include "core/ops/shape_ops.h"
#include "kernels/cpu/index/strided_copy.h"
#include "kernels/cpu/register/families.h"

namespace linnet {
namespace {

/// Copies the view of the operand that has the result's shape, `strides` and an offset in elements.
void copy_view(const KernelRequest& request, const void* in, const Strides& strides, int64_t offset,
               void* out) {
  const size_t size = size_of(request.inputs[0].dtype);
  const char* first = static_cast<const char*>(in) + offset * static_cast<int64_t>(size);
  const OperandView& result = request.outputs[0];
  cpu::strided_copy(size, result.shape, first, strides, out, result.strides);
}

void run_reshape(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  if (in[0] == out[0]) return;
  const OperandView& x = request.inputs[0];
  cpu::strided_copy(size_of(x.dtype), x.shape, in[0], x.strides, out[0], dense_strides(x.shape));
}

void run_transpose(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  Strides strides;
  for (int64_t axis : request.params.as<TransposeParams>().permutation) {
    strides.push_back(request.inputs[0].strides[static_cast<size_t>(axis)]);
  }
  copy_view(request, in[0], strides, 0, out[0]);
}

void run_broadcast_in_dim(const KernelRequest& request, const void* const* in, void* const* out,
                          void*) {
  const OperandView& x = request.inputs[0];
  const Axes& dimensions = request.params.as<BroadcastInDimParams>().dimensions;
  Strides strides(request.outputs[0].shape.size(), 0);
  for (size_t i = 0; i < dimensions.size(); ++i) {
    if (x.shape[i] != 1) strides[static_cast<size_t>(dimensions[i])] = x.strides[i];
  }
  copy_view(request, in[0], strides, 0, out[0]);
}

void run_reverse(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const OperandView& x = request.inputs[0];
  Strides strides(x.strides);
  int64_t offset = 0;
  for (int64_t axis : request.params.as<ReverseParams>().axes) {
    const size_t i = static_cast<size_t>(axis);
    offset += strides[i] * std::max<int64_t>(x.shape[i] - 1, 0);
    strides[i] = -strides[i];
  }
  copy_view(request, in[0], strides, offset, out[0]);
}

void run_slice(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const OperandView& x = request.inputs[0];
  const SliceParams& p = request.params.as<SliceParams>();
  Strides strides(x.strides);
  int64_t offset = 0;
  for (size_t i = 0; i < strides.size(); ++i) {
    offset += p.start[i] * strides[i];
    strides[i] *= p.strides[i];
  }
  copy_view(request, in[0], strides, offset, out[0]);
}

void run_concatenate(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const int64_t axis = request.params.as<ConcatenateParams>().axis;
  const OperandView& result = request.outputs[0];
  int64_t offset = 0;
  for (size_t i = 0; i < request.inputs.size(); ++i) {
    const OperandView& part = request.inputs[i];
    const int64_t size = part.shape[static_cast<size_t>(axis)];
    cpu::concatenate_part(part.dtype, in[i], part.strides, size, result.shape, axis, offset,
                          out[0]);
    offset += size;
  }
}

void run_pad(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const OperandView& x = request.inputs[0];
  SmallVector<cpu::PadDimension, 6> padding;
  for (const PadDim& d : request.params.as<PadParams>().padding) {
    padding.push_back({d.low, d.high, d.interior});
  }
  // All-zero bytes are zero in every element type.
  constexpr uint64_t kZero[2] = {};
  const void* value = request.inputs.size() == 2 ? in[1] : kZero;
  cpu::pad(x.dtype, in[0], x.shape, x.strides, std::span<const cpu::PadDimension>(padding), value,
           out[0]);
}

}  // namespace

void register_shape(KernelTable& table) {
  table.add(reshape_primitive(), {.name = "copy",
                                  .strided = true,
                                  .in_place = true,
                                  .run = run_reshape,
                                  .never_throws = true,
                                  .complex = true});
  table.add(transpose_primitive(), {.name = "copy",
                                    .strided = true,
                                    .run = run_transpose,
                                    .never_throws = true,
                                    .complex = true});
  table.add(broadcast_in_dim_primitive(), {.name = "copy",
                                           .strided = true,
                                           .run = run_broadcast_in_dim,
                                           .never_throws = true,
                                           .complex = true});
  table.add(
      reverse_primitive(),
      {.name = "copy", .strided = true, .run = run_reverse, .never_throws = true, .complex = true});
  table.add(
      slice_primitive(),
      {.name = "copy", .strided = true, .run = run_slice, .never_throws = true, .complex = true});
  table.add(concatenate_primitive(), {.name = "copy",
                                      .strided = true,
                                      .run = run_concatenate,
                                      .never_throws = true,
                                      .complex = true});
  table.add(pad_primitive(), {.name = "fill_copy",
                              .strided = true,
                              .run = run_pad,
                              .never_throws = true,
                              .complex = true});
}

}  // namespace linnet
