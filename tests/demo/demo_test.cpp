// The demo as a user runs it, on a small synthetic data set: arguments, errors, outputs, and
// resuming bit for bit.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "linnet/io/json.h"

namespace linnet {
namespace {

namespace fs = std::filesystem;

struct Outcome {
  int code;
  std::string out, err;
};

std::string slurp(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class Demo : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("linnet_demo_test_" + std::to_string(::getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_ / "data");
    write_images("train", 900);
    write_images("t10k", 100);
  }
  void TearDown() override { fs::remove_all(root_); }

  /// Pictures whose class is a bright row, with a little noise; labels in order.
  void write_images(const std::string& name, int count) {
    const auto big_endian = [](std::ofstream& s, uint32_t v) {
      for (int shift = 24; shift >= 0; shift -= 8) s.put(static_cast<char>(v >> shift & 0xFF));
    };
    std::ofstream images(root_ / "data" / (name + "-images-idx3-ubyte"), std::ios::binary);
    for (uint32_t v : {0x803u, static_cast<uint32_t>(count), 28u, 28u}) big_endian(images, v);
    std::ofstream labels(root_ / "data" / (name + "-labels-idx1-ubyte"), std::ios::binary);
    for (uint32_t v : {0x801u, static_cast<uint32_t>(count)}) big_endian(labels, v);
    uint32_t noise = 1;
    for (int i = 0; i < count; ++i) {
      labels.put(static_cast<char>(i % 10));
      for (int p = 0; p < 784; ++p) {
        noise = noise * 1664525u + 1013904223u;
        images.put(static_cast<char>((p / 28 / 2 - 2 == i % 10 ? 150 : 0) + (noise >> 26)));
      }
    }
  }

  Outcome run(const std::string& arguments, const std::string& prefix = "") {
    const std::string command = prefix + " '" LINNET_DEMO_PROGRAM "' " + arguments + " >'" +
                                (root_ / "out.txt").string() + "' 2>'" +
                                (root_ / "err.txt").string() + "'";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(root_ / "out.txt"),
            slurp(root_ / "err.txt")};
  }

  std::string common(const std::string& api, const std::string& out) const {
    return "--api=" + api + " --epochs=3 --batch-size=32 --data='" + (root_ / "data").string() +
           "' --out='" + (root_ / out).string() + "'";
  }

  /// Values of a finished run's checkpoint, byte for byte.
  std::string checkpoint_values(const std::string& out) const {
    const fs::path folder = root_ / out / "checkpoint";
    const Json manifest = read_json((folder / "checkpoint.json").string());
    return slurp(folder / manifest.at("linnet").at("values").as_string());
  }

  fs::path root_;
};

TEST_F(Demo, help_and_bad_arguments) {
  const Outcome help = run("--help");
  EXPECT_EQ(help.code, 0);
  for (const char* option : {"--api", "--epochs", "--batch-size", "--seed", "--threads", "--data",
                             "--out", "--resume"}) {
    EXPECT_NE(help.out.find(option), std::string::npos) << option;
  }
  for (const char* bad :
       {"--api=torch", "--epochs=0", "--batch-size=x", "--threads=-1", "--unknown"}) {
    const Outcome outcome = run(bad);
    EXPECT_EQ(outcome.code, 2) << bad;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

TEST_F(Demo, missing_and_truncated_data_give_one_sentence) {
  const Outcome missing = run("--data='" + (root_ / "nowhere").string() + "'");
  EXPECT_EQ(missing.code, 2);
  EXPECT_NE(missing.err.find("dataset-fashion-mnist"), std::string::npos) << missing.err;
  EXPECT_EQ(std::count(missing.err.begin(), missing.err.end(), '\n'), 1) << missing.err;

  fs::resize_file(root_ / "data" / "t10k-images-idx3-ubyte", 5000);
  const Outcome truncated = run(common("nnx", "a"));
  EXPECT_EQ(truncated.code, 2);
  EXPECT_NE(truncated.err.find("t10k-images-idx3-ubyte"), std::string::npos) << truncated.err;
}

TEST_F(Demo, resume_without_checkpoint_or_with_other_settings) {
  EXPECT_EQ(run(common("nnx", "a") + " --resume").code, 2);
  ASSERT_EQ(run(common("nnx", "a")).code, 0);
  const Outcome other = run(common("linen", "a") + " --resume");
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.err.find("api"), std::string::npos) << other.err;
}

TEST_F(Demo, trains_and_writes_everything) {
  for (const std::string api : {"nnx", "linen"}) {
    const Outcome outcome = run(common(api, api));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const size_t line = outcome.out.rfind("test accuracy: ");
    ASSERT_NE(line, std::string::npos) << outcome.out;
    EXPECT_NE(outcome.out.find(" after 3 epochs, ", line), std::string::npos);
    EXPECT_GT(std::stod(outcome.out.substr(line + 15)), 0.95) << outcome.out;
    EXPECT_NE(slurp(root_ / api / "curves.svg").find("<svg"), std::string::npos);
    EXPECT_EQ(slurp(root_ / api / "predictions.png").substr(1, 3), "PNG");
    EXPECT_TRUE(fs::exists(root_ / api / "checkpoint" / "checkpoint.json"));
    // The last line is the result, and output that is not a terminal has no control characters.
    EXPECT_EQ(outcome.out.find('\n', line), outcome.out.size() - 1);
    EXPECT_EQ((outcome.out + outcome.err).find('\r'), std::string::npos);
    EXPECT_EQ((outcome.out + outcome.err).find('\x1b'), std::string::npos);
  }
}

TEST_F(Demo, resuming_after_an_interruption_changes_no_bit) {
  for (const std::string api : {"nnx", "linen"}) {
    ASSERT_EQ(run(common(api, "whole_" + api)).code, 0);
    // Interrupted after a while, wherever that falls; several times, so that some falls inside an
    // epoch.
    const std::string cut = "cut_" + api;
    Outcome outcome = run(common(api, cut), "timeout -s INT 0.4");
    for (int i = 0; i < 20 && outcome.code != 0; ++i) {
      const bool saved = fs::exists(root_ / cut / "checkpoint" / "checkpoint.json");
      outcome = run(common(api, cut) + (saved ? " --resume" : ""),
                    "timeout -s INT " + std::to_string(0.5 + 0.3 * i));
    }
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(checkpoint_values(cut), checkpoint_values("whole_" + api)) << api;
  }
}

TEST_F(Demo, seed_decides_the_result) {
  ASSERT_EQ(run(common("nnx", "a")).code, 0);
  ASSERT_EQ(run(common("nnx", "b")).code, 0);
  ASSERT_EQ(run(common("nnx", "c") + " --seed=1").code, 0);
  EXPECT_EQ(checkpoint_values("a"), checkpoint_values("b"));
  EXPECT_NE(checkpoint_values("a"), checkpoint_values("c"));
}

}  // namespace
}  // namespace linnet
