#include "linnet/data/tokenizer.h"

#include <gtest/gtest.h>

#include "linnet/data/text.h"
#include "linnet/error.h"
#include "linnet/io/json.h"
#include "tests/io/io_test_utils.h"

namespace linnet::data::tokenizer_test {
namespace {

using testing::expect_error;

const std::string kFiles = LINNET_TEST_DATA "/data/files/";

TEST(BytePairTokenizer, agrees_with_the_reference_on_difficult_texts) {
  const auto tokenizer = BytePairTokenizer::read(kFiles + "vocab.json", kFiles + "merges.txt");
  EXPECT_EQ(tokenizer.size(), 512);
  const Json cases = read_json(kFiles + "tokenized.json");
  EXPECT_GE(cases.as_array().size(), 60u);
  for (const Json& entry : cases.as_array()) {
    const std::string& text = entry.at("text").as_string();
    SCOPED_TRACE(text);
    std::vector<std::string> expected_pieces, pieces;
    for (const Json& piece : entry.at("pieces").as_array())
      expected_pieces.push_back(piece.as_string());
    for (std::string_view piece : gpt2_pieces(text)) pieces.emplace_back(piece);
    EXPECT_EQ(pieces, expected_pieces);

    std::vector<int32_t> expected;
    for (const Json& id : entry.at("ids").as_array())
      expected.push_back(static_cast<int32_t>(id.as_integer()));
    EXPECT_EQ(tokenizer.encode(text), expected);
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  }
}

TEST(BytePairTokenizer, every_byte_comes_back_and_special_tokens_only_where_asked_for) {
  const auto tokenizer = BytePairTokenizer::read(kFiles + "vocab.json", kFiles + "merges.txt");
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  for (const std::string& text :
       {bytes, std::string(bytes.rbegin(), bytes.rend()), std::string("\xF0\x9F\x98"),
        std::string("\xC0\x80 \xED\xA0\x80")})
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);

  const std::string text = "a<|endoftext|><|endoftext|>b";
  const int32_t end = *tokenizer.token("<|endoftext|>");
  EXPECT_EQ(end, 0);
  const std::vector<int32_t> plain = tokenizer.encode(text);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), end), 0);
  EXPECT_EQ(tokenizer.encode(text, SpecialTokens::kParse),
            (std::vector<int32_t>{*tokenizer.token("a"), end, end, *tokenizer.token("b")}));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, SpecialTokens::kParse)), text);
  EXPECT_FALSE(tokenizer.token("no such token"));
  EXPECT_THROW(tokenizer.decode(std::vector<int32_t>{512}), ValueError);

  // n log n: a quadratic merge would take minutes.
  const std::string long_run(300000, 'a');
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(long_run)), long_run);
}

TEST(BytePairTokenizer, lowest_rank_first_then_leftmost) {
  const auto tokenizer = BytePairTokenizer::parse(
      R"({"a": 0, "b": 1, "c": 2, "bc": 3, "ab": 4, "aa": 5, "aab": 6})", "b c\na b\na a\naa b\n");
  EXPECT_EQ(tokenizer.encode("abc"), (std::vector<int32_t>{0, 3}));
  EXPECT_EQ(tokenizer.encode("aab"), (std::vector<int32_t>{0, 4}));
  EXPECT_EQ(tokenizer.encode("aaa"), (std::vector<int32_t>{5, 0}));
}

TEST(BytePairTokenizer, malformed_files_are_refused_with_their_place) {
  const auto refuse = [](std::string_view vocabulary, std::string_view merges,
                         std::initializer_list<std::string_view> parts) {
    expect_error([&] { BytePairTokenizer::parse(vocabulary, merges, {"<s>"}, "v", "m"); }, parts);
  };
  refuse("[]", "", {"v", "object"});
  refuse("{\"a\": 1}", "", {"v", "\"a\"", "0 to 0", "1"});
  refuse("{\"a\": 0, \"b\": 0}", "", {"v", "\"b\"", "twice"});
  refuse("{\"a\": 0.5}", "", {"v", "0.5"});
  refuse("{\"a b\": 0}", "", {"v", "\"a b\"", "hint"});
  refuse("{\"\": 0}", "", {"v"});
  refuse("{\"a\": 0}", "#version: 0.2\na\n", {"m", "line 2", "blank"});
  refuse("{\"a\": 0}", "a a a", {"m", "line 1"});
  refuse("{\"a\": 0}", "a a", {"m", "line 1", "result"});
  refuse("{\"a\": 0, \"aa\": 1}", "\na b", {"m", "line 2", "second part"});
  refuse("{\"a\": 0, \"<s>\": 1}", "<s> a", {"m", "first part"});
  EXPECT_THROW(BytePairTokenizer::parse("{\"a\": 0}", "").encode("b"), ValueError);
  EXPECT_THROW(BytePairTokenizer::read(kFiles + "none.json", kFiles + "merges.txt"), IoError);
}

