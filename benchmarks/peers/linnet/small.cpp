// What a call costs: eight numbers, few operations, many arguments.
#include "benchmarks/peers/linnet/side.h"

namespace peers {
namespace {

Tensor eight() { return tensor({1.f, 2.f, 3.f, 4.f, 5.f, 6.f, 7.f, 8.f}); }
Tensor tenths() { return tensor({.1f, .2f, .3f, .4f, .5f, .6f, .7f, .8f}); }

std::vector<Tensor> many(int count) {
  std::vector<Tensor> out;
  for (int i = 0; i < count; ++i) out.push_back(eight() + i);
  return out;
}

Tensor ten_tanh(const Tensor& x) {
  Tensor y = x;
  for (int i = 0; i < 10; ++i) y = tanh(y);
  return sum(y);
}

Work call_with_arguments(int count) {
  const auto compiled = jit([](const std::vector<Tensor>& v) { return v[0] + v.back(); });
  return repeat([compiled, leaves = many(count)] { return compiled(leaves); });
}

Work update_of_many() {
  const auto leaves = std::make_shared<std::vector<Tensor>>(many(100));
  const auto compiled = jit([](std::vector<Tensor>& v) {
    for (Tensor& x : v) x = x * 0.999;
  });
  return repeat([compiled, leaves] {
    compiled(*leaves);
    return leaves->back();
  });
}

}  // namespace

void add_small(Cases& cases) {
  cases.add("small", "add8", "eager",
            [] { return repeat([a = eight(), b = tenths()] { return a + b; }); });
  cases.add("small", "tanh10_grad_eager", "eager",
            [] { return repeat([x = tenths()] { return grad(ten_tanh)(x); }); });
  cases.add("small", "tanh10_grad_jit", "jit", [] {
    const auto compiled = jit([](const Tensor& x) { return grad(ten_tanh)(x); });
    return repeat([compiled, x = tenths()] { return compiled(x); });
  });
  for (const int count : {20, 100})
    cases.add("small", "jit_args_" + std::to_string(count), "jit",
              [count] { return call_with_arguments(count); });
  cases.add("small", "jit_update_100", "jit", update_of_many);
}

}  // namespace peers
