// Samplers against the numbers that JAX gave.
#include <functional>

#include "linnet/jit.h"
#include "tests/ops/golden_file.h"
#include "tests/ops/random_support.h"

namespace linnet::random_golden_test {
namespace {

using testing::expect_golden;
using testing::expect_identical;

const testing::GoldenFile& golden() {
  static const testing::GoldenFile* file = new testing::GoldenFile("random");
  return *file;
}

struct Case {
  std::string name;
  std::function<Tensor()> draw;
  double tolerance = 0;  ///< of max(1, |expected|); 0 means every bit
};

const Key kKey(1701);
const Shape kS{16};
Tensor input(const std::string& name) { return golden().tensor(name); }
Tensor counted() { return reshape(arange(24), {6, 4}); }

void check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const Tensor expected = golden().tensor(c.name + "/out");
    if (c.tolerance == 0)
      expect_identical(c.draw(), expected, c.name);
    else
      expect_golden(c.draw(), expected, c.tolerance, c.name);
  }
}

TEST(RandomKeys, J_056_J_057_J_058_J_059_J_070_keys_from_jax) {
  const std::vector<int32_t> seeds = input("key/seed").to_vector<int32_t>();
  for (size_t i = 0; i < seeds.size(); ++i) {
    expect_identical(Key(seeds[i]).data(), input("key/out")[static_cast<int64_t>(i)], "key");
  }
  check({{"split", [] { return random::split(kKey, 4).data(); }},
         {"split_shape",
          [] {
            return random::split(kKey, Shape{2, 3}).data();
          }},
         {"fold_in", [] { return random::fold_in(kKey, input("fold_in/data")).data(); }},
         {"bits8",
          [] {
            return random::bits(kKey, {2, 3}, DType::kU8);
          }},
         {"bits16",
          [] {
            return random::bits(kKey, {2, 3}, DType::kU16);
          }},
         {"bits32",
          [] {
            return random::bits(kKey, {2, 3}, DType::kU32);
          }},
         {"bits64", [] {
            return random::bits(kKey, {2, 3}, DType::kU64);
          }}});
}

TEST(RandomSamplers, J_060_J_061_J_062_J_070_floats_from_jax) {
  struct Kind {
    const char* name;
    DType dtype;
    double tolerance;
  };
  for (const Kind& kind : {Kind{"f32", DType::kF32, 1.2e-7}, Kind{"f64", DType::kF64, 2e-15},
                           Kind{"f16", DType::kF16, 0}, Kind{"bf16", DType::kBF16, 0}}) {
    const std::string suffix = std::string("_") + kind.name;
    const DType dtype = kind.dtype;
    check(
        {{"uniform" + suffix, [=] { return random::uniform(kKey, {32}, dtype); }},
         {"uniform_range" + suffix, [=] { return random::uniform(kKey, {32}, dtype, -2.5, 7.0); }},
         {"normal" + suffix, [=] { return random::normal(kKey, {64}, dtype); }, kind.tolerance},
         {"truncated_normal" + suffix,
          [=] { return random::truncated_normal(kKey, -2, 2, {64}, dtype); }, kind.tolerance}});
  }
  check({{"truncated_normal_onesided", [] { return random::truncated_normal(kKey, 0.5, 10.0, kS); },
          3e-7},
         {"normal_tail",
          [] {
            const Tensor sorted = sort(random::normal(kKey, {4096}));
            return concatenate({slice_axis(sorted, 0, 8, 0), slice_axis(sorted, 4088, 4096, 0)});
          },
          1e-7}});
}

TEST(RandomSamplers, J_064_J_070_integers_from_jax) {
  struct Range {
    const char* dtype;
    DType type;
    int64_t low, high;
  };
  const Range ranges[] = {{"i8", DType::kI8, -5, 9},
                          {"i8", DType::kI8, -128, 127},
                          {"i8", DType::kI8, -128, 128},
                          {"i8", DType::kI8, -200, 300},
                          {"u8", DType::kU8, 0, 10},
                          {"u8", DType::kU8, 0, 255},
                          {"u8", DType::kU8, 0, 256},
                          {"i16", DType::kI16, -7, 1000},
                          {"i16", DType::kI16, -32768, 32768},
                          {"u16", DType::kU16, 0, 50000},
                          {"u16", DType::kU16, 0, 65536},
                          {"i32", DType::kI32, 0, 10},
                          {"i32", DType::kI32, -100000, 100000},
                          {"i32", DType::kI32, 0, 65537},
                          {"i32", DType::kI32, 5, 5},
                          {"i32", DType::kI32, 7, 3},
                          {"i32", DType::kI32, -2147483648, 2147483647},
                          {"u32", DType::kU32, 0, 10},
                          {"u32", DType::kU32, 0, 2147483647},
                          {"i64", DType::kI64, -10, 10},
                          {"i64", DType::kI64, -(int64_t{1} << 62), int64_t{1} << 62},
                          {"i64", DType::kI64, 0, (int64_t{1} << 33) + 1},
                          {"u64", DType::kU64, 0, int64_t{1} << 40}};
  std::vector<Case> cases;
  for (const Range& r : ranges) {
    cases.push_back({std::string("randint_") + r.dtype + "_" + std::to_string(r.low) + "_" +
                         std::to_string(r.high),
                     [=] { return random::randint(kKey, {8}, r.low, r.high, r.type); }});
  }
  cases.push_back({"randint_u32_high", [] {
                     return random::randint(kKey, {8}, 0, scalar_integer(0xFFFFFFFF, DType::kU32),
                                            DType::kU32);
                   }});
  cases.push_back({"randint_vector", [] {
                     return random::randint(kKey, {3, 2}, tensor({0, -10}), tensor({5, 10}));
                   }});
  check(cases);
}

