#include "linnet/io/npz.h"

#include "linnet/error.h"
#include "linnet/io/atomic_file.h"
#include "linnet/io/byte_source.h"
#include "linnet/io/npy.h"
#include "zip_reader.h"
#include "zip_writer.h"

namespace linnet {
namespace {

constexpr std::string_view kSuffix = ".npy";

NamedArrays read_source(const ByteSource& source, uint64_t byte_limit) {
  const ZipReader zip(source);
  uint64_t left = byte_limit;
  for (const ZipMember& member : zip.members()) {
    if (member.size > left) {
      throw IoError(source.name() + ": member \"" + member.name + "\" of " +
                    std::to_string(member.size) + " bytes: at most " + std::to_string(byte_limit) +
                    " are read of all together");
    }
    left -= member.size;
  }
  NamedArrays arrays;
  for (const ZipMember& member : zip.members()) {
    const std::string where = source.name() + ": member \"" + member.name + "\"";
    if (!member.name.ends_with(kSuffix)) throw IoError(where + " is no .npy file");
    const std::string name = member.name.substr(0, member.name.size() - kSuffix.size());
    if (arrays.contains(name)) throw IoError(where + " is there twice");
    arrays.emplace(name, parse_npy(zip.read(member), where));
  }
  return arrays;
}

void write_to(const ZipWriter::Sink& sink, const NamedArrays& arrays, NpzCompression compression) {
  ZipWriter zip(sink);
  for (const auto& [name, array] : arrays) {
    zip.add(name + std::string(kSuffix), npy_bytes(array), compression == NpzCompression::kDeflate);
  }
  zip.finish();
}

}  // namespace

NamedArrays read_npz(const std::string& path, uint64_t byte_limit) {
  return read_source(FileSource(path), byte_limit);
}

NamedArrays parse_npz(std::vector<std::byte> bytes, const std::string& name, uint64_t byte_limit) {
  return read_source(MemorySource(std::move(bytes), name), byte_limit);
}

std::vector<std::byte> npz_bytes(const NamedArrays& arrays, NpzCompression compression) {
  std::vector<std::byte> out;
  write_to(
      [&](std::span<const std::byte> bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); },
      arrays, compression);
  return out;
}

void write_npz(const std::string& path, const NamedArrays& arrays, NpzCompression compression) {
  AtomicFile file(path);
  write_to([&](std::span<const std::byte> bytes) { file.write(bytes); }, arrays, compression);
  file.commit();
}

}  // namespace linnet
