// What is left of a checkpoint when the machine stops: after loss of power in the middle of every
// call, and after kill -9 at random moments of two writers.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <random>
#include <thread>

#include "linnet/core.h"
#include "linnet/io/checkpoint.h"
#include "tests/io/io_test_utils.h"
#include "tests/io/model_file_system.h"

extern char** environ;

namespace linnet::checkpoint_crash_test {
namespace {

using testing::ModelFileSystem;
using testing::TemporaryDirectory;

struct State {
  Tensor a, b;
  LINNET_FIELDS(a, b)
};

State state_of(double value) {
  return {full({64}, value, DType::kF64), full({3, 5}, value, DType::kF64)};
}

/// The one value that fills a loaded state.
double value_of(const State& state) {
  const double value = state.a.to_vector<double>()[0];
  for (const Tensor& leaf : {state.a, state.b}) {
    for (double element : leaf.to_vector<double>()) EXPECT_EQ(element, value);
  }
  return value;
}

// ---- loss of power

struct Survey {
  int64_t states = 0, lost = 0;
};

/// Saves two checkpoints one after the other and looks at every state that loss of power could
/// leave on the way. Lost: neither the last acknowledged one nor a later one can be loaded.
Survey survey(bool files_are_flushed, bool directories_are_flushed) {
  Survey result;
  ModelFileSystem disk;
  disk.files_are_flushed = files_are_flushed;
  disk.directories_are_flushed = directories_are_flushed;
  double acknowledged = 0;
  const auto look = [&](ModelFileSystem& left) {
    if (result.lost > 0) return;
    try {
      State state = state_of(0);
      double value = 0;
      if (has_checkpoint("/out/run/checkpoint", left)) {
        load_checkpoint("/out/run/checkpoint", state, left);
        value = value_of(state);
      }
      if (value < acknowledged) ++result.lost;
    } catch (const Error&) {
      ++result.lost;
    }
  };
  disk.after_change = [&] {
    // One loss is enough, and without flushes there are ever more states.
    if (result.lost == 0) result.states += disk.for_each_crash_state(look);
  };
  for (double value : {1.0, 2.0}) {
    save_checkpoint("/out/run/checkpoint", state_of(value), Json::object(), disk);
    acknowledged = value;
    if (result.lost == 0) result.states += disk.for_each_crash_state(look);
  }
  return result;
}

TEST(CheckpointCrash, R_046_R_048_loss_of_power_at_any_moment_loses_nothing) {
  const Survey all = survey(true, true);
  EXPECT_EQ(all.lost, 0) << "of " << all.states;
  EXPECT_GT(all.states, 500);
}

TEST(CheckpointCrash, R_046_a_missing_flush_is_found) {
  EXPECT_GT(survey(false, true).lost, 0);
  EXPECT_GT(survey(true, false).lost, 0);
}

// ---- kill -9

constexpr const char* kWriterDirectory = "LINNET_TEST_WRITER_DIRECTORY";
constexpr const char* kWriterName = "LINNET_TEST_WRITER_NAME";

/// Saves without end; one line with the number of each acknowledged checkpoint goes to the file
/// `acknowledged` outside the directory.
[[noreturn]] void write_for_ever(const std::string& directory, int writer) {
  const int log =
      ::open((directory + "-acknowledged").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  for (int64_t i = 1;; ++i) {
    const State state = state_of(static_cast<double>(writer * 1'000'000 + i));
    try {
      const int64_t number = detail::save_leaves(directory, tree::leaves_with_path(state),
                                                 Json::Object{{"value", writer * 1'000'000 + i}},
                                                 FileSystem::system());
      const std::string line = std::to_string(number) + "\n";
      if (::write(log, line.data(), line.size()) < 0) ::_exit(3);
    } catch (const IoError& error) {
      if (std::string_view(error.what()).find("is writing into this directory") ==
          std::string_view::npos) {
        std::ofstream(directory + "-errors", std::ios::app) << error.what() << "\n";
        ::_exit(4);
      }
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
}

TEST(CheckpointCrash, writer) {
  const char* directory = std::getenv(kWriterDirectory);
  if (directory == nullptr) GTEST_SKIP() << "runs in the processes that the next test starts";
  write_for_ever(directory, std::atoi(std::getenv(kWriterName)));
}

pid_t start_writer(const std::string& directory, int writer) {
  const std::string name = fmt::format("{}={}", kWriterName, writer);
  const std::string place = fmt::format("{}={}", kWriterDirectory, directory);
  std::vector<char*> environment = {const_cast<char*>(name.c_str()),
                                    const_cast<char*>(place.c_str())};
  for (char** entry = environ; *entry; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);
  const char* arguments[] = {"writer", "--gtest_filter=CheckpointCrash.writer", "--gtest_brief=1",
                             nullptr};
  pid_t process = 0;
  if (::posix_spawn(&process, "/proc/self/exe", nullptr, nullptr,
                    const_cast<char* const*>(arguments), environment.data()) != 0)
    return -1;
  return process;
}

int64_t last_acknowledged(const std::string& directory) {
  std::ifstream log(directory + "-acknowledged");
  int64_t greatest = -1, number = 0;
  while (log >> number) greatest = std::max(greatest, number);
  return greatest;
}

/// Kills both at a random moment after they have saved something.
void run_and_kill_two(const std::string& directory, std::mt19937& random) {
  const int64_t before = last_acknowledged(directory);
  const pid_t writers[] = {start_writer(directory, 1), start_writer(directory, 2)};
  ASSERT_GT(writers[0], 0);
  ASSERT_GT(writers[1], 0);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (last_acknowledged(directory) == before && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::uniform_int_distribution<int> microseconds(0, 20'000);
  for (const pid_t writer : writers) {
    std::this_thread::sleep_for(std::chrono::microseconds(microseconds(random)));
    ::kill(writer, SIGKILL);
  }
  for (const pid_t writer : writers) {
    int status = 0;
    ::waitpid(writer, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "a writer ended by itself: " << status << ": "
                                     << testing::read_text(directory + "-errors");
  }
}

// LINNET_TEST_KILLS sets the number of double kills; 1000 take about four minutes.
TEST(CheckpointCrash, R_047_killing_two_writers_loses_nothing) {
  const char* wanted = std::getenv("LINNET_TEST_KILLS");
  const int kills = wanted ? std::atoi(wanted) : 10;
  const TemporaryDirectory root;
  const std::string directory = root / "checkpoint";
  std::mt19937 random(static_cast<unsigned>(::getpid()));
  for (int i = 0; i < kills && !HasFailure(); ++i) {
    run_and_kill_two(directory, random);
    State state = state_of(0);
    const Json manifest = load_checkpoint(directory, state);
    EXPECT_EQ(value_of(state), manifest.at("value").as_double());
    EXPECT_GE(manifest.at("linnet").at("number").as_integer(), last_acknowledged(directory));
  }
  // The next one leaves nothing of the dead.
  const State state = state_of(1);
  save_checkpoint(directory, state);
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    ++files;
    const std::string name = entry.path().filename().string();
    EXPECT_TRUE(name == "checkpoint.json" || name.starts_with("values-")) << name;
  }
  EXPECT_EQ(files, 2u);
}

}  // namespace
}  // namespace linnet::checkpoint_crash_test
