// How closely results agree: the classes of section 14 of docs/parity/jax_optax.md.
#include "linnet/jit.h"
#include "linnet/random.h"
#include "tests/ops/elementwise_support.h"
#include "tests/ops/random_support.h"

namespace linnet::equality_classes_test {
namespace {

using testing::expect_identical;

/// A product, a convolution and a norm, each of operands of one dtype.
TensorList products(DType dtype) {
  const Tensor a = random::normal(Key(1), {17, 33}, DType::kF64).astype(dtype),
               b = random::normal(Key(2), {33, 9}, DType::kF64).astype(dtype);
  const Tensor x = random::normal(Key(3), {2, 11, 13, 3}, DType::kF64).astype(dtype),
               w = random::normal(Key(4), {3, 3, 3, 5}, DType::kF64).astype(dtype);
  return {matmul(a, b), conv_general_dilated(x, w, {.padding = {{1, 1}, {1, 1}}}),
          layer_norm(a, {}, {}), softmax(a), logsumexp(b, 0)};
}

void expect_within(const TensorList& got, const TensorList& wanted, double tolerance) {
  for (size_t i = 0; i < got.size(); ++i) {
    const Tensor error = max(abs(astype(got[i], DType::kF64) - wanted[i]));
    const double scale = std::max(1.0, max(abs(wanted[i])).item<double>());
    EXPECT_LE(error.item<double>(), tolerance * scale) << "result " << i;
  }
}

TEST(EqualityClasses, J_146_integers_keys_and_repeated_work_agree_in_every_bit) {
  const auto work = [](const Tensor& x) { return softmax(matmul(x, transpose(x)) * 0.3, 1); };
  const Tensor x = random::normal(Key(5), {40, 40});
  expect_identical(work(x), work(x), "the same work again");
  const auto compiled = jit(work);
  expect_identical(compiled(x), compiled(x), "the same program again");
  const Tensor n = random::randint(Key(6), {30, 20}, -50, 50);
  const auto whole = [](const Tensor& v) {
    return matmul(v, transpose(v)) % 97 + cumsum(v, 1)[0][0];
  };
  expect_identical(jit(whole)(n), whole(n), "integers, compiled or not");
  expect_identical(
      astype(matmul(astype(n, DType::kF64), astype(transpose(n), DType::kF64)), DType::kI32),
      matmul(n, transpose(n)), "exact sums of integers");
  const auto keys = [](const Key& key) { return random::split(random::fold_in(key, 3), 4); };
  expect_identical(jit(keys)(Key(7)).data(), keys(Key(7)).data(), "keys, compiled or not");
}

TEST(EqualityClasses, J_146_f32_agrees_to_1e_5) {
  expect_within(products(DType::kF32), products(DType::kF64), 1e-5);
}

TEST(EqualityClasses, J_146_16_bits_agree_to_their_precision) {
  // Against f64 of the same rounded operands: what the operation itself loses.
  for (DType dtype : {DType::kBF16, DType::kF16}) {
    const TensorList narrow = products(dtype);
    const Tensor a = random::normal(Key(1), {17, 33}, DType::kF64).astype(dtype),
                 b = random::normal(Key(2), {33, 9}, DType::kF64).astype(dtype);
    const Tensor exact = matmul(a.astype(DType::kF64), b.astype(DType::kF64));
    expect_within({narrow[0]}, {exact}, 1e-2);
    expect_within(narrow, products(DType::kF64), 3e-2);
  }
}

}  // namespace
}  // namespace linnet::equality_classes_test
