// Kernels of reductions, cumulative operations and sorting.
#include "core/ops/reduce.h"

#include <vector>

#include "core/ops/sort.h"
#include "kernels/cpu/index/strided_copy.h"
#include "kernels/cpu/reduce/arg_reduce.h"
#include "kernels/cpu/reduce/reduce.h"
#include "kernels/cpu/reduce/scan.h"
#include "kernels/cpu/reduce/sort.h"
#include "kernels/cpu/register/families.h"

namespace linnet {
namespace {

template <cpu::ReduceKind kKind>
void run_reduce(const KernelRequest& request, const void* const* in, void* const* out) {
  uint64_t mask = 0;
  for (int64_t axis : request.params.as<ReduceParams>().axes) mask |= uint64_t{1} << axis;
  const OperandView& x = request.inputs[0];
  cpu::reduce(kKind, x.dtype, in[0], x.shape, x.strides, mask, out[0]);
}

template <cpu::ArgReduceKind kKind>
void run_arg_reduce(const KernelRequest& request, const void* const* in, void* const* out) {
  const OperandView& x = request.inputs[0];
  cpu::arg_reduce(kKind, x.dtype, in[0], x.shape, x.strides,
                  request.params.as<ArgReduceParams>().axis, DType::kI32, out[0]);
}

template <cpu::ScanKind kKind>
void run_scan(const KernelRequest& request, const void* const* in, void* const* out) {
  const OperandView& x = request.inputs[0];
  const CumulativeParams& p = request.params.as<CumulativeParams>();
  cpu::scan(kKind, x.dtype, in[0], x.shape, x.strides, p.axis, p.reverse, out[0]);
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
void sort_rows(DType dtype, const SortRows& r, const void* in, void* out) {
  if constexpr (kPositions)
    cpu::argsort(dtype, r.rows, r.length, in, false, DType::kI32, out);
  else
    cpu::sort(dtype, r.rows, r.length, in, false, out);
}

template <bool kPositions>
void run_sort(const KernelRequest& request, const void* const* in, void* const* out) {
  const SortRows rows(request, request.params.as<SortParams>().axis);
  if (rows.rows == 0 || rows.length == 0) return;
  const DType dtype = request.inputs[0].dtype;
  if (rows.direct) return sort_rows<kPositions>(dtype, rows, in[0], out[0]);

  const size_t in_size = size_of(dtype), out_size = size_of(request.outputs[0].dtype);
  const size_t count = static_cast<size_t>(rows.rows * rows.length);
  const Strides dense = dense_strides(rows.shape);
  std::vector<std::byte> lines(count * in_size), sorted(count * out_size);
  cpu::strided_copy(in_size, rows.shape, in[0], rows.in, lines.data(), dense);
  sort_rows<kPositions>(dtype, rows, lines.data(), sorted.data());
  cpu::strided_copy(out_size, rows.shape, sorted.data(), dense, out[0], rows.out);
}

void run_sum_of_squares(const KernelRequest& request, const void* const* in, void* const* out) {
  double total = 0;
  for (size_t i = 0; i < request.inputs.size(); ++i) {
    const OperandView& x = request.inputs[i];
    total += cpu::sum_of_squares(x.dtype, element_count(x.shape), in[i]);
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
    table.add(primitive, {.name = name, .strided = true, .run = run});
  };
  add(reduce_sum_primitive(), "blocks", run_reduce<ReduceKind::kSum>);
  add(reduce_prod_primitive(), "blocks", run_reduce<ReduceKind::kProd>);
  add(reduce_max_primitive(), "blocks", run_reduce<ReduceKind::kMax>);
  add(reduce_min_primitive(), "blocks", run_reduce<ReduceKind::kMin>);
  add(reduce_and_primitive(), "blocks", run_reduce<ReduceKind::kAll>);
  add(reduce_or_primitive(), "blocks", run_reduce<ReduceKind::kAny>);
  add(argmax_primitive(), "lines", run_arg_reduce<ArgReduceKind::kMax>);
  add(argmin_primitive(), "lines", run_arg_reduce<ArgReduceKind::kMin>);
  add(cumsum_primitive(), "lines", run_scan<ScanKind::kSum>);
  add(cumprod_primitive(), "lines", run_scan<ScanKind::kProd>);
  add(cummax_primitive(), "lines", run_scan<ScanKind::kMax>);
  add(sort_primitive(), "rows", run_sort<false>);
  add(argsort_primitive(), "rows", run_sort<true>);
  table.add(sum_of_squares_primitive(), {.name = "blocks", .run = run_sum_of_squares});
}

}  // namespace linnet
