// Private to attention: the rows of one head as dense f32, and how work is cut.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/attention/attention.h"

namespace linnet::cpu {

/// Queries of a block: their scores over all keys take at most a quarter of the second-level cache
/// where there are few enough keys for that.
inline int64_t attention_queries(const AttentionProblem& p) {
  return std::clamp<int64_t>(65536 / p.kv_len / 8 * 8, 16, 64);
}

/// Heads worth a thread: some ten microseconds.
inline int64_t attention_grain(const AttentionProblem& p) {
  return std::max<int64_t>(1, (1 << 20) / std::max<int64_t>(1, p.q_len * p.kv_len * p.dim));
}

/// Floats between rows of `count`: rows do not fall into one set of the cache.
inline int64_t attention_pitch(int64_t count) { return (count + 15) / 16 * 16 + 16; }

/// Rows [first, first + count) of a head of `operand`, dense f32 [count, dim].
void load_rows(DType dtype, const AttentionOperand& operand, int64_t batch, int64_t head,
               int64_t first, int64_t count, int64_t dim, float* to);

/// The reverse, into a dense tensor [batch, length, heads, dim].
void store_rows(DType dtype, const float* from, int64_t count, int64_t dim, void* to,
                int64_t length, int64_t heads, int64_t batch, int64_t head, int64_t first);

/// Dense rows [count, dim] as panels of `columns` rows each, [ceil(count / columns), dim, columns].
void turn_to_panels(const float* rows, int64_t count, int64_t dim, int64_t columns, float* panels);

/// Where query `query` of a head may look: pointer and stride of the mask's row.
inline const uint8_t* mask_row(const AttentionProblem& p, const uint8_t* mask, int64_t batch,
                               int64_t head, int64_t query) {
  const auto& s = p.mask_strides;
  return mask + batch * s[0] + head * s[1] + query * s[2];
}

/// Keys that any of the queries [first, first + count) may look at come before this one.
inline int64_t keys_of(const AttentionProblem& p, int64_t first, int64_t count) {
  return p.causal && !p.has_mask ? std::min(p.kv_len, first + count) : p.kv_len;
}

}  // namespace linnet::cpu
