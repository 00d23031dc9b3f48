// Kernels of reductions, cumulative operations and sorting.
#include "core/ops/reduce.h"

#include <algorithm>

#include "core/ops/sort.h"
#include "kernels/cpu/complex/pairs.h"
#include "kernels/cpu/complex/reduce.h"
#include "kernels/cpu/index/strided_copy.h"
#include "kernels/cpu/reduce/arg_reduce.h"
#include "kernels/cpu/reduce/reduce.h"
#include "kernels/cpu/reduce/scan.h"
#include "kernels/cpu/reduce/sort.h"
#include "kernels/cpu/register/axes_mask.h"
#include "kernels/cpu/register/families.h"
#include "kernels/cpu/workspace.h"

namespace linnet {
namespace {

uint64_t mask_of(const KernelRequest& request) {
  return axes_mask(request.params.as<ReduceParams>());
}

/// A sum of complex numbers is that of their parts, which lie side by side.
struct SumParts {
  DType dtype;
  Shape shape;
  Strides strides;

  explicit SumParts(const OperandView& x) : dtype(x.dtype), shape(x.shape), strides(x.strides) {
    if (!is_complex(dtype)) return;
    dtype = real_dtype_of(dtype);
    shape = cpu::paired_shape(x.shape);
    strides = cpu::paired_strides(x.strides);
  }
};

class ReduceKernel final : public HostKernel {
 public:
  ReduceKernel(cpu::ReduceKind kind, const KernelRequest& request)
      : ReduceKernel(kind, SumParts(request.inputs[0]), mask_of(request)) {}

  size_t workspace_bytes() const override { return planned_.workspace_bytes(); }
  void run(const void* const* in, void* const* out, void* workspace) const override {
    planned_.run(in[0], out[0], workspace);
  }

 private:
  ReduceKernel(cpu::ReduceKind kind, const SumParts& x, uint64_t mask)
      : planned_(kind, x.dtype, x.shape, x.strides, mask) {}

  cpu::PlannedReduction planned_;
};

template <cpu::ReduceKind kKind>
std::unique_ptr<Kernel> prepare_reduce(const KernelRequest& request, std::string&) {
  return std::make_unique<ReduceKernel>(kKind, request);
}

template <cpu::ArgReduceKind kKind>
void run_arg_reduce(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const OperandView& x = request.inputs[0];
  cpu::arg_reduce(kKind, x.dtype, in[0], x.shape, x.strides,
                  request.params.as<ArgReduceParams>().axis, DType::kI32, out[0]);
}

class ScanKernel final : public HostKernel {
 public:
  ScanKernel(cpu::ScanKind kind, const KernelRequest& request, const CumulativeParams& p)
      : ScanKernel(kind, SumParts(request.inputs[0]), p) {}
  void run(const void* const* in, void* const* out, void*) const override {
    planned_.run(in[0], out[0]);
  }

 private:
  ScanKernel(cpu::ScanKind kind, const SumParts& x, const CumulativeParams& p)
      : planned_(kind, x.dtype, x.shape, x.strides, p.axis, p.reverse) {}

  cpu::PlannedScan planned_;
};

template <cpu::ScanKind kKind>
std::unique_ptr<Kernel> prepare_scan(const KernelRequest& request, std::string&) {
  return std::make_unique<ScanKernel>(kKind, request, request.params.as<CumulativeParams>());
}

/// The operand of a sort with the sorted axis last: rows of `length`.
struct SortRows {
  Shape shape;      // axis last
  Strides in, out;  // of operand and result, in that order
  int64_t rows = 1, length = 1;
  bool direct;  // both are dense already

  SortRows(const KernelRequest& request, int64_t axis) {
    const OperandView &x = request.inputs[0], &y = request.outputs[0];
    for (size_t i = 0; i < x.shape.size(); ++i) {
      if (static_cast<int64_t>(i) != axis) add(x, y, i);
    }
    rows = element_count(shape);
    length = x.shape[static_cast<size_t>(axis)];
    add(x, y, static_cast<size_t>(axis));
    const Strides dense = dense_strides(shape);
    direct = in == dense && out == dense;
  }

 private:
  void add(const OperandView& x, const OperandView& y, size_t i) {
    shape.push_back(x.shape[i]);
    in.push_back(x.strides[i]);
    out.push_back(y.strides[i]);
  }
};

template <bool kPositions>
void sort_rows(DType dtype, const SortRows& r, const void* in, void* out, void* workspace) {
  if constexpr (kPositions)
    cpu::argsort(dtype, r.rows, r.length, in, false, DType::kI32, out, workspace);
  else
    cpu::sort(dtype, r.rows, r.length, in, false, out, workspace);
}

/// What a sort works in: dense copies of operand and result, unless they are dense already.
struct SortScratch {
  std::byte *lines, *sorted, *items;

  SortScratch(cpu::Workspace& w, const KernelRequest& request, const SortRows& r)
      : lines(r.direct ? nullptr : w.take<std::byte>(bytes_of(r, request.inputs[0].dtype))),
        sorted(r.direct ? nullptr : w.take<std::byte>(bytes_of(r, request.outputs[0].dtype))),
        items(w.take<std::byte>(
            static_cast<int64_t>(cpu::sort_workspace(request.inputs[0].dtype, r.rows, r.length)))) {
  }

