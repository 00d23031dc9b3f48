// Whole trees as one vector and as one value.
#include "linnet/tree_functions.h"

#include <gtest/gtest.h>

#include "linnet/core.h"

namespace linnet::tree_functions_test {
namespace {

struct Parameters {
  Tensor kernel, bias, steps;
  std::vector<Tensor> more;
  LINNET_FIELDS(kernel, bias, steps, more)
};

Parameters parameters() {
  return {reshape(astype(arange(6), DType::kF32), {2, 3}),
          tensor({7.f, 8.f}),
          tensor({int32_t{9}}),
          {ones({}), zeros({0, 4})}};
}

TEST(TreeFunctions, J_077_ravel_and_back) {
  const Parameters p = parameters();
  const auto [vector, unravel] = tree::ravel(p);
  EXPECT_EQ(to_string(vector.type()), "f32[10]");
  EXPECT_EQ(vector.to_vector<float>(), (std::vector<float>{0, 1, 2, 3, 4, 5, 7, 8, 9, 1}));
  const Parameters back = unravel(vector * 2);
  EXPECT_EQ(tree::structure(back), tree::structure(p));
  for (size_t i = 0; i < tree::leaves(p).size(); ++i)
    EXPECT_EQ(tree::leaves(back)[i].type(), tree::leaves(p)[i].type()) << i;
  EXPECT_EQ(back.kernel.to_vector<float>(), (std::vector<float>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(back.steps.to_vector<int32_t>(), (std::vector<int32_t>{18}));
}

TEST(TreeFunctions, J_077_gradients_and_programs_go_through) {
  const Parameters p = parameters();
  const auto loss = [](const Parameters& q) { return sum(q.kernel * q.kernel) + sum(q.bias); };
  const auto [vector, unravel] = tree::ravel(p);
  const auto flat_loss = [&, unravel = unravel](const Tensor& v) { return loss(unravel(v)); };
  EXPECT_EQ(jit([&](const Tensor& v) { return grad(flat_loss)(v); })(vector).to_vector<float>(),
            (std::vector<float>{0, 2, 4, 6, 8, 10, 1, 1, 0, 0}));
}

TEST(TreeFunctions, J_077_other_lengths_are_refused) {
  const auto unravel = tree::ravel(parameters()).second;
  for (const Shape& shape : {Shape{9}, Shape{2, 5}}) {
    try {
      unravel(zeros(shape));
      ADD_FAILURE() << to_string(shape);
    } catch (const ShapeError& e) {
      EXPECT_NE(std::string(e.what()).find("a vector of 10 elements for 5 leaves"),
                std::string::npos)
          << e.what();
    }
  }
  const std::vector<Tensor> nothing;
  EXPECT_EQ(to_string(tree::ravel(nothing).first.type()), "f32[0]");
}

TEST(TreeFunctions, J_072_reduce_and_all) {
  const auto larger = [](const Tensor& a, const Tensor& x) {
    return x.size() == 0 ? a : maximum(a, max(astype(x, DType::kF32)));
  };
  EXPECT_EQ(tree::reduce(larger, parameters(), scalar(0, DType::kF32)).item<float>(), 9);
  EXPECT_FALSE(tree::all(parameters()).item<bool>());
  Parameters p = parameters();
  p.kernel = p.kernel + 1;
  EXPECT_TRUE(tree::all(p).item<bool>());
}

}  // namespace
}  // namespace linnet::tree_functions_test
