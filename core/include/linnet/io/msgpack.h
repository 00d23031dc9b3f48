// State dicts in MessagePack, as flax.serialization writes and reads them.
//
//   std::vector<std::byte> bytes = to_bytes(train_state);
//   TrainState again = from_bytes(train_state, bytes);
//   StateDict any = msgpack_restore(bytes);             // without knowing the structure
//
// An array is an extension of type 1: the MessagePack list (shape, dtype name, row-major bytes in
// little-endian order). One of more than 2^30 bytes is cut into chunks, a map
// {"__msgpack_chunked_array__": true, "shape": ..., "chunks": ...}.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "linnet/io/state_dict.h"

#pragma GCC visibility push(default)

namespace linnet {

struct MsgpackOptions {
  size_t max_chunk_bytes = size_t{1} << 30;
};

/// Keys are written in sorted order, so that equal values give equal bytes.
std::vector<std::byte> msgpack_serialize(const StateDict& state,
                                         const MsgpackOptions& options = {});

/// Lists become maps with the keys "0", "1", …; chunks are put together.
/// @param name begins the error messages.
/// @throws IoError with the place for bytes that are no such value: truncated, trailing, nested
/// more than 128 deep, keys that are no texts or repeated, element types without counterpart in
/// DType, sizes that disagree.
StateDict msgpack_restore(std::span<const std::byte> bytes, const std::string& name = "msgpack");

/// `msgpack_serialize(to_state_dict(object))` (L-168).
template <class T>
std::vector<std::byte> to_bytes(const T& object) {
  return msgpack_serialize(to_state_dict(object));
}
/// @throws IoError as msgpack_restore, ValueError and ShapeError as from_state_dict.
template <class T>
T from_bytes(const T& target, std::span<const std::byte> bytes) {
  return from_state_dict(target, msgpack_restore(bytes));
}

}  // namespace linnet

#pragma GCC visibility pop
