// What attention does to a block of scores, on vectors of f32. Included once per instruction set.
#if defined(LINNET_CPU_ATTENTION_BLOCK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_CPU_ATTENTION_BLOCK_INL_H_
#undef LINNET_CPU_ATTENTION_BLOCK_INL_H_
#else
#define LINNET_CPU_ATTENTION_BLOCK_INL_H_
#endif

#include <algorithm>
#include <limits>

#include "hwy/highway.h"
#include "kernels/cpu/attention/heads.h"
#include "kernels/cpu/gemm/micro_kernel-inl.h"
#include "kernels/cpu/vector/functions-inl.h"
#include "kernels/cpu/vector/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
namespace gk = gemm_kernels::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;

inline int64_t float_lanes() { return static_cast<int64_t>(hn::Lanes(Floats())); }

/// Columns of a panel of keys: as many as an innermost block of a product has.
inline int64_t panel_columns() { return gk::kMaxVectors * float_lanes(); }

/// out [rows, columns] = or += a [rows, k] b [k, columns]; rows of b and out are contiguous.
struct Product {
  const float* a;
  int64_t a_row, a_column;
  const float* b;
  int64_t b_row;
  float* out;
  int64_t out_row;
  int64_t k;
  bool accumulate;
};

inline void multiply_strip(const Product& p, int64_t rows, int64_t columns) {
  gk::Block<float> block{.a = p.a,
                         .a_row = p.a_row,
                         .a_column = p.a_column,
                         .b = p.b,
                         .b_row = p.b_row,
                         .out = p.out,
                         .out_row = p.out_row,
                         .k = p.k,
                         .bias = nullptr,
                         .bias_is_scalar = false,
                         .accumulate = p.accumulate,
                         .residual = nullptr,
                         .lower = -std::numeric_limits<float>::infinity()};
  gk::column_strip(block, rows, columns);
}

/// In strips of nearly the same width.
inline void multiply(Product p, int64_t rows, int64_t columns) {
  const int64_t lanes = float_lanes(), strips = (columns + panel_columns() - 1) / panel_columns();
  const int64_t width = ((columns + strips - 1) / strips + lanes - 1) / lanes * lanes;
  for (int64_t c = 0; c < columns; c += width) {
    multiply_strip(p, rows, std::min(width, columns - c));
    p.b += width;
    p.out += width;
  }
}

/// out [rows, count] = a [rows, k] times panels, which begin with the first of `count` columns.
inline void multiply_panels(const float* a, const float* panels, float* out, int64_t out_row,
                            int64_t rows, int64_t count, int64_t k) {
  const int64_t width = panel_columns();
  for (int64_t j = 0; j < count; j += width) {
    multiply_strip({a, k, 1, panels + j * k, width, out + j, out_row, k, false}, rows,
                   std::min(width, count - j));
  }
}

/// Calls body(load, store) over vectors of a row; the last one may be a part, filled with zero.
template <class Body>
HWY_INLINE void for_row(int64_t count, Body&& body) {
  const Floats d;
  const int64_t lanes = float_lanes();
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    body([=](const float* p) HWY_ATTR { return hn::LoadU(d, p + j); },
         [=](hn::Vec<Floats> v, float* p) HWY_ATTR { hn::StoreU(v, d, p + j); });
  }
  if (j < count) {
    body([=](const float* p) HWY_ATTR { return load_part(d, p + j, count - j, 0.0f); },
         [=](hn::Vec<Floats> v, float* p) HWY_ATTR { store_part(d, v, p + j, count - j); });
  }
}

HWY_INLINE hn::Vec<Floats> exponential(hn::Vec<Floats> x) {
  const Floats d;
  return as_vector(d, exp(as_number(d, x)));
}

/// Scales scores; those where the query may not look become the masked score. `limit` is the first
/// key beyond a causal query.
inline void apply_mask(int64_t count, float* scores, float scale, const uint8_t* mask,
                       int64_t stride, int64_t limit) {
  for (int64_t j = 0; j < count; ++j)
    scores[j] = mask[j * stride] && j < limit ? scores[j] * scale : kMaskedScore;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet::cpu
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
