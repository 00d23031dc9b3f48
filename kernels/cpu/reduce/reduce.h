// Reductions of a strided tensor over any set of axes.
//
//   float x[2][3] = {{1, 2, 3}, {4, 5, 6}}, sums[2];
//   cpu::reduce(ReduceKind::kSum, DType::kF32, x, Shape{2, 3}, Strides{3, 1}, 1u << 1, sums);
//   // sums is {6, 15}
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "linnet/dtype.h"
#include "linnet/shape.h"

namespace linnet::cpu {

enum class ReduceKind : uint8_t { kSum, kProd, kMax, kMin, kAny, kAll };

/// Reduces the axes whose bit is set in `axes_mask` (bit 0 is axis 0) and writes the dense result,
/// whose shape is the shape of the remaining axes.
///
/// The result has the element type of the operand; for any and all it is bool. Sums and products of
/// floats are accumulated in blocks (float within a block, double between blocks) and rounded once;
/// integers wrap; bool adds as "or" and multiplies as "and". NaN wins in max and min. A reduction
/// over no elements gives the identity (0, 1, -infinity or least value, ...). The order of
/// operations depends on shape and strides only, never on the number of threads.
/// @throws ShapeError if the rank is over 64 or shape and strides differ in length.
/// @param workspace of `reduce_workspace` bytes.
void reduce(ReduceKind kind, DType dtype, const void* data, std::span<const int64_t> shape,
            std::span<const int64_t> strides, uint64_t axes_mask, void* out, void* workspace);
size_t reduce_workspace(ReduceKind kind, DType dtype, std::span<const int64_t> shape,
                        std::span<const int64_t> strides, uint64_t axes_mask);

/// A dense operand that is computed while it is reduced, some elements at a time.
class ElementSource {
 public:
  virtual ~ElementSource() = default;
  /// Elements [begin, begin + count), counted in row-major order: in `scratch`, which is aligned to
  /// 64 and large enough, or wherever else they lie until the next call of the thread. Asked once
  /// for each element, by any thread.
  virtual const void* elements(int64_t begin, int64_t count, void* scratch) const = 0;
  /// Whether elements lie one after the other in memory of their own, and `scratch` is not used.
  virtual bool has_memory() const = 0;
};

/// `reduce` for operands of one kind and layout, planned once for any number of runs.
class PlannedReduction {
 public:
  PlannedReduction(ReduceKind kind, DType dtype, std::span<const int64_t> shape,
                   std::span<const int64_t> strides, uint64_t axes_mask);
  ~PlannedReduction();

  size_t workspace_bytes() const;
  /// May be called from several threads at once.
  void run(const void* data, void* out, void* workspace) const;

  /// Whether `run` takes a source: the operand was described as dense, and is no table of many
  /// rows and few columns, whose rows are added in groups.
  bool takes_source() const;
  /// The bits that `run` gives for the elements of the source in memory.
  void run(const ElementSource& source, void* out, void* workspace) const;
  /// Into how many pieces the work can be divided among threads.
  int64_t parts() const;

 private:
  struct Parts;
  const std::unique_ptr<const Parts> parts_;
};

/// Sum of the squares of `count` dense elements, the piece of a global norm. Accumulated as in
/// `reduce`; independent of the number of threads.
/// @param workspace of `sum_of_squares_workspace` bytes.
double sum_of_squares(DType dtype, int64_t count, const void* data, void* workspace);
size_t sum_of_squares_workspace(int64_t count);

}  // namespace linnet::cpu
