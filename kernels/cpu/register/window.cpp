// Kernels of window reductions.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "core/ops/window.h"
#include "kernels/cpu/pool/pool.h"
#include "kernels/cpu/reduce/element.h"
#include "kernels/cpu/reference/window.h"
#include "kernels/cpu/reference/window_walk.h"
#include "kernels/cpu/register/families.h"
#include "kernels/cpu/register/staging.h"
#include "linnet/parallel.h"
#include "linnet/visit_dtype.h"

namespace linnet {
namespace {

using cpu::PoolKind;
using cpu::PoolSpec;
using cpu::ReduceKind;
using cpu::StagedKernel;
using cpu::StagedOperand;

bool is_reduced(const WindowParams& p, size_t i) {
  return p.window[i] != 1 || p.strides[i] != 1 || p.padding_low[i] != 0 || p.padding_high[i] != 0 ||
         p.base_dilation[i] != 1;
}

/// The windows as a pool over the reduced dimensions, between a batch in front and channels behind;
/// none if more than three dimensions lie between.
std::optional<PoolSpec> pool_spec(const WindowParams& p, std::span<const int64_t> in, PoolKind kind,
                                  DType dtype) {
  size_t begin = 0, end = in.size();
  while (begin < end && !is_reduced(p, begin)) ++begin;
  while (end > begin && !is_reduced(p, end - 1)) --end;
  if (begin == end) begin = end == 0 ? 0 : end - 1;
  if (end - begin < 1 || end - begin > 3) return {};
  PoolSpec s;
  s.kind = kind;
  s.dtype = dtype;
  s.batch = element_count(in.first(begin));
  s.channels = element_count(in.subspan(end));
  for (size_t i = begin; i < end; ++i) {
    s.in_size.push_back(in[i]);
    s.window.push_back(p.window[i]);
    s.strides.push_back(p.strides[i]);
    s.padding_low.push_back(p.padding_low[i]);
    s.padding_high.push_back(p.padding_high[i]);
    s.dilation.push_back(p.window_dilation[i]);
  }
  return s;
}

bool all_ones(const Shape& values) { return values == Shape(values.size(), 1); }

/// The pool whose gradient a sum over a dilated operand with stride 1 is, if it is one.
std::optional<WindowParams> adjoint_pool(const WindowParams& p, std::span<const int64_t> in,
                                         std::span<const int64_t> out) {
  if (!all_ones(p.strides)) return {};
  WindowParams q{p.window, p.base_dilation, {}, {}, Shape(in.size(), 1), p.window_dilation};
  for (size_t i = 0; i < in.size(); ++i) {
    const int64_t reach = (p.window[i] - 1) * p.window_dilation[i];
    q.padding_low.push_back(reach - p.padding_low[i]);
    q.padding_high.push_back((in[i] - 1) * p.base_dilation[i] + reach + 1 - out[i] -
                             q.padding_low[i]);
  }
  return q;
}

std::unique_ptr<Kernel> finish(const std::optional<PoolSpec>& spec, bool backward, size_t operands,
                               std::string& reason, bool swapped = false) {
  if (!spec) {
    reason = "windows over more than three dimensions";
    return nullptr;
  }
  auto prepared = backward ? cpu::prepare_pool_backward(*spec) : cpu::prepare_pool_forward(*spec);
  if (!prepared.kernel) {
    reason = prepared.declined;
    return nullptr;
  }
  std::vector<StagedOperand> staged;
  for (size_t i = 0; i < operands; ++i) staged.push_back({swapped ? operands - 1 - i : i});
  return std::make_unique<StagedKernel>(std::move(prepared.kernel), std::move(staged),
                                        std::nullopt);
}

std::unique_ptr<Kernel> prepare_sum(const KernelRequest& request, std::string& reason) {
  const WindowParams& p = request.params.as<WindowParams>();
  const OperandView &x = request.inputs[0], &y = request.outputs[0];
  if (all_ones(p.base_dilation))
    return finish(pool_spec(p, x.shape, PoolKind::kSum, x.dtype), false, 1, reason);
  const std::optional<WindowParams> adjoint = adjoint_pool(p, x.shape, y.shape);
  if (!adjoint) {
    reason = "both stride and base dilation";
    return nullptr;
  }
  return finish(pool_spec(*adjoint, y.shape, PoolKind::kSum, x.dtype), true, 1, reason);
}

std::unique_ptr<Kernel> prepare_max(const KernelRequest& request, std::string& reason) {
  const OperandView& x = request.inputs[0];
  return finish(pool_spec(request.params.as<WindowParams>(), x.shape, PoolKind::kMax, x.dtype),
                false, 1, reason);
}

std::unique_ptr<Kernel> prepare_scatter(const KernelRequest& request, std::string& reason) {
  const SelectParams& p = request.params.as<SelectParams>();
  if (!p.maximum) {
    reason = "minimum";
    return nullptr;
  }
  const OperandView& x = request.inputs[1];
  return finish(pool_spec(p.window, x.shape, PoolKind::kMax, x.dtype), true, 2, reason, true);
}

cpu::WindowGeometry geometry_of(const WindowParams& p, std::span<const int64_t> in) {
  return {.shape = in,
          .window = p.window,
          .stride = p.strides,
          .pad_low = p.padding_low,
          .pad_high = p.padding_high,
          .base_dilation = p.base_dilation,
          .window_dilation = p.window_dilation};
}

size_t window_bytes(const KernelRequest& request) {
  const OperandView& x = request.inputs[0];
  return cpu::reduce_window_workspace(x.dtype, x.strides,
                                      geometry_of(request.params.as<WindowParams>(), x.shape));
}

template <ReduceKind kKind>
void run_window(const KernelRequest& request, const void* const* in, void* const* out,
                void* workspace) {
  const OperandView& x = request.inputs[0];
  cpu::reduce_window(kKind, x.dtype, in[0], x.strides,
                     geometry_of(request.params.as<WindowParams>(), x.shape), out[0], workspace);
}

size_t scatter_bytes(const KernelRequest& request) {
  const OperandView& x = request.inputs[1];
  return cpu::select_workspace(x.dtype, x.strides,
                               geometry_of(request.params.as<SelectParams>().window, x.shape));
}

void run_scatter(const KernelRequest& request, const void* const* in, void* const* out,
                 void* workspace) {
  const SelectParams& p = request.params.as<SelectParams>();
  const OperandView& x = request.inputs[1];
  cpu::select_and_scatter_add(p.maximum ? ReduceKind::kMax : ReduceKind::kMin, x.dtype, in[1],
                              x.strides, geometry_of(p.window, x.shape), in[0], out[0], workspace);
}

/// out[window] = the value at the window's first extreme element of x; 0 if the window is all
/// padding.
template <bool kMaximum, class T>
void gather_selected(const T* values, const T* x, const cpu::WindowGeometry& geometry, T* out,
                     int64_t* workspace) {
  const Strides strides = dense_strides(geometry.shape);
  const cpu::WindowWalk walk(geometry, strides);
  const int64_t inner = walk.inner();
  const auto gather = [&](int64_t begin, int64_t end, int64_t slot) {
    int64_t* const best = workspace + slot * inner;
    for (int64_t position = begin; position < end; ++position) {
      std::fill_n(best, inner, int64_t{-1});
      walk.visit(position, [&](int64_t offset, int64_t) {
        for (int64_t c = 0; c < inner; ++c) {
          int64_t& at = best[c];
          const auto value = cpu::widen(x[offset + c]);
          const auto top = cpu::widen(x[at < 0 ? offset + c : at]);
          const bool better = kMaximum ? value > top : value < top;
          if (at < 0 || better || (cpu::is_nan(value) && !cpu::is_nan(top))) at = offset + c;
        }
      });
      for (int64_t c = 0; c < inner; ++c) {
        const int64_t at = best[c];
        out[position * inner + c] = at < 0 ? T{} : values[at];
      }
    }
  };
  cpu::parallel_for_slots(walk.positions(), walk.grain(), gather);
}

size_t gather_bytes(const KernelRequest& request) {
  const cpu::WindowGeometry geometry =
      geometry_of(request.params.as<SelectParams>().window, request.inputs[1].shape);
  const Strides strides = dense_strides(geometry.shape);
  const cpu::WindowWalk walk(geometry, strides);
  return static_cast<size_t>(cpu::parallel_slots(walk.positions(), walk.grain()) * walk.inner()) *
         sizeof(int64_t);
}

void run_gather(const KernelRequest& request, const void* const* in, void* const* out,
                void* workspace) {
  const SelectParams& p = request.params.as<SelectParams>();
  const OperandView& x = request.inputs[1];
  const cpu::WindowGeometry geometry = geometry_of(p.window, x.shape);
  visit_dtype(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto run = p.maximum ? gather_selected<true, T> : gather_selected<false, T>;
    run(static_cast<const T*>(in[0]), static_cast<const T*>(in[1]), geometry,
        static_cast<T*>(out[0]), static_cast<int64_t*>(workspace));
  });
}

}  // namespace

void register_window(KernelTable& table) {
  const auto add_pool = [&](const Primitive& primitive, auto prepare) {
    table.add(primitive, {.name = "pool", .prepare = prepare, .never_throws = true});
  };
  const auto add_reference = [&](const Primitive& primitive, bool strided, auto run, auto bytes) {
    table.add(primitive, {.name = "reference",
                          .strided = strided,
                          .run = run,
                          .workspace_bytes = bytes,
                          .never_throws = true});
  };
  add_pool(reduce_window_sum_primitive(), prepare_sum);
  add_reference(reduce_window_sum_primitive(), true, run_window<ReduceKind::kSum>, window_bytes);
  add_pool(reduce_window_max_primitive(), prepare_max);
  add_reference(reduce_window_max_primitive(), true, run_window<ReduceKind::kMax>, window_bytes);
  add_reference(reduce_window_min_primitive(), true, run_window<ReduceKind::kMin>, window_bytes);
  add_pool(select_and_scatter_add_primitive(), prepare_scatter);
  add_reference(select_and_scatter_add_primitive(), false, run_scatter, scatter_bytes);
  add_reference(select_and_gather_primitive(), false, run_gather, gather_bytes);
}

}  // namespace linnet
