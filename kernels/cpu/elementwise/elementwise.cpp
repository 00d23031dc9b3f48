#include "kernels/cpu/elementwise/elementwise.h"

#include <algorithm>
#include <string>

#include "kernels/cpu/complex/pairs.h"
#include "kernels/cpu/elementwise/loop_table.h"
#include "kernels/cpu/elementwise/strided.h"
#include "kernels/cpu/elementwise/transpose.h"
#include "linnet/error.h"
#include "linnet/parallel.h"

namespace linnet::cpu {
namespace {

constexpr int kMaxOperands = 3;
/// Elements handled at once when they must be gathered or converted on the way: 8 KiB at most, so
/// that the tiles of three operands and a result stay in the first-level cache.
constexpr int64_t kTile = 1024;
/// Innermost dimensions at least this long are walked row by row; shorter ones are gathered into
/// tiles.
constexpr int64_t kRowMinimum = 64;

/// One kernel and what surrounds it for each array: `widen` turns a 16-bit operand into f32,
/// `narrow` the f32 result into 16 bits; null where memory already has the format of the kernel.
struct Task {
  ElementwiseLoop kernel = nullptr;
  int arity = 1;
  size_t in_size[kMaxOperands] = {};
  size_t out_size = 0;
  ElementwiseLoop widen[kMaxOperands] = {};
  ElementwiseLoop narrow = nullptr;
  const double* params = nullptr;
  /// Elements worth a thread: some six microseconds.
  int64_t grain = 1 << 16;

  bool converts() const { return widen[0] || widen[1] || widen[2] || narrow; }
};

/// Part of an array: `stride` elements between neighbours.
struct Run {
  char* data;
  int64_t stride;
};

struct Tiles {
  alignas(64) char raw[kMaxOperands + 1][kTile * 8];
  alignas(64) float wide[kMaxOperands + 1][kTile];
};

/// Runs the kernel on at most kTile elements that may need gathering and converting.
void run_tile(const Task& task, const Run* in, Run out, int64_t count, Tiles& tiles) {
  LoopCall call;
  for (int k = 0; k < task.arity; ++k) {
    call.in[k] = in[k].data;
    call.repeat[k] = in[k].stride == 0 && count > 1;
    if (in[k].stride != 1 && !call.repeat[k]) {
      copy_from_strided(task.in_size[k], in[k].data, in[k].stride, tiles.raw[k], count);
      call.in[k] = tiles.raw[k];
    }
    if (task.widen[k] == nullptr) continue;
    LoopCall widen;
    widen.in[0] = call.in[k];
    widen.out = tiles.wide[k];
    widen.count = call.repeat[k] ? 1 : count;
    task.widen[k](widen);
    call.in[k] = tiles.wide[k];
  }
  const bool writes_through = out.stride == 1;
  char* const memory = writes_through ? out.data : tiles.raw[kMaxOperands];
  call.out = task.narrow == nullptr ? static_cast<void*>(memory) : tiles.wide[kMaxOperands];
  call.count = count;
  call.params = task.params;
  task.kernel(call);
  if (task.narrow != nullptr) {
    LoopCall narrow;
    narrow.in[0] = call.out;
    narrow.out = memory;
    narrow.count = count;
    task.narrow(narrow);
  }
  if (!writes_through) copy_to_strided(task.out_size, memory, out.data, out.stride, count);
}

/// Runs the kernel on neighbours and repeated elements that have its format in memory.
inline void run_direct(const Task& task, const Run* in, char* out, int64_t count) {
  LoopCall call;
  for (int k = 0; k < task.arity; ++k) {
    call.in[k] = in[k].data;
    call.repeat[k] = in[k].stride == 0 && count > 1;
  }
  call.out = out;
  call.count = count;
  call.params = task.params;
  task.kernel(call);
}

/// Runs the kernel on a row of any length.
void run_row(const Task& task, Run* in, Run out, int64_t count) {
  bool is_direct = !task.converts() && (out.stride == 1 || count == 1);
  for (int k = 0; k < task.arity; ++k) {
    is_direct = is_direct && (in[k].stride == 0 || in[k].stride == 1 || count == 1);
  }
  if (is_direct) return run_direct(task, in, out.data, count);
  Tiles tiles;
  while (count > 0) {
    const int64_t part = std::min(count, kTile);
    run_tile(task, in, out, part, tiles);
    for (int k = 0; k < task.arity; ++k) {
      in[k].data += part * in[k].stride * static_cast<int64_t>(task.in_size[k]);
    }
    out.data += part * out.stride * static_cast<int64_t>(task.out_size);
    count -= part;
  }
}

class StridedRun {
 public:
  StridedRun(const Task& task, const StridedSpace& space, std::span<const Operand> in,
             const Destination& out)
      : task_(task), space_(space), in_(in), out_(out) {}

