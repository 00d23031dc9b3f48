// expect: the function returns nothing
#include <linnet/core.h>

auto f() {
  return linnet::grad([](const linnet::Tensor&) {})(2.0);
}
