// expect: the step of a scan returns a pair: the new carry, and what is stacked
#include <linnet/linnet.h>

linnet::Tensor f(const linnet::Tensor& xs) {
  const auto step = [](const linnet::Tensor& sum, const linnet::Tensor& x) { return sum + x; };
  return linnet::scan(step, linnet::zeros({}), xs).first;
}
