// A loop whose turns do not depend on each other, said to the compiler that vectorises it. Only a
// macro, so it may be included anywhere.
//
//   LINNET_INDEPENDENT
//   for (size_t i = 0; i < count; ++i) to[i] = from[i] + 1;
#pragma once

#if defined(__clang__)
#define LINNET_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define LINNET_INDEPENDENT _Pragma("GCC ivdep")
#endif
