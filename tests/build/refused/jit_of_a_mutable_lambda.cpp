// expect: jit needs a function whose operator() is const
#include <linnet/core.h>

auto f = linnet::jit([n = 0](const linnet::Tensor& x) mutable { return x + ++n; });