TEST(RandomSamplers, J_065_J_070_orders_and_choices_from_jax) {
  check(
      {{"permutation_5", [] { return random::permutation(kKey, 5); }},
       {"permutation_2000", [] { return astype(random::permutation(kKey, 2000), DType::kU16); }},
       {"permutation_axis0", [] { return random::permutation(kKey, counted()); }},
       {"permutation_axis1", [] { return random::permutation(kKey, counted(), 1); }},
       {"permutation_independent", [] { return random::permutation(kKey, counted(), 0, true); }},
       {"permutation_rounds_axis",
        [] {
          return slice_axis(random::permutation(kKey, reshape(arange(2000), {1000, 2})), 0, 16, 0);
        }},
       {"choice", [] { return random::choice(kKey, 5, {8}); }},
       {"choice_no_replace",
        [] {
          return random::choice(kKey, 10, {2, 3}, false);
        }},
       {"choice_p", [] { return random::choice(kKey, 5, kS, true, input("choice_p/p")); }},
       {"choice_p_no_replace",
        [] { return random::choice(kKey, 5, {3}, false, input("choice_p/p")); }},
       {"choice_axis", [] { return random::choice(kKey, counted(), {3}, true, {}, 1); }}});
  const std::vector<int64_t> rows =
      index_axis(random::permutation(kKey, reshape(arange(2000), {1000, 2})), 0, 1)
          .to_vector<int64_t>();
  uint32_t checksum = 0;
  for (uint32_t i = 0; i < rows.size(); ++i) checksum += i * static_cast<uint32_t>(rows[i]);
  EXPECT_EQ(checksum, input("permutation_rounds_axis/checksum").item<uint32_t>());
}

TEST(RandomSamplers, J_063_J_066_J_070_categories_from_jax) {
  const Tensor logits = input("categorical/logits");
  check({{"bernoulli", [] { return random::bernoulli(kKey, 0.3, Shape{64}); }},
         {"bernoulli_vector",
          [] {
            return random::bernoulli(kKey, tensor({0.f, .25f, .5f, .75f, 1.f}));
          }},
         {"rademacher", [] { return random::rademacher(kKey, kS); }},
         {"categorical", [=] { return random::categorical(kKey, logits); }},
         {"categorical_shape",
          [=] {
            return random::categorical(kKey, logits, -1, Shape{5, 3});
          }},
         {"categorical_axis0",
          [=] {
            return random::categorical(kKey, logits, 0, Shape{2, 4});
          }},
         {"categorical_no_replace", [=] {
            return random::categorical(kKey, logits, -1, Shape{2, 3}, false);
          }}});
}

TEST(RandomSamplers, J_067_distributions_from_jax) {
  using namespace random;
  check({{"gumbel_low", [] { return gumbel(kKey, kS); }, 3e-7},
         {"gumbel_f64", [] { return gumbel(kKey, kS, DType::kF64); }, 1e-15},
         {"gumbel_bf16", [] { return gumbel(kKey, kS, DType::kBF16); }, 1e-2},
         {"exponential", [] { return exponential(kKey, kS); }, 3e-7},
         {"exponential_f64", [] { return exponential(kKey, kS, DType::kF64); }, 1e-15},
         {"laplace", [] { return laplace(kKey, kS); }, 3e-7},
         {"logistic", [] { return logistic(kKey, kS); }, 3e-7},
         {"cauchy", [] { return cauchy(kKey, kS); }, 1e-6},
         {"pareto", [] { return pareto(kKey, 1.5, kS); }, 1e-6},
         {"weibull_min", [] { return weibull_min(kKey, 2.0, 1.5, kS); }, 1e-6},
         {"rayleigh", [] { return rayleigh(kKey, 2.0, kS); }, 3e-7},
         {"geometric", [] { return geometric(kKey, 0.3, kS); }},
         {"triangular", [] { return triangular(kKey, -1.0, 0.5, 2.0, kS); }, 3e-7},
         {"lognormal", [] { return lognormal(kKey, 0.5, kS); }, 1e-6},
         {"maxwell", [] { return maxwell(kKey, kS); }, 3e-7},
         {"double_sided_maxwell", [] { return double_sided_maxwell(kKey, 1.0, 2.0, kS); }, 5e-7},
         {"double_sided_maxwell_vector",
          [] {
            return double_sided_maxwell(kKey, tensor({1.f, 2.f}), tensor({1.f, 3.f}));
          },
          5e-7},
         {"wald", [] { return wald(kKey, 1.5, kS); }, 2e-6}});
}

