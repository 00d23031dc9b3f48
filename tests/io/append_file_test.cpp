// Files that grow: what is there stays, and no byte is lost by short or interrupted writes.
#include "linnet/io/append_file.h"

#include <gtest/gtest.h>

#include "faulty_file_system.h"
#include "io_test_utils.h"

namespace linnet::append_file_test {
namespace {

using testing::FaultyFileSystem;

class AppendFiles : public ::testing::Test {
 protected:
  std::string text() const { return testing::read_text(path); }
  const testing::TemporaryDirectory folder;
  const std::string path = folder / "new/log.csv";
};

TEST_F(AppendFiles, grow_behind_what_is_there) {
  AppendFile first(path);
  first.write("one\n");
  EXPECT_EQ(text(), "one\n");
  AppendFile moved(std::move(first));
  moved.write("two\n");
  AppendFile second(path);
  second.write("three\n");
  EXPECT_EQ(text(), "one\ntwo\nthree\n");
  EXPECT_EQ(second.path(), path);
}

TEST_F(AppendFiles, short_and_interrupted_writes_are_gone_on_with) {
  FaultyFileSystem files;
  files.longest_write = 2;
  AppendFile file(path, files);
  files.fail_at = static_cast<int>(files.calls.size()) + 1;
  files.error_number = EINTR;
  file.write("abcdefg");
  EXPECT_EQ(text(), "abcdefg");
}

TEST_F(AppendFiles, failures_name_the_file_and_the_reason) {
  FaultyFileSystem files;
  AppendFile file(path, files);
  files.fail_at = static_cast<int>(files.calls.size());
  files.error_number = ENOSPC;
  try {
    file.write("x");
    ADD_FAILURE() << "nothing was thrown";
  } catch (const IoError& error) {
    EXPECT_EQ(std::string(error.what()), "write " + path + ": No space left on device");
  }
  EXPECT_THROW(AppendFile("/dev/null/x"), IoError);
}

}  // namespace
}  // namespace linnet::append_file_test
