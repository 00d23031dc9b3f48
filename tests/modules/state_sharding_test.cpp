// Shardings of the arguments of compiled functions, by filters.
#include "linnet/nnx/state_sharding.h"

#include "tests/modules/partitioning_support.h"

namespace linnet::state_sharding_test {
namespace {

using test::expect_facts;
using test::mesh24;

NamedSharding on24(P spec) { return NamedSharding(mesh24(), std::move(spec)); }

nnx::Linear make_linear() {
  nnx::Rngs rngs(0);
  return nnx::Linear(4, 8, rngs);
}

TEST(StateSharding, N_092_S_201_S_262_the_first_filter_that_matches) {
  nnx::Linear model = make_linear();
  const nnx::StateSharding filters{{nnx::path_contains("kernel"), on24(P(kNone, "model"))},
                                   {nnx::of_type<nnx::Param>(), on24(P("data"))},
                                   {nnx::everything(), std::nullopt}};
  const auto placed = nnx::resolve_shardings({filters}, model);
  EXPECT_EQ(placed.at(0),
            (nnx::Shardings{{"kernel", on24(P(kNone, "model"))}, {"bias", on24(P("data"))}}));
  const nnx::StateSharding some{{nnx::path_contains("kernel"), on24(P())}};
  expect_facts<SpecError>([&] { nnx::resolve_shardings({some}, model); },
                          {"'bias'", "Param", "kernel", "everything()"});
  const nnx::StateSharding rest{{nnx::path_contains("kernel"), on24(P())},
                                {nnx::everything(), std::nullopt}};
  EXPECT_EQ(nnx::resolve_shardings({rest}, model).at(0).size(), 1u);
  expect_facts<IndivisibleError>(
      [&] { nnx::resolve_shardings({on24(P(axes("model", "data")))}, model); }, {"4", "8"});
}

TEST(StateSharding, N_092_S_202_equal_ways_of_saying_it) {
  nnx::Linear model = make_linear();
  const auto filters = [](const NamedSharding& of_kernels) {
    return nnx::StateSharding{{nnx::path_contains("kernel"), of_kernels},
                              {nnx::everything(), std::nullopt}};
  };
  const nnx::StateSharding a = filters(on24(P("data"))), b = filters(on24(P(axes("data"))));
  EXPECT_EQ(a, b);
  EXPECT_EQ(a.hash(), b.hash());
  EXPECT_NE(a, filters(on24(P("model"))));
  EXPECT_NE(a, (nnx::StateSharding{{nnx::everything(), std::nullopt},
                                   {nnx::path_contains("kernel"), on24(P("data"))}}))
      << "the order counts";
  const nnx::StateSharding of_state(nnx::get_named_sharding(model, mesh24()));
  const nnx::StateSharding again(nnx::get_named_sharding(model, mesh24()));
  EXPECT_EQ(of_state, again);
  EXPECT_EQ(of_state.hash(), again.hash());
  EXPECT_EQ(of_state, (nnx::StateSharding{{nnx::path_in({"bias"}), on24(P())},
                                          {nnx::path_in({"kernel"}), on24(P())}}));
  EXPECT_EQ(nnx::resolve_shardings({of_state}, model).at(0),
            nnx::get_named_sharding(model, mesh24()));
}

TEST(StateSharding, S_203_none_leaves_arguments_as_they_are) {
  nnx::Linear model = make_linear(), other = make_linear();
  const auto placed = nnx::resolve_shardings({kNone, on24(P())}, model, other);
  EXPECT_TRUE(placed.at(0).empty());
  EXPECT_EQ(placed.at(1).size(), 2u);
  expect_facts<ValueError>([&] { nnx::resolve_shardings({kNone}, model, other); },
                           {"1 entries", "2 arguments"});
}

struct View {
  nnx::Shared<nnx::Linear> layer;
  LINNET_FIELDS(layer)
};

TEST(StateSharding, S_204_S_261_one_variable_with_two_shardings) {
  nnx::Rngs rngs(0);
  View first{nnx::Shared<nnx::Linear>::make(4, 8, rngs)}, second{first.layer};
  ASSERT_EQ(&*first.layer, &*second.layer);
  EXPECT_EQ(nnx::resolve_shardings({on24(P()), on24(P())}, first, second).size(), 2u);
  expect_facts<AliasingError>(
      [&] {
        nnx::resolve_shardings({on24(P("data")), on24(P("model"))}, first, second);
      },
      {"argument 0, 'layer/", "argument 1, 'layer/", "P('data',)", "P('model',)"});
  expect_facts<AliasingError>(
      [&] {
        nnx::resolve_shardings({kNone, on24(P())}, first, second);
      },
      {"none", "P()"});
}

}  // namespace
}  // namespace linnet::state_sharding_test
