// expect: the function cannot be called with these arguments
#include <linnet/core.h>

auto f() {
  return linnet::grad([](const linnet::Tensor& x, int n) { return x * n; })(2.0);
}
