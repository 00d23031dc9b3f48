// expect: the function cannot be called with these arguments
#include <string>

#include <linnet/core.h>

auto f() {
  return linnet::vmap([](const std::string& x) { return linnet::Tensor(x.size()); })(2.0);
}
