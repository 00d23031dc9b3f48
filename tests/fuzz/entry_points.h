// What a fuzzer and the replay of its corpus do with one input: parse it, and if it is accepted,
// check what must hold for every accepted file. A parser may throw IoError and nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "linnet/data/idx.h"
#include "linnet/error.h"
#include "linnet/io/json.h"
#include "linnet/io/msgpack.h"
#include "linnet/io/npy.h"
#include "linnet/io/safetensors.h"

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

inline void run_json(Bytes input) try {
  const Json value = Json::parse({reinterpret_cast<const char*>(input.data()), input.size()});
  require(Json::parse(value.to_text()) == value, "printing and reading changes the value");
  require(Json::parse(value.to_text(0)) == value, "compact printing and reading changes the value");
} catch (const IoError&) {
}

inline void run_idx(Bytes input) try {
  const HostArray array = parse_idx(copy_of(input), "IDX", uint64_t{1} << 20);
  require(array.byte_size() <= (uint64_t{1} << 20), "limit exceeded");
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
                                      {"npy", run_npy},
                                      {"json", run_json},
                                      {"idx", run_idx},
                                      {"msgpack", run_msgpack}};

}  // namespace linnet::fuzz
