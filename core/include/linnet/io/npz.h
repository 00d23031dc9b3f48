// Named arrays in one file, as numpy.savez writes them: a zip file of .npy files.
//
//   write_npz("batch.npz", {{"image", images}, {"label", labels}});
//   std::map<std::string, HostArray> arrays = read_npz("batch.npz");
//   arrays.at("image");
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "linnet/io/host_array.h"

#pragma GCC visibility push(default)

namespace linnet {

using NamedArrays = std::map<std::string, HostArray>;

/// Limit on the size of all members of one file together, uncompressed, in bytes.
inline constexpr uint64_t kNpzByteLimit = uint64_t{64} << 30;

/// Reads all arrays of a file that numpy.savez or numpy.savez_compressed wrote. Members are stored
/// or deflated; files and members beyond 4 GiB are read.
/// @throws IoError with path, member and reason if the file is no zip file, a member is damaged, is
/// no .npy file (see `read_npy` for what is refused), is there twice, is encrypted or compressed in
/// another way, or if all together are larger than `byte_limit`.
NamedArrays read_npz(const std::string& path, uint64_t byte_limit = kNpzByteLimit);

/// The same for a file in memory; `name` begins the error messages.
NamedArrays parse_npz(std::vector<std::byte> bytes, const std::string& name = "npz",
                      uint64_t byte_limit = kNpzByteLimit);

/// What numpy.savez or numpy.savez_compressed does. Equal arrays give equal bytes.
enum class NpzCompression : uint8_t { kNone, kDeflate };

/// The bytes of such a file.
/// @throws DTypeError and ShapeError as `npy_bytes`, ValueError for names above 65531 bytes.
std::vector<std::byte> npz_bytes(const NamedArrays& arrays,
                                 NpzCompression compression = NpzCompression::kNone);

/// Writes such a file, atomically (see AtomicFile).
/// @throws as `npz_bytes`; IoError if the file cannot be written.
void write_npz(const std::string& path, const NamedArrays& arrays,
               NpzCompression compression = NpzCompression::kNone);

}  // namespace linnet

#pragma GCC visibility pop
