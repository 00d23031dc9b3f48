// Kernels of operations that rearrange elements: each is some copies between strided operands.
// Eagerly most of them are views; these are for results that must be dense. `split` has no kernel:
// its parts are slices, which are views.
#include "core/ops/shape_ops.h"

#include <algorithm>

#include "core/ops/indexing.h"
#include "kernels/cuda/copy/copy.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/register/families.h"

namespace linnet::cuda {
namespace {

/// A kernel of copies from operand `i` to result 0. Null, and the reason, if one cannot be made.
std::unique_ptr<Kernel> copies_of_operands(std::vector<CopyPlan> plans, std::string& reason) {
  for (const CopyPlan& plan : plans) {
    if (plan.reason().empty()) continue;
    reason = plan.reason();
    return nullptr;
  }
  return make_device_kernel(
      [plans = std::move(plans)](LaunchSink& sink, Operands in, Operands out, Address) {
        for (size_t i = 0; i < plans.size(); ++i) plans[i].emit(sink, in[i], out[0]);
      });
}

/// A copy of the view of operand 0 that has the result's shape, `strides` and an offset in
/// elements.
std::unique_ptr<Kernel> copy_of_view(const KernelRequest& request, const Strides& strides,
                                     int64_t offset, std::string& reason) {
  const OperandView &x = request.inputs[0], &y = request.outputs[0];
  std::vector<CopyPlan> plans;
  plans.emplace_back(size_of(x.dtype), y.shape, CopySide{strides, offset, x.alignment},
                     CopySide{y.strides, 0, y.alignment});
  return copies_of_operands(std::move(plans), reason);
}

std::unique_ptr<Kernel> prepare_reshape(const KernelRequest& request, std::string& reason) {
  const OperandView &x = request.inputs[0], &y = request.outputs[0];
  const Strides dense = dense_strides(x.shape);
  std::vector<CopyPlan> plans;
  plans.emplace_back(size_of(x.dtype), x.shape, CopySide{x.strides, 0, x.alignment},
                     CopySide{dense, 0, y.alignment});
  return copies_of_operands(std::move(plans), reason);
}

std::unique_ptr<Kernel> prepare_transpose(const KernelRequest& request, std::string& reason) {
  Strides strides;
  for (const int64_t axis : request.params.as<TransposeParams>().permutation)
    strides.push_back(request.inputs[0].strides[static_cast<size_t>(axis)]);
  return copy_of_view(request, strides, 0, reason);
}

std::unique_ptr<Kernel> prepare_broadcast(const KernelRequest& request, std::string& reason) {
  const OperandView& x = request.inputs[0];
  const Axes& dimensions = request.params.as<BroadcastInDimParams>().dimensions;
  Strides strides(request.outputs[0].shape.size(), 0);
  for (size_t i = 0; i < dimensions.size(); ++i) {
    if (x.shape[i] != 1) strides[static_cast<size_t>(dimensions[i])] = x.strides[i];
  }
  return copy_of_view(request, strides, 0, reason);
}

std::unique_ptr<Kernel> prepare_reverse(const KernelRequest& request, std::string& reason) {
  const OperandView& x = request.inputs[0];
  Strides strides(x.strides);
  int64_t offset = 0;
  for (const int64_t axis : request.params.as<ReverseParams>().axes) {
    const auto i = static_cast<size_t>(axis);
    offset += strides[i] * std::max<int64_t>(x.shape[i] - 1, 0);
    strides[i] = -strides[i];
  }
  return copy_of_view(request, strides, offset, reason);
}

std::unique_ptr<Kernel> prepare_slice(const KernelRequest& request, std::string& reason) {
  const SliceParams& p = request.params.as<SliceParams>();
  Strides strides(request.inputs[0].strides);
  int64_t offset = 0;
  for (size_t i = 0; i < strides.size(); ++i) {
    offset += p.start[i] * strides[i];
    strides[i] *= p.strides[i];
  }
  return copy_of_view(request, strides, offset, reason);
}

std::unique_ptr<Kernel> prepare_concatenate(const KernelRequest& request, std::string& reason) {
  const auto axis = static_cast<size_t>(request.params.as<ConcatenateParams>().axis);
  const OperandView& y = request.outputs[0];
  std::vector<CopyPlan> plans;
  int64_t offset = 0;
  for (const OperandView& part : request.inputs) {
    plans.emplace_back(size_of(part.dtype), part.shape, CopySide{part.strides, 0, part.alignment},
                       CopySide{y.strides, offset * y.strides[axis], y.alignment});
    offset += part.shape[axis];
  }
  return copies_of_operands(std::move(plans), reason);
}

/// The elements of x that a padded result has: negative padding cuts.
struct PaddedRegion {
  Shape shape;
  Strides from, to;
  int64_t from_offset = 0, to_offset = 0;
};

PaddedRegion padded_region(const OperandView& x, const OperandView& y,
                           const std::vector<PadDim>& padding) {
  PaddedRegion region;
  for (size_t i = 0; i < x.shape.size(); ++i) {
    const int64_t step = padding[i].interior + 1, low = padding[i].low;
    const int64_t first = low < 0 ? (-low + step - 1) / step : 0;
    const int64_t room = y.shape[i] - 1 - low;  // the last place that exists, seen from x
    const int64_t last = room < 0 ? -1 : std::min(x.shape[i] - 1, room / step);
    region.shape.push_back(std::max<int64_t>(last - first + 1, 0));
    region.from.push_back(x.strides[i]);
    region.to.push_back(y.strides[i] * step);
    region.from_offset += first * x.strides[i];
    region.to_offset += (low + first * step) * y.strides[i];
  }
  return region;
}

std::unique_ptr<Kernel> prepare_pad(const KernelRequest& request, std::string& reason) {
  const OperandView &x = request.inputs[0], &y = request.outputs[0];
  const PaddedRegion region = padded_region(x, y, request.params.as<PadParams>().padding);
  const size_t element = size_of(x.dtype);
  CopyPlan plan(element, region.shape, CopySide{region.from, region.from_offset, x.alignment},
                CopySide{region.to, region.to_offset, y.alignment});
  if (!plan.reason().empty()) {
    reason = plan.reason();
    return nullptr;
  }
  const int64_t count = element_count(y.shape);
  const bool covered = element_count(region.shape) == count;
  return make_device_kernel(
      [=, plan = std::move(plan)](LaunchSink& sink, Operands in, Operands out, Address) {
        if (!covered) emit_fill(sink, element, count, in.size() == 2 ? in[1] : Address{}, out[0]);
        plan.emit(sink, in[0], out[0]);
      });
}

/// Limits and types of the starts of a slice of `sizes` in `whole`; they are the operands from
/// `first` on.
struct Starts {
  Shape limits;
  std::vector<DType> dtypes;

