// expect: jit needs a function whose parameter types are spelled out
#include <linnet/core.h>

auto f = linnet::jit([](const auto& x) { return x + 1; });
