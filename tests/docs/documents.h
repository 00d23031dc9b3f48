// Holds the documents against what is compiled: every C++ block of a document is a named piece of a
// source file in this folder or a quotation of the library, and what it prints is what is shown.
//
// In a source file a piece lies between two comments with its name in brackets. In a document the
// code block follows an HTML comment that says where it comes from:
//
//   <!-- snippet: first-tensor -->       the piece `first-tensor`; a `text` block after it is its output
//   <!-- from: core/ops/logic.cpp -->    lines of that file
#pragma once

#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace linnet::docs {

/// A code block of a document.
struct Block {
  std::string document;
  int line = 0;          ///< of the opening fence
  std::string language;  ///< `cpp`, `text`, …
  std::string origin;    ///< the HTML comment before it, without the comment signs; may be empty
  std::string text;

  std::string where() const { return document + ":" + std::to_string(line); }
};

/// The documents that are checked, relative to the repository.
std::vector<std::string> documents();
/// The code blocks of all of them.
const std::vector<Block>& blocks();
/// The named pieces of the sources of this folder, without their common indentation.
const std::map<std::string, std::string>& snippets();
/// The output a document shows for a snippet; empty if there is none.
std::string shown_output(const std::string& snippet);
/// A file of the repository. @throws std::runtime_error if it cannot be read.
std::string read_file(const std::string& path);
std::string without_trailing_space(std::string text);

/// A test whose name is that of a snippet with `_` for `-`. What the test prints must be what the
/// documents show.
class Snippet : public ::testing::Test {
 protected:
  void SetUp() override { previous_ = std::cout.rdbuf(printed_.rdbuf()); }
  void TearDown() override;

  /// Prints the message of the exception that `f` throws, which must be an E.
  template <class E, class F>
  void message(F&& f) {
    try {
      f();
    } catch (const E& error) {
      std::cout << error.what() << "\n";
      return;
    }
    ADD_FAILURE() << "nothing was thrown";
  }

 private:
  std::ostringstream printed_;
  std::streambuf* previous_ = nullptr;
};

}  // namespace linnet::docs
