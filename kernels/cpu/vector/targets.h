// Instruction sets our vector code is compiled for: include this before any Highway header.
//
// On x86 the portable baseline, AVX2 and AVX-512. The steps between cost compile time and serve
// processors that are more than ten years old.
#pragma once

#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)
#endif
