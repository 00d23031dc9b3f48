// Spellings that people bring along: slices in brackets, loops over rows and keys, structured
// bindings of keys. Expected values are NumPy's.
#include <algorithm>

#include "tests/core/core_support.h"

namespace linnet::spellings_test {
namespace {

using test::floats;
using test::values;

Tensor table() { return arange(24).astype(DType::kF32).reshape(2, 3, 4); }

TEST(Spellings, J_009_slices_new_axes_and_ellipsis_in_brackets) {
  const Tensor x = table();
  struct Row {
    Tensor got;
    Shape shape;
    float first, last;
  };
  const Row rows[] = {
      {x[{Slice(0, 1), 2}], {1, 4}, 8, 11},
      {x[{Slice(), Slice(0, 2), Slice({}, {}, 2)}], {2, 2, 2}, 0, 18},
      {x[Slice(-1, {})], {1, 3, 4}, 12, 23},
      {x[Slice(5, 9)], {0, 3, 4}, -1, -1},
      {x[{kEllipsis, Slice({}, {}, -1)}], {2, 3, 4}, 3, 20},
      {x[{kEllipsis, 0}], {2, 3}, 0, 20},
      {x[{1, kEllipsis, -1}], {3}, 15, 23},
      {x[{kNewAxis, 1, Slice(1, 2)}], {1, 1, 4}, 16, 19},
      {x[{0, kNewAxis, kEllipsis, kNewAxis}], {1, 3, 4, 1}, 0, 11},
      {x[{Slice(), size_t{1}}], {2, 4}, 4, 19},
      {x[{Slice(2, 0, -1), 0, 0}], {1}, 12, 12},
      {x[{0, 2}], {4}, 8, 11},
      {x[{1, 2, 3}], {}, 23, 23},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(to_string(row.got.type()));
    EXPECT_EQ(row.got.shape(), row.shape);
    if (row.got.size() == 0) continue;
    EXPECT_EQ(values(row.got).front(), row.first);
    EXPECT_EQ(values(row.got).back(), row.last);
  }
  EXPECT_THROW((x[{kEllipsis, kEllipsis}]), ValueError);
  EXPECT_THROW((x[{0, 0, 0, Slice()}]), ShapeError);
  EXPECT_THROW((x[{Slice(), 3}]), ShapeError);
  const Tensor slope = grad([](const Tensor& v) {
    return sum(square(v[{Slice(), 1, Slice(1, 3)}]));
  })(x);
  EXPECT_EQ(values(slope[{1, 1}]), floats({0, 34, 36, 0}));
}

TEST(Spellings, loops_over_the_first_axis) {
  std::vector<float> firsts;
  for (const Tensor& row : table()) firsts.push_back(row[{0, 0}].item<float>());
  EXPECT_EQ(firsts, floats({0, 12}));
  const Tensor x = table();
  const std::vector<Tensor> rows(x.begin(), x.end());
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].shape(), (Shape{3, 4}));
  for (const Tensor& row : zeros({0, 3})) FAIL() << row;
  EXPECT_THROW(
      {
        for (const Tensor& row : Tensor(1.f)) FAIL() << row;
      },
      ShapeError);
  const Tensor total = jit([](const Tensor& v) {
    Tensor out = 0;
    for (const Tensor& row : v) out = out * 2 + sum(row);
    return out;
  })(x);
  EXPECT_EQ(total.item<float>(), 2 * 66 + 210);
}

TEST(Spellings, keys_one_by_one) {
  const Key key(7);
  const Key keys = random::split(key, 3);
  int64_t at = 0;
  for (const Key& each : keys) EXPECT_EQ(values(each.data()), values(keys[at++].data()));
  EXPECT_EQ(at, 3);
  const auto [first, second] = random::split(key);
  EXPECT_EQ(values(first.data()), values(random::split(key)[0].data()));
  EXPECT_EQ(values(second.data()), values(random::split(key)[1].data()));
  const auto [a, b, c] = random::split<3>(key);
  EXPECT_EQ(values(c.data()), values(keys[2].data()));
  const auto take_apart = [](const Key& some) {
    const auto [one, other] = some;
    return one.shape().size() + other.shape().size();
  };
  EXPECT_THROW(take_apart(keys), ShapeError) << "there are three";
  EXPECT_THROW(take_apart(key), ShapeError) << "there is one";
  EXPECT_THROW(
      {
        for (const Key& each : key) FAIL() << each.shape();
      },
      ShapeError);
}

TEST(Spellings, a_type_is_one_of_the_default_device) {
  EXPECT_EQ((TensorType{DType::kF32, {2}}).device, default_device());
  EXPECT_EQ(abstract({DType::kF32, {2}}).type(), zeros({2}).type());
  const ScopedDevice other({DeviceType::kCpu, 0});
  EXPECT_EQ(TensorType().device, default_device());
}

}  // namespace
}  // namespace linnet::spellings_test
