#include "tests/docs/layers_page.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "linnet/layers/axis_names.h"
#include "tests/docs/documents.h"

namespace linnet::docs {
namespace {

const std::string kInclude = "modules/include/linnet/";

/// Title and the headers `<api>/layers_<part>.h` whose layers it has.
const std::vector<std::pair<std::string, std::vector<std::string>>> kSections = {
    {"Linear layers", {"linear"}},
    {"Low-rank adaptation", {"lora"}},
    {"Convolutions", {"conv", "conv_local"}},
    {"Normalisation and dropout", {"norm", "weight_norm"}},
    {"Attention", {"attention"}},
    {"Recurrent cells and layers", {"recurrent"}},
    {"Activations with parameters", {"activation"}},
    {"Chains", {"sequential"}}};
/// Headers that declare what layers have in common.
const std::set<std::string> kCommon = {"init"};

struct Field {
  std::string name, type, value, text, api;
};

/// A struct or class at the level of a namespace.
struct Declared {
  std::string api, name, base, text, constructor;
  std::vector<Field> fields;
  std::vector<std::string> listed;  ///< by LINNET_FIELDS
};

struct Header {
  std::vector<Declared> types;
  std::map<std::string, std::string> aliases;  ///< of layers::NAME<Api, ...>
};

std::string trimmed(const std::string& s) {
  const size_t begin = s.find_first_not_of(' ');
  return begin == std::string::npos ? "" : s.substr(begin, s.find_last_not_of(' ') - begin + 1);
}

void add_text(std::string& text, const std::string& more) {
  // Formulas are indented, and keep their lines.
  const bool formula = more.starts_with("   ");
  const size_t line = text.rfind("\n\n`");
  const bool behind_formula = line != std::string::npos && text.find('\n', line + 2) == std::string::npos;
  if (!text.empty()) text += formula || behind_formula ? "\n\n" : " ";
  text += formula ? "`" + trimmed(more) + "`" : trimmed(more);
}

/// Without the numbers of the inventories.
std::string for_readers(std::string text) {
  text = std::regex_replace(text, std::regex(R"( ?\((?:[LNBJ]-\d+(?: to |, )?)+\))"), "");
  return std::regex_replace(text, std::regex(R"((?:, |; )[LNBJ]-\d+(?=[,;)]))"), "");
}

std::string cell(std::string text) {
  return trimmed(std::regex_replace(for_readers(std::move(text)), std::regex(R"(\|)"), "\\|"));
}

/// Names for rules of axes, of each variable: `kernel` ('embed', 'mlp').
std::string axis_names(const std::string& layer) {
  std::string out;
  for (const layers::NaturalAxisNames& entry : layers::natural_axis_names(layer)) {
    std::string names = to_string(entry.names);
    if (names.ends_with(",)")) names.erase(names.size() - 2, 1);
    out += (out.empty() ? "\nNatural axis names: `" : ", `") + entry.variable + "` " + names.substr(1);
  }
  return out.empty() ? out : out + "\n";
}

std::vector<std::string> names_in(const std::string& list) {
  std::vector<std::string> names;
  std::istringstream stream(list);
  for (std::string name; std::getline(stream, name, ',');) names.push_back(trimmed(name));
  return names;
}

/// A declaration of a data member, or nothing.
bool read_field(std::string code, Field& field) {
  static const std::regex kMember(R"(^(.+?) (\w+)(?: = (.*)|\{(.*)\})?;$)");
  static const std::regex kOnly(R"(^(Functional|Object)Only<Api, (.+)>$)");
  const size_t parenthesis = code.find('('), value = code.find_first_of("={");
  if (parenthesis != std::string::npos && (value == std::string::npos || parenthesis < value)) return false;
  std::smatch match;
  if (!std::regex_match(code, match, kMember)) return false;
  field.type = match[1];
  field.name = match[2];
  field.value = match[3].matched ? match[3].str() : match[4].str();
  if (field.value == "{}") field.value.clear();
  std::smatch only;
  if (std::regex_match(field.type, only, kOnly)) {
    field.api = only[1] == "Functional" ? "linen" : "nnx";
    field.type = only[2];
  }
  field.type = std::regex_replace(field.type, std::regex("typename (Api|Loop)::|std::"), "");
  field.value = std::regex_replace(field.value, std::regex("Loop::|std::"), "");
  if (field.value.find(" ? ") != std::string::npos) field.value.clear();
  return true;
}

/// `Name(parameters)` at the beginning of the code of a constructor.
std::string signature_in(const std::string& code, const std::string& name) {
  const size_t begin = code.find(name);
  size_t end = code.find('(');
  for (int depth = 0; end < code.size(); ++end) {
    depth += code[end] == '(' ? 1 : code[end] == ')' ? -1 : 0;
    if (depth == 0) break;
  }
  return code.substr(begin, end + 1 - begin);
}

/// Adds what a whole declaration says; `text` is what stands before it, `behind` what is behind it.
void add_declaration(const std::string& code, std::string text, const std::string& behind, Declared& type) {
  if (code.starts_with("LINNET_FIELDS")) {
    std::string list = code.substr(code.find('(') + 1);
    list.pop_back();
    type.listed = names_in(list);
    if (code.starts_with("LINNET_FIELDS_AND_BASE")) type.listed.erase(type.listed.begin());
  } else if (code.starts_with(type.name + "(") || code.starts_with("explicit " + type.name + "(")) {
    const std::string signature = signature_in(code, type.name);
    if (signature.size() > type.constructor.size()) type.constructor = signature;
  } else if (Field field; !code.starts_with("using ") && !code.starts_with("static ") && read_field(code, field)) {
    add_text(text, behind);
    field.text = text;
    type.fields.push_back(field);
  }
}

/// One struct from its first line on; `at` moves to its last.
Declared read_type(const std::vector<std::string>& lines, size_t& at, Declared type) {
  std::string text, code;
  for (++at; at < lines.size() && lines[at] != "};"; ++at) {
    const size_t mark = std::min(lines[at].find("///<"), lines[at].size());
    const std::string line = lines[at].substr(0, mark);
    const std::string behind = mark < lines[at].size() ? trimmed(lines[at].substr(mark + 4)) : "";
    if (line.starts_with("  /// ")) {
      add_text(text, line.substr(5));
      continue;
    }
    if (trimmed(line).empty() || line.starts_with(" public:") || line.starts_with(" private:")) {
      text.clear();
      code.clear();
      continue;
    }
    code += (code.empty() ? "" : " ") + trimmed(line);
    const char last = code.back();
    if (code.starts_with("LINNET_FIELDS") ? last != ')' : (last != ';' && last != '{' && last != '}')) continue;
    add_declaration(code, text, behind, type);
    // The body of a function.
    if (last == '{' && lines[at].starts_with("  ") && !lines[at].starts_with("   "))
      while (at + 1 < lines.size() && lines[at] != "  }") ++at;
    text.clear();
    code.clear();
  }
  return type;
}

Header read_header(const std::string& path, const std::string& api) {
  static const std::regex kType(R"(^(?:struct|class) (\w+)(?: : public ([\w:]+))? \{$)");
  static const std::regex kAlias(R"(^using (\w+) = (?:layers::)?(\w+)<.*>;$)");
  std::vector<std::string> lines;
  std::istringstream stream(read_file(path));
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  Header header;
  std::string text;
  std::map<std::string, std::string> templates;  // aliases that want an argument
  bool detail = false, is_template = false;
  for (size_t at = 0; at < lines.size(); ++at) {
    std::string line = lines[at];
    if (line.starts_with("namespace detail")) detail = true;
    if (line.starts_with("}  // namespace detail")) detail = false;
    if (line.starts_with("///")) {
      add_text(text, line.size() > 3 ? line.substr(3) : "");
      continue;
    }
    if (line.starts_with("template <")) {
      is_template = true;
      continue;
    }
    // An alias may go over two lines.
    if (line.starts_with("using ") && !line.ends_with(";") && at + 1 < lines.size())
      line += " " + trimmed(lines[++at]);
    std::smatch match;
    if (!detail && std::regex_match(line, match, kType)) {
      header.types.push_back(read_type(
          lines, at, {.api = api, .name = match[1], .base = match[2], .text = text, .constructor = "",
                      .fields = {}, .listed = {}}));
    } else if (std::regex_match(line, match, kAlias)) {
      const auto whole = templates.find(match[2]);
      const std::string of = whole == templates.end() ? match[2].str() : whole->second;
      (is_template ? templates : header.aliases)[match[1]] = of;
    }
    text.clear();
    is_template = false;
  }
  return header;
}

/// What one entry of the page is about.
struct Entry {
  std::vector<std::string> names;       ///< `linen::Dense`, `nnx::Linear`
  const Declared* settings = nullptr;
  std::vector<const Declared*> types;
};

std::string without_suffix(const std::string& name) {
  for (const std::string suffix : {"Settings", "Options"})
    if (name.ends_with(suffix)) return name.substr(0, name.size() - suffix.size());
  return name;
}

class Section {
 public:
  void add(const std::string& part) {
    const std::string config = kInclude + "layers/config_" + part + ".h";
    if (exists(config)) headers_.push_back(read_header(config, "layers"));
    for (const std::string api : {"linen", "nnx"}) {
      const std::string path = kInclude + api + "/layers_" + part + ".h";
      if (!exists(path)) continue;
      headers_.push_back(read_header(path, api));
      for (const auto& [alias, of] : headers_.back().aliases) {
        alias_of_[api + "::" + alias] = without_suffix(of);
        if (api == "linen" && without_suffix(alias) == alias) entry(without_suffix(of)).names.push_back("linen::" + alias);
      }
    }
  }

