#include "linnet/io/state_dict_file.h"

#include "linnet/detail/format.h"
#include "linnet/io/byte_source.h"
#include "linnet/io/msgpack.h"
#include "linnet/io/safetensors.h"

namespace linnet {
namespace {

StateDict nested(const SafetensorsFile& file, const std::string& path, char separator) {
  StateDict root;
  for (const std::string& name : file.names()) {
    StateDict* node = &root;
    for (size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
      end = name.find(separator, begin);
      if (!node->is_map()) {
        fail<IoError>("{}: '{}' is below '{}', which is an array", path, name,
                      name.substr(0, begin - 1));
      }
      node = &node->entries()[name.substr(begin, end - begin)];
    }
    // Names are sorted: what is longer than another name comes after it.
    *node = StateDict(file.array(name));
  }
  return root;
}

}  // namespace

StateDict read_state_dict(const std::string& path, const StateDictFileOptions& options,
                          FileSystem& file_system) {
  if (path.ends_with(".safetensors")) {
    return nested(read_safetensors(path, FileAccess::kRead, file_system), path, options.separator);
  }
  const FileSource source(path, file_system);
  std::vector<std::byte> bytes(source.size());
  source.read(0, bytes);
  return msgpack_restore(bytes, path);
}

}  // namespace linnet
