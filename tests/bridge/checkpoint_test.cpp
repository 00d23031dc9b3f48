// Checkpoints and state dicts of one API read by the other.
#include <filesystem>

#include "bridge/bridge_modules.h"
#include "linnet/bridge/checkpoint.h"
#include "linnet/bridge/compare.h"
#include "linnet/io/msgpack.h"

namespace linnet::bridge_tests::checkpoint_test {
namespace {

using linen::Variables;

struct FunctionalModel {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    Tensor h = s("linear", linen::Dense{.features = 4}, x);
    h = s("norm", linen::BatchNorm{.momentum = 0.9}, h, !train);
    return s("dropout", linen::Dropout{.rate = 0.5}, h, !train);
  }
};
struct ObjectModel {
  nnx::Linear linear;
  nnx::BatchNorm norm;
  nnx::Dropout dropout;
  explicit ObjectModel(nnx::Rngs& rngs)
      : linear(3, 4, rngs), norm(4, {.momentum = 0.9}, rngs), dropout(0.5, rngs) {}
  LINNET_FIELDS(linear, norm, dropout)
  Tensor operator()(const Tensor& x, bool train) {
    return dropout(norm(linear(x), !train), !train);
  }
};
ObjectModel object_model(int64_t seed) {
  nnx::Rngs rngs(seed);
  return ObjectModel(rngs);
}

class BridgeCheckpoint : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    directory = ::testing::TempDir() + "bridge_checkpoint_" + info->name();
    std::filesystem::remove_all(directory);
  }
  void TearDown() override { std::filesystem::remove_all(directory); }

  const Tensor x = normal({8, 3});
  const Variables functional = [this] {
    Variables vars = linen::init(FunctionalModel{}, Key(3), x, false);
    return vars | linen::apply_with({.mutate = {"batch_stats"}, .rngs = {{"dropout", Key(0)}}},
                                    FunctionalModel{}, vars, x, true)
                      .second;
  }();
  std::string directory;
};

TEST_F(BridgeCheckpoint, OfAFunctionalModelIntoAnObject) {
  save_checkpoint(directory, functional, Json::Object{{"epoch", 3}});
  ObjectModel object = object_model(0);
  const Tensor key = nnx::state(object)["dropout"]["rngs"]["key"];
  const Json manifest = bridge::load_checkpoint(directory, object);
  EXPECT_EQ(manifest.at("epoch").as_integer(), 3);
  EXPECT_TRUE(bridge::compare(object, functional).equal());
  expect_equal(object(x, false), linen::apply(FunctionalModel{}, functional, x, false));
  expect_equal(nnx::state(object)["dropout"]["rngs"]["key"], key);
}

TEST_F(BridgeCheckpoint, OfAnObjectIntoAFunctionalModel) {
  ObjectModel object = object_model(5);
  object(x, true);
  save_checkpoint(directory, object);
  Variables vars = functional;
  bridge::load_checkpoint(directory, vars);
  EXPECT_TRUE(bridge::compare(object, vars).equal());
  expect_equal(object(x, false), linen::apply(FunctionalModel{}, vars, x, false));
  // And into another object, with its random streams.
  ObjectModel again = object_model(0);
  bridge::load_checkpoint(directory, again);
  expect_equal(again(x, true), object(x, true));
}

TEST_F(BridgeCheckpoint, OfAFunctionalModelIntoDictionariesAndWrappers) {
  save_checkpoint(directory, functional);
  Variables vars = linen::init(FunctionalModel{}, Key(0), x, false);
  bridge::load_checkpoint(directory, vars);
  EXPECT_TRUE(bridge::compare(vars, functional).equal());
  bridge::ToNNX wrapper(FunctionalModel{}, nnx::Rngs(0));
  wrapper.lazy_init(x, false);
  bridge::load_checkpoint(directory, wrapper);
  expect_equal(wrapper(x, false), linen::apply(FunctionalModel{}, functional, x, false));
}

TEST_F(BridgeCheckpoint, BoxesAndTuplesStay) {
  Variables saved, target;
  saved.at_path({"params", "w"}) = Variables(ones({2}));
  saved.at_path({"intermediates", "seen"}) =
      Variables(state::Value::tuple_of({ones({1}), ones({3})}));
  target.at_path({"params", "w"}) = linen::partitioned(zeros({2}), {"x"});
  target.at_path({"intermediates", "seen"}) =
      Variables(state::Value::tuple_of({zeros({1}), zeros({3})}));
  save_checkpoint(directory, saved);
  bridge::load_checkpoint(directory, target);
  EXPECT_EQ(target["params"]["w"].box()->kind, "Partitioned");
  EXPECT_TRUE(bridge::compare(saved, target, {.metadata = false}).equal());
}

TEST_F(BridgeCheckpoint, WhatDoesNotFitIsNamedAndNothingIsWritten) {
  Variables other = functional;
  other.at_path({"params", "linear", "more"}) = Variables(ones({2}));
  other.at_path({"params", "norm"}).children().erase("scale");
  save_checkpoint(directory, other);
  ObjectModel object = object_model(0);
  const Variables before = bridge::variables(object);
  const std::string text = thrown<IoError>([&] { bridge::load_checkpoint(directory, object); });
  for (const char* part : {"params/norm/scale", "params/linear/more"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
  EXPECT_TRUE(bridge::compare(object, before).equal());
}

TEST_F(BridgeCheckpoint, StateDictsOfEitherApi) {
  const auto through_msgpack = [](const auto& tree) { return msgpack_restore(to_bytes(tree)); };
  ObjectModel object = object_model(0);
  bridge::convert(through_msgpack(functional), object);
  EXPECT_TRUE(bridge::compare(object, functional).equal());

  ObjectModel other = object_model(7);
  Variables vars = functional;
  bridge::convert(through_msgpack(other), vars);
  EXPECT_TRUE(bridge::compare(other, vars).equal());

  // Parameters without the level of collections.
  Variables params{{"params", functional["params"]["linear"]}};
  bridge::convert(through_msgpack(other.linear), params);
  expect_equal(params["params"]["kernel"], other.linear.kernel.value());

  Variables narrow = functional;
  narrow.at_path({"params", "linear", "kernel"}) = Variables(ones({3, 5}));
  EXPECT_THROW(bridge::convert(to_state_dict(narrow), object), ShapeError);
  narrow.at_path({"params", "linear", "kernel"}) = Variables(ones({3, 4}, DType::kF16));
  EXPECT_THROW(bridge::convert(to_state_dict(narrow), object), DTypeError);
  narrow.at_path({"params", "linear"}).children().erase("kernel");
  const std::string text =
      thrown<ValueError>([&] { bridge::convert(to_state_dict(narrow), object); });
  EXPECT_NE(text.find("missing params/linear/kernel"), std::string::npos) << text;
  EXPECT_TRUE(bridge::compare(object, functional).equal());
}

}  // namespace
}  // namespace linnet::bridge_tests::checkpoint_test
