#include "linnet/report/progress.h"

#include <cmath>
#include <cstdlib>
#include <limits>

#include "linnet/report/table.h"
#include "tests/io/io_test_utils.h"

namespace linnet::progress_test {
namespace {

using testing::expect_error;

// A stream whose content can be looked at.
class MemoryStream {
 public:
  MemoryStream() : file_(::open_memstream(&data_, &size_)) {}
  MemoryStream(const MemoryStream&) = delete;
  MemoryStream& operator=(const MemoryStream&) = delete;
  ~MemoryStream() {
    std::fclose(file_);
    std::free(data_);
  }
  std::FILE* file() { return file_; }
  std::string text() {
    std::fflush(file_);
    return {data_, size_};
  }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
  std::FILE* file_;
};

struct Fixture {
  MemoryStream stream;
  double time = 0;

  ProgressOptions options(bool interactive) {
    ProgressOptions result;
    result.label = "epoch 3";
    result.unit = "img";
    result.interactive = interactive;
    result.columns = 80;
    result.clock = [this] { return time; };
    return result;
  }
};

TEST(Progress, PipedOutputIsPlainLinesFarApart) {
  Fixture fixture;
  ProgressBar bar(fixture.stream.file(), 1000, fixture.options(false));
  bar.set("loss", 0.12345678);
  for (int i = 0; i < 100; ++i) {
    fixture.time += 0.25;
    bar.advance(10);
  }
  bar.finish();
  bar.finish();
  EXPECT_EQ(fixture.stream.text(),
            "epoch 3   40% 400/1000  0:10 eta 0:15  40.0 img/s  loss 0.1235\n"
            "epoch 3   80% 800/1000  0:20 eta 0:05  40.0 img/s  loss 0.1235\n"
            "epoch 3  100% 1000/1000  0:25  40.0 img/s  loss 0.1235\n");
}

TEST(Progress, ATerminalIsRedrawnAtALimitedRate) {
  Fixture fixture;
  {
    ProgressBar bar(fixture.stream.file(), 100, fixture.options(true));
    for (int i = 0; i < 100; ++i) {
      fixture.time += 0.01;
      bar.advance();
    }
    EXPECT_EQ(bar.done(), 100);
    const std::string text = fixture.stream.text();
    const auto redraws = std::count(text.begin(), text.end(), '\r');
    EXPECT_GE(redraws, 8);
    EXPECT_LE(redraws, 10);
    EXPECT_EQ(text.find('\n'), std::string::npos);
  }
  // The destructor ends the line.
  EXPECT_EQ(fixture.stream.text().back(), '\n');
}

TEST(Progress, TheLineFitsTheTerminal) {
  for (int columns : {1, 10, 40, 80, 200}) {
    for (bool color : {false, true}) {
      Fixture fixture;
      ProgressOptions options = fixture.options(true);
      options.columns = columns;
      options.color = color;
      ProgressBar bar(fixture.stream.file(), 10, options);
      fixture.time = 3;
      bar.advance(4);
      bar.set("loss", 0.5);
      std::string plain;
      const std::string text = bar.text();
      for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\x1b')
          i = text.find('m', i);
        else if ((text[i] & 0xC0) != 0x80)
          plain += text[i];
      }
      EXPECT_LT(plain.size(), static_cast<size_t>(columns));
      EXPECT_EQ(text.find('\x1b') != std::string::npos, color && columns >= 80) << text;
    }
  }
}

TEST(Progress, AnUnknownTotalHasNoShareAndNoEstimate) {
  Fixture fixture;
  ProgressBar bar(fixture.stream.file(), 0, fixture.options(false));
  EXPECT_EQ(bar.text(), "epoch 3  0 img  0:00");
  fixture.time = 2;
  bar.advance(3000);
  EXPECT_EQ(bar.text(), "epoch 3  3000 img  0:02  1.50k img/s");
  EXPECT_EQ(bar.throughput(), 1500.0);
}

TEST(Progress, FieldsKeepTheirOrderAndTooManyStepsAreNoHarm) {
  Fixture fixture;
  ProgressBar bar(fixture.stream.file(), 2, fixture.options(false));
  bar.set("b", 1.0);
  bar.set("a", "x");
  bar.set("b", 2.0);
  bar.advance(5);
  EXPECT_EQ(bar.text(), "epoch 3  100% 5/2  0:00  b 2  a x");
}

TEST(Progress, NoColorIsRespected) {
  Fixture fixture;
  const char* before = std::getenv("NO_COLOR");
  ::setenv("NO_COLOR", "1", 1);
  ProgressBar bar(fixture.stream.file(), 2, fixture.options(true));
  EXPECT_EQ(bar.text().find('\x1b'), std::string::npos);
  if (before == nullptr) {
    ::unsetenv("NO_COLOR");
    ProgressBar colored(fixture.stream.file(), 2, fixture.options(true));
    EXPECT_NE(colored.text().find('\x1b'), std::string::npos);
  }
}

TEST(Progress, AStreamThatIsNoTerminalGetsLinesWithoutEscapes) {
  Fixture fixture;
  ProgressBar bar(fixture.stream.file(), 2);
  bar.advance(2);
  bar.finish();
  EXPECT_EQ(fixture.stream.text().find_first_of("\r\x1b"), std::string::npos);
  EXPECT_EQ(fixture.stream.text().back(), '\n');
}

TEST(Progress, AClosedPipeIsIgnored) {
  std::FILE* full = std::fopen("/dev/full", "w");
  ASSERT_NE(full, nullptr);
  ProgressOptions options;
  options.line_seconds = 0;
  ProgressBar bar(full, 2, options);
  EXPECT_NO_THROW(bar.advance());
  EXPECT_NO_THROW(bar.finish());
  std::fclose(full);
}

TEST(Progress, DurationsAndQuantities) {
  EXPECT_EQ(format_duration(7), "0:07");
  EXPECT_EQ(format_duration(59.6), "1:00");
  EXPECT_EQ(format_duration(754), "12:34");
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(2 * 86400 + 3 * 3600), "2d03h");
  for (double bad : {-1.0, std::nan(""), double(INFINITY)}) EXPECT_EQ(format_duration(bad), "?");
  EXPECT_EQ(format_quantity(0), "0.00");
  EXPECT_EQ(format_quantity(9.996), "10.0");
  EXPECT_EQ(format_quantity(987), "987");
  EXPECT_EQ(format_quantity(999.6), "1.00k");
  EXPECT_EQ(format_quantity(12345), "12.3k");
  EXPECT_EQ(format_quantity(4.56e6), "4.56M");
  EXPECT_EQ(format_quantity(-2500), "-2.50k");
}

