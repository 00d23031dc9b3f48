// What a fuzzer and the replay of its corpus do with one input: parse it, and if it is accepted,
// check what must hold for every accepted file. A parser may throw IoError and nothing else.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "linnet/data/csv.h"
#include "linnet/data/idx.h"
#include "linnet/data/image.h"
#include "linnet/data/tokenizer.h"
#include "linnet/error.h"
#include "linnet/io/json.h"
#include "linnet/io/msgpack.h"
#include "linnet/io/npy.h"
#include "linnet/io/npz.h"
#include "linnet/io/safetensors.h"
#include "linnet/io/tree_file.h"

namespace linnet::fuzz {

using Bytes = std::span<const std::byte>;

inline void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

inline std::vector<std::byte> copy_of(Bytes bytes) { return {bytes.begin(), bytes.end()}; }

inline bool same_array(const HostArray& a, const HostArray& b) {
  const Bytes left = a.bytes(), right = b.bytes();
  return a.dtype == b.dtype && a.shape == b.shape &&
         std::equal(left.begin(), left.end(), right.begin(), right.end());
}

inline void run_safetensors(Bytes input) try {
  const SafetensorsFile file = parse_safetensors(copy_of(input));
  uint64_t described = 0;
  for (const std::string& name : file.names()) {
    const SafetensorsEntry& entry = file.entry(name);
    described += entry.end - entry.begin;
    try {
      const HostArray array = file.array(name);
      require(array.byte_size() == entry.end - entry.begin, "array and entry differ in size");
    } catch (const IoError&) {
      // Types that Linnet lacks and malformed bools are refused one array at a time.
    }
  }
  require(described < input.size(), "more values than the file has");
} catch (const IoError&) {
}

inline void run_npy(Bytes input) try {
  const HostArray array = parse_npy(copy_of(input));
  require(same_array(parse_npy(npy_bytes(array)), array), "writing and reading changes the array");
} catch (const IoError&) {
}

inline void run_npz(Bytes input) try {
  const NamedArrays arrays = parse_npz(copy_of(input), "npz", uint64_t{1} << 20);
  for (const NpzCompression compression : {NpzCompression::kNone, NpzCompression::kDeflate}) {
    const NamedArrays again = parse_npz(npz_bytes(arrays, compression));
    require(again.size() == arrays.size(), "writing and reading changes the number of arrays");
    for (const auto& [name, array] : arrays)
      require(same_array(again.at(name), array), "writing and reading changes an array");
  }
} catch (const IoError&) {
}

inline std::string csv_line(size_t fields, const std::function<std::string_view(size_t)>& field) {
  std::string line;
  for (size_t i = 0; i < fields; ++i) {
    line += i == 0 ? "\"" : ",\"";
    for (char c : field(i)) line += c == '"' ? "\"\"" : std::string(1, c);
    line += '"';
  }
  return line + "\n";
}

inline void run_csv(Bytes input) try {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto table = data::CsvTable::parse(text);
  const size_t fields = table.columns().size();
  std::string written =
      csv_line(fields, [&](size_t i) -> std::string_view { return table.columns()[i]; });
  for (int64_t row = 0; row < table.rows(); ++row)
    written += csv_line(fields, [&](size_t i) { return table.cell(row, static_cast<int64_t>(i)); });
  const auto again = data::CsvTable::parse(written);
  require(fields == 0 || again.columns() == table.columns(), "writing and reading changes a name");
  require(again.rows() == table.rows(), "writing and reading changes the number of rows");
  for (int64_t row = 0; row < table.rows(); ++row) {
    for (size_t i = 0; i < fields; ++i) {
      const auto column = static_cast<int64_t>(i);
      require(again.cell(row, column) == table.cell(row, column), "a cell changes");
    }
  }
  for (const std::string& name : table.columns()) {
    for (DType dtype : {DType::kF32, DType::kI64, DType::kBool}) {
      try {
        require(table.column(name, dtype).size() == table.rows(), "a column lacks rows");
      } catch (const IoError&) {
        // Not a column of this type.
      }
    }
  }
} catch (const IoError&) {
}

/// Vocabulary, merges and text with a zero byte between them.
inline void run_tokenizer(Bytes input) try {
  const std::string_view all(reinterpret_cast<const char*>(input.data()), input.size());
  const size_t first = std::min(all.find('\0'), all.size());
  const size_t second = std::min(all.find('\0', first + 1), all.size());
  const std::string_view text = all.substr(std::min(second + 1, all.size()));
  std::string pieces;
  for (std::string_view piece : data::gpt2_pieces(text)) {
    require(!piece.empty(), "an empty piece");
    pieces += piece;
  }
  require(pieces == text, "the pieces are not the text");
  const auto letters = data::CharTokenizer::of(text);
  require(letters.decode(letters.encode(text)) == text, "characters do not come back");
  const auto pairs = data::BytePairTokenizer::parse(
      all.substr(0, first), all.substr(std::min(first + 1, all.size()), second - first));
  for (data::SpecialTokens special : {data::SpecialTokens::kText, data::SpecialTokens::kParse}) {
    try {
      require(pairs.decode(pairs.encode(text, special)) == text, "the text does not come back");
    } catch (const ValueError&) {
      // A byte without a token.
    }
  }
} catch (const IoError&) {
}

inline void run_json(Bytes input) try {
  const Json value = Json::parse({reinterpret_cast<const char*>(input.data()), input.size()});
  require(Json::parse(value.to_text()) == value, "printing and reading changes the value");
  require(Json::parse(value.to_text(0)) == value, "compact printing and reading changes the value");
} catch (const IoError&) {
}

inline void run_index(Bytes input) try {
  const auto files =
      parse_safetensors_index({reinterpret_cast<const char*>(input.data()), input.size()});
  for (const auto& [array, file] : files)
    require(file.find('/') == std::string::npos, "a file is outside the folder of its index");
} catch (const IoError&) {
}

inline void run_idx(Bytes input) try {
  const HostArray array = parse_idx(copy_of(input), "IDX", uint64_t{1} << 20);
  require(array.byte_size() <= (uint64_t{1} << 20), "limit exceeded");
} catch (const IoError&) {
}

inline void run_image(Bytes input) try {
  constexpr int64_t kPixels = int64_t{1} << 16;
  const Tensor image = data::parse_image(input, {.channels = 4, .pixel_limit = kPixels});
  require(image.size() > 0 && image.size() <= 4 * kPixels, "limit exceeded");
  require(data::resize_image(image, 3, 5).size() == 60, "the size after resizing is wrong");
} catch (const IoError&) {
}

inline void run_msgpack(Bytes input) try {
  const std::vector<std::byte> written = msgpack_serialize(msgpack_restore(input));
  require(msgpack_serialize(msgpack_restore(written)) == written,
          "writing and reading changes the value");
} catch (const IoError&) {
}

/// The inputs of all targets; the name is that of the folder of the corpus.
struct Target {
  std::string_view name;
  void (*run)(Bytes);
};
inline constexpr Target kTargets[] = {{"safetensors", run_safetensors},
                                      {"index", run_index},
                                      {"npy", run_npy},
                                      {"json", run_json},
                                      {"idx", run_idx},
                                      {"msgpack", run_msgpack},
                                      {"npz", run_npz},
                                      {"csv", run_csv},
                                      {"tokenizer", run_tokenizer},
                                      {"image", run_image}};

}  // namespace linnet::fuzz
