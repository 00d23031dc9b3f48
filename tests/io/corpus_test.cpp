#include "tests/fuzz/entry_points.h"
#include "tests/io/io_test_utils.h"

namespace linnet::corpus_test {
namespace {

class Corpus : public ::testing::TestWithParam<fuzz::Target> {};

TEST_P(Corpus, R_037_every_file_is_accepted_or_refused_properly) {
  const std::string folder = LINNET_TEST_DATA "/fuzz/corpus/" + std::string(GetParam().name);
  size_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    SCOPED_TRACE(file.path().string());
    const std::string content = testing::read_text(file.path().string());
    EXPECT_NO_THROW(GetParam().run(std::as_bytes(std::span(content))));
    ++files;
  }
  EXPECT_GE(files, 5u);
}

INSTANTIATE_TEST_SUITE_P(Parsers, Corpus, ::testing::ValuesIn(fuzz::kTargets),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace linnet::corpus_test
