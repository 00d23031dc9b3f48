// expect: A function loses its default arguments here
#include <linnet/nnx.h>

auto f(linnet::nnx::Rngs& rngs) {
  linnet::nnx::Sequential chain{linnet::nnx::Linear(2, 3, rngs), linnet::glu};
  return chain(linnet::ones({1, 2}));
}
