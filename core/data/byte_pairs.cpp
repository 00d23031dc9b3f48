// The files of a byte-pair vocabulary, and the merging of pairs.
#include <algorithm>
#include <array>
#include <queue>
#include <unordered_map>

#include "core/data/utf8.h"
#include "linnet/data/text.h"
#include "linnet/data/tokenizer.h"
#include "linnet/detail/format.h"
#include "linnet/io/json.h"

namespace linnet::data {
namespace {

constexpr int32_t kNone = -1;

// GPT-2 writes each byte as a printable character: those of Latin-1 that are stand for themselves,
// the others follow from U+0100 on.
std::array<char32_t, 256> printable_characters() {
  std::array<char32_t, 256> out{};
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool is_printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    out[byte] = is_printable ? byte : next++;
  }
  return out;
}

class ByteTable {
 public:
  ByteTable() {
    const std::array<char32_t, 256> characters = printable_characters();
    for (size_t byte = 0; byte < 256; ++byte)
      bytes_.emplace(characters[byte], static_cast<char>(byte));
  }
  /// None if a character stands for no byte.
  std::optional<std::string> bytes_of(std::string_view written) const {
    std::string out;
    for (size_t at = 0; at < written.size();) {
      const Character character = character_at(written, at);
      const auto found = bytes_.find(character.code);
      if (found == bytes_.end()) return std::nullopt;
      out += found->second;
      at += character.bytes;
    }
    return out;
  }

 private:
  std::unordered_map<char32_t, char> bytes_;
};

struct Merge {
  int32_t rank, result;
};

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

}  // namespace

struct BytePairTokenizer::Impl {
  std::vector<std::string> bytes;  // of each token
  std::unordered_map<std::string, int32_t> tokens;
  std::unordered_map<uint64_t, Merge> merges;
  std::vector<int32_t> special;
  std::array<int32_t, 256> of_byte{};

  int32_t find(const std::string& text) const {
    const auto found = tokens.find(text);
    return found == tokens.end() ? kNone : found->second;
  }
  const Merge* merge_of(int32_t left, int32_t right) const {
    const auto found = merges.find(pair_key(left, right));
    return found == merges.end() ? nullptr : &found->second;
  }
  void read_vocabulary(std::string_view text, const std::vector<std::string>& special_texts,
                       const std::string& name);
  void read_merges(std::string_view text, const std::string& name);
  void encode_piece(std::string_view piece, std::vector<int32_t>& out) const;
};

void BytePairTokenizer::Impl::read_vocabulary(std::string_view text,
                                              const std::vector<std::string>& special_texts,
                                              const std::string& name) {
  const Json json = Json::parse(text, name);
  if (!json.is_object()) fail<IoError>("{}: expected an object of tokens and their numbers", name);
  const ByteTable table;
  const Json::Object& entries = json.as_object();
  bytes.resize(entries.size());
  std::vector<bool> seen(entries.size());
  for (const auto& [written, number] : entries) {
    if (!number.is_integer() || number.as_integer() < 0 ||
        number.as_integer() >= static_cast<int64_t>(entries.size())) {
      fail<IoError>("{}: token \"{}\": expected a number from 0 to {}, one for each token, got {}",
                    name, written, entries.size() - 1, number.to_text(0));
    }
    const size_t token = static_cast<size_t>(number.as_integer());
    if (seen[token])
      fail<IoError>("{}: token \"{}\": number {} is used twice", name, written, token);
    seen[token] = true;
    const bool is_special =
        std::find(special_texts.begin(), special_texts.end(), written) != special_texts.end();
    const std::optional<std::string> decoded = is_special ? written : table.bytes_of(written);
    if (!decoded || decoded->empty()) {
      fail<IoError>(
          "{}: token \"{}\" is not written with the characters that stand for bytes\n"
          "  hint: name special tokens when the vocabulary is read",
          name, written);
    }
    bytes[token] = *decoded;
    // A special token is no part of ordinary text.
    if (is_special)
      special.push_back(static_cast<int32_t>(token));
    else
      tokens.emplace(*decoded, static_cast<int32_t>(token));
  }
  for (size_t byte = 0; byte < 256; ++byte)
    of_byte[byte] = find(std::string(1, static_cast<char>(byte)));
}

void BytePairTokenizer::Impl::read_merges(std::string_view text, const std::string& name) {
  const ByteTable table;
  int32_t rank = 0;
  size_t line_number = 0;
  for (const std::string& line : split_lines(text)) {
    ++line_number;
    if (line.empty() || (line_number == 1 && line.starts_with("#version"))) continue;
    const size_t blank = line.find(' ');
    if (blank == std::string::npos || line.find(' ', blank + 1) != std::string::npos)
      fail<IoError>("{}: line {}: expected two tokens with a blank between them, got \"{}\"", name,
                    line_number, line.substr(0, 80));
    const auto token_of = [&](std::string_view written) {
      const std::optional<std::string> decoded = table.bytes_of(written);
      return decoded ? find(*decoded) : kNone;
    };
    const int32_t left = token_of(std::string_view(line).substr(0, blank));
    const int32_t right = token_of(std::string_view(line).substr(blank + 1));
    const int32_t result =
        left == kNone || right == kNone
            ? kNone
            : find(bytes[static_cast<size_t>(left)] + bytes[static_cast<size_t>(right)]);
    if (result == kNone) {
      fail<IoError>("{}: line {}: \"{}\": {} has no token in the vocabulary", name, line_number,
                    line.substr(0, 80),
                    left == kNone    ? "the first part"
                    : right == kNone ? "the second part"
                                     : "the result");
    }
    // Of a pair that is listed twice the first counts.
    merges.emplace(pair_key(left, right), Merge{rank++, result});
  }
}

