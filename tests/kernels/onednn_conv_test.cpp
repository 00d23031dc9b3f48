// Convolutions and their gradients against double loops.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>

#include "kernels/cpu/onednn/onednn.h"
#include "tests/kernels/onednn_test_util.h"
#include "tests/ops/activation_reference.h"

namespace linnet::cpu::onednn::onednn_conv_test {
namespace {

using test::Buffer;
using test::expect_near;
using test::run;

/// The geometry with three spatial dimensions, leading ones of size 1.
struct Cube {
  int64_t in[3] = {1, 1, 1}, kernel[3] = {1, 1, 1}, out[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1}, low[3] = {0, 0, 0}, dilation[3] = {1, 1, 1};

  explicit Cube(const ConvSpec& s) {
    const size_t rank = s.in_size.size(), shift = 3 - rank;
    const Shape size = s.out_size();
    for (size_t i = 0; i < rank; ++i) {
      in[shift + i] = s.in_size[i], kernel[shift + i] = s.kernel_size[i], out[shift + i] = size[i];
      if (!s.strides.empty()) stride[shift + i] = s.strides[i];
      if (!s.padding_low.empty()) low[shift + i] = s.padding_low[i];
      if (!s.dilation.empty()) dilation[shift + i] = s.dilation[i];
    }
  }
};

/// Calls visit(x index, w index, y index) for every product of the convolution.
template <class Visit>
void for_each_product(const ConvSpec& s, Visit visit) {
  const Cube c(s);
  const int64_t in_group = s.in_channels / s.groups, out_group = s.out_channels / s.groups;
  const auto volume = [](const int64_t* v) { return v[0] * v[1] * v[2]; };
  for (int64_t n = 0; n < s.batch; ++n) {
    for (int64_t o = 0; o < volume(c.out); ++o) {
      const int64_t at_out[3] = {o / (c.out[1] * c.out[2]), o / c.out[2] % c.out[1], o % c.out[2]};
      for (int64_t t = 0; t < volume(c.kernel); ++t) {
        const int64_t at_kernel[3] = {t / (c.kernel[1] * c.kernel[2]),
                                      t / c.kernel[2] % c.kernel[1], t % c.kernel[2]};
        int64_t position = 0;
        bool inside = true;
        for (int i = 0; i < 3; ++i) {
          const int64_t at = at_out[i] * c.stride[i] - c.low[i] + at_kernel[i] * c.dilation[i];
          inside = inside && at >= 0 && at < c.in[i];
          position = position * c.in[i] + at;
        }
        if (!inside) continue;
        for (int64_t co = 0; co < s.out_channels; ++co) {
          const int64_t first = co / out_group * in_group;
          for (int64_t ci = 0; ci < in_group; ++ci) {
            visit((n * volume(c.in) + position) * s.in_channels + first + ci,
                  (t * in_group + ci) * s.out_channels + co,
                  (n * volume(c.out) + o) * s.out_channels + co);
          }
        }
      }
    }
  }
}

struct Tensors {
  Buffer x, w, bias, y;
};

Tensors make_tensors(const ConvSpec& s, DType x, DType w, DType y) {
  const int64_t taps = element_count(s.kernel_size);
  Tensors t{Buffer(x, s.batch * element_count(s.in_size) * s.in_channels),
            Buffer(w, taps * s.in_channels / s.groups * s.out_channels),
            Buffer(s.bias_dtype, s.out_channels),
            Buffer(y, s.batch * element_count(s.out_size()) * s.out_channels)};
  t.x.fill_random(5), t.w.fill_random(6), t.bias.fill_random(7), t.y.fill_random(8);
  return t;
}

std::string name(const ConvSpec& s) {
  return fmt::format(
      "n {} c {} -> {} groups {} in {} kernel {} strides {} low {} high {} dilation {} {} -> {}",
      s.batch, s.in_channels, s.out_channels, s.groups, to_string(s.in_size),
      to_string(s.kernel_size), to_string(s.strides), to_string(s.padding_low),
      to_string(s.padding_high), to_string(s.dilation), name_of(s.dtype), name_of(s.out_dtype));
}

double tolerance(const ConvSpec& s, int64_t terms) {
  if (s.out_dtype == DType::kBF16) return 1e-2;
  return (s.allow_winograd ? 2e-5 : 1e-6) * std::sqrt(static_cast<double>(terms) + 16);
}

void check_forward(const ConvSpec& s) {
  Tensors t = make_tensors(s, s.dtype, s.dtype, s.out_dtype);
  std::vector<double> expected(t.y.count());
  for (int64_t i = 0; i < t.y.count(); ++i)
    expected[i] = s.has_bias ? t.bias.get(i % s.out_channels) : 0;
  for_each_product(
      s, [&](int64_t x, int64_t w, int64_t y) { expected[y] += t.x.get(x) * t.w.get(w); });
  for (double& value : expected) {
    value = static_cast<double>(linnet::testing::exact_activation(s.activation, value));
  }
  const PrepareResult result = prepare_conv_forward(s);
  ASSERT_TRUE(result.kernel) << name(s) << ": " << result.declined;
  std::vector<const Buffer*> inputs{&t.x, &t.w};
  if (s.has_bias) inputs.push_back(&t.bias);
  run(*result.kernel, inputs, {&t.y});
  expect_near(t.y, expected, tolerance(s, t.w.count() / s.out_channels),
              "forward " + name(s) + result.kernel->implementation());
}

void check_backward_data(const ConvSpec& s) {
  Tensors t = make_tensors(s, s.out_dtype, s.dtype, s.dtype);
  std::vector<double> expected(t.x.count(), 0.0);
  for_each_product(
      s, [&](int64_t x, int64_t w, int64_t y) { expected[x] += t.y.get(y) * t.w.get(w); });
  const PrepareResult result = prepare_conv_backward_data(s);
  ASSERT_TRUE(result.kernel) << name(s) << ": " << result.declined;
  run(*result.kernel, {&t.y, &t.w}, {&t.x});
  expect_near(t.x, expected, tolerance(s, t.w.count() / s.in_channels),
              "data " + name(s) + result.kernel->implementation());
}

void check_backward_weights(const ConvSpec& s) {
  Tensors t = make_tensors(s, s.dtype, s.out_dtype, s.dtype);
  std::vector<double> expected(t.w.count(), 0.0), expected_bias(s.out_channels, 0.0);
  for_each_product(
      s, [&](int64_t x, int64_t w, int64_t y) { expected[w] += t.x.get(x) * t.y.get(y); });
  for (int64_t i = 0; i < t.y.count(); ++i) expected_bias[i % s.out_channels] += t.y.get(i);
  const PrepareResult result = prepare_conv_backward_weights(s);
  ASSERT_TRUE(result.kernel) << name(s) << ": " << result.declined;
  std::vector<Buffer*> outputs{&t.w};
  if (s.has_bias) outputs.push_back(&t.bias);
  run(*result.kernel, {&t.x, &t.y}, outputs);
  const std::string what = "weights " + name(s) + result.kernel->implementation();
  expect_near(t.w, expected, tolerance(s, t.y.count() / s.out_channels), what);
  if (s.has_bias)
    expect_near(t.bias, expected_bias, tolerance(s, t.y.count() / s.out_channels), what + " bias");
}

void check(ConvSpec s, std::initializer_list<int> thread_counts = {1, 2}) {
  for (int threads : thread_counts) {
    const test::Threads scope(threads);
    check_forward(s);
    ConvSpec linear = s;
    linear.activation = {};
    check_backward_data(linear);
    check_backward_weights(linear);
  }
}

ConvSpec plane(int64_t n, int64_t in, int64_t out, int64_t size, int64_t kernel) {
  ConvSpec s;
  s.batch = n, s.in_channels = in, s.out_channels = out;
  s.in_size = {size, size}, s.kernel_size = {kernel, kernel};
  return s;
}

TEST(OnednnConv, ChannelCounts) {
  for (const auto& [in, out] :
       {std::array<int64_t, 2>{1, 1}, {1, 8}, {3, 10}, {16, 32}, {17, 5}, {32, 64}}) {
    ConvSpec s = plane(2, in, out, 9, 3);
    s.padding_low = s.padding_high = {1, 1};
    s.has_bias = true;
    s.activation = ScalarOp::kRelu;
    check(s);
  }
}

TEST(OnednnConv, StridesDilationAndUnequalPadding) {
  for (int64_t channels : {4, 16}) {
    ConvSpec s = plane(2, channels, 16, 11, 3);
    s.in_size = {11, 14};
    s.strides = {2, 3};
    check(s);
    s.padding_low = {0, 2}, s.padding_high = {2, 1};
    check(s);
    s.strides = {1, 2}, s.dilation = {2, 3};
    check(s);
    s.kernel_size = {2, 5}, s.strides = {2, 1}, s.dilation = {1, 1};
    s.activation = ScalarOp::kTanh;
    check(s);
  }
}

TEST(OnednnConv, KernelOfSizeOne) {
  ConvSpec s = plane(2, 16, 24, 7, 1);
  check(s);
  s.strides = {2, 2};
  s.has_bias = true;
  check(s);
}

TEST(OnednnConv, Groups) {
  for (const auto& [groups, in, out] :
       {std::array<int64_t, 3>{2, 4, 6}, {2, 32, 32}, {4, 4, 4}, {16, 16, 16}, {16, 16, 32}}) {
    ConvSpec s = plane(2, in, out, 8, 3);
    s.groups = groups;
    s.padding_low = s.padding_high = {1, 1};
    s.has_bias = true;
    check(s);
  }
}

TEST(OnednnConv, OneAndThreeSpatialDimensions) {
  ConvSpec s;
  s.batch = 2, s.in_channels = 5, s.out_channels = 16;
  s.in_size = {19}, s.kernel_size = {4}, s.padding_low = {1}, s.padding_high = {2}, s.strides = {2};
  s.has_bias = true;
  check(s);
  s.dilation = {2};
  check(s);
  s.in_channels = 16;
  s.in_size = {5, 6, 7}, s.kernel_size = {3, 2, 3};
  s.strides = {1, 2, 1}, s.padding_low = {1, 0, 1}, s.padding_high = {1, 1, 0},
  s.dilation = {1, 1, 2};
  check(s);
}

TEST(OnednnConv, Bfloat16) {
  ConvSpec s = plane(2, 16, 32, 9, 3);
  s.padding_low = s.padding_high = {1, 1};
  s.dtype = DType::kBF16;
  s.has_bias = true;
  if (!prepare_conv_forward(s).kernel) GTEST_SKIP() << "this processor has no bf16 kernels";
  check(s);
  s.out_dtype = DType::kBF16;
  check(s);
  s.bias_dtype = DType::kBF16;
  s.in_channels = 3;
  check(s);
}

TEST(OnednnConv, Winograd) {
  ConvSpec s = plane(2, 32, 64, 14, 3);
  s.padding_low = s.padding_high = {1, 1};
  s.has_bias = true;
  s.activation = ScalarOp::kRelu;
  s.allow_winograd = true;
  check(s);
  for (const auto& padding : {Shape{1, 1}, Shape{0, 0}, Shape{0, 1}, Shape{1, 0}}) {
    s.in_size = {33, 29};
    s.padding_low = s.padding_high = padding;
    check(s);
  }
  s.padding_low = {0, 1}, s.padding_high = {1, 1};
  check(s);
}

TEST(OnednnConv, PiecesOfBatchesAndOfRows) {
  for (const auto& [batch, kernel, stride, dilation] : {std::array<int64_t, 4>{1, 3, 1, 1},
                                                        {3, 3, 2, 1},
                                                        {5, 3, 1, 2},
                                                        {1, 1, 2, 1},
                                                        {2, 5, 3, 1}}) {
    ConvSpec s = plane(batch, 24, 24, 13, kernel);
    s.strides = {stride, 1}, s.dilation = {dilation, 1};
    s.padding_low = {kernel / 2, 0}, s.padding_high = {kernel - 1, 0};
    s.has_bias = true;
    check(s, {3, 6});
  }
}

TEST(OnednnConv, PiecesWhoseWeightsAreConvertedInPartsToo) {
  for (const auto& [in, out, groups] :
       {std::array<int64_t, 3>{16, 150, 1}, {130, 16, 1}, {128, 128, 128}}) {
    ConvSpec s = plane(4, in, out, 8, 3);
    s.groups = groups;
    s.has_bias = true;
    check(s, {2});
    s.dtype = s.out_dtype = DType::kBF16;
    if (prepare_conv_forward(s).kernel) check(s, {2});
  }
}

// The library refuses four of these images on one thread and takes eight.
TEST(OnednnConv, FewerPiecesWhereTheLibraryRefusesSmallOnes) {
  ConvSpec s = plane(8, 256, 512, 14, 1);
  s.strides = {2, 2};
  const test::Threads scope(2);
  EXPECT_TRUE(prepare_conv_forward(s).kernel) << prepare_conv_forward(s).declined;
}

TEST(OnednnConv, Declines) {
  ConvSpec s = plane(1, 4, 4, 5, 3);
  s.lhs_dilation = {2, 1};
  EXPECT_NE(prepare_conv_forward(s).declined.find("dilation"), std::string::npos);
  s = plane(1, 4, 4, 5, 3);
  s.padding_low = {-1, 0}, s.padding_high = {1, 0};
  EXPECT_NE(prepare_conv_forward(s).declined.find("negative"), std::string::npos);
  s = plane(1, 4, 4, 2, 3);
  EXPECT_FALSE(prepare_conv_backward_data(s).kernel);
  s = plane(1, 4, 4, 5, 3);
  s.dtype = DType::kF16;
  EXPECT_FALSE(prepare_conv_backward_weights(s).kernel);
}

TEST(OnednnConv, ConcurrentCalls) {
  const test::Threads scope(1);
  ConvSpec s = plane(2, 16, 16, 10, 3);
  const PrepareResult result = prepare_conv_backward_weights(s);
  std::vector<Tensors> data(4, make_tensors(s, DType::kF32, DType::kF32, DType::kF32));
  std::vector<std::thread> threads;
  for (size_t t = 0; t < data.size(); ++t) {
    data[t].x.fill_random(100 + t);
    threads.emplace_back([&, t] {
      const test::Threads one(1);
      for (int i = 0; i < 30; ++i) run(*result.kernel, {&data[t].x, &data[t].y}, {&data[t].w});
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (Tensors& d : data) {
    Buffer alone = d.w;
    alone.fill(0);
    run(*result.kernel, {&d.x, &d.y}, {&alone});
    EXPECT_EQ(0, std::memcmp(alone.data(), d.w.data(), d.w.count() * sizeof(float)));
  }
}

}  // namespace
}  // namespace linnet::cpu::onednn::onednn_conv_test