 private:
  static int64_t bytes_of(const SortRows& r, DType dtype) {
    return r.rows * r.length * static_cast<int64_t>(size_of(dtype));
  }
};

size_t sort_bytes(const KernelRequest& request) {
  const SortRows rows(request, request.params.as<SortParams>().axis);
  return cpu::workspace_bytes<SortScratch>(request, rows);
}

template <bool kPositions>
void run_sort(const KernelRequest& request, const void* const* in, void* const* out,
              void* workspace) {
  const SortRows rows(request, request.params.as<SortParams>().axis);
  if (rows.rows == 0 || rows.length == 0) return;
  const DType dtype = request.inputs[0].dtype;
  cpu::Workspace parts(workspace);
  const SortScratch scratch(parts, request, rows);
  if (rows.direct) return sort_rows<kPositions>(dtype, rows, in[0], out[0], scratch.items);

  const size_t in_size = size_of(dtype), out_size = size_of(request.outputs[0].dtype);
  const Strides dense = dense_strides(rows.shape);
  cpu::strided_copy(in_size, rows.shape, in[0], rows.in, scratch.lines, dense);
  sort_rows<kPositions>(dtype, rows, scratch.lines, scratch.sorted, scratch.items);
  cpu::strided_copy(out_size, rows.shape, scratch.sorted, dense, out[0], rows.out);
}

std::string decline_real(const KernelRequest& request) {
  return is_complex(request.inputs[0].dtype) ? "" : "real numbers";
}

void run_complex_cumulative_product(const KernelRequest& request, const void* const* in,
                                    void* const* out, void*) {
  const OperandView& x = request.inputs[0];
  const CumulativeParams& p = request.params.as<CumulativeParams>();
  cpu::complex_cumulative_product(x.dtype, in[0], x.shape, x.strides, p.axis, p.reverse, out[0]);
}

void run_complex_product(const KernelRequest& request, const void* const* in, void* const* out,
                         void*) {
  const OperandView& x = request.inputs[0];
  cpu::complex_product(x.dtype, in[0], x.shape, x.strides, mask_of(request), out[0]);
}

/// Operands follow each other in one memory.
size_t sum_of_squares_bytes(const KernelRequest& request) {
  size_t most = 0;
  for (const OperandView& x : request.inputs)
    most = std::max(most, cpu::sum_of_squares_workspace(element_count(x.shape)));
  return most;
}

void run_sum_of_squares(const KernelRequest& request, const void* const* in, void* const* out,
                        void* workspace) {
  double total = 0;
  for (size_t i = 0; i < request.inputs.size(); ++i) {
    const OperandView& x = request.inputs[i];
    total += cpu::sum_of_squares(x.dtype, element_count(x.shape), in[i], workspace);
  }
  if (request.outputs[0].dtype == DType::kF64)
    *static_cast<double*>(out[0]) = total;
  else
    *static_cast<float*>(out[0]) = static_cast<float>(total);
}

}  // namespace

void register_reduce(KernelTable& table) {
  using cpu::ArgReduceKind, cpu::ReduceKind, cpu::ScanKind;
  const auto add = [&](const Primitive& primitive, const char* name, auto run) {
    table.add(primitive, {.name = name, .strided = true, .run = run, .never_throws = true});
  };
  const auto add_reduce = [&]<ReduceKind kKind>(const Primitive& primitive) {
    table.add(primitive, {.name = "blocks",
                          .strided = true,
                          .prepare = prepare_reduce<kKind>,
                          .never_throws = true,
                          .complex = kKind == ReduceKind::kSum});
  };
  const auto add_scan = [&](auto prepare, const Primitive& primitive, bool complex = false) {
    table.add(primitive, {.name = "lines",
                          .strided = true,
                          .prepare = prepare,
                          .never_throws = true,
                          .complex = complex});
  };
  add_reduce.operator()<ReduceKind::kSum>(reduce_sum_primitive());
  add_reduce.operator()<ReduceKind::kProd>(reduce_prod_primitive());
  add_reduce.operator()<ReduceKind::kMax>(reduce_max_primitive());
  add_reduce.operator()<ReduceKind::kMin>(reduce_min_primitive());
  add_reduce.operator()<ReduceKind::kAll>(reduce_and_primitive());
  add_reduce.operator()<ReduceKind::kAny>(reduce_or_primitive());
  table.add(reduce_prod_primitive(), {.name = "complex",
                                      .strided = true,
                                      .decline = decline_real,
                                      .run = run_complex_product,
                                      .never_throws = true,
                                      .complex = true});
  add(argmax_primitive(), "lines", run_arg_reduce<ArgReduceKind::kMax>);
  add(argmin_primitive(), "lines", run_arg_reduce<ArgReduceKind::kMin>);
  add_scan(prepare_scan<ScanKind::kSum>, cumsum_primitive(), true);
  add_scan(prepare_scan<ScanKind::kProd>, cumprod_primitive());
  add_scan(prepare_scan<ScanKind::kMax>, cummax_primitive());
  table.add(cumprod_primitive(), {.name = "complex",
                                  .strided = true,
                                  .decline = decline_real,
                                  .run = run_complex_cumulative_product,
                                  .never_throws = true,
                                  .complex = true});
  table.add(sort_primitive(), {.name = "rows",
                               .strided = true,
                               .run = run_sort<false>,
                               .workspace_bytes = sort_bytes,
                               .never_throws = true});
  table.add(argsort_primitive(), {.name = "rows",
                                  .strided = true,
                                  .run = run_sort<true>,
                                  .workspace_bytes = sort_bytes,
                                  .never_throws = true});
  table.add(sum_of_squares_primitive(), {.name = "blocks",
                                         .run = run_sum_of_squares,
                                         .workspace_bytes = sum_of_squares_bytes,
                                         .never_throws = true});
}

}  // namespace linnet
