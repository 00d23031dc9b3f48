// Leaves of models are compared by rows of seven numbers, since whole ones of all models, kinds and
// stages would be many times the size of the golden files. These rows tell orders apart: elements
// that change places, or one that is another, are found within the tolerances that are in use.
#include "tests/models/model_golden.h"

#include <gtest/gtest-spi.h>

#include "linnet/linen/collections.h"
#include "tests/models/reference_models.h"

namespace linnet::model_golden_test {
namespace {

using linen::Variables;
using testing::GoldenFile;
using testing::RowTolerance;

int failures(const GoldenFile& file, const Variables& variables, const RowTolerance& tolerance) {
  ::testing::TestPartResultArray results;
  ::testing::ScopedFakeTestPartResultReporter reporter(
      ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
  testing::check_rows(file, "mlp/linen/initial", variables, tolerance);
  return results.size();
}

Tensor swapped(const Tensor& x) {
  std::vector<float> v = x.to_vector<float>();
  std::swap(v[v.size() / 3], v[v.size() / 3 + 1]);
  return from_vector(v, x.shape());
}
Tensor with_another_element(const Tensor& x) {
  std::vector<float> v = x.to_vector<float>();
  v[v.size() / 3] *= 1.1f;
  return from_vector(v, x.shape());
}
Tensor reversed(const Tensor& x) { return flip(x, Axes{0, 1}); }
Tensor other_layout(const Tensor& x) { return x.T().reshape(x.shape()); }
Tensor rolled(const Tensor& x) { return roll(x, 1, 0); }

TEST(ModelGolden, rows_tell_orders_and_elements_apart) {
  const GoldenFile file("models");
  const Tensor x = 2 * random::uniform(Key(100), {4, 16, 8}) - 1;
  const Variables variables =
      linen::init(reference_models::Mlp{}, {{"params", Key(0)}, {"dropout", Key(1)}}, x[0], false);
  EXPECT_EQ(failures(file, variables, testing::kInitial), 0);
  const std::vector<std::string> layers{"Dense_0", "Dense_1", "head"};
  for (const std::string& layer : layers) {
    SCOPED_TRACE(layer);
    const auto found = [&](Tensor (*change)(const Tensor&), const RowTolerance& tolerance) {
      const Variables changed =
          linen::path_aware_map(variables, [&](const linen::FlatPath& path, const Tensor& leaf) {
            return path.back() == "kernel" && path[1] == layer ? change(leaf) : leaf;
          });
      return failures(file, changed, tolerance) > 0;
    };
    for (const RowTolerance& tolerance : {testing::kInitial, testing::kGradient}) {
      EXPECT_TRUE(found(reversed, tolerance));
      EXPECT_TRUE(found(other_layout, tolerance));
      EXPECT_TRUE(found(rolled, tolerance));
      EXPECT_TRUE(found(swapped, tolerance));
      EXPECT_TRUE(found(with_another_element, tolerance));
    }
  }
}

}  // namespace
}  // namespace linnet::model_golden_test
