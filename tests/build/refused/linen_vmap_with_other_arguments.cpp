// expect: this functional module cannot be called with these arguments
#include <linnet/linnet.h>

linnet::Tensor f(linnet::linen::Scope& s, const linnet::Tensor& x) {
  return linnet::linen::vmap(linnet::linen::Dense{.features = 3})(s, x, 5);
}
