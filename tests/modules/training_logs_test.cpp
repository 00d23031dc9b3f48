// What a training writes down: event files, CSV, the progress bar.
#include "linnet/training/logs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "linnet/core.h"
#include "linnet/io/checksum.h"
#include "tests/io/io_test_utils.h"
#include "tests/modules/error_message.h"
#include "tests/ops/golden_file.h"

namespace linnet::training::training_logs_test {
namespace {

using testing::read_text;

class TrainingLogs : public ::testing::Test {
 protected:
  const testing::TemporaryDirectory directory;
  const std::string folder = directory.path();
};

// Test vectors of RFC 3720, B.4.
TEST_F(TrainingLogs, checksums_of_castagnoli) {
  const std::vector<std::byte> zeros(32), ones(32, std::byte{0xFF});
  EXPECT_EQ(crc32c(zeros), 0x8A9136AAu);
  EXPECT_EQ(crc32c(ones), 0x62A8AB43u);
  EXPECT_EQ(crc32c(std::span(ones).subspan(5), crc32c(std::span(ones).first(5))), 0x62A8AB43u);
}

TEST_F(TrainingLogs, event_files_are_those_of_tensorboard) {
  const testing::GoldenFile golden("event_file");
  double now = 1000 - 0.5;
  EventFile events(folder, {.name = "events", .clock = [&] { return now += 0.5; }});
  events.scalar("train/loss", 0.25, 0);
  events.scalar("train/loss", 0, 300);
  events.histogram("up/kernel", golden.tensor("file/values"), 300);
  const std::string picture = "not really a PNG file";
  events.image("sample", std::as_bytes(std::span(picture)), 3, 2, 1, 301);
  events.restart(128);
  const std::vector<uint8_t> bytes = golden.tensor("file/bytes").to_vector<uint8_t>();
  EXPECT_TRUE(read_text(events.path()) == std::string(bytes.begin(), bytes.end()));
  EXPECT_THROW(events.image("sample", {}, 3, 2, 2, 301), ValueError);
  EXPECT_THROW(EventFile("/dev/null/x"), IoError);
}

TEST_F(TrainingLogs, files_of_a_trainer) {
  const auto train = [&](int64_t epochs, const Json* from, double first) {
    Trainer trainer({.epochs = epochs, .log_every = 1});
    auto& board = trainer.add(TensorBoard(folder + "/events", {.clock = [] { return 1.0; }}));
    EXPECT_THROW(board.events(), ValueError);
    trainer.add(CsvLog(folder + "/log.csv"));
    trainer.add(SvgCurves(folder + "/svg/curves.svg", "A run"));
    if (from) trainer.restore(*from);
    trainer.fit(std::vector<double>{first, 0.125}, [](double x) {
      return Metrics{{"a,\"b\"", Tensor(x)}};
    });
    EXPECT_FALSE(board.events().path().empty());
    return trainer.state();
  };
  const Json state = train(1, nullptr, 1e-20);
  EXPECT_HAS(read_text(folder + "/log.csv"), "2,0,\"train/a,\"\"b\"\"\",0.125\n");
  train(2, &state, 3);
  const std::string both = read_text(folder + "/log.csv");
  EXPECT_HAS(both, "3,1,\"train/a,\"\"b\"\"\",3\n");
  EXPECT_EQ(std::count(both.begin(), both.end(), '\n'), 5);
  const std::string svg = read_text(folder + "/svg/curves.svg");
  EXPECT_HAS(svg, "A run");
  EXPECT_HAS(svg, "a,&quot;b&quot;");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder + "/events"), {}), 1)
      << "one process, one second: the second run appends";
  std::filesystem::resize_file(folder + "/log.csv", 3);
  EXPECT_HAS(message<IoError>([&] { train(3, &state, 3); }), "has 3 bytes, but had");
}

TEST_F(TrainingLogs, progress_goes_to_the_stream_that_is_given) {
  std::FILE* out = std::tmpfile();
  double now = 0;
  {
    Trainer trainer({.epochs = 2, .log_every = 1});
    trainer.set_evaluation([] { return Metrics{{"loss", Tensor(7)}}; });
    trainer.add(ProgressLog(
        out, 2, {.line_seconds = 1, .interactive = false, .clock = [&] { return now += 0.3; }}));
    trainer.fit(std::vector<int>{1, 2}, [](int x) { return Tensor(x); });
  }
  std::rewind(out);
  std::string text(4096, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), out));
  std::fclose(out);
  EXPECT_HAS(text, "epoch 1/2  100% 2/2");
  EXPECT_HAS(text, "step/s  loss 2  eval/loss 7\n");
  EXPECT_HAS(text, "epoch 2/2  100% 2/2");
}

}  // namespace
}  // namespace linnet::training::training_logs_test
