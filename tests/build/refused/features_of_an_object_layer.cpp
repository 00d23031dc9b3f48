// expect: no matching function
#include <linnet/nnx.h>

auto f(linnet::nnx::Rngs& rngs) { return linnet::nnx::Linear(2, 3, {.features = 4}, rngs); }
