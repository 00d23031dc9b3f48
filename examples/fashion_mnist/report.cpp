#include "examples/fashion_mnist/report.h"

#include "linnet/data/fashion_mnist.h"
#include "linnet/io/checkpoint.h"
#include "linnet/report/png.h"
#include "linnet/report/svg_chart.h"

namespace demo {

void write_curves(const std::string& path, const std::vector<EpochRecord>& history) {
  linnet::ChartSeries train_loss{"train", {}, {}}, test_loss{"test", {}, {}};
  linnet::ChartSeries train_accuracy{"train", {}, {}}, test_accuracy{"test", {}, {}};
  for (size_t i = 0; i < history.size(); ++i) {
    for (auto* series : {&train_loss, &test_loss, &train_accuracy, &test_accuracy}) {
      series->x.push_back(static_cast<double>(i + 1));
    }
    train_loss.y.push_back(history[i].train_loss);
    test_loss.y.push_back(history[i].test_loss);
    train_accuracy.y.push_back(100 * history[i].train_accuracy);
    test_accuracy.y.push_back(100 * history[i].test_accuracy);
  }
  linnet::Chart chart{.title = "Fashion-MNIST"};
  chart.panels.push_back({.title = "Loss", .x_label = "epoch", .series = {train_loss, test_loss}});
  chart.panels.push_back(
      {.title = "Accuracy (%)", .x_label = "epoch", .series = {train_accuracy, test_accuracy}});
  linnet::write_svg(path, chart);
}

void write_predictions(const std::string& path, const Dataset& data, Trainer& trainer,
                       int64_t count) {
  const Batch batch = data.test_batch(0, std::min(count, data.test_size()));
  const std::vector<int64_t> predicted =
      argmax(trainer.logits(batch.image), -1).to_vector<int64_t>();
  const std::vector<int64_t> truth = batch.label.to_vector<int64_t>();
  const linnet::HostArray images = linnet::to_host_array(squeeze(batch.image, linnet::Axes{-1}));
  linnet::write_png(
      path, linnet::prediction_grid(images, predicted, truth, linnet::kFashionMnistClasses));
}

}  // namespace demo
