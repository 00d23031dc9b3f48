// Every C++ block of a document is compiled here or quoted from the library, and every link leads
// to a file.
#include "tests/docs/documents.h"

#include <filesystem>
#include <set>

namespace linnet::docs::documents_test {
namespace {

TEST(Documents, code_blocks_are_compiled_or_quoted) {
  std::set<std::string> used;
  for (const Block& block : blocks()) {
    if (block.origin.starts_with("snippet: ")) {
      const std::string name = block.origin.substr(9);
      EXPECT_TRUE(used.insert(name).second) << block.where() << ": " << name << " is shown twice";
      const auto found = snippets().find(name);
      ASSERT_NE(found, snippets().end()) << block.where() << ": there is no snippet " << name;
      EXPECT_EQ(block.text, found->second) << block.where();
    } else if (block.origin.starts_with("from: ")) {
      const std::string file = block.origin.substr(6);
      EXPECT_NE(read_file(file).find(block.text), std::string::npos)
          << block.where() << ": these lines are not in " << file << ":\n"
          << block.text;
    } else {
      EXPECT_NE(block.language, "cpp") << block.where() << ": this code is compiled nowhere";
    }
  }
  for (const auto& [name, code] : snippets()) {
    EXPECT_TRUE(used.contains(name)) << "no document shows snippet " << name;
  }
}

TEST(Documents, text_blocks_are_outputs) {
  const std::vector<Block>& all = blocks();
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].language != "text" || !all[i].origin.empty()) continue;
    ASSERT_GT(i, 0u) << all[i].where();
    EXPECT_TRUE(all[i - 1].origin.starts_with("snippet: "))
        << all[i].where() << ": this is the output of no snippet";
  }
}

/// Targets of `[text](target)` outside code blocks.
std::vector<std::string> links_of(const std::string& text) {
  std::vector<std::string> links;
  for (size_t at = 0; (at = text.find("](", at)) != std::string::npos;) {
    at += 2;
    const size_t end = text.find(')', at);
    if (end == std::string::npos) break;
    links.push_back(text.substr(at, end - at));
  }
  return links;
}

TEST(Documents, links_lead_to_files) {
  const std::filesystem::path root = std::filesystem::path(LINNET_TEST_DATA).parent_path();
  std::vector<std::string> all = documents();
  for (const char* folder : {"core", "kernels", "modules", "bridge", "tests", "examples"}) {
    all.push_back(std::string(folder) + "/README.md");
  }
  for (const std::string& document : all) {
    const std::string text = read_file(document);
    for (const std::string& link : links_of(text)) {
      const std::string file = link.substr(0, link.find('#'));
      if (file.empty() || file.find_first_of(" ,{}&*") != std::string::npos ||
          link.starts_with("http")) {
        continue;
      }
      const std::filesystem::path target = root / std::filesystem::path(document).parent_path() / file;
      EXPECT_TRUE(std::filesystem::exists(target)) << document << ": " << link;
    }
  }
}

}  // namespace
}  // namespace linnet::docs::documents_test
