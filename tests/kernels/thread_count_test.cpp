// Our own kernels give the same bits for every number of threads, eagerly and compiled.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "linnet/deterministic.h"
#include "linnet/jit.h"
#include "linnet/ops.h"
#include "linnet/random.h"
#include "linnet/transforms.h"
#include "tests/kernels/kernel_test_data.h"

namespace linnet::thread_count_test {
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
    {"cumsum of a long row", [](const Tensor& x) { return cumsum(ravel(x), 0); }},
    {"softmax", [](const Tensor& x) { return softmax(x); }},
    {"gradient of logsumexp",
     [](const Tensor& x) {
       return grad([](const Tensor& y) { return sum(square(logsumexp(y, 0))); })(x);
     }},
    {"a chain", [](const Tensor& x) { return tanh(exp(x) * x + 0.3) / (square(x) + 1); }},
    {"the sum of a chain", [](const Tensor& x) { return sum(tanh(x * 0.5) * x); }},
    {"sums of the columns of a chain", [](const Tensor& x) { return sum(square(x) - x, 0); }},
    {"a chain and the sums of its rows",
     [](const Tensor& x) {
       const Tensor y = exp(x) * 0.25;
       return concatenate({ravel(y), sum(y, 1)});
     }},
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

/// What libraries compute, and may compute with other sums on other numbers of threads.
const Case kLibraryCases[] = {
    {"a product", [](const Tensor& x) { return matmul(x, x.T()); }},
    {"a product and its bias", [](const Tensor& x) { return gelu(matmul(x.T(), x) + x[0]); }},
    {"a product of bf16",
     [](const Tensor& x) { return matmul(x.astype(DType::kBF16), x.astype(DType::kBF16).T()); }},
    {"gradients of a convolution",
     [](const Tensor& x) {
       const Tensor images = slice_axis(ravel(x), 0, 8 * 16 * 16 * 32, 0).reshape(8, 16, 16, 32);
       const Tensor weights = slice_axis(ravel(x), 0, 9 * 32 * 16, 0).reshape(3, 3, 32, 16);
       const auto loss = [](const Tensor& i, const Tensor& w) {
         return sum(square(conv_general_dilated(i, w)));
       };
       const auto [di, dw] = grad<0, 1>(loss)(images, weights);
       return concatenate({ravel(di), ravel(dw)});
     }},
};

TEST(ThreadCount, R_032_deterministic_results_do_not_depend_on_the_number_of_threads) {
  const Tensor x = random::normal(Key(1), {311, 517});
  const bool before = is_deterministic();
  set_deterministic(true);
  for (const Case& c : kLibraryCases) {
    SCOPED_TRACE(c.name);
    EXPECT_TRUE(cpu::same_for_all_thread_counts([&] { return bits(c.f(x)); })) << "eager";
    const auto compiled = jit([&](const Tensor& y) { return c.f(y); });
    EXPECT_TRUE(cpu::same_for_all_thread_counts([&] { return bits(compiled(x)); })) << "jit";
  }
  set_deterministic(before);
}

TEST(ThreadCount, R_032_a_program_follows_the_switch) {
  const Tensor x = random::normal(Key(1), {128, 700});
  const auto product = jit([](const Tensor& y) { return matmul(y, y.T()); });
  const bool before = is_deterministic();
  set_deterministic(false);
  const std::string quick = bits(product(x));
  set_deterministic(true);
  EXPECT_EQ(bits(product(x)), bits(matmul(x, x.T())));
  set_deterministic(false);
  EXPECT_EQ(bits(product(x)), quick);
  EXPECT_EQ(product.trace_count(), 1u);
  set_deterministic(before);
}

}  // namespace
}  // namespace linnet::thread_count_test
