// expect: the body of a scan must return a pair of the new carry and what is stacked
#include <linnet/linnet.h>

linnet::Tensor f(linnet::linen::Scope& s, const linnet::Tensor& x) {
  const auto body = [](linnet::linen::Scope&, const linnet::Tensor& c) { return c * 2; };
  linnet::linen::scan(body, {.length = 3})(s, x);
  return x;
}
