// Which instruction sets the vector kernels are compiled for: AVX-512, AVX2 and the portable
// fallback. Include it before hwy/foreach_target.h. Processors without AVX2 take the fallback.
#pragma once

#include "hwy/detect_compiler_arch.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)
