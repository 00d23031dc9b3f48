#include "core/jit/retrace.h"

#include <algorithm>
#include <cstring>

#include "core/tensor/tensor_impl.h"
#include "core/tree/nesting.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

template <class T>
bool append_number(std::string& out, const std::type_info& type, std::string_view bytes,
                   const char* name) {
  if (type != typeid(T)) return false;
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  out = fmt::format("{} ({})", value, name);
  return true;
}

/// The value of a static leaf where its type is known, else that it is one.
std::string text_of(const std::type_info& type, std::string_view bytes) {
  std::string out;
  const bool known = append_number<int>(out, type, bytes, "int") ||
                     append_number<unsigned>(out, type, bytes, "unsigned") ||
                     append_number<long>(out, type, bytes, "long") ||
                     append_number<unsigned long>(out, type, bytes, "unsigned long") ||
                     append_number<long long>(out, type, bytes, "long long") ||
                     append_number<unsigned long long>(out, type, bytes, "unsigned long long") ||
                     append_number<double>(out, type, bytes, "double") ||
                     append_number<float>(out, type, bytes, "float");
  if (known) return out;
  const bool printable = !bytes.empty() && std::all_of(bytes.begin(), bytes.end(),
                                                       [](char c) { return c >= ' ' && c <= '~'; });
  if (printable) return fmt::format("'{}'", bytes);
  out = "0x";
  for (size_t i = bytes.size(); i-- > 0;)
    out += fmt::format("{:02x}", static_cast<unsigned char>(bytes[i]));
  return bytes.empty() ? "nothing" : out;
}

}  // namespace

void LeafDescriber::add(std::string text, bool number) {
  const std::string path = tree::to_string(path_);
  std::string name = fmt::format("argument {}", argument_);
  if (!path.empty()) name += ": " + path;
  leaves_.push_back({std::move(name), std::move(text), number});
}

void LeafDescriber::tensor(Tensor& leaf) { add(type_of(leaf), false); }

void LeafDescriber::cell(state::CellPtr& cell) {
  variables_.push_back(tree::to_string(path_));
  std::string types;
  for (const Tensor& tensor : state::read(cell).tensors)
    types += (types.empty() ? "" : ", ") + type_of(tensor);
  add(types, false);
}

void LeafDescriber::fixed(const std::type_info& type, std::string_view bytes) {
  add(text_of(type, bytes), true);
}

void LeafDescriber::flag(bool& value) { add(value ? "true" : "false", true); }

void LeafDescriber::enter(const std::type_info&, size_t) {
  tree::require_room_for_nesting();
  depth_.push_back(path_.size());
}
void LeafDescriber::leave() {
  path_.resize(depth_.back());
  depth_.pop_back();
}
void LeafDescriber::child(std::string_view name) {
  path_.resize(depth_.back());
  path_.push_back({std::string(name), -1});
}
void LeafDescriber::child(int64_t index) {
  path_.resize(depth_.back());
  path_.push_back(index >= 0 ? tree::Key{"", index} : tree::Key{std::to_string(index), -1});
}

bool LeafDescriber::first_visit(const void* address) {
  if (std::find(shared_.begin(), shared_.end(), address) != shared_.end()) return false;
  shared_.push_back(address);
  return true;
}

std::string RetraceLog::note(std::vector<LeafDescription> leaves) {
  constexpr int kShown = 3;
  const bool first = last_.empty();
  std::map<std::string, std::string> before;
  for (LeafDescription& leaf : last_) before.emplace(leaf.name, leaf.text);
  last_ = std::move(leaves);
  excessive_ = nullptr;
  if (first) return "";
  int differences = 0;
  std::string out;
  const auto tell = [&](const std::string& text) {
    if (++differences <= kShown) out += (out.empty() ? "" : "; ") + text;
  };
  for (const LeafDescription& leaf : last_) {
    const auto found = before.find(leaf.name);
    if (found == before.end()) {
      tell(fmt::format("{}: new, {}", leaf.name, leaf.text));
      continue;
    }
    if (found->second != leaf.text) {
      tell(fmt::format("{}: {} -> {}", leaf.name, found->second, leaf.text));
      if (++changes_[leaf.name] == kMostChanges) excessive_ = &leaf;
    }
    before.erase(found);
  }
  for (const auto& [name, text] : before) tell(fmt::format("{}: gone, was {}", name, text));
  if (differences > kShown) out += fmt::format(" and {} more", differences - kShown);
  return out.empty() ? "the types of containers, or which arguments are one and the same" : out;
}

std::string RetraceLog::warning(const std::string& function) {
  if (!excessive_) return "";
  const char* hint = excessive_->number
                         ? "every value of a C++ number is a program of its own: pass a Tensor"
                         : "every shape is a program of its own: pad, or drop the last batch";
  return fmt::format("{} was traced again {} times because {} changed, now {}\n  hint: {}",
                     function, kMostChanges, excessive_->name, excessive_->text, hint);
}

}  // namespace linnet
