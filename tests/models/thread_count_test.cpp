// Whole models on one to four threads: some steps of training end with the same bits.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "linnet/linnet.h"
#include "linnet/parallel.h"

namespace linnet::models_thread_count_test {
namespace {

/// The number of threads and the switch, as they were before.
class Settings {
 public:
  Settings() { set_deterministic(true); }
  ~Settings() {
    set_num_threads(threads_);
    set_deterministic(deterministic_);
  }
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;

 private:
  int threads_ = num_threads();
  bool deterministic_ = is_deterministic();
};

struct Convolutional {
  nnx::Conv conv;
  nnx::BatchNorm norm;
  nnx::Dropout drop;
  nnx::Linear head;
  explicit Convolutional(nnx::Rngs& rngs)
      : conv(3, 16, {3, 3}, rngs), norm(16, rngs), drop(0.3, rngs), head(16 * 8 * 8, 10, rngs) {}
  LINNET_FIELDS(conv, norm, drop, head)
  Tensor operator()(const Tensor& x) {
    const Tensor h = layers::max_pool(relu(norm(conv(x))), {2, 2}, 2);
    return head(drop(reshape(h, {x.shape(0), -1})));
  }
};

struct Attentive {
  nnx::LayerNorm norm;
  nnx::MultiHeadAttention attention;
  nnx::Linear up, down, head;
  explicit Attentive(nnx::Rngs& rngs)
      : norm(64, rngs),
        attention(4, 64, rngs),
        up(64, 256, rngs),
        down(256, 64, rngs),
        head(64, 10, rngs) {}
  LINNET_FIELDS(norm, attention, up, down, head)
  Tensor operator()(const Tensor& x) {
    Tensor h = reshape(x, {x.shape(0), 12, 64});
    h = h + attention(norm(h));
    h = h + down(gelu(up(h)));
    return head(mean(h, 1));
  }
};

/// All bits of the model after three steps of AdamW, and of the losses.
template <class Model>
std::string trained(bool compiled) {
  nnx::Rngs rngs(0);
  Model model(rngs);
  optim::Optimizer optimizer(model,
                             optim::chain(optim::clip_by_global_norm(1.0), optim::adamw(1e-2)));
  const auto plain = [](Model& m, optim::Optimizer& o, const Tensor& x, const Tensor& labels) {
    auto [loss, gradients] = nnx::value_and_grad(
        [&](Model& model_now) { return cross_entropy(model_now(x), labels); }, m);
    o.update(m, gradients);
    return loss;
  };
  const auto program = jit(plain);
  const Tensor x = random::normal(Key(1), {32, 16, 16, 3});
  const Tensor labels = random::randint(Key(2), {32}, 0, 10);
  TensorList results;
  for (int step = 0; step < 3; ++step) {
    results.push_back(compiled ? program(model, optimizer, x, labels)
                               : plain(model, optimizer, x, labels));
  }
  for (const Tensor& leaf : tree::leaves(model)) results.push_back(leaf);
  std::string bits;
  for (const Tensor& result : results) {
    for (double value : result.to_vector<double>()) {
      char bytes[sizeof value];
      std::memcpy(bytes, &value, sizeof value);
      bits.append(bytes, sizeof value);
    }
  }
  return bits;
}

template <class Model>
void check(const char* name) {
  const Settings kept;
  for (const bool compiled : {false, true}) {
    set_num_threads(1);
    const std::string alone = trained<Model>(compiled);
    for (int threads : {2, 3, 4}) {
      set_num_threads(threads);
      EXPECT_TRUE(trained<Model>(compiled) == alone)
          << name << (compiled ? ", compiled, " : ", eager, ") << threads << " threads";
    }
  }
}

TEST(ModelThreadCount, R_032_training_a_convolutional_network) {
  check<Convolutional>("convolutional");
}
TEST(ModelThreadCount, R_032_training_a_transformer_block) { check<Attentive>("attentive"); }

}  // namespace
}  // namespace linnet::models_thread_count_test
