#include "linnet/io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "linnet/io/byte_source.h"
#include "tests/io/faulty_file_system.h"
#include "tests/io/io_test_utils.h"

namespace linnet::atomic_file_test {
namespace {

using testing::expect_error;
using testing::FaultyFileSystem;
using testing::read_text;
using testing::TemporaryDirectory;
using testing::write_text;

void save(FileSystem& file_system, const std::string& path) {
  AtomicFile file(path, file_system);
  file.write("new ");
  file.write("content");
  EXPECT_EQ(file.bytes_written(), 11u);
  file.commit();
}

TEST(AtomicFile, FlushesBeforeItRenamesAndTheDirectoryAfterwards) {
  const TemporaryDirectory directory;
  FaultyFileSystem recorder;
  save(recorder, directory / "a");
  EXPECT_EQ(recorder.calls,
            (std::vector<std::string>{"open", "write", "write", "sync", "close", "open directory",
                                      "rename", "sync directory", "close"}));
  EXPECT_EQ(read_text(directory / "a"), "new content");
  EXPECT_EQ(directory.count(), 1u);
}

class AtomicFileFaults : public ::testing::TestWithParam<int> {};

TEST_P(AtomicFileFaults, R_045_every_failing_call_leaves_the_old_or_the_new_content) {
  constexpr int kCalls = 9, kRename = 6;
  for (bool persistent : {false, true}) {
    for (int n = 0; n < kCalls; ++n) {
      SCOPED_TRACE("call " + std::to_string(n) + (persistent ? " and all later ones" : ""));
      const TemporaryDirectory directory;
      const std::string path = directory / "a";
      write_text(path, "old");
      FaultyFileSystem faulty;
      faulty.fail_at = n;
      faulty.persistent = persistent;
      faulty.error_number = GetParam();
      bool is_reported = false;
      try {
        save(faulty, path);
      } catch (const IoError& error) {
        is_reported = true;
        const std::string message = error.what();
        EXPECT_NE(message.find(path), std::string::npos) << message;
        EXPECT_NE(message.find(std::strerror(GetParam())), std::string::npos) << message;
      }
      // After the rename the new content is in place whatever else happens.
      EXPECT_EQ(read_text(path), is_reported && n <= kRename ? "old" : "new content");
      EXPECT_EQ(directory.count(), 1u);
      // The last call closes the directory, which holds no data any more. A single EINTR is tried
      // again, and after close it means that the file is closed.
      const bool is_harmless =
          n == kCalls - 1 || (GetParam() == EINTR && (!persistent || n == 4) && n != kRename);
      if (!is_harmless) {
        EXPECT_TRUE(is_reported);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Errors, AtomicFileFaults,
                         ::testing::Values(EIO, ENOSPC, EINTR, EAGAIN, EMFILE));

TEST(AtomicFile, ShortWritesAreContinued) {
  const TemporaryDirectory directory;
  FaultyFileSystem slow;
  slow.longest_write = 1;
  save(slow, directory / "a");
  EXPECT_EQ(read_text(directory / "a"), "new content");
}

TEST(AtomicFile, AWriteOfNothingIsAFullDisk) {
  const TemporaryDirectory directory;
  FaultyFileSystem full;
  full.longest_write = 0;
  expect_error([&] { save(full, directory / "a"); }, {"write", std::strerror(ENOSPC)});
  EXPECT_EQ(directory.count(), 0u);
}

TEST(AtomicFile, WithoutCommitNothingChanges) {
  const TemporaryDirectory directory;
  write_text(directory / "a", "old");
  {
    AtomicFile file(directory / "a");
    file.write("new");
    EXPECT_EQ(directory.count(), 2u);
  }
  EXPECT_EQ(read_text(directory / "a"), "old");
  EXPECT_EQ(directory.count(), 1u);
}

TEST(AtomicFile, RefusesUseAfterCommitAndAfterFailure) {
  const TemporaryDirectory directory;
  AtomicFile file(directory / "a");
  file.write("x");
  file.commit();
  expect_error([&] { file.write("y"); }, {"already"});
  expect_error([&] { file.commit(); }, {"already"});
  EXPECT_EQ(read_text(directory / "a"), "x");
}

TEST(AtomicFile, ReportsDirectoriesThatAreMissingOrInTheWay) {
  const TemporaryDirectory directory;
  expect_error([&] { write_file_atomically(directory / "no/a", "x"); },
               {"no/a", std::strerror(ENOENT)});
  std::filesystem::create_directory(directory / "d");
  expect_error([&] { write_file_atomically(directory / "d", "x"); }, {"rename", "/d"});
  EXPECT_EQ(directory.count(), 1u);
}

TEST(AtomicFile, ReplacesASymbolicLinkAndLeavesItsTarget) {
  const TemporaryDirectory directory;
  write_text(directory / "target", "old");
  std::filesystem::create_symlink(directory / "target", directory / "link");
  write_file_atomically(directory / "link", "new");
  EXPECT_EQ(read_text(directory / "target"), "old");
  EXPECT_EQ(read_text(directory / "link"), "new");
}

TEST(AtomicFile, ARelativePathWithoutDirectoryGoesToTheCurrentOne) {
  const TemporaryDirectory directory;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(directory.path());
  write_file_atomically("a", "x");
  std::filesystem::current_path(before);
  EXPECT_EQ(read_text(directory / "a"), "x");
}

TEST(AtomicFile, TemporariesOfDeadProcessesAreRemoved) {
  const TemporaryDirectory directory;
  const pid_t dead = ::fork();
  if (dead == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(dead, nullptr, 0), dead);
  const std::string abandoned = directory / (".linnet-" + std::to_string(dead) + "-3.tmp");
  const std::vector<std::string> kept = {
      directory / (".linnet-" + std::to_string(::getppid()) + "-3.tmp"),
      directory / ".linnet-0-3.tmp",
      directory / ".linnet-x.tmp",
      directory / (".linnet-" + std::to_string(dead) + "-3.txt"),
      directory / ".linnet-99999999999999999999-1.tmp",
      directory / "other"};
  write_text(abandoned, "x");
  for (const std::string& path : kept) write_text(path, "x");
  AtomicFile mine(directory / "a");
  remove_abandoned_temporaries(directory.path());
  EXPECT_FALSE(std::filesystem::exists(abandoned));
  for (const std::string& path : kept) EXPECT_TRUE(std::filesystem::exists(path)) << path;
  mine.write("content");
  mine.commit();
  EXPECT_EQ(read_text(directory / "a"), "content");
  expect_error([&] { remove_abandoned_temporaries(directory / "no"); },
               {"/no", std::strerror(ENOENT)});
}

TEST(FileSource, ReadsExactlyAndRefusesRangesOutside) {
  const TemporaryDirectory directory;
  write_text(directory / "a", "0123456789");
  FaultyFileSystem slow;
  slow.longest_write = 3;
  const FileSource source(directory / "a", slow);
  std::array<char, 8> text{};
  source.read(1, std::as_writable_bytes(std::span(text)));
  EXPECT_EQ(std::string_view(text.data(), 8), "12345678");
  expect_error([&] { source.read(3, std::as_writable_bytes(std::span(text))); },
               {"truncated", "10"});
  expect_error([&] { source.read(UINT64_MAX, std::as_writable_bytes(std::span(text))); },
               {"truncated"});
}

TEST(FileSource, R_045_every_failing_call_is_reported) {
  const TemporaryDirectory directory;
  write_text(directory / "a", "0123456789");
  for (int error_number : {EIO, EACCES, EMFILE}) {
    for (int n = 0; n < 4; ++n) {
      FaultyFileSystem faulty;
      faulty.fail_at = n;
      faulty.error_number = error_number;
      expect_error(
          [&] {
            const FileSource source(directory / "a", faulty);
            std::array<std::byte, 4> buffer;
            source.read(0, buffer);
            source.block();
          },
          {"/a", std::strerror(error_number)});
    }
  }
}

TEST(FileSource, AFileThatShrinksIsAnError) {
  const TemporaryDirectory directory;
  write_text(directory / "a", "0123456789");
  const FileSource source(directory / "a");
  ASSERT_EQ(::truncate((directory / "a").c_str(), 4), 0);
  std::array<std::byte, 8> buffer;
  expect_error([&] { source.read(0, buffer); },
               {"truncated while it was read", "10 bytes", "byte 4"});
}

TEST(FileSource, RefusesWhatIsNotARegularFile) {
  const TemporaryDirectory directory;
  ASSERT_EQ(::mkfifo((directory / "pipe").c_str(), 0600), 0);
  for (const std::string& path : {directory.path(), directory / "pipe", std::string("/dev/zero")}) {
    expect_error([&] { FileSource source(path); }, {path, "not a regular file"});
  }
  expect_error([&] { FileSource source(directory / "no"); }, {"open", std::strerror(ENOENT)});
}

}  // namespace
}  // namespace linnet::atomic_file_test
