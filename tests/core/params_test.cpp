// Parameters of primitives: equality, hash and text from the field list.
#include <cmath>
#include <limits>

#include "linnet/params.h"
#include "tests/core/core_support.h"

namespace linnet::params_test {
namespace {

enum class Mode : uint8_t { kFirst, kSecond };
struct Part {
  int64_t low = 0;
  double value_ = 0;
  LINNET_FIELDS(low, value_)
};
struct Everything {
  bool flag = true;
  int64_t count = -3;
  double rate = 0.1;
  std::string name = "x";
  DType dtype = DType::kBF16;
  Mode mode = Mode::kSecond;
  Axes axes{1, 2};
  std::vector<Part> parts{{1, 0.5}};
  std::optional<int64_t> maybe;
  std::pair<int64_t, int64_t> pair{3, 4};
  std::shared_ptr<const int> shared;
  LINNET_FIELDS(flag, count, rate, name, dtype, mode, axes, parts, maybe, pair, shared)
};
struct Other {
  bool flag = true;
  LINNET_FIELDS(flag)
};

TEST(Params, text_names_every_field) {
  EXPECT_EQ(ParamsRef(Everything{}).text(),
            "flag=true, count=-3, rate=0.1, name='x', dtype=bf16, mode=1, axes=[1,2], "
            "parts=[low=1, value=0.5], "
            "maybe=none, pair=(3,4), shared=<none>");
  EXPECT_EQ(ParamsRef(NoParams{}).text(), "");
}

TEST(Params, every_field_counts_for_equality_and_hash) {
  const Everything base;
  std::vector<Everything> changed(11, base);
  changed[0].flag = false;
  changed[1].count = 3;
  changed[2].rate = 0.2;
  changed[3].name = "y";
  changed[4].dtype = DType::kF16;
  changed[5].mode = Mode::kFirst;
  changed[6].axes.push_back(0);
  changed[7].parts[0].value_ = 0.25;
  changed[8].maybe = 0;
  changed[9].pair = {4, 3};
  changed[10].shared = std::make_shared<const int>(1);
  EXPECT_TRUE(ParamsRef(base) == ParamsRef(Everything{}));
  EXPECT_EQ(ParamsRef(base).hash(), ParamsRef(Everything{}).hash());
  for (size_t i = 0; i < changed.size(); ++i) {
    EXPECT_FALSE(ParamsRef(base) == ParamsRef(changed[i])) << i;
    EXPECT_NE(ParamsRef(base).hash(), ParamsRef(changed[i]).hash()) << i;
  }
  EXPECT_FALSE(ParamsRef(Other{}) == ParamsRef(NoParams{}));
}

TEST(Params, floats_compare_by_bits) {
  const double nan = std::nan("");
  EXPECT_TRUE(ParamsRef(Part{0, nan}) == ParamsRef(Part{0, nan}));
  EXPECT_FALSE(ParamsRef(Part{0, 0.0}) == ParamsRef(Part{0, -0.0}));
}

TEST(Params, owned_copies_outlive_what_they_were_made_from) {
  Params kept;
  EXPECT_TRUE(kept.ref().is<NoParams>());
  {
    Everything e;
    e.name = "a text too long for the short string buffer";
    kept = Params(e);
    e.name.clear();
  }
  EXPECT_TRUE(kept.ref().is<Everything>());
  EXPECT_FALSE(kept.ref().is<Part>());
  EXPECT_EQ(kept.as<Everything>().name, "a text too long for the short string buffer");
  const Params copy = kept;
  EXPECT_TRUE(copy.ref() == kept.ref());
  EXPECT_EQ(&copy.as<Everything>(), &kept.as<Everything>());
}

TEST(Params, field_names_lose_blanks_and_underscores) {
  constexpr std::string_view names = "first, second_ ,third";
  EXPECT_EQ(field_name(names, 0), "first");
  EXPECT_EQ(field_name(names, 1), "second");
  EXPECT_EQ(field_name(names, 2), "third");
}

}  // namespace
}  // namespace linnet::params_test
