// Queries that may look at no key look at all alike. A warp has some rows of one matrix of scores,
// a lane some elements of a head; sums go over keys or queries in their order.
#pragma once

#include "kernels/cuda/attention/attention_args.h"
#include "kernels/cuda/device/wide.h"

namespace linnet::cuda {

/// Which of `parts` parts of which matrix this warp has.
struct WarpPlace {
  int64_t matrix;
  int part;
  LINNET_DEVICE explicit WarpPlace(int parts) {
    const int64_t at = int64_t{block_x()} * (kAttentionThreads / kWarp) + warp();
    matrix = at / parts;
    part = static_cast<int>(at - matrix * parts);
  }
};

/// The number of the lowest bit that is set.
LINNET_DEVICE int lowest_bit(uint32_t word) {
  return kWarp - 1 - leading_zeros(word & (0u - word));
}

LINNET_DEVICE int warps_for(int length) { return (length + kRowsPerWarp - 1) / kRowsPerWarp; }

/// Sum over keys of factor * v. Without factors `factors` is null.
template <class T>
LINNET_DEVICE float sum_over_keys(const T* v, int64_t step, const T* factors, int count) {
  float sum = 0;
  for (int key = 0; key < count; ++key) {
    const float value = to_wide(v[key * step]);
    sum += factors ? to_wide(factors[key]) * value : value;
  }
  return sum;
}

template <class T>
LINNET_DEVICE void attention_empty_rows(const EmptyRowsArgs& args) {
  const AttentionRows& rows = args.rows;
  const WarpPlace place(warps_for(rows.q_length));
  if (place.matrix >= int64_t{rows.batch} * rows.heads) return;
  constexpr int kWords = kRowsPerWarp / kWarp;
  const int first = place.part * kRowsPerWarp;
  float* const log_sum_exp = args.log_sum_exp.get() + place.matrix * rows.q_length;
  uint32_t empty[kWords], any = 0;
  LINNET_UNROLL
  for (int i = 0; i < kWords; ++i) {
    const int row = first + i * kWarp + lane();
    any |= empty[i] = ballot(row < rows.q_length && log_sum_exp[row] < rows.limit);
  }
  if (any == 0) return;
  LINNET_UNROLL
  for (int i = 0; i < kWords; ++i) {
    if (empty[i] >> lane() & 1) log_sum_exp[first + i * kWarp + lane()] = args.masked_score;
  }
  const int64_t batch = place.matrix / rows.heads;
  const int head = static_cast<int>(place.matrix - batch * rows.heads);
  const int kv_heads = rows.heads / rows.group;
  const int64_t step = int64_t{kv_heads} * rows.size;
  const T* const v = static_cast<const T*>(args.v.get()) + batch * rows.kv_length * step +
                     int64_t{head / rows.group} * rows.size;
  const T* const factors = args.factors.word == 0
                               ? nullptr
                               : static_cast<const T*>(args.factors.get()) +
                                     batch * rows.factors_batch + head * rows.factors_head;
  for (int column = lane(); column < rows.size; column += kWarp) {
    float sum = factors ? 0 : sum_over_keys<T>(v + column, step, nullptr, rows.kv_length);
    LINNET_UNROLL
    for (int i = 0; i < kWords; ++i) {
      for (uint32_t left = empty[i]; left != 0; left &= left - 1) {
        const int64_t row = first + i * kWarp + lowest_bit(left);
        if (factors)
          sum = sum_over_keys(v + column, step, factors + row * rows.kv_length, rows.kv_length);
        T* const y = static_cast<T*>(args.y.get()) +
                     ((batch * rows.q_length + row) * rows.heads + head) * rows.size;
        y[column] = from_wide<T>(sum * rows.weight);
      }
    }
  }
}

/// Sum over the empty rows of a group of heads of factor * dy, for one key. `factors` are those of
/// the key.
template <class T>
LINNET_DEVICE float sum_over_empty_rows(const AttentionRows& rows, const float* log_sum_exp,
                                        const T* dy, const T* factors) {
  float sum = 0;
  for (int head = 0; head < rows.group; ++head) {
    for (int row = 0; row < rows.q_length; ++row) {
      if (!(log_sum_exp[int64_t{head} * rows.q_length + row] < rows.limit)) continue;
      const float value = to_wide(dy[(int64_t{row} * rows.heads + head) * rows.size]);
      sum += factors ? to_wide(factors[head * rows.factors_head + int64_t{row} * rows.kv_length]) *
                           value
                     : value;
    }
  }
  return sum;
}

template <class T>
LINNET_DEVICE void attention_empty_rows_backward(const EmptyRowsBackwardArgs& args) {
  const AttentionRows& rows = args.rows;
  const int kv_heads = rows.heads / rows.group;
  const WarpPlace place(warps_for(rows.kv_length));
  if (place.matrix >= int64_t{rows.batch} * kv_heads) return;
  const int64_t of_group = int64_t{rows.group} * rows.q_length;
  const float* const log_sum_exp = args.log_sum_exp.get() + place.matrix * of_group;
  bool any = false;
  for (int64_t row = lane(); row < of_group; row += kWarp) any |= log_sum_exp[row] < rows.limit;
  if (ballot(any) == 0) return;
  const int64_t batch = place.matrix / kv_heads;
  const int kv_head = static_cast<int>(place.matrix - batch * kv_heads);
  const int64_t head = int64_t{kv_head} * rows.group;
  const T* const dy = static_cast<const T*>(args.dy.get()) +
                      (batch * rows.q_length * rows.heads + head) * rows.size;
  const T* const factors = args.factors.word == 0
                               ? nullptr
                               : static_cast<const T*>(args.factors.get()) +
                                     batch * rows.factors_batch + head * rows.factors_head;
  const int first = place.part * kRowsPerWarp;
  const int last = first + kRowsPerWarp < rows.kv_length ? first + kRowsPerWarp : rows.kv_length;
  for (int column = lane(); column < rows.size; column += kWarp) {
    float sum = factors ? 0 : sum_over_empty_rows<T>(rows, log_sum_exp, dy + column, nullptr);
    for (int key = first; key < last; ++key) {
      if (factors) sum = sum_over_empty_rows(rows, log_sum_exp, dy + column, factors + key);
      T* const dv = static_cast<T*>(args.dv.get()) +
                    ((batch * rows.kv_length + key) * kv_heads + kv_head) * rows.size;
      dv[column] = from_wide<T>(to_wide(dv[column]) + sum * rows.weight);
    }
  }
}

}  // namespace linnet::cuda