TEST(CharTokenizer, one_token_a_character) {
  const auto tokenizer = CharTokenizer::of("Köln, 世界\xFF");
  EXPECT_EQ(tokenizer.alphabet(),
            (std::vector<std::string>{" ", ",", "K", "l", "n", "ö", "世", "界", "\xFF"}));
  EXPECT_EQ(tokenizer.encode("öl界"), (std::vector<int32_t>{5, 3, 7}));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{6, 7, 8}), "世界\xFF");
  const CharTokenizer same(tokenizer.alphabet());
  EXPECT_EQ(same.encode("n\xFF"), (std::vector<int32_t>{4, 8}));
  try {
    tokenizer.encode("lnx");
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_NE(std::string(error.what()).find("byte 2: the character \"x\""), std::string::npos);
  }
  EXPECT_THROW(tokenizer.decode(std::vector<int32_t>{-1}), ValueError);
  EXPECT_THROW(CharTokenizer({"ab"}), ValueError);
  EXPECT_THROW(CharTokenizer({"a", "a"}), ValueError);
}

TEST(Text, files_lines_and_windows) {
  const testing::TemporaryDirectory directory;
  std::ofstream(directory / "a.txt", std::ios::binary) << "one\r\n\ntwo\rthree\nend";
  EXPECT_EQ(read_lines(directory / "a.txt"),
            (std::vector<std::string>{"one", "", "two\rthree", "end"}));
  EXPECT_EQ(split_lines("a\n"), (std::vector<std::string>{"a"}));
  EXPECT_TRUE(split_lines("").empty());
  expect_error([&] { read_text(directory / "a.txt", 5); }, {"a.txt", "19 bytes", "5"});
  expect_error([&] { read_text(directory / "b.txt"); }, {"b.txt"});

  const TokenWindows windows({0, 1, 2, 3, 4, 5, 6, 7}, 3);
  EXPECT_EQ(windows.size(), 2);
  const TokenBatch batch = windows.gather(std::vector<int64_t>{1, 0});
  EXPECT_EQ(batch.inputs.to_vector<int>(), (std::vector<int>{3, 4, 5, 0, 1, 2}));
  EXPECT_EQ(batch.targets.to_vector<int>(), (std::vector<int>{4, 5, 6, 1, 2, 3}));
  EXPECT_EQ(batch.inputs.shape(), (Shape{2, 3}));
  EXPECT_EQ(TokenWindows({0, 1, 2, 3, 4, 5, 6, 7}, 3, 1).size(), 5);
  EXPECT_EQ(TokenWindows({0, 1, 2, 3}, 3).size(), 1);
  EXPECT_THROW(TokenWindows({0, 1, 2}, 3), ValueError);
  EXPECT_THROW(windows.gather(std::vector<int64_t>{2}), ValueError);

  const PaddedTokens padded = pad_tokens({{1, 2, 3}, {}, {4}}, 9);
  EXPECT_EQ(padded.tokens.to_vector<int>(), (std::vector<int>{1, 2, 3, 9, 9, 9, 4, 9, 9}));
  EXPECT_EQ(padded.lengths.to_vector<int>(), (std::vector<int>{3, 0, 1}));
  EXPECT_EQ(pad_tokens({{1, 2, 3}}, 0, 2).tokens.to_vector<int>(), (std::vector<int>{1, 2}));
}

}  // namespace
}  // namespace linnet::data::tokenizer_test
