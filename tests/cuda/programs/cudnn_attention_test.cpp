// Attention by cuDNN on the device, forward and backward: values against the CPU, with masks, rows
// that may look nowhere, dropout, grouped heads, and the reason of every request it does not take.
#include <gtest/gtest.h>

#include "core/ops/nn.h"
#include "cuda/programs/cudnn_checks.h"
#include "linnet/detail/format.h"
#include "linnet/device.h"
#include "linnet/random.h"

namespace linnet::testing::cudnn_attention_test {
namespace {

constexpr const char *kAttention = "dot_product_attention",
                     *kBackward = "dot_product_attention_backward";

struct AttentionCase {
  std::string name;
  Shape q, k;
  AttentionOptions options = {};
  Shape bias = {};
  Tensor mask = {};
};

std::vector<AttentionCase> attention_cases() {
  return {
      {"plain", {2, 5, 2, 8}, {2, 6, 2, 8}},
      {"causal", {2, 6, 2, 16}, {2, 6, 2, 16}, {.causal = true}},
      {"causal_longer_keys", {1, 3, 2, 8}, {1, 7, 2, 8}, {.causal = true}},
      {"grouped", {2, 5, 4, 8}, {2, 6, 2, 8}, {.scale = 0.5}},
      {"one_query", {2, 1, 4, 8}, {2, 9, 1, 8}},
      {"bias", {2, 5, 2, 8}, {2, 6, 2, 8}, {}, {1, 2, 5, 6}},
  };
}

Tensor on(const Tensor& x, const Tensor& like) { return x.defined() ? x.to(like.device()) : x; }

Function attention_of(const AttentionCase& c) {
  return [c](const TensorList& x) {
    AttentionOptions options = c.options;
    options.dropout_key = on(options.dropout_key, x[0]);
    const AttentionResult r = dot_product_attention_with_residual(
        x[0], x[1], x[2], x.size() > 3 ? x[3] : Tensor(), on(c.mask, x[0]), options);
    return TensorList{r.y, r.log_sum_exp};
  };
}

Function gradients_of(const AttentionCase& c) {
  return [c](const TensorList& x) {
    const auto f = [&](const TensorList& in) { return TensorList{attention_of(c)(in)[0]}; };
    const auto [y, pullback] = vjp(f, x);
    return pullback({numbers(y[0].shape(), x[0].dtype(), 0.23f).to(x[0].device())});
  };
}

TensorList operands_of(const AttentionCase& c, DType dtype) {
  TensorList x{numbers(c.q, dtype), numbers(c.k, dtype, 0.61f), numbers(c.k, dtype, 0.83f)};
  if (!c.bias.empty()) x.push_back(numbers(c.bias, dtype, 0.29f));
  return x;
}

/// Two in five are hidden; rows of few keys may be empty.
Tensor some(const Shape& shape) { return greater(numbers(shape, DType::kF32, 1.7f), -0.3f); }

class CudnnAttention : public Cudnn {
 protected:
  static void expect_both_by_library(const AttentionCase& c, DType dtype) {
    SCOPED_TRACE(c.name + " in " + std::string(name_of(dtype)));
    expect_same_by_library(kAttention, attention_of(c), operands_of(c, dtype));
    expect_same_by_library(kBackward, gradients_of(c), operands_of(c, dtype), 16);
  }
};

TEST_F(CudnnAttention, forward) {
  const auto cases = attention_cases();
  for (const AttentionCase& c : cases) {
    SCOPED_TRACE(c.name);
    expect_same_by_library(kAttention, attention_of(c), operands_of(c, DType::kBF16));
  }
  const AttentionCase plain = cases[0];
  expect_same_by_library(kAttention, attention_of(plain), operands_of(plain, DType::kF16));
  set_matmul_precision(Precision::kDefault);  // f32 with rounded operands
  Choices choices;
  const TensorList there = attention_of(plain)(moved(operands_of(plain, DType::kF32), kGpu));
  EXPECT_EQ(choices.count(kAttention, "cudnn"), 1u) << choices.text();
  expect_equal(there, attention_of(plain)(operands_of(plain, DType::kF32)), DType::kBF16, 8);
}

TEST_F(CudnnAttention, backward) {
  for (const AttentionCase& c : attention_cases()) {
    for (const bool deterministic : {false, true}) {
      SCOPED_TRACE(c.name + (deterministic ? ", deterministic" : ""));
      set_deterministic(deterministic);
      expect_same_by_library(kBackward, gradients_of(c), operands_of(c, DType::kBF16), 16);
    }
  }
}

// The real library makes a plan for every case, about a second each: settings that do not meet in
// the graph are therefore combined in turns and not each with each.

/// All shapes that broadcast to [batch, heads, queries, keys], of odd lengths, with grouped heads.
TEST_F(CudnnAttention, masks_of_every_shape) {
  const Shape shapes[] = {{2, 1, 1, 7}, {1, 1, 1, 7}, {1, 1, 5, 7}, {2, 1, 5, 7}, {1, 4, 5, 7},
                          {2, 4, 5, 7}, {2, 4, 1, 7}, {2, 1, 5, 1}, {2, 1, 1, 1}};
  bool causal = false;
  for (const Shape& shape : shapes) {
    const AttentionCase c{to_string(shape) + (causal ? " causal" : ""),
                          {2, 5, 4, 8},
                          {2, 7, 2, 8},
                          {.causal = causal},
                          {},
                          some(shape)};
    expect_both_by_library(c, DType::kBF16);
    causal = !causal;
  }
  expect_both_by_library({"f16", {2, 5, 4, 8}, {2, 7, 2, 8}, {}, {}, some({2, 1, 5, 7})},
                         DType::kF16);
}

/// Padding at the left, whose first queries see nothing; a batch without any key; padded queries.
TEST_F(CudnnAttention, J_042_queries_that_may_look_nowhere_look_everywhere_alike) {
  const Tensor left = greater_equal(iota(DType::kI32, {2, 1, 1, 7}, 3), 3);
  const Tensor one_batch = greater(iota(DType::kI32, {2, 1, 1, 7}, 0), 0);
  const Tensor queries = less(iota(DType::kI32, {1, 1, 5, 7}, 2), 3);
  for (const bool causal : {false, true}) {
    const DType dtype = causal ? DType::kF16 : DType::kBF16;
    const auto options = [&] { return AttentionOptions{.causal = causal}; };
    expect_both_by_library({"left", {2, 5, 4, 8}, {2, 7, 2, 8}, options(), {}, left}, dtype);
    expect_both_by_library({"batch", {2, 5, 2, 16}, {2, 7, 2, 16}, options(), {}, one_batch},
                           dtype);
    expect_both_by_library({"queries", {2, 5, 2, 8}, {2, 7, 1, 8}, options(), {}, queries}, dtype);
    expect_both_by_library(
        {"nothing", {1, 5, 2, 8}, {1, 7, 2, 8}, options(), {}, zeros({1, 1, 1, 1}, DType::kBool)},
        dtype);
  }
}

/// More rows and keys than one warp has, and heads that are no multiple of its lanes.
TEST_F(CudnnAttention, empty_rows_of_long_sequences) {
  const Tensor mask =
      logical_and(less(iota(DType::kI32, {1, 1, 150, 1}, 2) % 50, 47), some({1, 1, 1, 140}));
  expect_both_by_library({"long", {1, 150, 2, 40}, {1, 140, 1, 40}, {}, {}, mask}, DType::kBF16);
}

TEST_F(CudnnAttention, masks_with_a_bias) {
  for (const Shape& mask : {Shape{2, 1, 1, 7}, Shape{2, 4, 5, 7}}) {
    for (const Shape& bias : {Shape{1, 4, 5, 7}, Shape{2, 1, 5, 7}, Shape{1, 1, 5, 7}}) {
      expect_both_by_library({to_string(mask) + " and " + to_string(bias),
                              {2, 5, 4, 8},
                              {2, 7, 2, 8},
                              {},
                              bias,
                              some(mask)},
                             mask[1] == 1 ? DType::kBF16 : DType::kF16);
    }
  }
  // Below what cuDNN can multiply by log2(e).
  const AttentionCase c{"least", {1, 5, 2, 8}, {1, 7, 2, 8}, {}, {}, some({1, 1, 1, 7})};
  TensorList x = operands_of(c, DType::kBF16);
  x.push_back(where(some({1, 1, 5, 7}), scalar(0, DType::kBF16),
                    scalar(-finfo(DType::kBF16).max, DType::kBF16)));
  expect_same_by_library(kAttention, attention_of(c), x);
}

TEST_F(CudnnAttention, sequence_lengths_and_windows_are_masks) {
  AttentionCase c{"lengths", {2, 5, 2, 8}, {2, 7, 2, 8}};
  const Function f = [](const TensorList& x) {
    const ScopedDevice here(x[0].device());
    AttentionOptions options;
    options.query_seq_lengths = on(tensor({5, 2}), x[0]);
    options.key_value_seq_lengths = on(tensor({3, 7}), x[0]);
    options.local_window_size = {{2, 1}};
    return TensorList{dot_product_attention(x[0], x[1], x[2], {}, {}, options)};
  };
  expect_same_by_library(kAttention, f, operands_of(c, DType::kBF16));
}

/// The same weights are dropped as on the CPU, from the same key.
TEST_F(CudnnAttention, dropout_has_the_bits_of_its_key) {
  struct Row {
    Shape q, k;
    bool causal, broadcasts;
    double rate;
    Tensor mask;
  };
  const Tensor left = greater_equal(iota(DType::kI32, {2, 1, 1, 7}, 3), 3);
  const Row rows[] = {
      {{2, 5, 2, 8}, {2, 7, 2, 8}, false, false, 0.5, {}},
      {{2, 5, 4, 8}, {2, 7, 2, 8}, true, false, 0.25, {}},
      {{2, 5, 4, 8}, {2, 7, 1, 8}, false, true, 0.5, {}},
      {{2, 1, 2, 8}, {2, 9, 2, 8}, false, false, 0.1, {}},
      {{2, 5, 4, 8}, {2, 7, 2, 8}, false, false, 0.5, some({2, 1, 1, 7})},
      {{2, 5, 4, 8}, {2, 7, 2, 8}, true, false, 0.5, left},
      {{2, 5, 4, 8}, {2, 7, 2, 8}, true, true, 0.5, left},
      {{2, 5, 2, 8}, {2, 7, 2, 8}, false, false, 1, some({2, 1, 1, 7})},
  };
  for (const Row& row : rows) {
    AttentionCase c{
        fmt::format("rate {}{}{}{}", row.rate, row.causal ? " causal" : "",
                    row.broadcasts ? " broadcast" : "", row.mask.defined() ? " masked" : ""),
        row.q,
        row.k,
        {.causal = row.causal},
        {},
        row.mask};
    c.options.dropout_rate = row.rate;
    c.options.broadcast_dropout = row.broadcasts;
    c.options.dropout_key = Key(7).data();
    expect_both_by_library(c, row.causal ? DType::kF16 : DType::kBF16);
  }
}

/// A mapped function has a key for each of its runs.
TEST_F(CudnnAttention, dropout_with_several_keys) {
  const auto mapped = [](bool broadcasts) {
    return [broadcasts](const TensorList& x) {
      return TensorList{vmap([&](const Tensor& q, const Tensor& key) {
        return dot_product_attention(
            q, q, q, {}, {},
            {.dropout_rate = 0.5, .broadcast_dropout = broadcasts, .dropout_key = key});
      })(x[0], x[1])};
    };
  };
  const Tensor keys = from_vector<uint32_t>({1, 2, 3, 4, 5, 6}, {3, 2});
  const Tensor pairs = numbers({3, 2, 5, 2, 8}, DType::kBF16);
  expect_same_by_library(kAttention, mapped(false), {pairs, keys});
  expect_same_by_library(kAttention, mapped(true), {numbers({3, 1, 5, 2, 8}, DType::kBF16), keys});
  expect_declined(mapped(true), {pairs, keys}, "several keys");
}

/// Beside what attention without a mask needs, one bias for a row of keys.
TEST_F(CudnnAttention, masks_of_keys_take_memory_for_keys) {
  AttentionCase c{"", {2, 200, 8, 8}, {2, 200, 8, 8}};
  const TensorList x = moved(operands_of(c, DType::kBF16), kGpu);
  const auto peak = [&](const Tensor& mask) {
    c.mask = mask;
    synchronize(kGpu);
    allocator_of(kGpu).reset_peak();
    const size_t before = memory_stats(kGpu).live_bytes;
    const TensorList y = attention_of(c)(x);
    synchronize(kGpu);
    return memory_stats(kGpu).peak_bytes - before;
  };
  const size_t without = peak({});
  EXPECT_LT(peak(some({2, 1, 1, 200}).to(kGpu)), without + (size_t{1} << 14));
}

TEST_F(CudnnAttention, that_is_declined) {
  const AttentionCase plain{"", {1, 4, 2, 8}, {1, 4, 2, 8}};
  expect_declined(attention_of(plain), operands_of(plain, DType::kF32), "highest precision");
  expect_declined(attention_of(plain), operands_of(plain, DType::kF64), "dtype f64");
  AttentionCase odd = plain;
  odd.q = odd.k = {1, 4, 2, 12};
  expect_declined(attention_of(odd), operands_of(odd, DType::kBF16), "multiple of 8");
  AttentionCase same_for_queries = plain;
  same_for_queries.bias = {1, 2, 1, 4};
  expect_declined(gradients_of(same_for_queries), operands_of(same_for_queries, DType::kBF16),
                  "gradient of a bias that is the same");
  same_for_queries.bias = {1, 2, 4, 1};
  expect_declined(attention_of(same_for_queries), operands_of(same_for_queries, DType::kBF16),
                  "same for several keys");
  AttentionCase older = plain;
  older.options.dropout_rate = 0.5;
  older.options.dropout_key = Key(1).data();
  const random::LayoutScope scope(random::Layout::kOriginal);
  expect_declined(attention_of(older), operands_of(older, DType::kBF16), "older layout");
}

}  // namespace
}  // namespace linnet::testing::cudnn_attention_test
