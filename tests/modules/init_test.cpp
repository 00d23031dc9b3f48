// Initialisers: the known answers of docs/rng.md sections 11.1, 11.2 and 11.4 that need no layer,
// and the numbers that JAX gave.
#include "linnet/init.h"

#include <gtest/gtest.h>

#include "linnet/detail/sha1.h"
#include "linnet/error.h"
#include "linnet/jit.h"
#include "linnet/transforms.h"
#include "tests/ops/golden_file.h"
#include "tests/ops/random_support.h"

namespace linnet::init_test {
namespace {

using random::Layout;
using random::LayoutScope;
using testing::expect_golden;
using testing::expect_identical;
using testing::expect_ulps;
using testing::expect_values;
using testing::Words;
using testing::words;

const testing::GoldenFile& golden() {
  static const testing::GoldenFile* file = new testing::GoldenFile("random");
  return *file;
}

const Key kKey(1701);

/// The number folded into a functional key at a path and count (section 8.1); with the separator
/// flag a zero byte precedes every item.
uint32_t path_hash(const std::vector<std::string>& path, uint64_t count, bool separator = false) {
  std::string text;
  for (const std::string& name : path) text += (separator ? std::string(1, '\0') : "") + name;
  if (separator) text += '\0';
  std::string number;
  for (; count > 0; count >>= 8) number.insert(number.begin(), static_cast<char>(count & 0xFF));
  text += number;
  const auto digest = sha1({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return uint32_t{digest[0]} << 24 | uint32_t{digest[1]} << 16 | uint32_t{digest[2]} << 8 |
         digest[3];
}

Key at(const Key& base, const std::vector<std::string>& path, uint64_t count,
       bool separator = false) {
  return random::fold_in(base, path_hash(path, count, separator));
}

struct Vector {
  const char* name;
  Initializer initializer;
  std::vector<double> expected;
};

TEST(Initializers, J_044_section_11_1_in_the_older_layout) {
  const LayoutScope older(Layout::kOriginal);
  const Vector vectors[] = {
      {"uniform",
       init::uniform(10),
       {7.298188, 8.691938, 8.7230015, 2.0818567, 1.8662417, 5.5022564}},
      {"normal",
       init::normal(5),
       {3.0613258, 5.6129413, 5.6866574, -4.063663, -4.4520254, 0.63115686}},
      {"truncated_normal",
       init::truncated_normal(5),
       {2.9047365, 5.2338114, 5.29852, -3.836303, -4.192359, 0.6022964}},
      {"glorot_uniform",
       init::glorot_uniform(),
       {0.50350785, 0.8088631, 0.81566876, -0.6393332, -0.6865721, 0.11003882}},
      {"glorot_normal",
       init::glorot_normal(),
       {0.41770416, 0.75262755, 0.7619329, -0.5516644, -0.6028657, 0.08661086}},
      {"lecun_uniform",
       init::lecun_uniform(),
       {0.56293887, 0.90433645, 0.9119454, -0.71479625, -0.7676109, 0.12302713}},
      {"lecun_normal",
       init::lecun_normal(),
       {0.46700746, 0.8414632, 0.8518669, -0.61677957, -0.67402434, 0.09683388}},
      {"he_uniform",
       init::he_uniform(),
       {0.79611576, 1.2789248, 1.2896855, -1.0108745, -1.0855657, 0.17398663}},
      {"he_normal",
       init::he_normal(),
       {0.6604483, 1.1900088, 1.2047218, -0.87225807, -0.95321447, 0.1369438}},
      {"orthogonal",
       init::orthogonal(),
       {0.39026976, 0.72495741, -0.56756169, 0.88047469, -0.47409311, -0.00013157725}},
  };
  for (const Vector& v : vectors)
    expect_values(v.initializer(Key(42), {2, 3}, DType::kF32), v.expected, 1e-6, v.name);
  const Tensor delta = init::delta_orthogonal()(Key(42), {3, 3, 3}, DType::kF32);
  expect_values(delta[1],
                {0.27858758, -0.7949833, -0.53887904, 0.9120717, 0.04322892, 0.40774566,
                 -0.30085585, -0.6050892, 0.73712474},
                1e-6, "delta_orthogonal");
  expect_values(delta[0], std::vector<double>(9, 0.0), 0, "before the centre");
  expect_values(delta[2], std::vector<double>(9, 0.0), 0, "behind the centre");
}

TEST(Initializers, J_049_section_11_4) {
  expect_ulps(init::lecun_normal()(kKey, {3, 2}, DType::kF32),
              {0xbece3a8c, 0x3e4a3071, 0xbeee16d7, 0xbf3677ec, 0xbbf02b8f, 0x3f819316}, 0,
              "lecun_normal");
  const Tensor he = reshape(init::he_normal()(kKey, {3, 3, 2, 4}, DType::kF32), {72});
  expect_ulps(slice_axis(he, 0, 4, 0), {0xbe6e21e5, 0x3de977d0, 0xbe8975fd, 0xbed2b249}, 0,
              "he_normal");
  expect_ulps(init::glorot_uniform()(kKey, {3, 2}, DType::kF32),
              {0xbf0750f0, 0x3e8af0e6, 0xbf192cba, 0xbf544540, 0xbc2787c6, 0x3f80d4ff}, 0,
              "glorot_uniform");
  expect_values(init::orthogonal()(kKey, {3, 2}, DType::kF32),
                {-0.653740287, 0.369020432, -0.756626725, -0.332395941, -0.0118165081, 0.867949784},
                1e-6, "orthogonal");
}

TEST(Initializers, J_044_path_hashes_of_sections_11_2_and_11_4) {
  for (const auto& path :
       {std::vector<std::string>{"A", "B", "C"}, {"AB", "C"}, {"A", "BC"}, {"ABC"}}) {
    EXPECT_EQ(path_hash(path, 1), 947574064u);
  }
  struct Case {
    std::vector<std::string> path;
    uint64_t count;
    uint32_t plain, separated;
  };
  const std::vector<std::string> deep{"encoder", "layers_3", "attention", "query"};
  const Case cases[] = {
      {{}, 1, 3213575472, 1059673188},         {{}, 2, 3303678395, 2596610531},
      {{}, 256, 238381989, 1649875089},        {{"Dense_0"}, 1, 2998342421, 4288924255},
      {{"Dense_0"}, 2, 2299943050, 742636963}, {{"Dense_0"}, 256, 4109995545, 3112142690},
      {deep, 1, 2245665339, 900548477},        {deep, 2, 3383917347, 978682727},
      {deep, 256, 1230071293, 3232647925}};
  for (const Case& c : cases) {
    EXPECT_EQ(path_hash(c.path, c.count), c.plain);
    EXPECT_EQ(path_hash(c.path, c.count, true), c.separated);
  }
}

TEST(Initializers, J_044_functional_keys_of_sections_11_2_and_11_4) {
  struct Case {
    int64_t seed;
    std::vector<std::string> path;
    uint64_t count;
    Words expected;
  };
  const Case cases[] = {{0, {}, 1, {1428664606, 3351135085}},
                        {0, {}, 2, {3456700291, 3873160899}},
                        {0, {}, 3, {2411773124, 4124888837}},
                        {1, {}, 1, {3077990774, 2166202870}},
                        {1, {}, 2, {3825832496, 2886313970}},
                        {1, {}, 3, {791337683, 1373966058}},
                        {0, {"RNGSubModule_0"}, 1, {3858825717, 2323087578}},
                        {0, {"RNGSubModule_0"}, 2, {601859108, 3782857444}},
                        {0, {"RNGSubModule_1"}, 1, {426957352, 2006350344}},
                        {0, {"RNGSubModule_1"}, 2, {4006253729, 4205356731}},
                        {0, {"RNGSubModule_0", "RNGSubSubModule_0"}, 1, {234240654, 1028548813}},
                        {0, {"RNGSubModule_0", "RNGSubSubModule_0"}, 2, {3650462303, 2124609379}},
                        {1701, {"encoder", "Dense_0"}, 1, {1885240696, 2552947895}},
                        {1701, {"encoder", "Dense_0"}, 2, {1268914688, 634705942}}};
  for (const Case& c : cases) EXPECT_EQ(words(at(Key(c.seed), c.path, c.count)), c.expected);
}

TEST(Initializers, J_044_stream_keys_of_section_11_4) {
  const auto next = [](const Key& stream, uint32_t count) {
    return random::fold_in(stream, count);
  };
  const Key params(1701), fallback(0);
  const Key fork = next(params, 0);
  EXPECT_EQ(words(next(fork, 0)), (Words{640098973, 1052701527}));
  EXPECT_EQ(words(next(fork, 1)), (Words{1786472918, 773143027}));
  EXPECT_EQ(words(next(params, 1)), (Words{85238482, 2594297577}));
  EXPECT_EQ(words(next(fallback, 0)), (Words{1797259609, 2579123966}));
  EXPECT_EQ(words(next(fallback, 1)), (Words{928981903, 3453687069}));
}

TEST(Initializers, J_047_functional_initialisers_of_section_11_2) {
  const auto standard = [](const Key& key, const Shape& shape) {
    return init::normal(1)(key, shape, DType::kF32);
  };
  struct Case {
    Key key;
    Shape shape;
    std::vector<double> expected;
  };
  const Case cases[] = {
      {at(Key(0), {"Dense_0"}, 1), {2, 2}, {-1.6185919, 0.700908, -1.3146383, -0.79342234}},
      {at(Key(0), {}, 1), {2, 2}, {0.0761425, -1.6157459, -1.6857724, 0.7126891}},
      {at(Key(0), {}, 2), {2, 2}, {0.60175574, 0.2553228, 0.27367848, -2.1975214}},
      {at(Key(1), {}, 1), {2, 2}, {1.6249592, 0.30813068, 1.6613585, 1.0404155}},
      {at(Key(0), {"Dense_1"}, 1), {2, 2}, {0.0030665, 0.29551846, 0.16670242, -0.78252524}},
      {at(Key(0), {"Dense_1"}, 2), {2}, {1.582462, 0.15216611}},
      {random::fold_in(Key(0), 0),
       {4, 4},
       {1.0040143, -0.9063372, -0.7481722, -1.1713669, -0.8712328, 0.5888381, 0.72392994,
        -1.0255982, 1.661628, -1.8910251, -1.2889339, 0.13360691, -1.1530392, 0.23929629, 1.7448074,
        0.5050189}},
  };
  for (const Case& c : cases) expect_values(standard(c.key, c.shape), c.expected, 3e-7, "normal");
}

TEST(Initializers, J_054_embeddings_of_section_11_2) {
  const Initializer embedding =
      init::variance_scaling(1, init::FanMode::kFanIn, init::Distribution::kNormal, {.out = {0}});
  expect_values(
      embedding(at(Key(0), {}, 1), {5, 3}, DType::kF32),
      {0.04396089, -0.9328513, -0.97328115, 0.41147125, 0.66334754, 0.49469155, 0.09719624,
       0.49861377, 0.49519277, -0.13316602, 0.6697022, 0.3710195, -0.5039532, 0.287319, 1.4369922},
      3e-7, "functional");
  expect_values(embedding(random::fold_in(Key(0), 0), {5, 3}, DType::kF32),
                {0.57966787, -0.523274, -0.43195742, -0.676289, -0.50300646, 0.33996582, 0.41796115,
                 -0.59212935, 0.95934135, -1.0917838, -0.7441663, 0.07713798, -0.66570747,
                 0.13815777, 1.007365},
                3e-7, "stateful");
}

TEST(Initializers, J_051_kernels_of_section_11_2) {
  const auto kernel = [](const Key& key, const Shape& shape) {
    return init::lecun_normal()(key, shape, DType::kF32);
  };
  expect_values(
      kernel(random::fold_in(Key(42), 0), {4, 2}),
      {0.04119061, -0.2629074, 0.6772455, 0.2807398, 0.16276604, 0.16813846, 0.310975, -0.43336964},
      2e-7, "Linear(4, 2)");
  expect_values(kernel(random::fold_in(Key(0), 0), {4, 4}),
                {0.5350889, -0.48486355, -0.4022262, -0.61925626, -0.46665004, 0.31773907,
                 0.38944173, -0.54608804, 0.84378934, -0.93099, -0.67658, 0.0724705, -0.6101737,
                 0.12972134, 0.877074, 0.27292168},
                2e-7, "count 0");
  expect_values(kernel(random::fold_in(Key(0), 2), {4, 4}),
                {0.67979455, 0.7079946, -0.22166717, -0.4147039, 0.20622818, 0.01024843, 0.31011865,
                 -0.40491563, 0.12478007, -0.7697264, -0.48899388, 0.8853114, -0.5123713,
                 -0.23335123, 0.4374407, 0.63321066},
                2e-7, "count 2");
}

TEST(Initializers, J_051_lifted_kernels_of_section_11_2) {
  const auto kernel = [](const Key& key) { return init::lecun_normal()(key, {2, 2}, DType::kF32); };
  const auto pair = [](const Key& key) { return init::normal(1)(key, {2}, DType::kF32); };
  struct Case {
    std::function<Tensor(const Key&)> draw;
    Key base;
    bool split;
    std::vector<std::string> path;
    uint64_t count;
    std::vector<double> expected;
  };
  const Case cases[] = {
      {kernel, Key(0), false, {}, 1, {-1.2488099, -0.6127134, -0.07084481, 0.60130936}},
      {kernel,
       Key(0),
       true,
       {},
       1,
       {-0.2526208, -0.15088455, -1.1987205, -0.40843305, -0.7064888, -1.108805, -0.938775,
        1.4812315, -0.59468937, -0.2502723, -1.33515, 0.5067442}},
      {kernel,
       Key(0),
       true,
       {"Dense_0"},
       1,
       {-0.9079084, 0.76390624, -0.01285526, 0.4320353, 0.12398645, 0.7884565, 1.5344163, 1.3186085,
        -0.44171348, 0.43430036, -0.40732604, 0.29774475}},
      {pair,
       Key(1),
       true,
       {},
       1,
       {-0.8193048, 0.711106, -0.37802765, -0.66705877, -0.44808003, 0.93031347}},
      {pair, Key(1), false, {}, 1, {0.44956833, -1.1854612}},
      {kernel,
       Key(0),
       true,
       {"Dense_0"},
       3,
       {-0.07838312, -0.7422982, 0.87488323, 0.13773395, 0.97309333, 0.9087693, -0.12564984,
        -1.0920651, -0.99055105, 1.1499453, -0.15721127, -0.62520015}},
      {kernel, Key(0), false, {"Dense_0"}, 3, {-0.66715515, -0.0484313, 0.9867164, 0.75408363}},
  };
  for (const Case& c : cases) {
    const auto draw = [&](const Key& base) { return c.draw(at(base, c.path, c.count, true)); };
    const Tensor got = c.split ? vmap(draw)(random::split(c.base, 3)) : draw(c.base);
    expect_values(got, c.expected, 3e-7, c.path.empty() ? "()" : c.path[0]);
  }
}

TEST(RandomSamplers, J_060_stateful_samples_of_section_11_2) {
  const Tensor sample = random::uniform(random::fold_in(Key(0), 0), {2, 5});
  expect_values(sum(sample, Axes{0}), {1.5643291, 0.94782424, 0.37971854, 1.0724319, 0.22112393},
                2e-7, "column sums");
  const Tensor x = random::uniform(random::fold_in(Key(0), 0), {4, 5});
  const Tensor w = random::normal(random::fold_in(Key(0), 1), {5, 3});
  expect_values(mean(matmul(x, w)), {-1.1782329}, 5e-7, "mean of x w");
}

TEST(Initializers, J_044_J_046_J_047_J_048_J_051_J_052_J_053_from_jax) {
  struct Case {
    const char* name;
    Initializer initializer;
    double tolerance;
  };
  const Case cases[] = {{"uniform", init::uniform(), 1e-9},
                        {"normal", init::normal(), 2e-9},
                        {"truncated_normal", init::truncated_normal(), 2e-9},
                        {"lecun_normal", init::lecun_normal(), 1.2e-7},
                        {"lecun_uniform", init::lecun_uniform(), 1.2e-7},
                        {"glorot_normal", init::glorot_normal(), 1.2e-7},
                        {"glorot_uniform", init::glorot_uniform(), 1.2e-7},
                        {"he_normal", init::he_normal(), 1.2e-7},
                        {"he_uniform", init::he_uniform(), 1.2e-7},
                        {"orthogonal", init::orthogonal(), 1e-6}};
  for (const Case& c : cases) {
    const std::string prefix = std::string("init_") + c.name;
    expect_golden(c.initializer(kKey, {5, 3}, DType::kF32), golden().tensor(prefix + "/dense"),
                  c.tolerance, prefix);
    expect_golden(c.initializer(kKey, {3, 3, 2, 4}, DType::kF32), golden().tensor(prefix + "/conv"),
                  c.tolerance, prefix);
  }
  expect_golden(init::delta_orthogonal()(kKey, {3, 3, 2, 4}, DType::kF32),
                golden().tensor("init_delta_orthogonal/out"), 1e-6, "delta_orthogonal");
  expect_golden(init::orthogonal(2, 0)(kKey, {2, 3, 2}, DType::kF32),
                golden().tensor("init_orthogonal_column_axis/out"), 1e-6,
                "orthogonal along axis 0");
}

TEST(Initializers, J_049_every_mode_and_distribution_from_jax) {
  using init::Distribution;
  using init::FanMode;
  for (const auto& [mode_name, mode] : {std::pair{"fan_in", FanMode::kFanIn},
                                        {"fan_out", FanMode::kFanOut},
                                        {"fan_avg", FanMode::kFanAvg},
                                        {"fan_geo_avg", FanMode::kFanGeoAvg}}) {
    for (const auto& [name, distribution] :
         {std::pair{"truncated_normal", Distribution::kTruncatedNormal},
          {"normal", Distribution::kNormal},
          {"uniform", Distribution::kUniform}}) {
      const std::string what = std::string("init_vs_") + mode_name + "_" + name;
      expect_golden(init::variance_scaling(1.5, mode, distribution)(kKey, {3, 2, 4}, DType::kF32),
                    golden().tensor(what + "/out"), 1.2e-7, what);
    }
  }
  const init::FanAxes axes{.in = {0, 1}, .out = {2}, .batch = {3}};
  expect_golden(init::variance_scaling(1, FanMode::kFanIn, Distribution::kNormal, axes)(
                    kKey, {2, 3, 4, 2}, DType::kF32),
                golden().tensor("init_vs_axes/out"), 1.2e-7, "lists of axes");
}

TEST(Initializers, J_044_other_dtypes_from_jax) {
  struct Case {
    const char* name;
    DType dtype;
    double tolerance;
  };
  for (const Case& c : {Case{"f16", DType::kF16, 2e-3}, Case{"bf16", DType::kBF16, 1.6e-2},
                        Case{"f64", DType::kF64, 1e-15}}) {
    const std::string what = std::string("init_lecun_normal_") + c.name;
    expect_golden(init::lecun_normal()(kKey, {5, 3}, c.dtype), golden().tensor(what + "/out"),
                  c.tolerance, what);
  }
  const Initializer fixed = init::with_dtype(init::lecun_normal(), DType::kBF16);
  expect_identical(fixed(kKey, {5, 3}, DType::kF32),
                   init::lecun_normal()(kKey, {5, 3}, DType::kBF16), "own dtype");
}

TEST(Initializers, J_045_constants) {
  expect_identical(init::zeros()(kKey, {2, 2}, DType::kBF16), zeros({2, 2}, DType::kBF16), "zeros");
  expect_identical(init::ones()(kKey, {2}, DType::kF64), ones({2}, DType::kF64), "ones");
  expect_values(init::constant(0.5)(kKey, {3}, DType::kF32), {0.5, 0.5, 0.5}, 0, "constant");
  expect_values(init::constant(tensor({1.f, 2.f}))(kKey, {2, 2}, DType::kF32), {1, 2, 1, 2}, 0,
                "row");
  for (const Initializer& initializer : {init::zeros(), init::ones(), init::constant(0.5)}) {
    expect_identical(initializer(kKey, {3}, DType::kF32), initializer(Key(5), {3}, DType::kF32),
                     "the key is not used");
  }
}

TEST(Initializers, J_046_uniform_starts_at_zero) {
  const Tensor x = init::uniform()(kKey, {4000}, DType::kF32);
  EXPECT_GE(min(x).item<float>(), 0);
  EXPECT_LT(max(x).item<float>(), 0.01f);
  EXPECT_NEAR(mean(x).item<float>(), 0.005, 2e-4);
}

TEST(Initializers, J_048_truncated_normal_is_cut_and_loses_variance) {
  const Tensor x = init::truncated_normal(0.5, -1, 2)(kKey, {40000}, DType::kF32);
  EXPECT_GT(min(x).item<float>(), -0.5f);
  EXPECT_LT(max(x).item<float>(), 1.0f);
  // By phi and Phi of the standard normal distribution, cut to (-1, 2).
  EXPECT_NEAR(mean(x).item<float>(), 0.5 * 0.22963718, 4e-3);
  EXPECT_NEAR(var(x).item<float>(), 0.25 * 0.5197625, 4e-3);
}

TEST(Initializers, J_049_J_052_J_053_shapes_that_do_not_fit) {
  const auto expect_shape_error = [](const Initializer& initializer, const Shape& shape) {
    EXPECT_THROW(initializer(kKey, shape, DType::kF32), ShapeError) << to_string(shape);
  };
  expect_shape_error(init::lecun_normal(), {4});
  expect_shape_error(init::lecun_normal(), {});
  expect_shape_error(init::orthogonal(), {4});
  expect_shape_error(init::delta_orthogonal(), {4, 4});
  expect_shape_error(init::delta_orthogonal(), {3, 4, 2});
  expect_shape_error(init::delta_orthogonal(), {1, 1, 1, 1, 2, 2});
  EXPECT_EQ(init::lecun_normal()(kKey, {0, 3}, DType::kF32).shape(), (Shape{0, 3}));
  EXPECT_EQ(init::orthogonal()(kKey, {0, 3}, DType::kF32).shape(), (Shape{0, 3}));
}

TEST(Initializers, J_044_compiled_and_mapped) {
  const Key kKey(1701);  // made where the test runs
  for (const Initializer& initializer :
       {init::uniform(), init::normal(), init::truncated_normal(), init::lecun_normal(),
        init::he_uniform(), init::orthogonal(), init::delta_orthogonal()}) {
    const auto draw = [=](const Key& key) { return initializer(key, {3, 2, 4}, DType::kF32); };
    const Tensor expected = draw(kKey);
    expect_identical(jit([=](const Key& key) { return draw(key); })(kKey), expected, "jit");
    expect_identical(vmap(draw)(random::split(kKey, 2))[1], draw(random::split(kKey, 2)[1]),
                     "vmap");
    EXPECT_EQ(eval_shape(draw, kKey).shape(), expected.shape());
  }
}

}  // namespace
}  // namespace linnet::init_test
