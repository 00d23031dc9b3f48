// A locale with a decimal comma, for tests that nothing depends on it.
#pragma once

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/io/io_test_utils.h"

namespace linnet::testing {

/// While it lives, the C library writes 0,5 and reads a comma in numbers, as in every program that
/// asks for a German or French user's settings.
class CommaLocale {
 public:
  CommaLocale() {
    write_text(folder_ / "source",
               "LC_NUMERIC\ndecimal_point \",\"\nthousands_sep \".\"\ngrouping 3;3\n"
               "END LC_NUMERIC\n");
    const std::string command = "localedef -c --no-archive -i '" + (folder_ / "source") + "' '" +
                                (folder_ / "comma") + "' >'" + (folder_ / "log") + "' 2>&1";
    [[maybe_unused]] const int status = std::system(command.c_str());  // complains in any case
    ::setenv("LOCPATH", folder_.path().c_str(), 1);
    std::setlocale(LC_NUMERIC, "comma");
    char text[8];
    std::snprintf(text, sizeof text, "%.1f", 0.5);
    is_set_ = text == std::string("0,5");
  }
  CommaLocale(const CommaLocale&) = delete;
  CommaLocale& operator=(const CommaLocale&) = delete;
  ~CommaLocale() {
    std::setlocale(LC_NUMERIC, "C");
    ::unsetenv("LOCPATH");
  }
  /// False if the system cannot compile locales.
  bool is_set() const { return is_set_; }

 private:
  TemporaryDirectory folder_;
  bool is_set_ = false;
};

}  // namespace linnet::testing
