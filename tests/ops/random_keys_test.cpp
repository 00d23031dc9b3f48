// Keys and bits: the known answers of docs/rng.md sections 11.1, 11.3 and 11.4.
#include <numeric>

#include "linnet/error.h"
#include "linnet/jit.h"
#include "linnet/parallel.h"
#include "linnet/transforms.h"
#include "tests/ops/elementwise_support.h"
#include "tests/ops/random_support.h"
#include "tests/support/fake_device.h"

namespace linnet::random_keys_test {
namespace {

using random::bits;
using random::fold_in;
using random::Layout;
using random::LayoutScope;
using random::split;
using testing::expect_error;
using testing::expect_identical;
using testing::Words;
using testing::words;

/// The second of two draws, made after the first.
Tensor draw_twice(const Key& key) {
  const Tensor first = random::normal(fold_in(key, 1), {70000});
  const Tensor second = random::normal(fold_in(key, 2), {70000});
  return where(first > 100, 0.f, second);
}

Key key_of_words(uint32_t high, uint32_t low) { return Key(tensor({high, low})); }

TEST(RandomKeys, J_055_J_057_J_058_block_function) {
  // fold_in and split expose the block at counters (0, n).
  EXPECT_EQ(words(fold_in(key_of_words(0, 0), 0)), (Words{0x6b200159, 0x99ba4efe}));
  EXPECT_EQ(words(split(key_of_words(0, 0), 1)), (Words{0x6b200159, 0x99ba4efe}));
}

TEST(RandomKeys, J_056_seeds_of_section_11_1) {
  struct Case {
    int64_t seed;
    Words narrow, wide;
  };
  const Case cases[] = {
      {0, {0, 0}, {0, 0}},
      {1, {0, 1}, {0, 1}},
      {2, {0, 2}, {0, 2}},
      {3, {0, 3}, {0, 3}},
      {-1, {0, 4294967295}, {4294967295, 4294967295}},
      {-3, {0, 4294967293}, {4294967295, 4294967293}},
      {2147483747, {0, 2147483747}, {0, 2147483747}},
      {2147483748, {0, 2147483748}, {0, 2147483748}},
      {-2147483748, {0, 2147483548}, {4294967295, 2147483548}},
      {-2147483749, {0, 2147483547}, {4294967295, 2147483547}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(words(Key(c.seed)), c.narrow) << c.seed;
    EXPECT_EQ(words(random::wide_key(c.seed)), c.wide) << c.seed;
  }
  EXPECT_EQ(words(Key()), (Words{0, 0}));
  EXPECT_EQ(words(Key(5)), words(Key(5 + (int64_t{1} << 32))));
}

TEST(RandomKeys, J_056_raw_words) {
  const Key key = key_of_words(3, 4);
  EXPECT_EQ(words(key), (Words{3, 4}));
  EXPECT_EQ(words(Key(key.data())), (Words{3, 4}));
  expect_error<DTypeError>(
      [] {
        Key(tensor({1.0f, 2.0f}));
      },
      "expected key data u32[..., 2], got f32[2]");
  expect_error<ShapeError>(
      [] {
        Key(tensor({1u, 2u, 3u}));
      },
      "expected key data u32[..., 2], got u32[3]");
}

TEST(RandomKeys, J_057_fold_in) {
  EXPECT_EQ(words(fold_in(Key(0), 0)), (Words{1797259609, 2579123966}));
  EXPECT_EQ(words(fold_in(Key(0), 1)), (Words{928981903, 3453687069}));
  EXPECT_EQ(words(fold_in(Key(0), 4)), (Words{2285895361, 433833334}));
  struct Case {
    uint32_t data;
    Words expected;
  };
  const Case cases[] = {{0, {741045208, 1847055613}},
                        {1, {85238482, 2594297577}},
                        {255, {2795480524, 3482194345}},
                        {1u << 31, {99154259, 376878034}},
                        {~0u, {244354911, 2968384621}}};
  for (const Case& c : cases) {
    EXPECT_EQ(words(fold_in(Key(1701), c.data)), c.expected) << c.data;
    const LayoutScope older(Layout::kOriginal);
    EXPECT_EQ(words(fold_in(Key(1701), c.data)), c.expected) << "the same in either layout";
  }
  EXPECT_EQ(words(fold_in(Key(1701), scalar_integer(-1, DType::kI32))),
            (Words{244354911, 2968384621}));
  expect_error<DTypeError>([] { fold_in(Key(0), scalar(1, DType::kF32)); },
                           "fold_in: expected an integer");
}

TEST(RandomKeys, J_057_fold_in_of_arrays) {
  const Key folded = fold_in(Key(1701), tensor({0u, 255u}));
  EXPECT_EQ(words(folded), (Words{741045208, 1847055613, 2795480524, 3482194345}));
  EXPECT_EQ(words(fold_in(split(Key(2), 3), 7)[1]), words(fold_in(split(Key(2), 3)[1], 7)));
}

TEST(RandomKeys, J_058_split) {
  EXPECT_EQ(words(split(Key(42))), (Words{1832780943, 270669613, 64467757, 2916123636}));
  EXPECT_EQ(words(split(Key(0), 3)[2]), (Words{4146024105, 2718843009}));
  EXPECT_EQ(words(split(Key(1), 3)),
            (Words{507451445, 1853169794, 1948878966, 4237131848, 2441914641, 3819641963}));
  EXPECT_EQ(words(split(Key(1701), 4)), (Words{741045208, 1847055613, 85238482, 2594297577,
                                               56197195, 961309823, 927208350, 676898860}));
  EXPECT_EQ(words(split(Key(1701), Shape{2, 2})), words(split(Key(1701), 4)));
  EXPECT_EQ(split(Key(1701), Shape{2, 2}).shape(), (Shape{2, 2}));
  const auto [first, second, third] = split<3>(Key(0));
  EXPECT_EQ(words(third), (Words{4146024105, 2718843009}));
  EXPECT_EQ(words(first), words(split(Key(0), 3)[0]));
  EXPECT_EQ(words(second), words(split(Key(0), 3)[1]));
}

TEST(RandomKeys, J_058_a_longer_split_extends_a_shorter_one_and_is_fold_in) {
  const Words shorter = words(split(Key(72), 3)), longer = words(split(Key(72), 50));
  EXPECT_TRUE(std::equal(shorter.begin(), shorter.end(), longer.begin()));
  const Key keys = split(Key(72), 50);
  for (uint32_t i = 0; i < 50; ++i) EXPECT_EQ(words(keys[i]), words(fold_in(Key(72), i))) << i;
}

TEST(RandomKeys, J_058_split_in_the_older_layout) {
  const LayoutScope older(Layout::kOriginal);
  EXPECT_EQ(words(split(Key(0), 4)), (Words{2285895361, 1501764800, 1518642379, 4090693311,
                                            433833334, 4221794875, 839183663, 3740430601}));
  EXPECT_EQ(words(split(Key(1701), 4)), (Words{4000152724, 2030591747, 2287976877, 2598630646,
                                               2426625787, 580268518, 3136765380, 433355682}));
}

TEST(RandomKeys, J_058_the_layout_ends_with_its_scope) {
  const Words now = words(split(Key(1)));
  {
    const LayoutScope older(Layout::kOriginal);
    EXPECT_EQ(random::layout(), Layout::kOriginal);
    EXPECT_NE(words(split(Key(1))), now);
  }
  EXPECT_EQ(words(split(Key(1))), now);
}

TEST(RandomKeys, J_059_bits) {
  EXPECT_EQ(words(bits(Key(0))), (Words{4070199207}));
  EXPECT_EQ(words(bits(Key(10), {4})), (Words{169096361, 1572511259, 2689743692, 2228103506}));
  const Key key(1701);
  EXPECT_EQ(words(bits(key, {6}, DType::kU8)), (Words{37, 59, 52, 178, 111, 60}));
  EXPECT_EQ(words(bits(key, {6}, DType::kU16)), (Words{42789, 29755, 60468, 48050, 8815, 25916}));
  EXPECT_EQ(words(bits(key, {6})),
            (Words{1111271205, 2679469115, 974515252, 521976754, 2127438447, 4120601916}));
  EXPECT_EQ(
      bits(key, {6}, DType::kU64).to_vector<uint64_t>(),
      (std::vector<uint64_t>{3182764935064573181u, 366096495144982249u, 241365115613244543u,
                             3982329540505020460u, 17180525131011940091u, 14047641688775088780u}));
  const Words many = words(bits(key, {65536}));
  EXPECT_EQ(many.front(), 1111271205u);
  EXPECT_EQ(many.back(), 1187781371u);
  EXPECT_EQ(std::accumulate(many.begin(), many.end(), 0u, std::bit_xor<uint32_t>()), 2766784087u);
  EXPECT_EQ(std::accumulate(many.begin(), many.end(), 0u), 4171602435u);
  expect_error<DTypeError>([&] { bits(key, {2}, DType::kI32); },
                           "expected u8, u16, u32 or u64, got i32");
  expect_error<ShapeError>([&] { bits(key, {-2}); }, "must not be negative");
}

TEST(RandomKeys, J_059_bits_in_the_older_layout) {
  const LayoutScope older(Layout::kOriginal);
  const Key key(1701);
  EXPECT_EQ(words(bits(key, {3}, DType::kU8)), (Words{216, 115, 43}));
  EXPECT_EQ(words(bits(key, {3}, DType::kU16)), (Words{41682, 1300, 55017}));
  EXPECT_EQ(words(bits(key, {3})), (Words{56197195, 4200222568, 961309823}));
  EXPECT_EQ(
      bits(key, {3}, DType::kU64).to_vector<uint64_t>(),
      (std::vector<uint64_t>{3982329540505020460u, 16822122385914693683u, 7882654074788531506u}));
}

TEST(RandomKeys, J_059_the_shape_does_not_matter) {
  for (DType dtype : {DType::kU8, DType::kU16, DType::kU32, DType::kU64}) {
    expect_identical(reshape(bits(Key(3), {7, 11}, dtype), {77}), bits(Key(3), {77}, dtype),
                     "reshaped");
    expect_identical(slice_axis(bits(Key(3), {77}, dtype), 0, 13, 0), bits(Key(3), {13}, dtype),
                     "prefix");
  }
}

TEST(RandomKeys, J_069_key_arrays) {
  const Key keys = split(Key(5), Shape{2, 3});
  EXPECT_EQ(keys.shape(), (Shape{2, 3}));
  EXPECT_EQ(keys[1].shape(), (Shape{3}));
  EXPECT_EQ(words(keys[1][2]), words(fold_in(Key(5), 5)));
  EXPECT_EQ(bits(keys, {4}).shape(), (Shape{2, 3, 4}));
  EXPECT_EQ(words(bits(keys[1][2], {4})), words(bits(keys, {4})[1][2]));
  EXPECT_EQ(split(keys, 5).shape(), (Shape{2, 3, 5}));
  EXPECT_EQ(words(split(keys, 5)[1][2]), words(split(keys[1][2], 5)));
  expect_error<ShapeError>([] { Key(1)[0]; }, "a single key cannot be indexed");
}

TEST(RandomKeys, J_069_keys_stack_compare_and_are_values) {
  const Key a(1), b(2);
  const Key both(stack({a.data(), b.data()}));
  EXPECT_EQ(both.shape(), (Shape{2}));
  EXPECT_EQ(words(both[1]), words(b));
  EXPECT_TRUE(all(equal(both[0].data(), a.data())).item<bool>());
  EXPECT_FALSE(all(equal(both[0].data(), b.data())).item<bool>());
  // A copy is what jax.random.clone makes: drawing from one leaves the other as it was.
  const Key copy = a;
  const Words before = words(bits(a, {3}));
  EXPECT_EQ(words(bits(copy, {3})), before);
  EXPECT_EQ(words(copy), words(a));
  EXPECT_EQ(tree::leaves(both).size(), 1u);
}

TEST(RandomKeys, J_069_keys_are_trees_and_map) {
  const Key keys = split(Key(8), 6);
  const auto draw = [](const Key& key) { return bits(key, {3}); };
  expect_identical(vmap(draw)(keys), bits(keys, {3}), "vmap over keys");
  const auto derive = [](const Key& key, const Tensor& number) {
    return fold_in(split(key, 3)[1], number);
  };
  const Key derived = vmap(derive)(keys, arange(6));
  for (int64_t i = 0; i < 6; ++i) {
    EXPECT_EQ(words(derived[i]), words(fold_in(split(keys[i], 3)[1], static_cast<uint32_t>(i))));
  }
  const Key counted = vmap([](const Tensor& number) { return fold_in(Key(4), number); })(arange(6));
  EXPECT_EQ(words(counted), words(split(Key(4), 6)));
  const Key compiled = jit([](const Key& key) { return split(fold_in(key, 3), 2)[1]; })(keys[2]);
  EXPECT_EQ(words(compiled), words(split(fold_in(keys[2], 3), 2)[1]));
  const Key shapes = eval_shape([](const Key& key) { return split(key, Shape{2, 5}); }, Key(1));
  EXPECT_EQ(shapes.data().shape(), (Shape{2, 5, 2}));
}

TEST(RandomKeys, R_035_bits_depend_on_neither_threads_nor_device_nor_order) {
  const auto draw = [](int64_t number) { return random::normal(fold_in(Key(5), number), {70000}); };
  const int before = num_threads();
  set_num_threads(1);
  const Words first = words(bits(Key(3), {100003}));
  const std::vector<float> one = draw(1).to_vector<float>(), two = draw(2).to_vector<float>();
  set_num_threads(3);
  EXPECT_EQ(draw(2).to_vector<float>(), two) << "in another order";
  EXPECT_EQ(draw(1).to_vector<float>(), one);
  EXPECT_EQ(words(bits(Key(3), {100003})), first);
  set_num_threads(before);
  const ScopedDevice there(testing::fake_device());
  EXPECT_EQ(draw(1).to_vector<float>(), one) << "on another device";
  EXPECT_EQ(jit(draw_twice)(Key(5)).to_vector<float>(), two) << "in a program that draws both";
}

}  // namespace
}  // namespace linnet::random_keys_test
