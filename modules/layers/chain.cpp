#include "linnet/layers/chain.h"

#include "linnet/detail/format.h"
#include "linnet/nn.h"
#include "linnet/ops.h"

namespace linnet::layers {
namespace {

[[noreturn]] void fail_unknown_default() {
  fail<ValueError>(
      "Sequential: a function of two arguments got one, and what its second is by default is not "
      "known here\n  hint: write [](const Tensor& x) {{ return f(x); }} in place of f");
}

}  // namespace

Tensor call_activation(Tensor (*f)(const Tensor&, bool), const Tensor& x) {
  if (f == static_cast<Tensor (*)(const Tensor&, bool)>(gelu)) return gelu(x);
  fail_unknown_default();
}

Tensor call_activation(Tensor (*f)(const Tensor&, double), const Tensor& x) {
  using Function = Tensor (*)(const Tensor&, double);
  if (f == static_cast<Function>(leaky_relu)) return leaky_relu(x);
  if (f == static_cast<Function>(elu)) return elu(x);
  if (f == static_cast<Function>(celu)) return celu(x);
  if (f == static_cast<Function>(squareplus)) return squareplus(x);
  fail_unknown_default();
}

}  // namespace linnet::layers
