// Our own kernels give the same bits for every number of threads, eagerly and compiled.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "linnet/jit.h"
#include "linnet/ops.h"
#include "linnet/random.h"
#include "linnet/transforms.h"
#include "tests/kernels/kernel_test_data.h"

namespace linnet {
namespace {

std::string bits(const Tensor& x) {
  std::string out;
  for (double value : x.to_vector<double>()) {
    out.append(sizeof value, '\0');
    std::memcpy(out.data() + out.size() - sizeof value, &value, sizeof value);
  }
  return out;
}

struct Case {
  const char* name;
  std::function<Tensor(const Tensor&)> f;
};

const Case kCases[] = {
    {"sum of all", [](const Tensor& x) { return sum(x); }},
    {"sums of columns", [](const Tensor& x) { return sum(x, 0); }},
    {"variance", [](const Tensor& x) { return var(x, 1); }},
    {"cumsum", [](const Tensor& x) { return cumsum(x, 0); }},
    {"softmax", [](const Tensor& x) { return softmax(x); }},
    {"gradient of logsumexp",
     [](const Tensor& x) {
       return grad([](const Tensor& y) { return sum(square(logsumexp(y, 0))); })(x);
     }},
    {"a chain", [](const Tensor& x) { return tanh(exp(x) * x + 0.3) / (square(x) + 1); }},
    {"argsort", [](const Tensor& x) { return argsort(x, 1); }},
    {"normal numbers",
     [](const Tensor& x) { return random::normal(Key(5), x.shape(), x.dtype()) * x; }},
    {"a product in double precision",
     [](const Tensor& x) { return matmul(x.astype(DType::kF64), x.astype(DType::kF64).T()); }},
    {"an integer product",
     [](const Tensor& x) {
       const Tensor n = (x * 100).astype(DType::kI32);
       return matmul(n, n.T());
     }},
};

TEST(ThreadCount, R_032_own_kernels_give_the_same_bits) {
  const Tensor x = random::normal(Key(1), {311, 517});
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    EXPECT_TRUE(cpu::same_for_all_thread_counts([&] { return bits(c.f(x)); })) << "eager";
    const auto compiled = jit([&](const Tensor& y) { return c.f(y); });
    EXPECT_TRUE(cpu::same_for_all_thread_counts([&] { return bits(compiled(x)); })) << "jit";
  }
}

}  // namespace
}  // namespace linnet
