// expect: the function's operator() is not const
#include <linnet/core.h>

auto f() {
  return linnet::grad([n = 0](const linnet::Tensor& x) mutable { return x * ++n; })(2.0);
}