TEST(RandomSamplers, J_067_gamma_family_from_jax) {
  using namespace random;
  std::vector<Case> cases;
  for (const auto& [text, a] :
       {std::pair{"0.3", 0.3}, {"1.0", 1.0}, {"2.5", 2.5}, {"30.0", 30.0}}) {
    cases.push_back({std::string("gamma_") + text, [a = a] { return gamma(kKey, a, kS); }, 2e-6});
    cases.push_back(
        {std::string("loggamma_") + text, [a = a] { return loggamma(kKey, a, kS); }, 1e-6});
  }
  check(cases);
  check({{"gamma_vector",
          [] {
            return gamma(kKey, tensor({0.1f, 1.f, 10.f}), Shape{2, 3});
          },
          2e-6},
         {"beta", [] { return beta(kKey, 2.0, 3.0, kS); }, 1e-6},
         {"dirichlet",
          [] {
            return dirichlet(kKey, tensor({1.f, 2.f, 3.f}), Shape{4});
          },
          1e-6},
         {"chisquare", [] { return chisquare(kKey, 3.0, kS); }, 2e-6},
         {"t", [] { return t(kKey, 4.0, kS); }, 2e-6},
         {"f", [] { return f(kKey, 3.0, 5.0, kS); }, 3e-6},
         {"generalized_normal", [] { return generalized_normal(kKey, 1.5, kS); }, 1e-6},
         {"ball", [] { return ball(kKey, 3, 2.0, {4}); }, 1e-6}});
}

TEST(RandomSamplers, J_067_poisson_from_jax) {
  using random::poisson;
  std::vector<Case> cases;
  for (const auto& [text, rate] :
       {std::pair{"0.5", 0.5}, {"3.0", 3.0}, {"9.5", 9.5}, {"15.0", 15.0}, {"1000.0", 1000.0}}) {
    cases.push_back(
        {std::string("poisson_") + text, [rate = rate] { return poisson(kKey, rate, kS); }});
  }
  cases.push_back({"poisson_vector", [] { return poisson(kKey, input("poisson_vector/lam")); }});
  check(cases);
}

TEST(RandomSamplers, J_067_binomial_and_multinomial_from_jax) {
  using random::binomial;
  const auto vector = [](const Key& key) {
    return binomial(key, input("binomial_vector/n"), input("binomial_vector/p"));
  };
  check({{"binomial_10_0.3", [] { return binomial(kKey, 10.0, 0.3, kS); }},
         {"binomial_10_0.9", [] { return binomial(kKey, 10.0, 0.9, kS); }},
         {"binomial_100_0.4", [] { return binomial(kKey, 100.0, 0.4, kS); }},
         {"binomial_1000_0.7", [] { return binomial(kKey, 1000.0, 0.7, kS); }},
         {"binomial_vector", [&] { return vector(kKey); }},
         {"binomial_vector", [&] { return jit(vector)(kKey); }},
         {"multinomial", [] {
            return random::multinomial(kKey, 20.0, tensor({.1f, .2f, .3f, .4f}));
          }}});
}

TEST(RandomSamplers, J_068_matrices_from_jax) {
  using namespace random;
  check({{"orthogonal_4", [] { return orthogonal(kKey, 4); }, 1e-6},
         {"orthogonal_3x2", [] { return orthogonal(kKey, 3, {}, 2); }, 1e-6},
         {"orthogonal_2x3_batch", [] { return orthogonal(kKey, 2, {2}, 3); }, 1e-6},
         {"multivariate_normal_cholesky",
          [] {
            return multivariate_normal(kKey, input("multivariate_normal_cholesky/mean"),
                                       input("multivariate_normal_cholesky/cov"), Shape{4});
          },
          1e-6}});
}

}  // namespace
}  // namespace linnet::random_golden_test
