#include <map>

#include "core/data/utf8.h"
#include "linnet/data/tokenizer.h"
#include "linnet/detail/format.h"

namespace linnet::data {

struct CharTokenizer::Impl {
  std::vector<std::string> alphabet;
  std::map<char32_t, int32_t> tokens;
};

CharTokenizer::CharTokenizer(std::vector<std::string> alphabet) {
  auto impl = std::make_shared<Impl>();
  for (const std::string& entry : alphabet) {
    if (entry.empty() || character_at(entry, 0).bytes != entry.size())
      fail<ValueError>("data::CharTokenizer: \"{}\" is not one character", entry);
    const int32_t token = static_cast<int32_t>(impl->tokens.size());
    if (!impl->tokens.emplace(character_at(entry, 0).code, token).second)
      fail<ValueError>("data::CharTokenizer: \"{}\" is in the alphabet twice", entry);
  }
  impl->alphabet = std::move(alphabet);
  impl_ = std::move(impl);
}

CharTokenizer CharTokenizer::of(std::string_view text) {
  std::map<char32_t, std::string> found;
  for (size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    found.try_emplace(character.code, text.substr(at, character.bytes));
    at += character.bytes;
  }
  std::vector<std::string> alphabet;
  for (const auto& [code, bytes] : found) alphabet.push_back(bytes);
  return CharTokenizer(std::move(alphabet));
}

std::vector<int32_t> CharTokenizer::encode(std::string_view text) const {
  std::vector<int32_t> out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    const auto found = impl_->tokens.find(character.code);
    if (found == impl_->tokens.end()) {
      fail<ValueError>(
          "data::CharTokenizer: byte {}: the character \"{}\" is not in the alphabet of {}", at,
          text.substr(at, character.bytes), size());
    }
    out.push_back(found->second);
    at += character.bytes;
  }
  return out;
}

std::string CharTokenizer::decode(std::span<const int32_t> tokens) const {
  std::string out;
  for (int32_t token : tokens) {
    if (token < 0 || token >= size())
      fail<ValueError>("data::CharTokenizer: there is no token {}, they are 0 to {}", token,
                       size() - 1);
    out += impl_->alphabet[static_cast<size_t>(token)];
  }
  return out;
}

int64_t CharTokenizer::size() const { return static_cast<int64_t>(impl_->alphabet.size()); }
const std::vector<std::string>& CharTokenizer::alphabet() const { return impl_->alphabet; }

}  // namespace linnet::data