  std::string page() {
    for (const Header& header : headers_)
      for (const Declared& type : header.types) place(type);
    std::string out;
    for (const std::string& key : order_) out += text_of(entries_.at(key));
    return out;
  }

 private:
  static bool exists(const std::string& path) {
    return std::filesystem::exists(std::filesystem::path(LINNET_TEST_DATA).parent_path() / path);
  }

  Entry& entry(const std::string& key) {
    if (!entries_.contains(key)) order_.push_back(key);
    return entries_[key];
  }

  void place(const Declared& type) {
    if (type.name.ends_with("Call") || type.name.ends_with("Step")) return;
    if (type.api == "layers" || without_suffix(type.name) != type.name) {
      entry(without_suffix(type.name)).settings = &type;
      return;
    }
    const auto alias = alias_of_.find(type.api + "::" + type.base);
    const auto base = key_of_.find(type.api + "::" + type.base);
    const std::string key = alias != alias_of_.end() ? alias->second
                            : base != key_of_.end()  ? base->second
                                                     : type.name;
    key_of_[type.api + "::" + type.name] = key;
    entry(key).names.push_back(type.api + "::" + type.name);
    entry(key).types.push_back(&type);
  }

  static std::string table(const Declared& type) {
    if (type.fields.empty()) return "";
    std::string out = "\n| setting | type | default | |\n|---|---|---|---|\n";
    for (const Field& f : type.fields) {
      std::string text = f.text;
      if (!f.api.empty()) text = f.api + " only" + (text.empty() ? "" : "; " + text);
      out += "| `" + f.name + "` | `" + cell(f.type) + "` | " +
             (f.value.empty() ? "" : "`" + cell(f.value) + "`") + " | " + cell(text) + " |\n";
    }
    return out;
  }

