// Models of every kind, in both module APIs and with parts of the other API, against the real Flax:
// from seeds alone, through initialisation, evaluation, training and 50 steps of an optimiser
// (reference/cases/models.py).
#include "tests/models/reference_models.h"

#include "linnet/linen/method.h"
#include "linnet/losses.h"
#include "tests/models/model_golden.h"

namespace linnet::reference_models_test {
namespace {

using namespace reference_models;
using testing::check_functional;
using testing::check_object;
using testing::GoldenFile;
using testing::ModelTask;
using testing::object_model;

const GoldenFile& golden() {
  static const GoldenFile* file = new GoldenFile("models");
  return *file;
}

ModelTask classification(Shape shape, int64_t classes, optim::GradientTransformation tx) {
  shape.insert(0, 4);
  return {2 * random::uniform(Key(100), shape) - 1,
          random::randint(Key(101), {4, shape[1]}, 0, classes),
          [](const Tensor& logits, const Tensor& labels) { return cross_entropy(logits, labels); },
          std::move(tx)};
}

template <class... M>
void check_functional_models(const std::string& name, const ModelTask& task) {
  std::string kind = "/linen";
  ((check_functional(golden(), name + kind, task,
                     [](linen::Scope& s, const Tensor& x, bool train) { return M{}(s, x, train); }),
    kind = "/linen_mixed"),
   ...);
}
template <class... M>
void check_object_models(const std::string& name, const ModelTask& task) {
  std::string kind = "/nnx";
  ((check_object(golden(), name + kind, task, [&] { return object_model<M>(task.x[0]); }),
    kind = "/nnx_mixed"),
   ...);
}

TEST(ReferenceModels, Perceptron) {
  const ModelTask task = classification({16, 8}, 4, optim::sgd(0.1, 0.9));
  check_functional_models<Mlp, MixedMlp>("mlp", task);
  check_object_models<ObjectMlp, MixedObjectMlp>("mlp", task);
}

TEST(ReferenceModels, ConvolutionsWithBatchNormAndDropout) {
  const ModelTask task = classification({16, 12, 12, 1}, 6, optim::adam(3e-3));
  check_functional_models<Cnn, MixedCnn>("cnn", task);
  check_object_models<ObjectCnn, MixedObjectCnn>("cnn", task);
}

TEST(ReferenceModels, ResNet18) {
  const ModelTask task = classification({16, 32, 32, 3}, 6, optim::sgd(0.0025));
  check_functional_models<ResNet, MixedResNet>("resnet", task);
  check_object_models<ObjectResNet, MixedObjectResNet>("resnet", task);
}

TEST(ReferenceModels, VisionTransformer) {
  const ModelTask task = classification({16, 16, 16, 3}, 6, optim::adamw(2e-3));
  check_functional_models<Vit, MixedVit>("vit", task);
  check_object_models<ObjectVit, MixedObjectVit>("vit", task);
}

/// Two methods by name, and initialisation through one of them.
template <class M>
void check_functional_methods(const std::string& name, const Tensor& x) {
  SCOPED_TRACE(name);
  const linen::RngStreams keys{{"params", Key(0)}, {"dropout", Key(1)}};
  const linen::Variables variables = linen::init(M{}, keys, x, false);
  const auto encode = linen::method<&M::encode>(M{});
  check_output(golden(), name + "/encoded", linen::apply(encode, variables, x), testing::kOutput);
  check_output(golden(), name + "/decoded",
               linen::apply(linen::method<&M::decode>(M{}), variables, slice_axis(x, 0, 4, 1)),
               testing::kOutput);
  check_tree(golden(), name + "/of_encode", linen::init(encode, keys, x), testing::kInitial);
}
template <class M>
void check_object_methods(const std::string& name, const Tensor& x) {
  SCOPED_TRACE(name);
  nnx::Rngs rngs{{"params", Key(0)}, {"dropout", Key(1)}};
  M model(rngs);
  bridge::lazy_init(model, x, false);
  check_output(golden(), name + "/encoded", model.encode(x), testing::kOutput);
  check_output(golden(), name + "/decoded", model.decode(slice_axis(x, 0, 4, 1)), testing::kOutput);
}

TEST(ReferenceModels, L_065_B_067_B_114_AutoencoderWithTwoMethods) {
  ModelTask task = classification({16, 20}, 1, optim::adam(1e-2));
  task.target = task.x;
  task.loss = [](const Tensor& out, const Tensor& x) { return mean(square(out - x)); };
  check_functional_models<Autoencoder, MixedAutoencoder>("autoencoder", task);
  check_object_models<ObjectAutoencoder, MixedObjectAutoencoder>("autoencoder", task);
  check_functional_methods<Autoencoder>("autoencoder/linen", task.x[0]);
  check_functional_methods<MixedAutoencoder>("autoencoder/linen_mixed", task.x[0]);
  check_object_methods<ObjectAutoencoder>("autoencoder/nnx", task.x[0]);
  check_object_methods<MixedObjectAutoencoder>("autoencoder/nnx_mixed", task.x[0]);
}

}  // namespace
}  // namespace linnet::reference_models_test
