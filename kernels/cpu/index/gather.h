// Gather and scatter with general dimension numbers, as in StableHLO and JAX, and the common case
// of whole rows.
//
// Rows of an embedding table [V, D] for ids [B, T, 1]: offset_dims {2}, collapsed_slice_dims {0},
// start_index_map {0}, slice sizes {1, D}; result [B, T, D].
#pragma once

#include <cstdint>
#include <span>

#include "linnet/dtype.h"
#include "linnet/shape.h"

namespace linnet::cpu {

/// What happens to a slice (or update) that does not lie inside the operand.
enum class IndexMode : uint8_t {
  kClip,     ///< it is moved inside
  kFill,     ///< gather: filled with a value; scatter: dropped
  kInBounds  ///< the caller promises there is none; it is moved inside nevertheless, for memory
             ///< safety
};

/// Which dimensions mean what in a gather. All lists are sorted except start_index_map.
struct GatherDimensions {
  Axes offset_dims;            ///< dimensions of the result that walk inside a slice
  Axes collapsed_slice_dims;   ///< operand dimensions of slice size 1 that do not appear in the
                               ///< result
  Axes start_index_map;        ///< operand dimension of each component of an index vector
  Axes operand_batching_dims;  ///< operand dimensions walked together with ...
  Axes indices_batching_dims;  ///< ... these dimensions of the indices
};

struct GatherOperands {
  DType dtype;
  const void* operand;
  Shape shape;
  Strides strides;
  DType index_dtype;  ///< any integer type
  const void* indices;
  Shape indices_shape;  ///< [batch..., components of an index vector]
  Strides indices_strides;
};

/// Shape of the result: batch dimensions of the indices with the slice dimensions at offset_dims.
Shape gather_shape(const GatherDimensions& dims, std::span<const int64_t> indices_shape,
                   std::span<const int64_t> slice_sizes);

/// Writes the dense result. `fill` points to one element, used by kFill only.
/// @throws ShapeError if dimension numbers and shapes do not fit; DTypeError for non-integer
/// indices.
void gather(const GatherOperands& operands, const GatherDimensions& dims,
            std::span<const int64_t> slice_sizes, IndexMode mode, const void* fill, void* out,
            void* workspace);
/// Bytes of the workspace of gather, take_rows and scatter.
size_t index_workspace(std::span<const int64_t> indices_shape);

/// out [count, width] = rows of the dense table [rows, width]; for kFill, rows out of range are
/// `fill`.
void take_rows(DType dtype, const void* table, int64_t rows, int64_t width, DType index_dtype,
               const void* indices, int64_t count, IndexMode mode, const void* fill, void* out,
               void* workspace);

enum class ScatterKind : uint8_t { kUpdate, kAdd, kMul, kMin, kMax };

/// Which dimensions mean what in a scatter.
struct ScatterDimensions {
  Axes update_window_dims;            ///< dimensions of the updates that walk inside a window
  Axes inserted_window_dims;          ///< operand dimensions of window size 1 that the updates lack
  Axes scatter_dims_to_operand_dims;  ///< operand dimension of each component of an index vector
  Axes operand_batching_dims;
  Axes indices_batching_dims;
};

struct ScatterOperands {
  ScatterKind kind;
  DType dtype;
  void* out;    ///< dense, holds the operand before and the result after
  Shape shape;  ///< of out
  DType index_dtype;
  const void* indices;
  Shape indices_shape;
  Strides indices_strides;
  const void* updates;
  Shape updates_shape;
  Strides updates_strides;
};

/// Combines updates into `out`, in the row-major order of the indices: repeated positions give the
/// same bits on every run and thread count (kUpdate: the last one stays). NaN wins in min and max.
/// kFill drops a window that does not lie inside as a whole.
/// @throws ShapeError if dimension numbers and shapes do not fit; DTypeError for non-integer
/// indices.
void scatter(const ScatterOperands& operands, const ScatterDimensions& dims, IndexMode mode,
             void* workspace);

/// out [rows, width] row index[i] gets updates [count, width] row i combined into it, in order of
/// i.
void scatter_rows(ScatterKind kind, DType dtype, void* out, int64_t rows, int64_t width,
                  DType index_dtype, const void* indices, int64_t count, const void* updates,
                  IndexMode mode, void* workspace);

}  // namespace linnet::cpu