  void operator()(int64_t begin, int64_t end) const {
    if (space_.inner_size() >= kRowMinimum || space_.rank() <= 1) {
      run_rows(begin, end);
    } else {
      run_tiles(begin, end);
    }
  }

 private:
  Run input_at(int k, int64_t offset, int64_t stride) const {
    const char* data = static_cast<const char*>(in_[static_cast<size_t>(k)].data);
    return {const_cast<char*>(data) + offset * static_cast<int64_t>(task_.in_size[k]), stride};
  }

  void run_rows(int64_t begin, int64_t end) const {
    const size_t result = static_cast<size_t>(task_.arity);
    StridedCursor cursor(space_, begin);
    while (begin < end) {
      const int64_t count = std::min(end - begin, cursor.left_in_row());
      Run in[kMaxOperands];
      for (int k = 0; k < task_.arity; ++k) {
        const size_t array = static_cast<size_t>(k);
        in[k] = input_at(k, cursor.offset(array), space_.inner_stride(array));
      }
      char* const data = static_cast<char*>(out_.data) +
                         cursor.offset(result) * static_cast<int64_t>(task_.out_size);
      run_row(task_, in, {data, space_.inner_stride(result)}, count);
      cursor.advance(count);
      begin += count;
    }
  }

  void run_tiles(int64_t begin, int64_t end) const {
    const size_t result = static_cast<size_t>(task_.arity);
    const bool out_is_dense = space_.is_dense(result);
    alignas(64) char gathered[kMaxOperands + 1][kTile * 8];
    Tiles tiles;
    for (; begin < end; begin += kTile) {
      const int64_t count = std::min(end - begin, kTile);
      Run in[kMaxOperands];
      for (int k = 0; k < task_.arity; ++k) {
        const size_t array = static_cast<size_t>(k);
        if (space_.is_scalar(array)) {
          in[k] = input_at(k, 0, 0);
        } else if (space_.is_dense(array)) {
          in[k] = input_at(k, begin, 1);
        } else {
          space_.gather(array, in_[array].data, task_.in_size[k], begin, count, gathered[k]);
          in[k] = {gathered[k], 1};
        }
      }
      char* const data = out_is_dense ? static_cast<char*>(out_.data) +
                                            begin * static_cast<int64_t>(task_.out_size)
                                      : gathered[kMaxOperands];
      run_tile(task_, in, {data, 1}, count, tiles);
      if (!out_is_dense) space_.scatter(result, out_.data, task_.out_size, begin, count, data);
    }
  }

  const Task& task_;
  const StridedSpace& space_;
  std::span<const Operand> in_;
  const Destination& out_;
};

/// 1 for a dense array, 0 for a repeated element, -1 for anything else.
int inner_stride_if_flat(std::span<const int64_t> shape, const int64_t* strides) {
  int64_t expected = 1;
  bool dense = true;
  bool scalar = true;
  for (size_t d = shape.size(); d-- > 0;) {
    if (shape[d] == 1) continue;
    dense = dense && strides[d] == expected;
    scalar = scalar && strides[d] == 0;
    expected *= shape[d];
  }
  return dense ? 1 : scalar ? 0 : -1;
}

/// A small array whose innermost rows the kernel takes as they are: a call for each is less work
/// than what large ones are worth, an order of dimensions and tiles gathered.
class FewRows {
 public:
  FewRows(const Task& task, std::span<const int64_t> shape, std::span<const Operand> in,
          const Destination& out)
      : task_(task), shape_(shape), in_(in), out_(out) {}

  bool fit(int64_t count) const {
    if (shape_.size() < 2 || task_.converts() || count >= 2 * task_.grain) return false;
    const size_t last = shape_.size() - 1;
    if (shape_[last] < kLeastRow || count > kMostRows * shape_[last]) return false;
    bool direct = out_.strides[last] == 1;
    for (int k = 0; k < task_.arity; ++k)
      direct = direct && (in_[static_cast<size_t>(k)].strides[last] | 1) == 1;  // 0 or 1
    return direct;
  }

