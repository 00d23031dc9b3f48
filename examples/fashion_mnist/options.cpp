#include "examples/fashion_mnist/options.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>

#include "linnet/data/fashion_mnist.h"

namespace demo {

const char* name_of(Api api) { return api == Api::kNnx ? "nnx" : "linen"; }

Parsed parse_options(int argc, char** argv) {
  Parsed out;
  Options& o = out.options;
  o.data = linnet::kFashionMnistDirectory;
  CLI::App app(
      "Trains a convolutional network on Fashion-MNIST. The network mixes both module APIs: a "
      "stateful one with\n"
      "functional blocks (--api=nnx) or a functional one with stateful blocks (--api=linen).",
      "fashion_mnist");
  const std::map<std::string, Api> apis{{"nnx", Api::kNnx}, {"linen", Api::kLinen}};
  app.option_defaults()->take_last();  // so that a script's settings can be overridden
  app.add_option("--api", o.api, "nnx (default) or linen")
      ->transform(CLI::CheckedTransformer(apis))
      ->type_name("API");
  app.add_option("--epochs", o.epochs, "passes over the training images")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.add_option("--batch-size", o.batch_size, "images per step")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.add_option("--seed", o.seed, "of parameters, dropout and data order")->capture_default_str();
  app.add_option("--learning-rate", o.learning_rate, "at its peak, after the warm-up")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--threads", o.threads, "CPU threads; 0 for all")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  const std::map<std::string, linnet::DeviceType> devices{{"cpu", linnet::DeviceType::kCpu},
                                                          {"cuda", linnet::DeviceType::kCuda}};
  app.add_option("--device", o.device, "cpu (default) or cuda: where everything is computed")
      ->transform(CLI::CheckedTransformer(devices))
      ->type_name("DEVICE");
  app.add_option("--data", o.data, "folder of the four IDX files")->capture_default_str();
  app.add_option("--out", o.out, "folder for checkpoint, curves and pictures")
      ->capture_default_str();
  app.add_flag("--resume", o.resume, "go on from the checkpoint in --out");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    out.exit_code = 0;
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "fashion_mnist: %s\n", error.what());
    out.exit_code = 2;
  }
  return out;
}

}  // namespace demo
