// Private: registers kernels that work along one axis, or along neighbouring ones.
#pragma once

#include "kernels/axis_split.h"
#include "kernels/cpu/norm/line_kernels.h"
#include "linnet/kernel.h"

namespace linnet {

/// The axes that parameters with a member `axis` or `axes` name.
template <class P>
Axes line_axes(const KernelRequest& request) {
  const P& p = request.params.as<P>();
  if constexpr (requires { p.axis; })
    return {p.axis};
  else
    return p.axes;
}

template <class P>
std::string decline_axes_apart(const KernelRequest& request) {
  const Axes axes = line_axes<P>(request);
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] != axes[0] + static_cast<int64_t>(i)) return "axes apart";
  }
  return {};
}

/// Without axes every element is a line.
template <class P>
AxisSplit line_split(const KernelRequest& request) {
  const Axes axes = line_axes<P>(request);
  const size_t begin = axes.empty() ? 0 : static_cast<size_t>(axes[0]);
  return {request.inputs[0].shape, begin, begin + axes.size()};
}

/// The implementation of `primitive`, whose parameters are P, by a line kernel.
template <const cpu::LineKernel& kernel, class P>
void add_lines(KernelTable& table, const Primitive& primitive) {
  table.add(primitive, {.name = "rows",
                        .in_place = kernel.in_place,
                        .decline = decline_axes_apart<P>,
                        .run =
                            [](const KernelRequest& request, const void* const* in,
                               void* const* out, void* workspace) {
                              const AxisSplit s = line_split<P>(request);
                              cpu::run_lines(kernel, request.inputs[0].dtype, s.outer, s.axis,
                                             s.inner, in, out[0], workspace);
                            },
                        .workspace_bytes =
                            [](const KernelRequest& request) {
                              const AxisSplit s = line_split<P>(request);
                              return cpu::lines_workspace(kernel, request.inputs[0].dtype, s.outer,
                                                          s.axis, s.inner);
                            },
                        .never_throws = true});
}

}  // namespace linnet