  void run() const {
    const char* from[kMaxOperands] = {};
    for (int k = 0; k < task_.arity; ++k)
      from[k] = static_cast<const char*>(in_[static_cast<size_t>(k)].data);
    run(0, from, static_cast<char*>(out_.data));
  }

 private:
  static constexpr int64_t kLeastRow = 8, kMostRows = 32;

  void run(size_t dim, const char* const* in, char* out) const {
    Run at[kMaxOperands];
    for (int k = 0; k < task_.arity; ++k)
      at[k] = {const_cast<char*>(in[k]), in_[static_cast<size_t>(k)].strides[dim]};
    if (dim + 1 == shape_.size()) return run_direct(task_, at, out, shape_[dim]);
    const char* from[kMaxOperands] = {in[0], in[1], in[2]};
    for (int64_t i = 0; i < shape_[dim]; ++i) {
      run(dim + 1, from, out);
      for (int k = 0; k < task_.arity; ++k)
        from[k] += at[k].stride * static_cast<int64_t>(task_.in_size[k]);
      out += out_.strides[dim] * static_cast<int64_t>(task_.out_size);
    }
  }

  const Task& task_;
  std::span<const int64_t> shape_;
  std::span<const Operand> in_;
  const Destination& out_;
};

int64_t count_of(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

void run(const Task& task, std::span<const int64_t> shape, std::span<const Operand> in,
         const Destination& out) {
  const int64_t count = count_of(shape);
  if (count == 0) return;

  // The common case, and the one where overhead counts: dense arrays and single elements.
  bool is_flat = inner_stride_if_flat(shape, out.strides) == 1;
  Run flat[kMaxOperands];
  for (int k = 0; is_flat && k < task.arity; ++k) {
    const Operand& operand = in[static_cast<size_t>(k)];
    const int stride = inner_stride_if_flat(shape, operand.strides);
    flat[k] = {const_cast<char*>(static_cast<const char*>(operand.data)), stride};
    is_flat = stride >= 0;
  }
  if (is_flat) {
    const auto body = [&](int64_t begin, int64_t end) {
      Run part[kMaxOperands];
      for (int k = 0; k < task.arity; ++k) {
        const int64_t size = static_cast<int64_t>(task.in_size[k]);
        part[k] = {flat[k].data + begin * flat[k].stride * size, flat[k].stride};
      }
      char* const data = static_cast<char*>(out.data) + begin * static_cast<int64_t>(task.out_size);
      run_row(task, part, {data, 1}, end - begin);
    };
    if (count < 2 * task.grain) {
      if (!task.converts()) return run_direct(task, flat, static_cast<char*>(out.data), count);
      body(0, count);
    } else {
      parallel_for(count, task.grain, body);
    }
    return;
  }

  const FewRows rows(task, shape, in, out);
  if (rows.fit(count)) return rows.run();

  const int64_t* strides[kMaxOperands + 1];
  for (int k = 0; k < task.arity; ++k) strides[k] = in[static_cast<size_t>(k)].strides;
  strides[task.arity] = out.strides;
  const StridedSpace space(shape, {strides, static_cast<size_t>(task.arity) + 1});
  parallel_for(count, task.grain, StridedRun(task, space, in, out));
}

[[noreturn]] void throw_unsupported(const ScalarOpInfo& info, DType dtype) {
  throw DTypeError(std::string(info.name) + ": element type " + std::string(name_of(dtype)) +
                   " is not accepted");
}

[[noreturn]] void throw_count(const ScalarOpInfo& info, const char* what, int expected,
                              size_t got) {
  throw ValueError(std::string(info.name) + ": expected " + std::to_string(expected) + " " + what +
                   ", got " + std::to_string(got));
}

ElementwiseLoop copy_kernel(size_t element_size) {
  const DType words = element_size == 1   ? DType::kU8
                      : element_size == 2 ? DType::kU16
                      : element_size == 4 ? DType::kU32
                                          : DType::kU64;
  return elementwise_table().get_cast(words, words);
}

}  // namespace

bool supports(ScalarOp op, DType dtype) { return elementwise_table().get(op, dtype) != nullptr; }

namespace {

Task task_of(ScalarOp op, DType dtype) {
  const ScalarOpInfo& info = scalar_op_info(op);
  const ElementwiseTable& table = elementwise_table();
  Task task;
  task.kernel = table.get(op, dtype);
  task.arity = info.arity;
  if (task.kernel == nullptr) throw_unsupported(info, dtype);
  const size_t size = size_of(dtype);
  for (int k = 0; k < info.arity; ++k) task.in_size[k] = size;
  task.out_size = returns_bool(op) ? 1 : size;
  task.grain = std::max(512, (1 << 16) / info.cost);
  if (info.kind == ScalarKind::kSelect) {
    task.in_size[0] = 1;
  } else if (is_floating(dtype) && size == 2) {
    const ElementwiseLoop widen = table.get_cast(dtype, DType::kF32);
    for (int k = 0; k < info.arity; ++k) task.widen[k] = widen;
    if (!returns_bool(op)) task.narrow = table.get_cast(DType::kF32, dtype);
  }
  return task;
}

}  // namespace

void elementwise(ScalarOp op, DType dtype, std::span<const double> params,
                 std::span<const int64_t> shape, std::span<const Operand> in,
                 const Destination& out) {
  Task task = task_of(op, dtype);
  const ScalarOpInfo& info = scalar_op_info(op);
  if (in.size() != static_cast<size_t>(info.arity)) {
    throw_count(info, "operands", info.arity, in.size());
  }
  if (params.size() != static_cast<size_t>(info.param_count)) {
    throw_count(info, "parameters", info.param_count, params.size());
  }
  task.params = params.data();
  run(task, shape, in, out);
}

std::optional<OneLoop> one_loop(ScalarOp op, DType dtype, std::span<const int64_t> shape,
                                std::span<const int64_t* const> in, const int64_t* out) {
  const Task task = task_of(op, dtype);
  const int64_t count = count_of(shape);
  if (task.converts() || count == 0 || count >= 2 * task.grain ||
      inner_stride_if_flat(shape, out) != 1)
    return std::nullopt;
  OneLoop found{.loop = task.kernel};
  found.call.count = count;
  for (size_t k = 0; k < in.size(); ++k) {
    const int stride = inner_stride_if_flat(shape, in[k]);
    if (stride < 0) return std::nullopt;
    found.call.repeat[k] = stride == 0 && count > 1;
  }
  return found;
}

void cast(DType from, DType to, std::span<const int64_t> shape, const Operand& in,
          const Destination& out) {
  if (from == to) return copy_strided(size_of(from), shape, in, out);
  Task task;
  task.kernel = elementwise_table().get_cast(from, to);
  task.in_size[0] = size_of(from);
  task.out_size = size_of(to);
  run(task, shape, {&in, 1}, out);
}

void copy_strided(size_t element_size, std::span<const int64_t> shape, const Operand& in,
                  const Destination& out) {
  if (element_size == 16) {
    const Strides from = paired_strides({in.strides, shape.size()});
    const Strides to = paired_strides({out.strides, shape.size()});
    return copy_strided(8, paired_shape(shape), {in.data, from.data()}, {out.data, to.data()});
  }
  if (shape.size() >= 2 && copy_transposed(element_size, shape, in.data, {in.strides, shape.size()},
                                           out.data, {out.strides, shape.size()}))
    return;
  Task task;
  task.kernel = copy_kernel(element_size);
  task.in_size[0] = element_size;
  task.out_size = element_size;
  run(task, shape, {&in, 1}, out);
}

namespace {

template <class T>
void fill_with(DType dtype, T value, std::span<const int64_t> shape, const Destination& out) {
  alignas(8) std::byte element[8];
  LoopCall call;
  call.in[0] = &value;
  call.out = element;
  call.count = 1;
  elementwise_table().get_cast(dtype_of<T>(), dtype)(call);
  const SmallVector<int64_t, 8> zeros(shape.size(), 0);
  copy_strided(size_of(dtype), shape, {element, zeros.data()}, out);
}

}  // namespace

void fill(DType dtype, double value, std::span<const int64_t> shape, const Destination& out) {
  fill_with(dtype, value, shape, out);
}

void fill(DType dtype, int64_t value, std::span<const int64_t> shape, const Destination& out) {
  fill_with(dtype, value, shape, out);
}

}  // namespace linnet::cpu