  Starts(const KernelRequest& request, size_t first, std::span<const int64_t> whole,
         std::span<const int64_t> sizes) {
    for (size_t d = 0; d < whole.size(); ++d) {
      limits.push_back(whole[d] - sizes[d]);
      dtypes.push_back(request.inputs[first + d].dtype);
    }
  }
};

std::unique_ptr<Kernel> prepare_dynamic_slice(const KernelRequest& request, std::string& reason) {
  const OperandView &x = request.inputs[0], &y = request.outputs[0];
  const Starts starts(request, 1, x.shape, y.shape);
  const CopyStarts moved{false, starts.dtypes, starts.limits, x.strides};
  CopyPlan plan(size_of(x.dtype), y.shape, CopySide{x.strides, 0, x.alignment},
                CopySide{y.strides, 0, y.alignment}, &moved);
  if (!plan.reason().empty()) {
    reason = plan.reason();
    return nullptr;
  }
  return make_device_kernel(
      [plan = std::move(plan)](LaunchSink& sink, Operands in, Operands out, Address) {
        plan.emit(sink, in[0], out[0], in.subspan(1));
      });
}

std::unique_ptr<Kernel> prepare_dynamic_update_slice(const KernelRequest& request,
                                                     std::string& reason) {
  const OperandView &x = request.inputs[0], &update = request.inputs[1], &y = request.outputs[0];
  const size_t element = size_of(x.dtype);
  const Starts starts(request, 2, y.shape, update.shape);
  const CopyStarts moved{true, starts.dtypes, starts.limits, y.strides};
  CopyPlan whole(element, y.shape, CopySide{x.strides, 0, x.alignment},
                 CopySide{y.strides, 0, y.alignment});
  CopyPlan part(element, update.shape, CopySide{update.strides, 0, update.alignment},
                CopySide{y.strides, 0, y.alignment}, &moved);
  reason = whole.reason() + part.reason();
  if (!reason.empty()) return nullptr;
  return make_device_kernel([whole = std::move(whole), part = std::move(part)](
                                LaunchSink& sink, Operands in, Operands out, Address) {
    if (in[0].word != out[0].word) whole.emit(sink, in[0], out[0]);
    part.emit(sink, in[1], out[0], in.subspan(2));
  });
}

}  // namespace

void register_shape(KernelTable& table) {
  const auto add = [&](const Primitive& primitive, const char* name, auto prepare,
                       bool in_place = false) {
    table.add(primitive, {.name = name,
                          .strided = true,
                          .in_place = in_place,
                          .prepare = prepare,
                          .never_throws = true});
  };
  add(reshape_primitive(), "copy", prepare_reshape, true);
  add(transpose_primitive(), "copy", prepare_transpose);
  add(broadcast_in_dim_primitive(), "copy", prepare_broadcast);
  add(reverse_primitive(), "copy", prepare_reverse);
  add(slice_primitive(), "copy", prepare_slice);
  add(concatenate_primitive(), "copies", prepare_concatenate);
  add(pad_primitive(), "fill_copy", prepare_pad);
  add(dynamic_slice_primitive(), "copy", prepare_dynamic_slice);
  add(dynamic_update_slice_primitive(), "copy", prepare_dynamic_update_slice, true);
}

}  // namespace linnet::cuda
