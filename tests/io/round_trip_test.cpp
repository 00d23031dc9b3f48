// What is written is read again, for arrays of every type and many shapes.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "linnet/io/npy.h"
#include "linnet/io/safetensors.h"
#include "tests/io/faulty_file_system.h"
#include "tests/io/io_test_utils.h"

namespace linnet::round_trip_test {
namespace {

HostArray random_array(std::mt19937& random) {
  Shape shape;
  const unsigned rank = random() % 5;
  for (unsigned i = 0; i < rank; ++i) shape.push_back(random() % 5);
  const auto dtype = static_cast<DType>(random() % kDTypeCount);
  const WritableHostArray array = allocate_host_array(dtype, shape);
  for (size_t i = 0; i < array.array.byte_size(); ++i)
    array.data[i] = static_cast<std::byte>(dtype == DType::kBool ? random() % 2 : random() % 256);
  return array.array;
}

void expect_same(const HostArray& a, const HostArray& b) {
  ASSERT_EQ(a.dtype, b.dtype);
  ASSERT_EQ(a.shape, b.shape);
  EXPECT_EQ(std::memcmp(a.data, b.data, a.byte_size()), 0) << type_string(a.dtype, a.shape);
}

TEST(RoundTrip, R_039_npy) {
  std::mt19937 random(1);
  for (int i = 0; i < 5000; ++i) {
    const HostArray array = random_array(random);
    if (array.dtype == DType::kBF16) continue;  // has no name in this format
    expect_same(parse_npy(npy_bytes(array)), array);
  }
}

TEST(RoundTrip, R_039_safetensors) {
  const testing::TemporaryDirectory root;
  testing::FaultyFileSystem disk;  // without flushes
  std::mt19937 random(2);
  for (int i = 0; i < 200; ++i) {
    std::map<std::string, HostArray> arrays;
    while (arrays.size() < 10) {
      const HostArray array = random_array(random);
      if (array.dtype == DType::kC128) continue;  // has no name in this format
      arrays["x" + std::to_string(random() % 1000)] = array;
    }
    write_safetensors(root / "a", arrays, {{"seed", std::to_string(i)}}, disk);
    const SafetensorsFile file = read_safetensors(root / "a");
    ASSERT_EQ(file.names().size(), arrays.size());
    EXPECT_EQ(file.metadata().at("seed"), std::to_string(i));
    for (const auto& [name, array] : arrays) expect_same(file.array(name), array);
  }
}

}  // namespace
}  // namespace linnet::round_trip_test
