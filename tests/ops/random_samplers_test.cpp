// Samplers: the known answers of docs/rng.md sections 11.1, 11.3 and 11.4.
#include <functional>

#include "linnet/error.h"
#include "tests/ops/elementwise_support.h"
#include "tests/ops/random_support.h"

namespace linnet::random_samplers_test {
namespace {

using random::Layout;
using random::LayoutScope;
using testing::expect_error;
using testing::expect_identical;
using testing::expect_ulps;
using testing::expect_values;
using testing::float_words;
using testing::Words;
using testing::words;

const Key kKey(1701);
const Shape kFive{5};

/// The seed of JAX's table of distributions: Adler-32 of the name.
Key table_key(const std::string& name) {
  uint32_t a = 1, b = 0;
  for (unsigned char c : name + "threefry2x32") {
    a = (a + c) % 65521;
    b = (b + a) % 65521;
  }
  return Key(b << 16 | a);
}

struct TableCase {
  const char* name;
  std::function<Tensor(const Key&)> draw;
  std::vector<double> expected;
};

std::vector<TableCase> older_table() {
  using namespace random;
  return {
      {"bits", [](const Key& k) { return bits(k, kFive, DType::kU8); }, {10, 158, 82, 54, 158}},
      {"bits",
       [](const Key& k) { return bits(k, kFive, DType::kU16); },
       {6738, 38161, 50695, 57337, 61600}},
      {"bits",
       [](const Key& k) { return bits(k, kFive); },
       {1978747883, 4134381225, 3628107870, 689687174, 2788938207}},
      {"bernoulli", [](const Key& k) { return bernoulli(k, 0.5, kFive); }, {0, 1, 1, 1, 0}},
      {"rademacher", [](const Key& k) { return rademacher(k, kFive); }, {-1, -1, -1, -1, 1}},
      {"randint", [](const Key& k) { return randint(k, kFive, 0, 10); }, {0, 5, 7, 7, 5}},
      {"poisson", [](const Key& k) { return poisson(k, 5.0, kFive); }, {7, 3, 6, 11, 6}},
      {"uniform",
       [](const Key& k) { return uniform(k, kFive); },
       {0.298671, 0.073213, 0.873356, 0.260549, 0.412797}},
      {"normal",
       [](const Key& k) { return normal(k, kFive); },
       {-1.173234, -1.511662, 0.070593, -0.099764, 1.052845}},
      {"truncated_normal",
       [](const Key& k) { return truncated_normal(k, 0, 2, kFive); },
       {0.582807, 1.709771, 0.159513, 0.861376, 0.36148}},
      {"multivariate_normal",
       [](const Key& k) {
         return multivariate_normal(k, ones({1, 3}), expand_dims(eye(3), 0), Shape{2});
       },
       {1.067826, 1.215599, 0.234166, -0.237534, 1.32591, 1.413987}},
      {"exponential",
       [](const Key& k) { return exponential(k, kFive); },
       {0.526067, 0.043046, 0.039932, 0.46427, 0.123886}},
      {"laplace",
       [](const Key& k) { return laplace(k, kFive); },
       {0.578939, -0.204902, 0.555733, 0.911053, -0.96456}},
      {"logistic",
       [](const Key& k) { return logistic(k, kFive); },
       {0.19611, -1.709053, -0.274093, -0.208322, -1.675489}},
      {"cauchy",
       [](const Key& k) { return cauchy(k, kFive); },
       {-0.088416, -10.169713, 3.49677, -1.18056, 0.34556}},
      {"gumbel",
       [](const Key& k) { return gumbel(k, kFive); },
       {2.06701, 0.911726, 0.145736, 0.185427, -0.00711}},
      {"pareto",
       [](const Key& k) { return pareto(k, 0.5, kFive); },
       {2.751398, 1.281863, 87.85448, 1.254542, 2.824487}},
      {"weibull_min",
       [](const Key& k) { return weibull_min(k, 1.0, 1.0, kFive); },
       {1.605863, 0.841809, 0.224218, 0.4826, 0.027901}},
      {"maxwell",
       [](const Key& k) { return maxwell(k, kFive); },
       {3.070779, 0.908479, 1.521317, 0.875551, 1.306137}},
      {"double_sided_maxwell",
       [](const Key& k) { return double_sided_maxwell(k, 1.0, 2.0, kFive); },
       {-2.408914, -3.370437, 3.235352, -0.907734, -1.708732}},
      {"gamma",
       [](const Key& k) { return gamma(k, 0.8, kFive); },
       {0.824221, 1.724476, 0.502882, 5.386132, 0.685543}},
      {"loggamma",
       [](const Key& k) { return loggamma(k, 0.8, kFive); },
       {0.240559, -3.575443, -0.450946, -2.161372, -2.943277}},
      {"beta",
       [](const Key& k) { return beta(k, 0.8, 0.9, kFive); },
       {0.13259, 0.824893, 0.948363, 0.964155, 0.235448}},
      {"dirichlet",
       [](const Key& k) {
         return dirichlet(k, tensor({0.5f, 0.6f, 0.7f}), Shape{2});
       },
       {0.003128, 0.009694, 0.987178, 0.025938, 0.479091, 0.494971}},
  };
}

TEST(RandomSamplers, J_067_table_of_section_11_1_in_the_older_layout) {
  const LayoutScope older(Layout::kOriginal);
  for (const TableCase& c : older_table()) {
    // One of the Cauchy numbers lies where the tangent is steep.
    const double tolerance = std::string(c.name) == "cauchy" ? 3e-6 : 1.5e-6;
    expect_values(c.draw(table_key(c.name)), c.expected, tolerance, c.name);
  }
  EXPECT_EQ(
      random::bits(table_key("bits"), kFive, DType::kU64).to_vector<uint64_t>(),
      (std::vector<uint64_t>{17649965731882839947u, 1415307058040849897u, 8282622628079774249u,
                             14024425113645909402u, 2012979996110532418u}));
  const Key edge(tensor({3200590325u, 713258242u}));
  expect_values(random::loggamma(edge, 0.0), {-4.595436}, 1e-6, "loggamma of 0");
}

TEST(RandomSamplers, J_064_older_layout) {
  const LayoutScope older(Layout::kOriginal);
  expect_values(random::randint(Key(0), {3, 3}, 0, 8), {2, 1, 3, 6, 1, 5, 6, 3, 4}, 0, "i32");
  expect_values(random::randint(Key(0), {3, 3}, 0, 8, DType::kI64), {7, 2, 6, 2, 1, 0, 6, 7, 7}, 0,
                "i64");
}

TEST(RandomSamplers, J_060_uniform) {
  expect_values(random::uniform(Key(0), {3}), {0.947667, 0.9785799, 0.33229148}, 1e-7, "key 0");
  EXPECT_EQ(random::uniform(Key(0), {3}, -2, 2).to_vector<float>(),
            random::uniform(Key(0), {3}, DType::kF32, -2, 2).to_vector<float>());
  EXPECT_EQ(random::uniform(Key(0), {3}, 0, 1, DType::kF64).dtype(), DType::kF64);
  expect_values(random::uniform(Key(51), {4}), {0.471269, 0.12344253, 0.17550635, 0.5663593}, 1e-7,
                "key 51");
  const Key keys = random::fold_in(random::split(random::fold_in(Key(123), 0), 3), 0);
  expect_values(random::uniform(keys), {0.35525954, 0.21937883, 0.5336956}, 1e-7,
                "an array of keys");
  EXPECT_EQ(float_words(random::uniform(kKey, {6})),
            (Words{0x3e84794c, 0x3f1fb574, 0x3e6857b0, 0x3df8e5d0, 0x3efd9c44, 0x3f759b64}));
  const Words range{0xbf6e1ad0, 0x3ffed5d0, 0xbf97a850, 0xc001c68c, 0x3f767110, 0x40959b64};
  EXPECT_EQ(float_words(random::uniform(kKey, {6}, DType::kF32, -3, 5)), range);
  EXPECT_EQ(float_words(random::uniform(kKey, {6}, DType::kF32, full({6}, -3.0), full({6}, 5.0))),
            range)
      << "bounds that are tensors";
}

TEST(RandomSamplers, J_060_uniform_is_half_open) {
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
    const Tensor unit = random::uniform(kKey, {20000}, dtype);
    EXPECT_GE(min(unit).item<double>(), 0) << name_of(dtype);
    EXPECT_LT(max(unit).item<double>(), 1) << name_of(dtype);
    const Tensor shifted = random::uniform(kKey, {20000}, dtype, 3, 3.0625);
    EXPECT_GE(min(shifted).item<double>(), 3) << name_of(dtype);
  }
}

TEST(RandomSamplers, J_060_uniform_in_other_dtypes) {
  expect_values(random::uniform(kKey, {6}, DType::kF16) * 1024, {668, 464, 944, 750, 137, 404}, 0,
                "f16");
  expect_values(random::uniform(kKey, {6}, DType::kBF16) * 128, {18, 29, 26, 89, 55, 30}, 0,
                "bf16");
  expect_values(random::uniform(kKey, {6}, DType::kF64) * 0x1p52,
                {777042220474749, 89379027135005, 58927030179014, 972248422974858, 4194464143313461,
                 3429600021673605},
                0, "f64");
  expect_error<DTypeError>([] { random::uniform(kKey, {6}, DType::kI32); },
                           "randint draws integers");
  expect_error<ShapeError>([] { random::uniform(kKey, {}, DType::kF32, zeros({3}), 1.0); },
                           "do not broadcast");
}

TEST(RandomSamplers, J_061_normal) {
  expect_values(random::normal(Key(0), {3}), {1.6226422, 2.0252647, -0.43359444}, 1e-7, "key 0");
  EXPECT_EQ(float_words(random::normal(kKey, {6})),
            (Words{0xbf25b198, 0x3ea19bb6, 0xbf3fc554, 0xbf956c1f, 0xbc3fad4e, 0x3fdf3496}));
}

TEST(RandomSamplers, J_062_truncated_normal) {
  const Words expected{0xbf1d19bc, 0x3e9a05fa, 0xbf355f06, 0xbf8b0020, 0xbc36f4d6, 0x3fc56a05};
  EXPECT_EQ(float_words(random::truncated_normal(kKey, -2, 2, {6})), expected);
  expect_ulps(random::truncated_normal(kKey, full({6}, -2.0), full({6}, 2.0), {6}), expected, 1,
              "tensor bounds");
  const std::vector<float> tail = random::truncated_normal(kKey, 3, 3.1, {500}).to_vector<float>();
  for (float value : tail) EXPECT_TRUE(value > 3.0f && value < 3.1f) << value;
}

TEST(RandomSamplers, J_063_bernoulli) {
  expect_values(random::bernoulli(kKey, 0.3, Shape{12}), {1, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1}, 0,
                "p = 0.3");
  expect_identical(random::bernoulli(kKey, 0.3, Shape{500}), random::uniform(kKey, {500}) < 0.3,
                   "a uniform number below p");
  EXPECT_EQ(random::bernoulli(kKey).shape(), Shape{});
  EXPECT_EQ(random::bernoulli(kKey, full({2, 3}, 0.5)).shape(), (Shape{2, 3}));
}

TEST(RandomSamplers, J_064_randint) {
  expect_values(random::randint(Key(1), {5}, 0, 10), {6, 7, 0, 3, 8}, 0, "published");
  expect_values(random::randint(kKey, {10}, 0, 10), {2, 8, 7, 4, 2, 3, 1, 0, 3, 6}, 0, "[0, 10)");
  expect_values(random::randint(kKey, {4}, -5, 1000000007),
                {492257483, 454871341, 814313584, 123422177}, 0, "prime");
  expect_values(random::randint(kKey, {4}, -2147483648, 2147483648),
                {1344773876, -692612290, 1666829977, 1975938582}, 0, "all of i32");
  expect_values(random::randint(kKey, {8}, 0, 256, DType::kU8),
                {244, 62, 153, 22, 168, 217, 89, 122}, 0, "all of u8");
  expect_values(random::randint(kKey, {6}, 0, 10, DType::kI64), {2, 6, 3, 1, 9, 6}, 0, "i64");
  expect_values(random::randint(kKey, {2}, 5, 5), {5, 5}, 0, "an empty range gives its lower end");
  expect_error<DTypeError>([] { random::randint(kKey, {2}, 0.0, 5.0); }, "expected integer bounds");
  expect_error<DTypeError>([] { random::randint(kKey, {2}, 0, 5, DType::kF32); },
                           "expected an integer dtype");
}

TEST(RandomSamplers, J_065_permutation) {
  expect_values(random::permutation(kKey, 10), {9, 1, 8, 6, 5, 4, 0, 2, 7, 3}, 0, "10");
  expect_values(random::permutation(Key(3), arange(5)), {0, 4, 2, 1, 3}, 0, "published");
  const Words many = words(random::permutation(kKey, 2000));
  EXPECT_EQ(Words(many.begin(), many.begin() + 10),
            (Words{445, 1512, 367, 1945, 1547, 1182, 119, 174, 1246, 624}));
  uint64_t checksum = 0;
  for (uint64_t i = 0; i < many.size(); ++i) checksum += i * many[i];
  EXPECT_EQ(checksum, 2018602360u);
  EXPECT_EQ(random::permutation(kKey, 0).size(), 0);
  expect_values(random::permutation(kKey, 1), {0}, 0, "one");
  expect_error<ShapeError>([] { random::permutation(random::split(kKey), 3); },
                           "vmap over the keys");
}

TEST(RandomSamplers, J_065_choice) {
  expect_values(random::choice(Key(2), tensor({10, 20, 30, 40}), {3}), {40, 10, 20}, 0,
                "published");
  expect_values(random::choice(kKey, 10, {4}, false), {9, 1, 8, 6}, 0, "without replacement");
  expect_error<ValueError>([] { random::choice(kKey, 3, {4}, false); }, "cannot take 4 of 3");
  expect_error<ShapeError>([] { random::choice(kKey, 3, {4}, true, ones({2})); },
                           "expected 3 probabilities");
  const std::vector<int32_t> drawn =
      random::choice(kKey, 3, {4000}, true, tensor({0.0f, 0.25f, 0.75f})).to_vector<int32_t>();
  EXPECT_EQ(std::count(drawn.begin(), drawn.end(), 0), 0);
  EXPECT_NEAR(static_cast<double>(std::count(drawn.begin(), drawn.end(), 1)), 1000, 100);
}

TEST(RandomSamplers, J_066_gumbel_and_categorical) {
  expect_ulps(random::gumbel(kKey, {4}), {0xbe9a637d, 0x3f404b24, 0xbec9da0e, 0xbf3edba5}, 4,
              "gumbel");
  const Tensor logits = tensor({0.1f, 0.2f, 0.3f, 0.4f, 0.5f});
  const int expected[] = {4, 3, 1, 1, 0, 0, 1, 1};
  const Key keys = random::split(kKey, 8);
  for (int64_t i = 0; i < 8; ++i)
    EXPECT_EQ(random::categorical(keys[i], logits).item<int32_t>(), expected[i]) << i;
  expect_identical(random::categorical(kKey, logits, -1, Shape{40}),
                   argmax(random::gumbel(kKey, {40, 5}) + logits, -1), "the largest noisy logit");
  expect_error<ShapeError>(
      [&] {
        random::categorical(kKey, zeros({2, 5}), -1, Shape{3});
      },
      "ends in the batch shape");
}

struct WordCase {
  const char* name;
  std::function<Tensor()> draw;
  Words expected;
};

TEST(RandomSamplers, J_067_vectors_of_section_11_4) {
  using namespace random;
  const Shape four{4};
  const WordCase cases[] = {
      {"exponential",
       [&] { return exponential(kKey, four); },
       {0x3e994b18, 0x3f7a5123, 0x3e83c276, 0x3e04af8b}},
      {"laplace",
       [&] { return laplace(kKey, four); },
       {0x3f28a69d, 0xbe91be18, 0x3f4a44c4, 0x3fb50c07}},
      {"logistic",
       [&] { return logistic(kKey, four); },
       {0xbf86b995, 0x3f018798, 0xbf9cead2, 0xbffd2f25}},
      {"cauchy",
       [&] { return cauchy(kKey, four); },
       {0xbf725130, 0x3ed1efe2, 0xbf941295, 0xc01f6649}},
      {"gamma(2.5)",
       [&] { return gamma(kKey, 2.5, four); },
       {0x3fc0efbe, 0x3f31262f, 0x4068a647, 0x40a01805}},
      {"gamma(0.3)",
       [&] { return gamma(kKey, 0.3, four); },
       {0x3e90e1de, 0x3dc1565b, 0x3eedfabd, 0x3f29667c}},
      {"loggamma(0.3)",
       [&] { return loggamma(kKey, 0.3, four); },
       {0xbfa1966c, 0xc0170d3b, 0xbf4421c5, 0xbed3694c}},
      {"beta(2, 3)",
       [&] { return beta(kKey, 2.0, 3.0, four); },
       {0x3f122a65, 0x3ee71b81, 0x3e22e052, 0x3e0e6bef}},
      {"dirichlet(1, 2, 3)",
       [&] {
         return dirichlet(kKey, tensor({1.f, 2.f, 3.f}), Shape{2});
       },
       {0x3d87fe2a, 0x3db0f4d3, 0x3f58e1a0, 0x3ee0f1c6, 0x3d963451, 0x3ef98126}},
  };
  for (const WordCase& c : cases) expect_ulps(c.draw(), c.expected, 6, c.name);
  expect_values(rademacher(kKey, {8}), {1, -1, 1, 1, 1, -1, 1, 1}, 0, "rademacher");
  expect_values(poisson(kKey, 3.0, Shape{8}), {2, 4, 3, 2, 4, 5, 2, 4}, 0, "poisson");
}

TEST(RandomSamplers, J_067_gamma_limits) {
  expect_error<DTypeError>([] { random::gamma(kKey, ones({2}).astype(DType::kBF16)); },
                           "f32 or f64");
  const Tensor wide = random::gamma(kKey, full({20000}, scalar(3, DType::kF64)));
  EXPECT_EQ(wide.dtype(), DType::kF64);
  EXPECT_NEAR(mean(wide).item<double>(), 3, 0.05);
  EXPECT_NEAR(var(wide).item<double>(), 3, 0.15);
}

TEST(RandomSamplers, J_067_poisson_limits) {
  const Tensor rates = tensor({0.0f, -1.0f, INFINITY, NAN});
  expect_values(random::poisson(kKey, rates), {0, -1, -1, -1}, 0, "special rates");
  const Tensor many = random::poisson(kKey, 50.0, Shape{20000}, DType::kI64);
  EXPECT_EQ(many.dtype(), DType::kI64);
  EXPECT_NEAR(mean(astype(many, DType::kF64)).item<double>(), 50, 0.3);
  EXPECT_NEAR(var(astype(many, DType::kF64)).item<double>(), 50, 2.0);
}

TEST(RandomSamplers, J_067_binomial_limits) {
  const Tensor n = tensor({0.f, 7.f, 7.f, -1.f, NAN, INFINITY, 7.f, 7.f, 5.9f});
  const Tensor p = tensor({0.5f, 0.f, 1.f, 0.5f, 0.5f, 0.5f, NAN, -0.1f, 1.f});
  const std::vector<float> got = random::binomial(kKey, n, p).to_vector<float>();
  const std::vector<float> expected = {0, 0, 7, NAN, NAN, INFINITY, NAN, NAN, 5};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(got[i] == expected[i] || (std::isnan(got[i]) && std::isnan(expected[i])))
        << i << ": " << got[i];
  }
  for (const double chance : {0.02, 0.3, 0.8}) {
    const Tensor many = astype(random::binomial(kKey, 200.0, chance, Shape{20000}), DType::kF64);
    const double variance = 200 * chance * (1 - chance);
    EXPECT_NEAR(mean(many).item<double>(), 200 * chance, 4 * std::sqrt(variance / 20000));
    EXPECT_NEAR(var(many).item<double>(), variance, 0.05 * variance);
    EXPECT_TRUE(all(logical_and(many >= 0, many <= 200)).item<bool>());
  }
  expect_error<ShapeError>([] { random::binomial(random::split(kKey), 3.0, 0.5); }, "vmap");
}