TEST(Table, AlignsNumbersAndText) {
  MemoryStream stream;
  TextTable table(stream.file(), {{.title = "epoch"},
                                  {.title = "loss", .width = 8},
                                  {.title = "größe", .width = 7},
                                  {.title = "acc", .width = 6, .precision = 2}});
  table.add_row({1, 0.73127, "klein", 97.256});
  table.add_row({12, 1e-7, "ä", std::nan("")});
  EXPECT_EQ(stream.text(),
            "epoch      loss    größe     acc\n"
            "─────  ────────  ───────  ──────\n"
            "    1    0.7313  klein     97.26\n"
            "   12  1.00e-07  ä           nan\n");
}

TEST(Table, RowsMustHaveOneCellAColumnAndNothingIsCut) {
  MemoryStream stream;
  TextTable table(stream.file(), {{.title = "a"}, {.title = "b"}});
  expect_error<ValueError>([&] { table.add_row({1}); }, {"1 cells", "2 columns"});
  EXPECT_EQ(stream.text(), "");
  EXPECT_EQ(table.format_row({123456, "long text"}), "123456  long text");
  EXPECT_EQ(TableCell(0.0).text(3), "0.000");
  EXPECT_EQ(TableCell(-1e12).text(4), "-1.00e+12");
  EXPECT_EQ(TableCell(uint8_t{200}).text(0), "200");
}

}  // namespace
}  // namespace linnet::progress_test
