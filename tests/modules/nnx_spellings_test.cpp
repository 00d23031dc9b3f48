// Spellings that people bring along from Flax: streams that are a temporary, variables used as
// their values.
#include <sstream>

#include "linnet/nnx.h"
#include "linnet/nnx/layers_lora.h"
#include "linnet/summary.h"
#include "tests/modules/layers_support.h"

namespace linnet::nnx_spellings_test {
namespace {

using testing::expect_golden;

struct Mlp {
  nnx::Linear up, down;
  Mlp(int64_t in, nnx::RngsRef rngs) : up(in, 4, rngs), down(4, 2, {.use_bias = false}, rngs) {}
  LINNET_FIELDS(up, down)
};

TEST(NnxSpellings, N_077_layers_take_streams_by_name_and_as_a_temporary) {
  nnx::Rngs rngs(3);
  const nnx::Linear named(2, 3, rngs);
  EXPECT_EQ(rngs.stream("params").count().item<int>(), 2) << "counts advance";
  expect_golden(nnx::Linear(2, 3, nnx::Rngs(3)).kernel, named.kernel, 0, "the same keys");
  nnx::Rngs again(3);
  const Mlp lent(2, again), made(2, nnx::Rngs(3));
  EXPECT_EQ(again.stream("params").count().item<int>(), 3);
  expect_golden(made.down.kernel, lent.down.kernel, 0, "through a module of one's own");

  // All families of layers.
  const Tensor x = ones({1, 4, 4, 4});
  EXPECT_EQ(nnx::Conv(4, 2, {3, 3}, nnx::Rngs(0))(x).shape(), (Shape{1, 4, 4, 2}));
  EXPECT_EQ(nnx::ConvTranspose(4, 2, {3, 3}, nnx::Rngs(0))(x).shape(), (Shape{1, 4, 4, 2}));
  EXPECT_EQ(nnx::BatchNorm(4, nnx::Rngs(0))(x).shape(), x.shape());
  EXPECT_EQ(nnx::LayerNorm(4, {.epsilon = 1e-3}, nnx::Rngs(0))(x).shape(), x.shape());
  EXPECT_EQ(nnx::Embed(5, 3, nnx::Rngs(0))(arange(2)).shape(), (Shape{2, 3}));
  EXPECT_EQ(nnx::LinearGeneral({4}, {2, 2}, nnx::Rngs(0))(x).shape(), (Shape{1, 4, 4, 2, 2}));
  EXPECT_EQ(nnx::Einsum("a b c d, d e -> a b c e", {4, 5}, Shape{5}, nnx::Rngs(0))(x).shape(),
            (Shape{1, 4, 4, 5}));
  EXPECT_EQ(nnx::LoRALinear(4, 3, 1, nnx::Rngs(0))(x).shape(), (Shape{1, 4, 4, 3}));
  EXPECT_EQ(nnx::LSTMCell(4, 3, nnx::Rngs(0)).hidden_features, 3);
  nnx::Dropout drop(0.5, nnx::Rngs(0));
  expect_golden(drop(x, nnx::Rngs(5)), nnx::Dropout(0.5)(x, nnx::Rngs(5)), 0, "of a call");
  nnx::MultiHeadAttention attention(2, 4, {.decode = false}, nnx::Rngs(0));
  EXPECT_EQ(attention(ones({1, 3, 4})).shape(), (Shape{1, 3, 4}));
}

TEST(NnxSpellings, N_007_a_variable_has_the_members_of_its_value) {
  const nnx::Param w(arange(6).astype(DType::kF32).reshape(2, 3));
  EXPECT_EQ(w.shape(), (Shape{2, 3}));
  EXPECT_EQ(w.shape(-1), 3);
  EXPECT_EQ(w.size(), 6);
  EXPECT_EQ(w.rank(), 2u);
  EXPECT_EQ(w.dtype(), DType::kF32);
  EXPECT_EQ((w[{1, 2}].item<float>()), 5);
  EXPECT_EQ((w[{Slice(), 0}].to_vector<float>()), (std::vector<float>{0, 3}));
  EXPECT_EQ(w[Slice(1, 2)].shape(), (Shape{1, 3}));
  EXPECT_EQ(w->T().shape(), (Shape{3, 2}));
  EXPECT_EQ(w->sum().item<float>(), 15);
  EXPECT_EQ(w->to_vector<float>(), w.value().to_vector<float>());
  float total = 0;
  for (const Tensor& row : w) total = 10 * total + row.sum().item<float>();
  EXPECT_EQ(total, 42);
  const Tensor x = ones({3});
  EXPECT_EQ((w + x)[0][0].item<float>(), 1);
  EXPECT_EQ((2 * w - w / 2 + w)[1][2].item<float>(), 12.5);
  EXPECT_EQ(matmul(w, x).shape(), Shape{2});
}

TEST(NnxSpellings, N_019_N_111_N_148_texts_of_variables_programs_and_models) {
  const nnx::Param w(tensor({1.f, 2.f}), {{"tag", "a"}});
  std::ostringstream text;
  text << w << " " << nnx::BatchStat(ones({}));
  EXPECT_EQ(
      text.str(),
      "Param(Tensor([1, 2], f32[2]), 8 bytes, {tag='a'}) BatchStat(Tensor(1, f32[]), 4 bytes)");

  Mlp model(2, nnx::Rngs(0));
  const auto step = jit([](Mlp& m, const Tensor& x) { return m.down(m.up(x)); });
  const std::string program = step.lower(model, abstract({DType::kF32, {5, 2}})).text();
  EXPECT_NE(program.find("f32[5,2]"), std::string::npos) << program;
  EXPECT_NE(program.find("dot"), std::string::npos) << program;

  std::ostringstream listing;
  listing << model;
  for (const char* part : {"Mlp()", "up/kernel", "f32[2,4]", "down/kernel", "Param"})
    EXPECT_NE(listing.str().find(part), std::string::npos) << part << listing.str();
}

}  // namespace
}  // namespace linnet::nnx_spellings_test
