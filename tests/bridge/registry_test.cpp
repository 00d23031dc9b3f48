// Collection names and variable types (inventory sections 2 and 13).
#include "bridge/bridge_modules.h"

namespace linnet::bridge_tests::registry_test {
namespace {

struct Unregistered : nnx::VariableOf<Unregistered> {
  using VariableOf::VariableOf;
};
struct Renamed : nnx::VariableOf<Renamed> {
  using VariableOf::VariableOf;
};
struct RenamedAgain : nnx::VariableOf<RenamedAgain> {
  using VariableOf::VariableOf;
};
struct OtherNamesake {
  struct Unregistered : nnx::VariableOf<Unregistered> {
    using VariableOf::VariableOf;
  };
};

TEST(BridgeRegistry, B_001_ExactEntriesAtTheStart) {
  EXPECT_EQ(&nnx::variable_type_from_name("params"), &nnx::Param::static_type());
  EXPECT_EQ(&nnx::variable_type_from_name("batch_stats"), &nnx::BatchStat::static_type());
  EXPECT_EQ(&nnx::variable_type_from_name("cache"), &nnx::Cache::static_type());
  EXPECT_EQ(&nnx::variable_type_from_name("intermediates"), &nnx::Intermediate::static_type());
  EXPECT_EQ(&nnx::variable_type_from_name("perturbations"), &nnx::Perturbation::static_type());
}

TEST(BridgeRegistry, B_002_UnknownNamesMakeATypeOnce) {
  const nnx::VariableType& made = nnx::variable_type_from_name("b002", nullptr, true);
  EXPECT_EQ(made.name(), "b002");
  EXPECT_EQ(made.parent(), &nnx::Variable::static_type());
  EXPECT_EQ(&nnx::variable_type_from_name("b002", nullptr, true), &made);
  EXPECT_EQ(&nnx::variable_type_from_name("b002"), &made);
  const nnx::VariableType& derived =
      nnx::variable_type_from_name("b002_param", &nnx::Param::static_type(), true);
  EXPECT_TRUE(derived.is(nnx::Param::static_type()));
}

TEST(BridgeRegistry, B_003_UnknownNameIsNamed) {
  const std::string text = thrown<ValueError>([] { nnx::variable_type_from_name("b003_missing"); });
  EXPECT_NE(text.find("b003_missing"), std::string::npos);
}

TEST(BridgeRegistry, B_004_SubclassesDoNotMatch) {
  EXPECT_EQ(nnx::variable_name_from_type(nnx::LoRAParam::static_type(), true), "LoRAParam");
  EXPECT_EQ(nnx::variable_name_from_type(nnx::Param::static_type()), "params");
}

TEST(BridgeRegistry, B_005_B_006_B_007_UnregisteredTypes) {
  EXPECT_THROW(nnx::variable_name_from_type(Unregistered::static_type()), ValueError);
  EXPECT_EQ(nnx::variable_name_from_type(Unregistered::static_type(), true), "Unregistered");
  EXPECT_EQ(&nnx::variable_type_from_name("Unregistered"), &Unregistered::static_type());
  EXPECT_THROW(nnx::variable_name_from_type(OtherNamesake::Unregistered::static_type(), true),
               ValueError);
  EXPECT_EQ(&nnx::variable_type_from_name("Unregistered"), &Unregistered::static_type());
}

TEST(BridgeRegistry, B_008_B_009_B_011_RegisterAndOverwrite) {
  EXPECT_EQ(&nnx::register_variable_name("b008", Renamed::static_type()), &Renamed::static_type());
  EXPECT_THROW(nnx::register_variable_name("b008", RenamedAgain::static_type()), ValueError);
  EXPECT_EQ(&bridge::register_variable_name_type_pair("b008", RenamedAgain::static_type(), true),
            &RenamedAgain::static_type());
  EXPECT_EQ(&nnx::variable_type_from_name("b008"), &RenamedAgain::static_type());
  EXPECT_THROW(nnx::variable_name_from_type(Renamed::static_type()), ValueError);
}

TEST(BridgeRegistry, B_010_OneToOne) {
  for (const char* name : {"params", "batch_stats", "cache", "intermediates", "perturbations"}) {
    EXPECT_EQ(nnx::variable_name_from_type(nnx::variable_type_from_name(name)), name);
  }
}

TEST(BridgeRegistry, B_012_MostDerivedFirstAndStable) {
  const nnx::VariableType *param = &nnx::Param::static_type(),
                          *lora = &nnx::LoRAParam::static_type(),
                          *variable = &nnx::Variable::static_type(),
                          *stat = &nnx::BatchStat::static_type();
  EXPECT_EQ(bridge::sort_variable_types({variable, stat, param, lora}),
            (std::vector<const nnx::VariableType*>{lora, stat, param, variable}));
}

}  // namespace
}  // namespace linnet::bridge_tests::registry_test
