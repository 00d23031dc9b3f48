// The demo as a user runs it, on a small synthetic data set: arguments, errors, outputs, and
// resuming bit for bit.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "linnet/io/checkpoint.h"
#include "linnet/io/json.h"
#include "linnet/io/safetensors.h"

namespace linnet::demo_test {
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

  /// `after` follows the program in the shell, `| head -1` say; its standard output is then not
  /// kept.
  Outcome run_into(const std::string& arguments, const std::string& after) {
    const std::string command = "bash -c \"set -o pipefail; '" LINNET_DEMO_PROGRAM "' " +
                                arguments + " 2>'" + (root_ / "err.txt").string() + "' " + after +
                                "\"";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, "", slurp(root_ / "err.txt")};
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

  /// Two steps and two epochs.
  std::string quick(const std::string& out, int epochs = 2) const {
    return "--epochs=" + std::to_string(epochs) + " --batch-size=450 --data='" +
           (root_ / "data").string() + "' --out='" + (root_ / out).string() + "'";
  }

  /// Saves the values of a checkpoint again with another manifest.
  void change_manifest(const std::string& out, const std::function<void(Json&)>& change) const {
    const std::string folder = (root_ / out / "checkpoint").string();
    Json manifest = checkpoint_manifest(folder);
    const SafetensorsFile file =
        read_safetensors(folder + "/" + manifest.at("linnet").at("values").as_string());
    std::vector<std::pair<std::string, Tensor>> leaves;
    for (const std::string& name : file.names())
      leaves.emplace_back(name, to_tensor(file.array(name)));
    change(manifest);
    detail::save_leaves(folder, leaves, manifest, FileSystem::system());
  }