  static void check(const Declared& type) {
    // What is read must be what the program knows of the struct.
    std::vector<std::string> names;
    for (const Field& f : type.fields) names.push_back(f.name);
    if (type.listed.empty()) return;
    for (const std::string& name : type.listed)
      if (std::find(names.begin(), names.end(), name) == names.end())
        throw std::runtime_error(type.api + "::" + type.name + ": cannot read the field " + name);
  }

  static std::string text_of(const Entry& e) {
    std::string out = "\n### ", natural;
    std::set<std::string> shown;
    for (const std::string& name : e.names) {
      const std::string plain = name.substr(name.find("::") + 2);
      if (!shown.insert(plain).second) continue;
      out += (shown.size() > 1 ? ", " : "") + plain;
      if (natural.empty()) natural = axis_names(plain);
      else if (natural != axis_names(plain)) throw std::runtime_error(name + " has other names of axes");
    }
    out += "\n\n";
    for (size_t i = 0; i < e.names.size(); ++i) out += (i ? " · `" : "`") + e.names[i] + "`";
    out += "\n";
    if (e.settings) {
      check(*e.settings);
      if (!e.settings->text.empty() && e.settings->api == "layers" && !e.settings->name.ends_with("Settings"))
        out += "\n" + for_readers(e.settings->text) + "\n";
    }
    std::string members;
    for (const Declared* type : e.types) {
      const bool described = e.settings && e.settings->api == "layers" && !e.settings->name.ends_with("Settings");
      if (!type->text.empty() && !(described && type->api == "nnx"))
        out += "\n" + (e.types.size() > 1 ? "`" + type->api + "::" + type->name + "`: " : std::string()) +
               for_readers(type->text) + "\n";
      if (type->api == "linen") {
        check(*type);
        out += table(*type);
      } else {
        members += "\n`" + (type->constructor.empty() ? type->name : type->constructor) + "`";
        for (size_t i = 0; i < type->listed.size(); ++i)
          members += (i ? ", `" : "; members `") + type->listed[i] + "`";
        members += "\n";
      }
    }
    if (e.settings) out += table(*e.settings);
    return out + natural + members;
  }

