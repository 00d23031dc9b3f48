#include "tests/docs/documents.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace linnet::docs {
namespace {

const std::filesystem::path& root() {
  static const std::filesystem::path path = std::filesystem::path(LINNET_TEST_DATA).parent_path();
  return path;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// What stands between `<!-- ` and ` -->` if that is all of the line.
std::string comment_of(const std::string& line) {
  const std::string text = trimmed(line);
  if (!text.starts_with("<!-- ") || !text.ends_with(" -->")) return "";
  return text.substr(5, text.size() - 9);
}

/// The name in `// [name]`, if that is all of the line.
std::string marker_of(const std::string& line) {
  const std::string text = trimmed(line);
  if (!text.starts_with("// [") || !text.ends_with("]")) return "";
  return text.substr(4, text.size() - 5);
}

void read_blocks(const std::string& document, std::vector<Block>& out) {
  const std::vector<std::string> lines = lines_of(read_file(document));
  std::string before;  // the last line that is not empty
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i].starts_with("```")) {
      if (!trimmed(lines[i]).empty()) before = lines[i];
      continue;
    }
    Block block{document, static_cast<int>(i) + 1, lines[i].substr(3), comment_of(before), ""};
    for (++i; i < lines.size() && lines[i] != "```"; ++i) block.text += lines[i] + "\n";
    before = "```";
    out.push_back(std::move(block));
  }
}

/// Removes the indentation that all lines have.
std::string dedented(const std::vector<std::string>& lines) {
  size_t common = std::string::npos;
  for (const std::string& line : lines) {
    if (!line.empty()) common = std::min(common, line.find_first_not_of(' '));
  }
  std::string out;
  for (const std::string& line : lines) out += (line.empty() ? line : line.substr(common)) + "\n";
  return out;
}

void read_snippets(const std::filesystem::path& file, std::map<std::string, std::string>& out) {
  std::string open;
  std::vector<std::string> lines;
  for (const std::string& line : lines_of(read_file(file.string()))) {
    const std::string marker = marker_of(line);
    if (marker.empty()) {
      if (!open.empty()) lines.push_back(line);
    } else if (open.empty()) {
      open = marker;
    } else if (marker == open) {
      if (!out.emplace(open, dedented(lines)).second) {
        throw std::runtime_error(open + " is the name of two snippets");
      }
      open.clear();
      lines.clear();
    } else {
      throw std::runtime_error("snippet " + marker + " begins within " + open);
    }
  }
  if (!open.empty()) throw std::runtime_error("snippet " + open + " has no end");
}

}  // namespace

std::string read_file(const std::string& path) {
  std::ifstream stream(root() / path);
  if (!stream) throw std::runtime_error("cannot read " + path);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::string without_trailing_space(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

std::vector<std::string> documents() {
  return {"README.md",      "CONTRIBUTING.md", "docs/tutorial.md",
          "docs/errors.md", "docs/design.md",  "docs/gpu-status.md",
          "docs/migration.md", "docs/data.md", "docs/weights.md", "docs/layers.md",
          "docs/flax_pytorch_linnet.md", "docs/recipes.md", "docs/profiling.md"};
}

const std::vector<Block>& blocks() {
  static const std::vector<Block> all = [] {
    std::vector<Block> out;
    for (const std::string& document : documents()) read_blocks(document, out);
    return out;
  }();
  return all;
}

const std::map<std::string, std::string>& snippets() {
  static const std::map<std::string, std::string> all = [] {
    std::map<std::string, std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(root() / "tests/docs")) {
      if (entry.path().extension() == ".cpp") read_snippets(entry.path(), out);
    }
    return out;
  }();
  return all;
}

std::string shown_output(const std::string& snippet) {
  const std::vector<Block>& all = blocks();
  for (size_t i = 0; i + 1 < all.size(); ++i) {
    if (all[i].origin != "snippet: " + snippet) continue;
    const Block& next = all[i + 1];
    const bool output = next.document == all[i].document && next.language == "text" && next.origin.empty();
    return output ? next.text : "";
  }
  return "";
}

void Snippet::TearDown() {
  std::cout.rdbuf(previous_);
  std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  std::replace(name.begin(), name.end(), '_', '-');
  EXPECT_TRUE(snippets().contains(name)) << "there is no snippet " << name;
  EXPECT_EQ(without_trailing_space(printed_.str()), without_trailing_space(shown_output(name)))
      << "the output of snippet " << name << " is not what the document shows";
}

}  // namespace linnet::docs
