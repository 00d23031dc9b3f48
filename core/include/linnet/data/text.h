// Text files, and data sets of tokens.
//
//   std::string text = data::read_text("input.txt");
//   auto tokenizer = data::CharTokenizer::of(text);                        // tokenizer.h
//   data::TokenWindows set(tokenizer.encode(text), 128);                  // i32 [128] of a window
//   data::Loader loader(set, {.batch_size = 32, .shuffle = Key(0)});      // inputs, targets
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "linnet/fields.h"
#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet::data {

/// Greatest size of a text file, in bytes.
inline constexpr uint64_t kTextByteLimit = uint64_t{4} << 30;

/// The bytes of a file, whatever they are.
/// @throws IoError with path and reason if it cannot be read or is larger than `byte_limit`.
std::string read_text(const std::string& path, uint64_t byte_limit = kTextByteLimit);

/// Lines without their ends, which are "\n" or "\r\n". The last line needs no end, and an end that
/// closes the text begins no further line.
std::vector<std::string> split_lines(std::string_view text);
/// The lines of a file. @throws IoError as `read_text`.
std::vector<std::string> read_lines(const std::string& path, uint64_t byte_limit = kTextByteLimit);

/// Tokens to predict the next ones from: `targets` are those that follow `inputs` by one.
struct TokenBatch {
  Tensor inputs;   ///< i32 [batch,length]
  Tensor targets;  ///< i32 [batch,length]
  LINNET_FIELDS(inputs, targets)
};

/// Windows of a long text as examples of a language model: example i is made of the `length + 1`
/// tokens from i * stride on.
class TokenWindows {
 public:
  using Batch = TokenBatch;

  /// `stride` 0 means `length`: windows that do not overlap but in one token.
  /// @throws ValueError if length is below 1, stride negative, or the text shorter than one window.
  TokenWindows(std::vector<int32_t> tokens, int64_t length, int64_t stride = 0);
  int64_t size() const { return size_; }
  Batch gather(std::span<const int64_t> rows) const;

 private:
  std::vector<int32_t> tokens_;
  int64_t length_, stride_, size_;
};

/// Sequences of different lengths as one array.
struct PaddedTokens {
  Tensor tokens;   ///< i32 [sequences,length], `padding` behind the end of a sequence
  Tensor lengths;  ///< i32 [sequences]
  LINNET_FIELDS(tokens, lengths)
};
/// `length` 0 means that of the longest; longer sequences are cut.
PaddedTokens pad_tokens(const std::vector<std::vector<int32_t>>& sequences, int32_t padding = 0,
                        int64_t length = 0);

}  // namespace linnet::data

#pragma GCC visibility pop