  std::vector<Header> headers_;
  std::map<std::string, std::string> alias_of_, key_of_;
  std::map<std::string, Entry> entries_;
  std::vector<std::string> order_;
};

/// Functions that are declared in a header, with the first sentence about them.
std::string functions(const std::string& path) {
  std::istringstream stream(read_file(path));
  std::string out, text, code;
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with("///")) {
      add_text(text, line.size() > 3 ? line.substr(3) : "");
    } else if (!code.empty() || line.starts_with("Tensor ")) {
      code += (code.empty() ? "" : " ") + trimmed(line);
      if (!code.ends_with(";")) continue;
      code.pop_back();
      const size_t end = std::min(text.find(". "), text.size());
      out += "| `" + cell(code.substr(7)) + "` | " + cell(text.substr(0, end)) + " |\n";
      code.clear();
      text.clear();
    } else {
      text.clear();
    }
  }
  return out;
}

}  // namespace

std::string layers_page() {
  std::set<std::string> parts = kCommon;
  std::string out = R"(# Layers

Every layer of both module APIs with its settings, as the headers declare them; this page is written by a test from
them. A functional layer is a struct of settings, called in a scope: `s("up", linen::Dense{.features = 256}, x)`. An object
layer is constructed with its sizes, options and random streams, and has its parameters as members:
`nnx::Linear up(784, 256, {.use_bias = false}, rngs)`. Where both have a setting it means the same, because it is one
declaration. How the names correspond to those of Flax and PyTorch is in [flax_pytorch_linnet.md](flax_pytorch_linnet.md).

`ParamInit` is an initialiser (`linnet/init.h`), `Mode` an optional bool, `Metadata` what a parameter carries besides its value
(nnx only), `Padding` `"SAME"`, `"VALID"`, `"CIRCULAR"`, `"CAUSAL"`, one number or pairs, `PerDimension` one number for all spatial
dimensions or one each.

Natural axis names are those of the last dimensions of a variable (`*` is any one name). With them a table of rules alone says
how a model without annotations is divided over a mesh: `nnx::specs_by_rules({{{"mlp", "model"}, {"embed", "data"}}}, model)`
(`linnet/nnx/partitioning.h`), `linen::specs_by_rules(rules, module, key, x)` (`linnet/linen/partitioning.h`). The order of rules
decides who gets an axis; names without a rule, and layers without names, are whole. The box or `out_sharding` of a
variable wins.
)";
  for (const auto& [title, names] : kSections) {
    out += "\n## " + title + "\n";
    Section section;
    for (const std::string& name : names) {
      parts.insert(name);
      section.add(name);
    }
    out += section.page();
  }
  out += "\n## Functions\n\nBesides the elementwise ones, such as `relu`, which are in `linnet/ops.h`.\n\n| function | |\n|---|---|\n";
  for (const std::string header : {"core/include/linnet/nn.h", "modules/include/linnet/layers/activation.h",
                                   "modules/include/linnet/layers/attention.h",
                                   "modules/include/linnet/layers/pooling.h"})
    out += functions(header);
  const std::filesystem::path root = std::filesystem::path(LINNET_TEST_DATA).parent_path();
  for (const std::string api : {"linen", "nnx"}) {
    for (const auto& entry : std::filesystem::directory_iterator(root / (kInclude + api))) {
      const std::string name = entry.path().stem().string();
      if (name.starts_with("layers_") && !parts.contains(name.substr(7)))
        throw std::runtime_error(entry.path().string() + " belongs to no section of docs/layers.md");
    }
  }
  return out;
}

}  // namespace linnet::docs
