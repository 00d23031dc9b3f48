#include "linnet/io/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <tuple>

#include "linnet/error.h"
#include "linnet/io/atomic_file.h"
#include "linnet/io/byte_source.h"
#include "linnet/io/json.h"
#include "safetensors_header.h"

namespace linnet {

static_assert(std::endian::native == std::endian::little,
              "values are stored little-endian and not swapped");

struct SafetensorsFile::State {
  std::unique_ptr<ByteSource> source;
  std::shared_ptr<const std::byte> block;  // empty unless values are used in place
  uint64_t values_begin = 0;
  safetensors::Header header;
};

namespace {

constexpr uint64_t kLengthBytes = 8;

std::shared_ptr<SafetensorsFile::State> open_state(std::unique_ptr<ByteSource> source) {
  const std::string& name = source->name();
  if (source->size() < kLengthBytes) {
    throw IoError(
        name + ": " + std::to_string(source->size()) +
        " bytes, too short for a safetensors file, which begins with 8 bytes of header length");
  }
  uint64_t header_bytes = 0;
  source->read(0, std::as_writable_bytes(std::span(&header_bytes, 1)));
  const uint64_t rest = source->size() - kLengthBytes;
  if (header_bytes > rest) {
    throw IoError(name + ": header length " + std::to_string(header_bytes) +
                  " at byte 0 exceeds file size " + std::to_string(source->size()));
  }
  if (header_bytes > safetensors::kHeaderLimit) {
    throw IoError(name + ": header length " + std::to_string(header_bytes) +
                  " at byte 0 exceeds the limit of " + std::to_string(safetensors::kHeaderLimit));
  }
  std::string text(static_cast<size_t>(header_bytes), '\0');
  source->read(kLengthBytes, std::as_writable_bytes(std::span(text)));

  auto state = std::make_shared<SafetensorsFile::State>();
  state->header = safetensors::parse_header(text, rest - header_bytes, name);
  state->values_begin = kLengthBytes + header_bytes;
  state->source = std::move(source);
  return state;
}

std::string known_names(const safetensors::Header& header) {
  constexpr size_t kListed = 10;
  if (header.entries.empty()) return "; the file holds no tensors";
  std::string text = "; present: ";
  size_t listed = 0;
  for (const auto& item : header.entries) {
    if (listed == kListed)
      return text + " and " + std::to_string(header.entries.size() - kListed) + " more";
    text += (listed++ ? ", " : "") + item.first;
  }
  return text;
}

// A bool that is neither 0 nor 1 would be undefined behaviour as soon as it is read.
void check_bools(const HostArray& array, const std::string& place) {
  for (std::byte value : array.bytes()) {
    if (value > std::byte{1}) {
      throw IoError(place + "byte " + std::to_string(static_cast<int>(value)) +
                    " where a bool (0 or 1) is expected");
    }
  }
}

/// An array to write, and what it is called there.
struct Item {
  const std::string& name;
  const HostArray& array;
  const safetensors::ElementType& type;
};

/// @throws ValueError if it does not fit the array.
const safetensors::ElementType& type_for(const std::string& name, const HostArray& array,
                                         const std::map<std::string, std::string>& types) {
  const auto found = types.find(name);
  if (found == types.end()) return safetensors::element_type_of(array.dtype);
  const safetensors::ElementType* type = safetensors::find_element_type(found->second);
  if (!type || type->dtype || type->bits != 8 || array.dtype != DType::kU8) {
    throw ValueError("write_safetensors: '" + name + "' is " + std::string(name_of(array.dtype)) +
                     ", which cannot be the bits of " + found->second);
  }
  return *type;
}

std::string header_text(const std::vector<const Item*>& order,
                        const std::map<std::string, std::string>& metadata) {
  // Keys are written in the order of the values, which an object sorted by key cannot express.
  std::string text = "{";
  if (!metadata.empty()) {
    Json map = Json::object();
    for (const auto& [key, value] : metadata) map[key] = value;
    text += "\"" + std::string(safetensors::kMetadataKey) + "\":" + map.to_text(0);
  }
  uint64_t position = 0;
  for (const Item* item : order) {
    const auto& [name, array, type] = *item;
    Json::Array shape(array.shape.begin(), array.shape.end());
    const uint64_t end = position + array.byte_size();
    if (text.size() > 1) text += ',';
    text += Json(name).to_text(0) + ":{\"dtype\":\"" + std::string(type.name) +
            "\",\"shape\":" + Json(std::move(shape)).to_text(0) + ",\"data_offsets\":[" +
            std::to_string(position) + "," + std::to_string(end) + "]}";
    position = end;
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

}  // namespace

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> result;
  result.reserve(state_->header.entries.size());
  for (const auto& item : state_->header.entries) result.push_back(item.first);
  return result;
}

bool SafetensorsFile::contains(std::string_view name) const {
  return state_->header.entries.find(name) != state_->header.entries.end();
}

const SafetensorsEntry& SafetensorsFile::entry(std::string_view name) const {
  const auto found = state_->header.entries.find(name);
  if (found != state_->header.entries.end()) return found->second;
  throw IoError(state_->source->name() + ": no tensor \"" + std::string(name) + "\"" +
                known_names(state_->header));
}

const std::map<std::string, std::string>& SafetensorsFile::metadata() const {
  return state_->header.metadata;
}

namespace {

/// The values of an entry, read as `dtype`, which has the right size.
HostArray values_of(const SafetensorsFile::State& state, const SafetensorsEntry& entry,
                    DType dtype) {
  const uint64_t begin = state.values_begin + entry.begin;
  const std::byte* in_place = state.block ? state.block.get() + begin : nullptr;
  if (in_place && reinterpret_cast<uintptr_t>(in_place) % size_of(dtype) == 0)
    return HostArray{dtype, entry.shape, in_place, state.block};
  WritableHostArray fresh = allocate_host_array(dtype, entry.shape);
  state.source->read(begin, {fresh.data, fresh.array.byte_size()});
  return std::move(fresh.array);
}

}  // namespace

HostArray SafetensorsFile::array(std::string_view name) const {
  const SafetensorsEntry& entry = this->entry(name);
  const std::string place = state_->source->name() + ": tensor \"" + std::string(name) + "\": ";
  const std::optional<DType> dtype = safetensors::find_element_type(entry.dtype)->dtype;
  if (!dtype) throw IoError(place + "element type " + entry.dtype + " is not supported");
  HostArray result = values_of(*state_, entry, *dtype);
  if (*dtype == DType::kBool) check_bools(result, place);
  return result;
}

HostArray SafetensorsFile::bits(std::string_view name) const {
  const SafetensorsEntry& entry = this->entry(name);
  const safetensors::ElementType& type = *safetensors::find_element_type(entry.dtype);
  if (type.dtype || type.bits != 8) {
    throw IoError(state_->source->name() + ": tensor \"" + std::string(name) +
                  "\": expected a type of eight bits that is read as its bits, got " + entry.dtype);
  }
  return values_of(*state_, entry, DType::kU8);
}

SafetensorsFile read_safetensors(const std::string& path, FileAccess access,
                                 FileSystem& file_system) {
  auto state = open_state(std::make_unique<FileSource>(path, file_system));
  if (access == FileAccess::kMemoryMap) state->block = state->source->block();
  return SafetensorsFile(std::move(state));
}

SafetensorsFile parse_safetensors(std::vector<std::byte> bytes, const std::string& name) {
  auto state = open_state(std::make_unique<MemorySource>(std::move(bytes), name));
  state->block = state->source->block();
  return SafetensorsFile(std::move(state));
}

void write_safetensors(const std::string& path, const std::map<std::string, HostArray>& arrays,
                       const std::map<std::string, std::string>& metadata, FileSystem& file_system,
                       const std::map<std::string, std::string>& types) {
  for (const auto& [name, type] : types) {
    if (!arrays.count(name))
      throw ValueError("write_safetensors: there is no '" + name + "' to be of type " + type);
  }
  std::vector<Item> order;
  for (const auto& item : arrays) {
    if (item.first == safetensors::kMetadataKey) {
      throw ValueError("write_safetensors: a tensor cannot be named __metadata__");
    }
    if (item.second.shape.size() > safetensors::kRankLimit) {
      throw ValueError("write_safetensors: '" + item.first + "' has " +
                       std::to_string(item.second.shape.size()) + " dimensions, at most " +
                       std::to_string(safetensors::kRankLimit) + " are read again");
    }
    order.push_back({item.first, item.second, type_for(item.first, item.second, types)});
  }
  std::vector<const Item*> sorted;
  for (const Item& item : order) sorted.push_back(&item);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Item* a, const Item* b) {
    return safetensors::order_of(a->type) > safetensors::order_of(b->type);
  });
  const std::string header = header_text(sorted, metadata);
  if (header.size() > safetensors::kHeaderLimit) {
    throw ValueError("write_safetensors: the header has " + std::to_string(header.size()) +
                     " bytes, the format allows " + std::to_string(safetensors::kHeaderLimit));
  }
  const uint64_t header_bytes = header.size();
  AtomicFile file(path, file_system);
  file.write(std::as_bytes(std::span(&header_bytes, 1)));
  file.write(header);
  for (const Item* item : sorted) file.write(item->array.bytes());
  file.commit();
}

}  // namespace linnet
