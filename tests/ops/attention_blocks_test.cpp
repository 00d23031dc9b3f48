// Attention in blocks, which f32 and 16-bit floats have kernels for, against f64, which is composed
// of other operations.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "linnet/jit.h"
#include "linnet/ops.h"
#include "linnet/parallel.h"
#include "linnet/random.h"
#include "linnet/transforms.h"

namespace linnet::attention_blocks_test {
namespace {

struct Case {
  const char* name;
  int64_t batch, q_len, kv_len, heads, kv_heads, dim, v_dim;
  bool causal = false;
  Shape mask = {};
};

/// Sizes around blocks of 64 queries and panels of 6 to 48 keys, primes, ones, grouped heads.
const std::vector<Case>& cases() {
  static const auto* all = new std::vector<Case>{
      {"small", 2, 8, 8, 2, 2, 4, 4},
      {"ones", 1, 8, 1, 1, 1, 1, 1},
      {"prime", 1, 67, 131, 1, 1, 7, 5},
      {"causal", 1, 131, 131, 2, 2, 16, 16, true},
      {"causal_wide", 1, 65, 200, 1, 1, 64, 80, true},
      {"causal_tall", 1, 200, 65, 1, 1, 3, 50, true},
      {"grouped", 2, 70, 49, 4, 2, 8, 8, true},
      {"masked", 2, 33, 40, 2, 1, 8, 8, false, {2, 1, 33, 40}},
      {"masked_keys", 2, 9, 97, 2, 2, 8, 8, false, {2, 1, 1, 97}},
      {"masked_causal", 1, 70, 70, 2, 2, 8, 8, true, {1, 2, 70, 70}},
      {"masked_heads", 1, 16, 200, 2, 2, 8, 8, false, {1, 2, 1, 1}},
  };
  return *all;
}

/// q, k, v in f64, of numbers that 16-bit floats hold.
TensorList operands_of(const Case& c) {
  const auto numbers = [&](uint64_t seed, const Shape& shape) {
    return random::normal(Key(seed), shape).astype(DType::kBF16).astype(DType::kF64);
  };
  return {numbers(1, {c.batch, c.q_len, c.heads, c.dim}),
          numbers(2, {c.batch, c.kv_len, c.kv_heads, c.dim}),
          numbers(3, {c.batch, c.kv_len, c.kv_heads, c.v_dim})};
}

/// Some queries may look nowhere.
Tensor mask_of(const Case& c) {
  if (c.mask.empty()) return {};
  const Tensor some = random::bernoulli(Key(4), 0.6, c.mask);
  return c.mask[2] == 1 ? some : logical_and(some, iota(DType::kI32, c.mask, 2) != Tensor(5));
}

/// Result, log-sum-exp, and the gradients of a function of both.
TensorList results(const TensorList& x, const Tensor& mask, bool causal, DType dtype) {
  TensorList given;
  for (const Tensor& t : x) given.push_back(t.astype(dtype));
  const auto f = [&](const TensorList& in) {
    return dot_product_attention_with_residual(in[0], in[1], in[2], {}, mask,
                                               {.scale = 0.4, .causal = causal});
  };
  const AttentionResult y = f(given);
  TensorList out{y.y, y.log_sum_exp};
  const TensorList gradients = grad([&](const TensorList& in) {
    const AttentionResult r = f(in);
    const Tensor lse = where(r.log_sum_exp < Tensor(-1e30),
                             zeros(r.log_sum_exp.shape(), r.log_sum_exp.dtype()), r.log_sum_exp);
    return sum(square(r.y.astype(lse.dtype()))) + sum(sin(lse));
  })(given);
  out.insert(out.end(), gradients.begin(), gradients.end());
  return out;
}

void expect_near(const Tensor& got, const Tensor& wanted, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(got.shape(), wanted.shape()) << what;
  const std::vector<double> a = got.astype(DType::kF64).to_vector<double>(),
                            b = wanted.astype(DType::kF64).to_vector<double>();
  double largest = 1;
  for (const double value : b) {
    if (value > -1e30) largest = std::max(largest, std::abs(value));
  }
  for (size_t i = 0; i < a.size(); ++i) {
    if (b[i] < -1e30)
      EXPECT_LT(a[i], -1e30) << what << " " << i;
    else
      ASSERT_NEAR(a[i], b[i], tolerance * largest) << what << " " << i;
  }
}

TEST(AttentionBlocks, agree_with_f64) {
  const char* names[] = {"y", "lse", "dq", "dk", "dv"};
  for (const Case& c : cases()) {
    const TensorList x = operands_of(c);
    const Tensor mask = mask_of(c);
    const TensorList wanted = results(x, mask, c.causal, DType::kF64);
    for (const auto& [dtype, tolerance] :
         {std::pair{DType::kF32, 1e-5}, {DType::kBF16, 2e-2}, {DType::kF16, 3e-3}}) {
      const TensorList got = results(x, mask, c.causal, dtype);
      for (size_t i = 0; i < wanted.size(); ++i)
        expect_near(got[i], wanted[i], tolerance,
                    std::string(c.name) + " " + names[i] + " " + std::string(name_of(dtype)));
    }
  }
}

TEST(AttentionBlocks, R_032_bits_depend_on_neither_threads_nor_strides) {
  for (const Case& c : cases()) {
    const TensorList x = operands_of(c);
    const Tensor mask = mask_of(c);
    set_num_threads(1);
    const TensorList wanted = results(x, mask, c.causal, DType::kF32);
    TensorList turned;
    for (const Tensor& t : x)
      turned.push_back(t.transpose({3, 0, 2, 1}).contiguous().transpose({1, 3, 2, 0}));
    for (const int threads : {2, 3, 4}) {
      set_num_threads(threads);
      const TensorList got = results(threads == 3 ? turned : x, mask, c.causal, DType::kF32);
      for (size_t i = 0; i < wanted.size(); ++i)
        EXPECT_EQ(got[i].to_vector<float>(), wanted[i].to_vector<float>()) << c.name << " " << i;
    }
    set_num_threads(2);
  }
}

// What a query does not see must not reach it, whatever it is.
TEST(AttentionBlocks, what_is_hidden_stays_hidden) {
  const int64_t n = 100;
  const Tensor q = random::normal(Key(1), {1, n, 1, 8});
  const Tensor later = iota(DType::kI32, {1, n, 1, 1}, 1) >= Tensor(70);
  const Tensor other = where(later, Tensor(1e30f), q);
  const AttentionOptions options{.causal = true};
  const auto first = [&](const Tensor& y) { return slice(y, {0, 0, 0, 0}, {1, 70, 1, 8}); };
  EXPECT_EQ(first(dot_product_attention(q, q, q, {}, {}, options)).to_vector<float>(),
            first(dot_product_attention(q, other, other, {}, {}, options)).to_vector<float>());
  const Tensor nan = where(later, Tensor(std::numeric_limits<float>::quiet_NaN()), q);
  const Tensor y = dot_product_attention(nan, q, q, {}, {}, options);
  for (const float value : first(y).to_vector<float>()) EXPECT_FALSE(std::isnan(value));
  EXPECT_TRUE(std::isnan(y.to_vector<float>().back()));
}

}  // namespace
}  // namespace linnet::attention_blocks_test