TEST(RandomSamplers, J_067_multinomial_counts_every_trial_once) {
  const Tensor p = tensor({{0.f, 1.f, 3.f}, {0.f, 0.f, 0.f}});  // sums need not be 1
  const Tensor counts = random::multinomial(kKey, tensor({40.f, 40.f}), p);
  EXPECT_EQ(counts.shape(), (Shape{2, 3}));
  expect_values(sum(counts, Axes{-1}), {40, 0}, 0, "all trials, or none where nothing can happen");
  expect_values(counts[0][0], {0}, 0, "what cannot happen");
  expect_error<ShapeError>([] { random::multinomial(kKey, 3.0, 0.5); }, "[..., k]");
}

TEST(RandomSamplers, J_068_orthogonal) {
  for (const auto& [n, m] :
       {std::pair<int64_t, int64_t>{7, 7}, {9, 4}, {3, 8}, {1, 1}, {200, 130}}) {
    for (DType dtype : {DType::kF32, DType::kF64}) {
      const Tensor q = random::orthogonal(kKey, n, {2}, m, dtype);
      ASSERT_EQ(q.shape(), (Shape{2, n, m}));
      const Tensor first = astype(q[1], DType::kF64);
      const Tensor product =
          n < m ? matmul(first, first.transpose()) : matmul(first.transpose(), first);
      const Tensor error = max(abs(product - eye(std::min(n, m), -1, 0, DType::kF64)));
      EXPECT_LT(error.item<double>(), dtype == DType::kF32 ? 1e-6 : 1e-13) << n << "x" << m;
    }
  }
}

TEST(RandomSamplers, J_068_the_factor_is_that_of_a_positive_diagonal) {
  // Q' Z = R is upper triangular with a positive diagonal.
  const Tensor z = random::normal(kKey, {6, 4}, DType::kF64);
  const Tensor q = random::orthogonal(kKey, 6, {}, 4, DType::kF64);
  const Tensor r = matmul(q.transpose(), z);
  const std::vector<double> values = r.to_vector<double>();
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_GT(values[i * 4 + i], 0);
    for (size_t j = 0; j < i; ++j) EXPECT_NEAR(values[i * 4 + j], 0, 1e-13);
  }
}

}  // namespace
}  // namespace linnet::random_samplers_test