// The pair of lowest rank is merged first, of equal ones the leftmost. Symbols are a list linked in
// both directions, and a candidate in the queue is out of date if its symbols have changed, so
// that a piece of n bytes takes n log n steps.
void BytePairTokenizer::Impl::encode_piece(std::string_view piece,
                                           std::vector<int32_t>& out) const {
  struct Symbol {
    int32_t token;
    size_t previous, next;  // size of the piece: none
  };
  struct Candidate {
    int32_t rank;
    size_t at;
    int32_t left, right;
    bool operator<(const Candidate& other) const {  // the queue gives the greatest
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const size_t end = piece.size();
  std::vector<Symbol> symbols(end);
  for (size_t i = 0; i < end; ++i) {
    const unsigned char byte = static_cast<unsigned char>(piece[i]);
    if (of_byte[byte] == kNone)
      fail<ValueError>("data::BytePairTokenizer: the vocabulary has no token for byte {:#04x}",
                       byte);
    symbols[i] = {of_byte[byte], i == 0 ? end : i - 1, i + 1};
  }
  std::priority_queue<Candidate> candidates;
  const auto offer = [&](size_t at) {
    if (at == end || symbols[at].next == end) return;
    const int32_t left = symbols[at].token, right = symbols[symbols[at].next].token;
    if (const Merge* merge = merge_of(left, right)) candidates.push({merge->rank, at, left, right});
  };
  for (size_t i = 0; i < end; ++i) offer(i);
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    Symbol& left = symbols[best.at];
    if (left.token != best.left || left.next == end || symbols[left.next].token != best.right)
      continue;
    Symbol& right = symbols[left.next];
    left.token = merge_of(best.left, best.right)->result;
    left.next = right.next;
    right.token = kNone;
    if (left.next != end) symbols[left.next].previous = best.at;
    offer(left.previous);
    offer(best.at);
  }
  for (size_t i = 0; i < end; i = symbols[i].next) out.push_back(symbols[i].token);
}

BytePairTokenizer BytePairTokenizer::parse(std::string_view vocabulary, std::string_view merges,
                                           const std::vector<std::string>& special,
                                           const std::string& vocabulary_name,
                                           const std::string& merges_name) {
  auto impl = std::make_shared<Impl>();
  impl->read_vocabulary(vocabulary, special, vocabulary_name);
  impl->read_merges(merges, merges_name);
  return BytePairTokenizer(std::move(impl));
}

BytePairTokenizer BytePairTokenizer::read(const std::string& vocabulary_path,
                                          const std::string& merges_path,
                                          const std::vector<std::string>& special) {
  return parse(read_text(vocabulary_path, kJsonByteLimit), read_text(merges_path, kJsonByteLimit),
               special, vocabulary_path, merges_path);
}

std::vector<int32_t> BytePairTokenizer::encode(std::string_view text, SpecialTokens special) const {
  std::vector<int32_t> out;
  while (!text.empty()) {
    // The first special token, and of several at one place the longest.
    size_t place = text.size();
    const int32_t* found = nullptr;
    if (special == SpecialTokens::kParse) {
      for (const int32_t& token : impl_->special) {
        const std::string& written = impl_->bytes[static_cast<size_t>(token)];
        const size_t at = text.find(written);
        if (at == std::string_view::npos || at > place) continue;
        if (found && at == place &&
            written.size() <= impl_->bytes[static_cast<size_t>(*found)].size())
          continue;
        place = at;
        found = &token;
      }
    }
    for (std::string_view piece : gpt2_pieces(text.substr(0, place)))
      impl_->encode_piece(piece, out);
    text.remove_prefix(place);
    if (!found) break;
    out.push_back(*found);
    text.remove_prefix(impl_->bytes[static_cast<size_t>(*found)].size());
  }
  return out;
}

std::string BytePairTokenizer::decode(std::span<const int32_t> tokens) const {
  std::string out;
  for (int32_t token : tokens) {
    if (token < 0 || token >= size())
      fail<ValueError>("data::BytePairTokenizer: there is no token {}, they are 0 to {}", token,
                       size() - 1);
    out += impl_->bytes[static_cast<size_t>(token)];
  }
  return out;
}

int64_t BytePairTokenizer::size() const { return static_cast<int64_t>(impl_->bytes.size()); }

std::optional<int32_t> BytePairTokenizer::token(std::string_view bytes) const {
  for (int32_t token : impl_->special) {
    if (impl_->bytes[static_cast<size_t>(token)] == bytes) return token;
  }
  const int32_t found = impl_->find(std::string(bytes));
  return found == kNone ? std::nullopt : std::optional(found);
}

}  // namespace linnet::data
