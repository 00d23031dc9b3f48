// Private parts of attention layers.
#pragma once

#include "linnet/layers/attention.h"

namespace linnet::layers {

/// Elements per head.
/// @throws ValueError unless `heads` divides `features`.
int64_t head_size(const char* layer, int64_t features, int64_t heads);

/// Keys and values seen so far, of a layer that decodes one position per call.
struct DecodeCache {
  Tensor key, value;  ///< [batch..., max_length, kv_heads, dim]
  Tensor index;       ///< i32, zero-dimensional: the position to write next
};
struct DecodeStep {
  DecodeCache cache;  ///< with the new key and value, index + 1
  Tensor mask;        ///< the given mask and "not after the present position"
};
/// Writes one position.
/// @throws ValueError unless query, key and value have length 1 and fit the cache, and if the cache
/// is full; inside of a transformation, where the position is not known, a full cache gives NaN.
DecodeStep decode_step(const char* layer, const DecodeCache& cache, const Tensor& query,
                       const Tensor& key, const Tensor& value, const Tensor& mask);

}  // namespace linnet::layers
