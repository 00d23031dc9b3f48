// docs/flax_pytorch_linnet.md speaks of every name of Flax, and of C++ names that there are. The names of Flax are in
// flax_names.txt: what `dir` gives for linen, nnx and bridge without submodules, and for the other modules without
// submodules, type variables and what they import.
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "tests/docs/documents.h"

namespace linnet::docs::flax_names_test {
namespace {

const std::string kPage = "docs/flax_pytorch_linnet.md";

struct Row {
  std::string theirs, ours;
};

std::vector<Row> rows() {
  std::vector<Row> out;
  std::istringstream page(read_file(kPage));
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with("| ") || line.starts_with("| Flax") || line.starts_with("| PyTorch")) continue;
    const size_t second = line.find(" |", 2), third = line.find(" | ", second + 2);
    const size_t ours = third == std::string::npos ? line.find("| ", second + 2) : third + 1;
    out.push_back({line.substr(2, second - 2), line.substr(ours + 2, line.size() - ours - 4)});
  }
  return out;
}

std::vector<std::string> code_of(const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = 0; (at = text.find('`', at)) != std::string::npos;) {
    const size_t end = text.find('`', at + 1);
    out.push_back(text.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return out;
}

void add_words(const std::string& text, std::set<std::string>& out) {
  std::string word;
  for (const char c : text + " ") {
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '_') {
      word += c;
    } else if (!word.empty()) {
      out.insert(word);
      word.clear();
    }
  }
}

TEST(FlaxNames, every_name_is_in_the_table_once) {
  const auto module_of = [](const std::string& name) { return name.substr(0, name.find('.')); };
  std::istringstream names(read_file("tests/docs/flax_names.txt"));
  std::set<std::string> wanted, modules, listed;
  for (std::string name; names >> name;) {
    wanted.insert(name);
    modules.insert(module_of(name));
  }
  EXPECT_GT(wanted.size(), 400u);
  EXPECT_EQ(modules.size(), 10u);
  for (const Row& row : rows()) {
    for (const std::string& name : code_of(row.theirs)) {
      if (name.find('.') == std::string::npos || !modules.contains(module_of(name))) continue;
      EXPECT_TRUE(listed.insert(name).second) << name << " is there twice";
    }
  }
  for (const std::string& name : wanted) EXPECT_TRUE(listed.contains(name)) << name << " is missing in " << kPage;
  for (const std::string& name : listed) EXPECT_TRUE(wanted.contains(name)) << "Flax has no " << name;
}

/// Words of the public headers without comments: by the namespaces that a header opens, and of all under "".
std::map<std::string, std::set<std::string>> declared_words() {
  std::map<std::string, std::set<std::string>> out;
  const std::filesystem::path root = std::filesystem::path(LINNET_TEST_DATA).parent_path();
  const std::regex opened(R"(^namespace (?:linnet::)?(\w+) \{)");
  for (const char* folder : {"core/include", "modules/include", "bridge/include"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      if (entry.path().extension() != ".h") continue;
      std::set<std::string> words, namespaces{""};
      std::istringstream header(read_file(std::filesystem::relative(entry.path(), root).string()));
      for (std::string line; std::getline(header, line);) {
        add_words(line.substr(0, line.find("//")), words);
        std::smatch match;
        if (line.starts_with("namespace") && std::regex_search(line, match, opened)) namespaces.insert(match[1]);
      }
      for (const std::string& name : namespaces) out[name].insert(words.begin(), words.end());
      add_words(std::filesystem::relative(entry.path(), root / folder).string(), out[""]);
    }
  }
  return out;
}

TEST(FlaxNames, what_is_written_instead_is_declared) {
  std::map<std::string, std::set<std::string>> words = declared_words();
  words["std"] = {"vector", "map"};
  words[""].insert({"std", "vector", "map", "x", "s", "md", "docs", "setup"});
  const std::regex qualified(R"((\w+)::(\w+))");
  size_t names = 0;
  for (const Row& row : rows()) {
    EXPECT_FALSE(row.ours.empty()) << row.theirs;
    for (const std::string& code : code_of(row.ours)) {
      std::set<std::string> used;
      add_words(code, used);
      for (const std::string& word : used) {
        ++names;
        EXPECT_TRUE(words[""].contains(word)) << "`" << code << "` beside " << row.theirs << ": nothing is called " << word;
      }
      for (std::sregex_iterator at(code.begin(), code.end(), qualified), end; at != end; ++at) {
        const auto space = words.find((*at)[1]);
        if (space == words.end()) continue;  // a member of a class
        EXPECT_TRUE(space->second.contains((*at)[2])) << row.theirs << ": there is no " << (*at)[0];
      }
    }
  }
  EXPECT_GT(names, 300u);
}

}  // namespace
}  // namespace linnet::docs::flax_names_test
