// Named arrays in one file: the safetensors format.
//
//   write_safetensors("model.safetensors", {{"head/bias", bias}}, {{"step", "1200"}});
//   SafetensorsFile file = read_safetensors("model.safetensors");
//   HostArray bias = file.array("head/bias");
//
// Layout: header length as little-endian u64, a JSON header of that many bytes, the values. The
// reader checks everything before it hands out a byte: a file that it accepts has one meaning only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "linnet/io/file_system.h"
#include "linnet/io/host_array.h"

#pragma GCC visibility push(default)

namespace linnet {

/// How the values get from a file into memory.
enum class FileAccess {
  kRead,       ///< every array is read into its own memory when asked for
  kMemoryMap,  ///< arrays point into the mapped file; pages are read when touched. If others cut
               ///< the file short meanwhile, the system ends the process (SIGBUS) when a lost page
               ///< is touched, so this is for files that nobody writes in place; replacing them by
               ///< renaming is harmless.
};

/// What the header says about one array.
struct SafetensorsEntry {
  std::string dtype;  ///< name in the file: "F32", "BF16", "F8_E4M3", ...
  Shape shape;
  uint64_t begin = 0;  ///< first byte, counted from the start of the values
  uint64_t end = 0;    ///< one past the last byte
};

/// An open safetensors file. Cheap to copy; safe to read from several threads.
class SafetensorsFile {
 public:
  /// All names, sorted.
  std::vector<std::string> names() const;
  bool contains(std::string_view name) const;
  /// @throws IoError listing known names if there is no such array.
  const SafetensorsEntry& entry(std::string_view name) const;
  /// The values. Copies nothing if the file is mapped and the values are aligned for their type.
  /// @throws IoError if there is no such array (known names are listed), if its element type has no
  /// counterpart in DType, if a bool is neither 0 nor 1, or if the file cannot be read.
  HostArray array(std::string_view name) const;
  /// The values of an element type of eight bits that has no counterpart in DType ("F8_E4M3",
  /// "F8_E5M2", …; see float8.h), as u8.
  /// @throws IoError as `array`, and for other element types.
  HostArray bits(std::string_view name) const;
  /// The `__metadata__` map.
  const std::map<std::string, std::string>& metadata() const;

  struct State;
  explicit SafetensorsFile(std::shared_ptr<const State> state) : state_(std::move(state)) {}

 private:
  std::shared_ptr<const State> state_;
};

/// Opens a file and checks its header completely: at most 100 MB, valid JSON without duplicate
/// keys, known element types, sizes that agree with shapes, values without gap or overlap that end
/// exactly where the file ends.
/// @throws IoError with path and the first rule broken.
SafetensorsFile read_safetensors(const std::string& path, FileAccess access = FileAccess::kRead,
                                 FileSystem& file_system = FileSystem::system());

/// The same for a file in memory; `name` begins the error messages.
SafetensorsFile parse_safetensors(std::vector<std::byte> bytes,
                                  const std::string& name = "safetensors");

/// Writes arrays and metadata, atomically (see AtomicFile). Values are ordered by falling
/// alignment, then by name, as the reference implementation does; equal content gives equal bytes.
/// @param types the names in the file of the types that some u8 arrays hold the bits of: "F8_E4M3".
/// @throws ValueError for what the reader refuses: a name that is `__metadata__` or not UTF-8, more
/// than 64 dimensions, a header above 100 MB; and for types of arrays that are not there or not u8,
/// or that are none of eight bits.
/// @throws IoError if the file cannot be written; a previous file is then untouched.
void write_safetensors(const std::string& path, const std::map<std::string, HostArray>& arrays,
                       const std::map<std::string, std::string>& metadata = {},
                       FileSystem& file_system = FileSystem::system(),
                       const std::map<std::string, std::string>& types = {});

}  // namespace linnet

#pragma GCC visibility pop
