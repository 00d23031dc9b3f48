// Instruction sets our vector code is compiled for: include this before any Highway header.
//
// On x86 the portable baseline, AVX2 and AVX-512. The steps between cost compile time and serve
// processors that are more than ten years old. LINNET_WITHOUT_AVX512 is for programs that run only
// where they are built, on a processor without it (cmake/flags.cmake).
#pragma once

#ifndef HWY_DISABLED_TARGETS
#ifdef LINNET_WITHOUT_AVX512
// The bit of a better target is lower.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | (HWY_AVX2 - 1))
#else
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)
#endif
#endif
