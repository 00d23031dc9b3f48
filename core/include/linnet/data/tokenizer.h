// Text as numbers, by characters or by the byte pairs of GPT-2.
//
//   auto letters = data::CharTokenizer::of(text);                  // one token a character
//   auto gpt2 = data::BytePairTokenizer::read("vocab.json", "merges.txt");
//   std::vector<int32_t> tokens = gpt2.encode("Hello world");      // {15496, 995}
//   std::string same = gpt2.decode(tokens);
//
// Both are immutable, cheap to copy, and may be used by several threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)

namespace linnet::data {

/// One token for each character (Unicode code point of UTF-8 text) of an alphabet. A byte that is
/// no part of UTF-8 is a character of its own, so that every text comes back.
class CharTokenizer {
 public:
  /// The characters of a text, in the order of their code points; the token is the place in it.
  static CharTokenizer of(std::string_view text);
  /// @throws ValueError if an entry is not one character, or occurs twice.
  explicit CharTokenizer(std::vector<std::string> alphabet);

  /// @throws ValueError naming the first character that is not in the alphabet, and its place.
  std::vector<int32_t> encode(std::string_view text) const;
  /// @throws ValueError for a token that is not in [0, size()).
  std::string decode(std::span<const int32_t> tokens) const;
  int64_t size() const;
  /// To save, and to make the same tokenizer of.
  const std::vector<std::string>& alphabet() const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

/// The texts between which GPT-2 never merges: contractions ('s 't 're 've 'm 'll 'd), runs of
/// letters, of numbers, and of neither, each with the blank before it, and runs of white space
/// without their last character if something follows. The regular expression
/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` over Unicode 14; a
/// byte that is no part of UTF-8 is neither letter, number nor white space. The pieces together are
/// the text, and point into it.
std::vector<std::string_view> gpt2_pieces(std::string_view text);

/// What becomes of the text of a special token.
enum class SpecialTokens : uint8_t {
  kText,  ///< it is text like any other
  kParse  ///< it becomes the token: only for text that users do not write
};

/// Byte-level byte-pair encoding as GPT-2's: `gpt2_pieces`, each piece by itself merged pair by
/// pair, the pair of lowest rank first. As in OpenAI's tiktoken and Hugging Face's tokenizers.
class BytePairTokenizer {
 public:
  /// Reads GPT-2's two files: the vocabulary (`vocab.json` or `encoder.json`, an object of token
  /// texts and numbers 0 … size - 1) and the merges (`merges.txt` or `vocab.bpe`, one pair a line).
  /// Texts are written with a printable character for each byte. A token of `special` that is in
  /// the vocabulary stands for its plain text.
  /// @throws IoError with path and place if a file cannot be read, numbers are missing or
  /// repeated, a token is written with other characters, or a merge has parts or a result without a
  /// token.
  static BytePairTokenizer read(const std::string& vocabulary_path, const std::string& merges_path,
                                const std::vector<std::string>& special = {"<|endoftext|>"});
  /// The same for the contents of the files; the names begin the error messages.
  static BytePairTokenizer parse(std::string_view vocabulary, std::string_view merges,
                                 const std::vector<std::string>& special = {"<|endoftext|>"},
                                 const std::string& vocabulary_name = "vocabulary",
                                 const std::string& merges_name = "merges");

  /// @throws ValueError if a byte of the text has no token (GPT-2's vocabulary has all).
  std::vector<int32_t> encode(std::string_view text,
                              SpecialTokens special = SpecialTokens::kText) const;
  /// The bytes of the tokens one after the other, which for a part of a text need not be UTF-8.
  /// @throws ValueError for a token that is not in [0, size()).
  std::string decode(std::span<const int32_t> tokens) const;
  int64_t size() const;
  /// The token whose bytes these are, if there is one.
  std::optional<int32_t> token(std::string_view bytes) const;

 private:
  struct Impl;
  explicit BytePairTokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace linnet::data

#pragma GCC visibility pop
