// Comparisons of models of either API.
#include <cmath>

#include "bridge/bridge_modules.h"
#include "linnet/bridge/compare.h"

namespace linnet::bridge_tests::compare_test {
namespace {

using bridge::Comparison;
using bridge::Difference;
using linen::Variables;
using Kind = Difference::Kind;

struct FunctionalMlp {
  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    const Tensor h = relu(s("up", linen::Dense{.features = 4}, x));
    return s("down", linen::Dense{.features = 2}, h);
  }
};
struct ObjectMlp {
  nnx::Linear up, down;
  explicit ObjectMlp(nnx::Rngs& rngs) : up(3, 4, rngs), down(4, 2, rngs) {}
  LINNET_FIELDS(up, down)
  Tensor operator()(const Tensor& x) { return down(relu(up(x))); }
};

ObjectMlp object_mlp() {
  nnx::Rngs rngs(0);
  return ObjectMlp(rngs);
}

TEST(BridgeCompare, EqualModelsOfBothApis) {
  ObjectMlp object = object_mlp();
  const Variables vars = bridge::variables(object);
  const Tensor x = normal({2, 3});
  const Comparison found = bridge::compare_on(object, linen::bind(FunctionalMlp{}, vars), x);
  EXPECT_TRUE(found.equal()) << to_string(found);
  EXPECT_EQ(found.variables_compared, 4u);
  EXPECT_EQ(found.activations_compared, 3u);  // up, down, and the output
  EXPECT_EQ(found.largest_value, 0);
  EXPECT_EQ(found.largest_activation, 0);
}

TEST(BridgeCompare, EveryKindOfDifference) {
  Variables a, b;
  const auto both = [&](const std::vector<std::string>& path, Variables left, Variables right) {
    a.at_path(path) = std::move(left);
    b.at_path(path) = std::move(right);
  };
  both({"params", "same"}, Variables(ones({2})), Variables(ones({2})));
  both({"params", "shape"}, Variables(ones({2})), Variables(ones({3})));
  both({"params", "dtype"}, Variables(ones({2})), Variables(ones({2}, DType::kF16)));
  both({"params", "boxed"}, linen::partitioned(ones({2}), {"x"}),
       linen::partitioned(ones({2}), {"y"}));
  both({"params", "value"}, Variables(tensor({1.f, 2.f, 3.f})),
       Variables(tensor({1.f, 2.5f, 2.75f})));
  both({"params", "nan"}, Variables(tensor({1.f})), Variables(tensor({NAN})));
  both({"params", "both_nan"}, Variables(tensor({NAN})), Variables(tensor({NAN})));
  both({"intermediates", "seen"}, Variables(state::Value::tuple_of({ones({1}), ones({1})})),
       Variables(state::Value::tuple_of({ones({1})})));
  a.at_path({"params", "missing"}) = Variables(ones({5}));
  b.at_path({"params", "extra"}) = Variables(ones({6}));
  a.at_path({"params", "here"}) = Variables(normal({7}));
  b.at_path({"params", "deeper", "there"}) = Variables(normal({7}));

  const Comparison found = bridge::compare(a, b);
  const std::vector<std::pair<Kind, std::string>> wanted = {
      {Kind::kShape, "params/shape"},     {Kind::kDType, "params/dtype"},
      {Kind::kMetadata, "params/boxed"},  {Kind::kValue, "params/value"},
      {Kind::kValue, "params/nan"},       {Kind::kShape, "intermediates/seen"},
      {Kind::kMissing, "params/missing"}, {Kind::kExtra, "params/extra"},
      {Kind::kPath, "params/here"},
  };
  for (const auto& [kind, path] : wanted) EXPECT_TRUE(found.has(kind, path)) << path;
  EXPECT_EQ(found.differences.size(), wanted.size()) << to_string(found);
  for (const Difference& difference : found.differences) {
    if (difference.path == "params/value") {
      EXPECT_EQ(difference.largest, 0.5);
    } else if (difference.path == "params/nan") {
      EXPECT_TRUE(std::isinf(difference.largest));
    } else if (difference.kind == Kind::kPath) {
      EXPECT_EQ(difference.second, "params/deeper/there");
    }
  }
  EXPECT_TRUE(std::isinf(found.largest_value));
  const std::string text = to_string(found);
  for (const char* part :
       {"params/shape: shapes differ: f32[2] | f32[3]", "params/value: values differ by up to 0.5",
        "params/here: under another path", "9 differences in 8 variables"}) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  EXPECT_TRUE(bridge::compare(a, a).equal());
}

TEST(BridgeCompare, ToleranceAndMetadataAreOptions) {
  Variables a, b;
  a.at_path({"params", "w"}) = linen::partitioned(tensor({1.f}), {"x"});
  b.at_path({"params", "w"}) = Variables(tensor({1.25f}));
  EXPECT_EQ(bridge::compare(a, b).differences.size(), 2u);
  EXPECT_EQ(bridge::compare(a, b, {.metadata = false}).differences.size(), 1u);
  const Comparison close = bridge::compare(a, b, {.tolerance = 0.25, .metadata = false});
  EXPECT_TRUE(close.equal());
  EXPECT_EQ(close.largest_value, 0.25);
}

TEST(BridgeCompare, TheLayerWhoseOutputDiffersIsNamed) {
  ObjectMlp object = object_mlp();
  Variables vars = bridge::variables(object);
  const Tensor bias = vars["params"]["down"]["bias"];
  vars.at_path({"params", "down", "bias"}) = Variables(bias + 0.5f);
  const Tensor x = normal({2, 3});
  const Comparison found = bridge::compare_on(object, linen::bind(FunctionalMlp{}, vars), x);
  EXPECT_TRUE(found.has(Kind::kValue, "params/down/bias"));
  EXPECT_TRUE(found.has(Kind::kActivation, "down"));
  EXPECT_TRUE(found.has(Kind::kActivation, "output 0"));
  EXPECT_EQ(found.differences.size(), 3u) << to_string(found);
  EXPECT_NEAR(found.largest_activation, 0.5, 1e-6);
  // With a tolerance, or of functions of any kind.
  const Comparison calls = bridge::compare_calls(
      [&] { return object(x); }, [&] { return linen::apply(FunctionalMlp{}, vars, x); },
      {.tolerance = 0.6});
  EXPECT_TRUE(calls.equal());
  EXPECT_EQ(calls.activations_compared, 3u);
  EXPECT_EQ(bridge::compare_calls([&] { return x; },
                                  [&] {
                                    return ones({2, 4});
                                  })
                .differences.size(),
            1u);
}

TEST(BridgeCompare, WrappedModelsHaveTheVariablesOfPlainOnes) {
  const Tensor x = normal({2, 3});
  nnx::Rngs rngs(0);
  bridge::ToNNX wrapped(FunctionalMlp{}, rngs);
  wrapped.lazy_init(x);
  const Variables vars = bridge::variables(wrapped);
  const Comparison found = bridge::compare_on(wrapped, linen::bind(FunctionalMlp{}, vars), x);
  EXPECT_TRUE(found.equal()) << to_string(found);
  EXPECT_EQ(found.activations_compared, 3u);
}

}  // namespace
}  // namespace linnet::bridge_tests::compare_test
