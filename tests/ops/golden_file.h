// Reads the golden files that tests/reference/generate.py writes.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "linnet/complex.h"
#include "linnet/io/safetensors.h"
#include "linnet/ops.h"

namespace linnet::testing {

/// A file of tests/reference/golden by name.
class GoldenFile {
 public:
  explicit GoldenFile(const std::string& name)
      : file_(read_safetensors(std::string(LINNET_TEST_DATA) + "/reference/golden/" + name +
                               ".safetensors")) {}

  bool contains(const std::string& name) const { return file_.contains(name); }
  Tensor tensor(const std::string& name) const {
    const linnet::HostArray array = file_.array(name);
    return from_bytes(array.data, array.dtype, array.shape);
  }

 private:
  SafetensorsFile file_;
};

/// Equal types; values within `tolerance` of max(1, |expected|), NaN and infinities equal. Of
/// complex numbers both parts are compared.
inline void expect_golden(const Tensor& got, const Tensor& expected, double tolerance,
                          const std::string& what) {
  ASSERT_EQ(type_string(got.dtype(), got.shape()), type_string(expected.dtype(), expected.shape()))
      << what;
  if (is_complex(got.dtype())) {
    expect_golden(real(got), real(expected), tolerance, what + ", real parts");
    expect_golden(imag(got), imag(expected), tolerance, what + ", imaginary parts");
    return;
  }
  const std::vector<double> a = got.to_vector<double>(), b = expected.to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(b[i])) {
      EXPECT_TRUE(std::isnan(a[i])) << what << ": element " << i << " is " << a[i];
    } else if (std::isinf(b[i])) {
      EXPECT_EQ(a[i], b[i]) << what << ": element " << i;
    } else {
      EXPECT_NEAR(a[i], b[i], tolerance * std::max(1.0, std::abs(b[i])))
          << what << ": element " << i;
    }
  }
}

}  // namespace linnet::testing
