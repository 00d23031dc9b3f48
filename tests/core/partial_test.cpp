// Callables that hold tensors are trees, so they go into and come out of transformations: what
// jax.tree_util.Partial is for.
#include <gtest/gtest.h>

#include "linnet/jit.h"
#include "linnet/ops.h"
#include "linnet/transforms.h"

namespace linnet::partial_test {
namespace {

struct Affine {
  Tensor slope, offset;
  Tensor operator()(const Tensor& x) const { return slope * x + offset; }
  LINNET_FIELDS(slope, offset)
};

using Values = std::vector<float>;

TEST(Partial, J_076_callables_are_arguments_of_compiled_functions) {
  const auto apply = jit([](const Affine& f, const Tensor& x) { return f(f(x)); });
  EXPECT_EQ(apply(Affine{2, 1}, tensor({3.f})).to_vector<float>(), (Values{15}));
  EXPECT_EQ(apply(Affine{3, 0}, tensor({3.f})).to_vector<float>(), (Values{27}));
  EXPECT_EQ(apply.trace_count(), 1u) << "other tensors in it are other data, not another function";
}

TEST(Partial, J_076_callables_are_results_differentiated_and_mapped) {
  const auto make = jit([](const Tensor& x) { return Affine{x, x * x}; });
  EXPECT_EQ(make(3.0)(tensor({1.f})).to_vector<float>(), (Values{12}));
  const Affine slopes = grad([](const Affine& f) {
    return sum(f(tensor({2.f, 5.f})));
  })(Affine{tensor({1.f, 1.f}), tensor({0.f, 0.f})});
  EXPECT_EQ(slopes.slope.to_vector<float>(), (Values{2, 5}));
  EXPECT_EQ(slopes.offset.to_vector<float>(), (Values{1, 1}));
  const Affine several{tensor({1.f, 2.f}), tensor({10.f, 20.f})};
  const Tensor y = vmap([](const Affine& f, const Tensor& x) { return f(x); })(
      several, tensor({{1.f, 1.f}, {2.f, 2.f}}));
  EXPECT_EQ(y.to_vector<float>(), (Values{11, 11, 24, 24}));
}

TEST(Partial, J_076_pullbacks_are_callables_that_hold_residuals) {
  const auto f = jit([](const Tensor& x, const Tensor& ct) {
    const auto [y, pullback] = vjp([](const Tensor& z) { return z * z * z; }, x);
    return pullback(ct) + pullback(2 * ct);
  });
  EXPECT_EQ(f(tensor({2.f}), tensor({1.f})).to_vector<float>(), (Values{36}));
}

}  // namespace
}  // namespace linnet::partial_test
