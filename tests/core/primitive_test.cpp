// What a description must say, and what becomes of parameters when a dimension is put in front.
#include "linnet/primitive.h"

#include <gtest/gtest.h>

#include "linnet/error.h"
#include "linnet/ops.h"
#include "linnet/transforms.h"

namespace linnet::primitive_test {
namespace {

TypeList same_type(const NoParams&, Inputs x) { return {x[0].type()}; }

/// A complete description, to be made wrong in one place.
Primitive smooth_identity() {
  Primitive p;
  p.name = "test identity";
  p.infer = [](ParamsRef, Inputs x) { return TypeList{x[0].type()}; };
  p.rule =
      rules::Vjp{[](ParamsRef, Inputs, Outputs, Inputs cts) { return TensorList{cts[0]}; }, {}};
  p.map = maps::Pointwise{};
  return p;
}

template <class Change>
std::string refusal(Change change) {
  Primitive p = smooth_identity();
  change(p);
  try {
    define_primitive(std::move(p));
  } catch (const ValueError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(PrimitiveDescription, a_complete_one_is_accepted) {
  EXPECT_EQ(refusal([](Primitive&) {}), "accepted");
}

TEST(PrimitiveDescription, what_nothing_could_use_is_refused_by_name) {
  const auto refused = [](auto change, const char* why) {
    const std::string text = refusal(change);
    EXPECT_NE(text.find(why), std::string::npos) << text;
  };
  refused([](Primitive& p) { p.name.clear(); }, "has no name");
  refused([](Primitive& p) { p.infer = nullptr; },
          "test identity (vjp rule, pointwise map) has neit");
  refused([](Primitive& p) { p.rule = rules::Vjp{}; }, "lacks the function of its derivative rule");
  refused([](Primitive& p) { p.rule = rules::Transpose{}; }, "lacks the function");
  refused([](Primitive& p) { p.rule = rules::Partials{}; }, "lacks the function");
  refused([](Primitive& p) { p.rule = rules::Bilinear{}; }, "lacks the function");
  refused([](Primitive& p) { p.rule = rules::Composite{}; }, "has no decomposition");
  refused([](Primitive& p) { p.rule = rules::Control{}; }, "has no decomposition");
  refused([](Primitive& p) { p.map = maps::Parts{}; }, "has no parts to batch");
  refused([](Primitive& p) { p.map = maps::Dims{}; }, "lacks a function of its map");
  refused([](Primitive& p) { p.all_boolean_result = true; }, "bools, which have no derivative");
}

TEST(PrimitiveDescription, partial_derivatives_belong_to_pointwise_primitives) {
  const std::string text = refusal([](Primitive& p) {
    p.rule = rules::Partials{[](ParamsRef, Inputs x, Outputs) { return TensorList{x[0]}; }, {}};
    p.map = maps::Custom{};
  });
  EXPECT_NE(text.find("element by element"), std::string::npos) << text;
}

TEST(PrimitiveDescription, a_bilinear_primitive_has_two_differentiable_operands) {
  const auto transpose_in = [](ParamsRef, int, Inputs, const Tensor& ct) { return ct; };
  const std::string text = refusal([&](Primitive& p) {
    p.rule = rules::Bilinear{transpose_in};
    p.map = maps::Custom{};
    p.nondifferentiable = bits_of({1});
  });
  EXPECT_NE(text.find("both of its operands"), std::string::npos) << text;
  const Primitive& product = define(Bilinear<NoParams>{
      .name = "test product",
      .infer = same_type,
      .transpose_in = [](const NoParams&, int, Inputs, const Tensor& ct) { return ct; }});
  EXPECT_THROW(emit(product, {ones({2})}), ValueError);
}

TEST(PrimitiveDescription, a_control_primitive_is_batched_by_its_rules) {
  const std::string text = refusal([](Primitive& p) {
    p.rule = rules::Control{};
    p.decompose = [](ParamsRef, Inputs x) { return TensorList(x.begin(), x.end()); };
  });
  EXPECT_NE(text.find("control rules"), std::string::npos) << text;
}

TEST(PrimitiveDescription, without_a_map_batching_is_an_error_that_names_the_primitive) {
  const Primitive& p = define(Opaque<NoParams>{.name = "test unbatched", .infer = same_type});
  try {
    vmap([&](const Tensor& x) { return emit_one(p, {x}); })(ones({2, 3}));
    ADD_FAILURE() << "no error";
  } catch (const TraceError& error) {
    EXPECT_NE(std::string(error.what()).find("test unbatched"), std::string::npos) << error.what();
  }
}

struct InnerParams {
  AxisMap permutation;
  LINNET_FIELDS(permutation)
};
struct EveryKind {
  Axis axis;
  AxisList axes;
  Extents sizes;
  PerDimension<0> low;
  PerDimension<1> strides;
  InnerParams inner;
  Shape trailing;
  double epsilon = 0;
  LINNET_FIELDS(axis, axes, sizes, low, strides, inner, trailing, epsilon)
};

TEST(PrimitiveDescription, parameters_say_what_a_dimension_in_front_does_to_them) {
  const EveryKind one{.axis = 1,
                      .axes = {0, 2},
                      .sizes = {4, 5},
                      .low = {2, 3},
                      .strides = {2, 2},
                      .inner = {{1, 0}},
                      .trailing = {7},
                      .epsilon = 0.5};
  const EveryKind all = with_leading_dimension(one, 9);
  EXPECT_EQ(ParamsRef(all).text(),
            "axis=2, axes=[1,3], sizes=[9,4,5], low=[0,2,3], strides=[1,2,2], "
            "inner=permutation=[0,2,1], trailing=[7], epsilon=0.5");
}

}  // namespace
}  // namespace linnet::primitive_test