  /// One line on standard error that holds `part`, and the exit code of bad arguments.
  static void expect_refused(const Outcome& outcome, const std::string& part) {
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
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

TEST_F(Demo, a_finished_run_resumes_to_its_result) {
  const Outcome whole = run(quick("a"));
  ASSERT_EQ(whole.code, 0) << whole.err;
  const std::string values = checkpoint_values("a");
  const Outcome again = run(quick("a") + " --resume");
  EXPECT_EQ(again.code, 0) << again.err;
  const size_t line = whole.out.rfind("test accuracy: ");
  EXPECT_NE(again.out.find(whole.out.substr(line, 40)), std::string::npos) << again.out;
  EXPECT_TRUE(checkpoint_values("a") == values);
}

TEST_F(Demo, a_hostile_manifest_is_refused_in_one_sentence) {
  ASSERT_EQ(run(quick("a")).code, 0);
  const std::string folder = (root_ / "a" / "checkpoint").string();
  const Json good = checkpoint_manifest(folder);
  const std::pair<std::function<void(Json&)>, const char*> changes[] = {
      {[](Json& m) { m["epoch"] = 99; }, "epoch is 99, expected 0 to 2"},
      {[](Json& m) { m["epoch"] = -1; }, "epoch is -1"},
      {[](Json& m) { m["epoch"] = "one"; }, "expected an integer"},
      {[](Json& m) { m["epoch"] = 1; }, "history has 2 epochs, expected 1"},
      {[](Json& m) { m["batch"] = 1; }, "batch is 1, expected 0 to 0"},
      {[](Json& m) { m["epoch"] = 1, m["batch"] = 2; }, "batch is 2, expected 0 to 1"},
      {[](Json& m) { m["epoch"] = 1, m["batch"] = INT64_MAX; }, "batch is"},
      {[](Json& m) { m["correct"] = 5; }, "correct is 5, expected 0 to 0"},
      {[](Json& m) { m["loss_sum"] = 2.5; }, "loss_sum"},
      {[](Json& m) { m["loss_sum"] = "NaN"; }, "loss_sum is \"NaN\""},
      {[](Json& m) { m["seconds"] = -1.0; }, "seconds is -1"},
      {[](Json& m) { m["history"] = Json::array(); }, "history has 0 epochs"},
      {[](Json& m) { m["history"] = 7; }, "expected an array"},
      {[](Json& m) { m["data"] = Json(); }, "data null"},
      {[](Json& m) { m["seed"] = "0"; }, "seed \"0\""},
      {[](Json& m) { m = Json::object(); }, "no key \"api\""}};
  for (const auto& [change, reason] : changes) {
    SCOPED_TRACE(reason);
    change_manifest("a", [&](Json& manifest) {
      manifest = good;
      change(manifest);
    });
    expect_refused(run(quick("a") + " --resume"), reason);
  }
  std::ofstream(folder + "/checkpoint.json") << "{\"linnet\": [";
  expect_refused(run(quick("a") + " --resume"), folder + "/checkpoint.json");
}

TEST_F(Demo, another_data_set_is_not_resumed_with) {
  ASSERT_EQ(run(quick("a")).code, 0);
  std::fstream labels(root_ / "data" / "train-labels-idx1-ubyte",
                      std::ios::binary | std::ios::in | std::ios::out);
  labels.seekp(20);
  labels.put(9);
  labels.close();
  expect_refused(run(quick("a") + " --resume"), "made with data \"900 + 100 images, crc32 ");
}

TEST_F(Demo, an_output_folder_that_cannot_be_written_is_refused_before_training) {
  std::ofstream(root_ / "file") << "x";
  for (const char* out : {"file", "file/below"}) {
    const Outcome outcome = run(quick(out));
    expect_refused(outcome, "--out: ");
    EXPECT_EQ(outcome.out, "") << "nothing was begun";
  }
  fs::create_directories(root_ / "a" / "curves.svg");
  expect_refused(run(quick("a")), "curves.svg is a folder");
  expect_refused(run(quick("b") + " --out=/proc/linnet"), "/proc/linnet");
}

TEST_F(Demo, sets_without_images_are_refused) {
  write_images("t10k", 0);
  expect_refused(run(quick("a")), "no test images");
  write_images("t10k", 10);
  write_images("train", 0);
  expect_refused(run(quick("a")), "larger than the number of training images");
}

TEST_F(Demo, one_batch_may_be_the_whole_training_set) {
  for (const char* api : {"nnx", "linen"}) {
    for (int epochs : {1, 2}) {
      const Outcome outcome = run(quick("a", epochs) + " --batch-size=900 --api=" + api);
      EXPECT_EQ(outcome.code, 0) << outcome.err;
      EXPECT_NE(outcome.out.find("test accuracy: "), std::string::npos) << outcome.out;
    }
  }
}

TEST_F(Demo, a_run_that_diverges_keeps_its_last_good_checkpoint) {
  ASSERT_EQ(run(quick("a")).code, 0);
  const std::string values = checkpoint_values("a");
  // The first step with this rate leaves no parameter finite.
  const Outcome outcome = run(quick("a") + " --learning-rate=1e39");
  EXPECT_EQ(outcome.code, 1) << outcome.out;
  EXPECT_NE(outcome.err.find("diverged"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("--learning-rate"), std::string::npos) << outcome.err;
  EXPECT_TRUE(checkpoint_values("a") == values);
  EXPECT_EQ(run(quick("a") + " --resume").code, 0) << "it can still be used";
}

TEST_F(Demo, a_closed_pipe_does_not_stop_the_training) {
  const Outcome outcome = run_into(quick("a"), "| true");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const Json manifest = checkpoint_manifest((root_ / "a" / "checkpoint").string());
  EXPECT_EQ(manifest.at("epoch").as_integer(), 2);
}

TEST_F(Demo, R_050_signals_end_it_with_a_checkpoint_and_their_code) {
  for (const auto& [name, code] : {std::pair("INT", 130), std::pair("TERM", 143)}) {
    // The header is the last thing before the first step. Every step looks for the signal, so the
    // thousands of epochs are not reached.
    const std::string out = (root_ / name / "out.txt").string();
    fs::create_directories(root_ / name);
    const std::string command =
        "bash -c \"'" LINNET_DEMO_PROGRAM "' " + quick(name, 5000) + " >'" + out + "' 2>'" +
        (root_ / "err.txt").string() + "' & p=\\$!; while ! grep -q threads '" + out +
        "'; do sleep 0.05; done; sleep 0.3; kill -" + name + " \\$p; wait \\$p\"";
    const int status = std::system(command.c_str());
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), code) << slurp(root_ / "err.txt");
    EXPECT_NE(slurp(root_ / "err.txt").find("--resume"), std::string::npos);
    EXPECT_TRUE(has_checkpoint((root_ / name / "checkpoint").string()));
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
}  // namespace linnet::demo_test
