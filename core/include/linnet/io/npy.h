// Single arrays in NumPy's .npy format.
//
//   write_npy("image.npy", array);
//   HostArray same = read_npy("image.npy");
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "linnet/io/host_array.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Reads a .npy file of version 1, 2 or 3. Big-endian values are swapped and column-major ones
/// rearranged, so the result is always native and row-major.
/// Refused: Python objects, structured, text, date, void and wider complex types, headers above 64
/// KiB, more than 64 dimensions, and files that are longer or shorter than the header says.
/// @throws IoError with path and reason.
HostArray read_npy(const std::string& path);

/// The same for a file in memory; `name` begins the error messages.
HostArray parse_npy(std::vector<std::byte> bytes, const std::string& name = "npy");

/// The bytes of a version 1 file.
/// @throws DTypeError for bf16, which the format cannot name. @throws ShapeError above 64
/// dimensions.
std::vector<std::byte> npy_bytes(const HostArray& array);

/// Writes a .npy file, atomically (see AtomicFile).
/// @throws DTypeError and ShapeError as `npy_bytes`. @throws IoError if the file cannot be written.
void write_npy(const std::string& path, const HostArray& array);

}  // namespace linnet

#pragma GCC visibility pop
