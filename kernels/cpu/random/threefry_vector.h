// Vectorised Threefry over consecutive counters of one key.
#pragma once

#include <cstdint>

#include "kernels/cpu/random/threefry.h"

namespace linnet::cpu {

/// out[i] = first word xor second word of the block at counter begin + i.
void threefry_xor(Key key, uint64_t begin, int64_t count, uint32_t* out);
/// out[2 i], out[2 i + 1] = first and second word.
void threefry_pairs(Key key, uint64_t begin, int64_t count, uint32_t* out);
/// out[i] = first word * 2^32 + second word.
void threefry_wide(Key key, uint64_t begin, int64_t count, uint64_t* out);
/// The older hash pairs counter c with counter half + c: first[i] and second[i] are the words of
/// the block at (begin + i, half + begin + i); where half + begin + i == padded the second counter
/// is 0.
void threefry_halves(Key key, uint32_t begin, int64_t count, uint32_t half, uint32_t padded,
                     uint32_t* first, uint32_t* second);

}  // namespace linnet::cpu
