#include "safetensors_header.h"

#include <algorithm>
#include <vector>

#include "json_reader.h"
#include "linnet/error.h"

namespace linnet::safetensors {
namespace {

using json_reader::quote;

constexpr ElementType kElementTypes[] = {
    {"BOOL", 8, DType::kBool},  {"F4", 4, {}},
    {"F6_E2M3", 6, {}},         {"F6_E3M2", 6, {}},
    {"U8", 8, DType::kU8},      {"I8", 8, DType::kI8},
    {"F8_E5M2", 8, {}},         {"F8_E4M3", 8, {}},
    {"F8_E8M0", 8, {}},         {"F8_E4M3FNUZ", 8, {}},
    {"F8_E5M2FNUZ", 8, {}},     {"I16", 16, DType::kI16},
    {"U16", 16, DType::kU16},   {"F16", 16, DType::kF16},
    {"BF16", 16, DType::kBF16}, {"I32", 32, DType::kI32},
    {"U32", 32, DType::kU32},   {"F32", 32, DType::kF32},
    {"C64", 64, DType::kC64},   {"F64", 64, DType::kF64},
    {"I64", 64, DType::kI64},   {"U64", 64, DType::kU64},
};

// Follows the scanner through the three levels of the header. Each state names what may come next.
class HeaderHandler : public json_reader::Handler {
 public:
  explicit HeaderHandler(Header& header) : header_(header) {}

  bool null() { return unexpected("null"); }
  bool boolean(bool) { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t& text) {
    return unexpected("the number " + quote(text) + ", which is not an unsigned 64-bit integer");
  }

  bool number_unsigned(number_unsigned_t value) {
    if (state_ == State::kShapeItems) {
      if (value > static_cast<uint64_t>(INT64_MAX))
        return refuse(place() + "dimension above 2^63 - 1");
      if (entry_->shape.size() == kRankLimit) {
        return refuse(place() + "more than " + std::to_string(kRankLimit) + " dimensions");
      }
      entry_->shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (state_ == State::kOffsetItems && offset_count_ < 2) {
      (offset_count_++ == 0 ? entry_->begin : entry_->end) = value;
      return true;
    }
    return unexpected("a number");
  }

  bool string(string_t& value) {
    if (state_ == State::kElementType) {
      if (find_element_type(value) == nullptr) {
        return refuse(place() + "unknown element type " + quote(value));
      }
      entry_->dtype = std::move(value);
      state_ = State::kEntry;
      return true;
    }
    if (state_ == State::kMetadataValue) {
      header_.metadata[key_] = std::move(value);
      state_ = State::kMetadata;
      return true;
    }
    return unexpected("a string");
  }

  bool start_object(size_t) {
    switch (state_) {
      case State::kStart:
        state_ = State::kTop;
        return true;
      case State::kEntryStart:
        state_ = State::kEntry;
        return true;
      case State::kMetadataStart:
        state_ = State::kMetadata;
        return true;
      default:
        return unexpected("an object");
    }
  }

  bool start_array(size_t) {
    switch (state_) {
      case State::kShape:
        state_ = State::kShapeItems;
        return true;
      case State::kOffsets:
        state_ = State::kOffsetItems;
        return true;
      default:
        return unexpected("an array");
    }
  }

  bool end_array() {
    if (state_ == State::kOffsetItems && offset_count_ != 2) {
      return refuse(place() + "data_offsets needs two numbers");
    }
    state_ = State::kEntry;
    return true;
  }

  bool end_object() {
    if (state_ == State::kEntry && (fields_ != kAllFields)) {
      return refuse(place() + "dtype, shape and data_offsets are all needed");
    }
    state_ = state_ == State::kTop ? State::kEnd : State::kTop;
    return true;
  }

  bool key(string_t& name) {
    if (state_ == State::kTop) return start_member(name);
    if (state_ == State::kMetadata) {
      if (header_.metadata.count(name)) return refuse("__metadata__: duplicate key " + quote(name));
      key_ = std::move(name);
      state_ = State::kMetadataValue;
      return true;
    }
    return start_field(name);
  }

 private:
  enum class State {
    kStart,
    kTop,
    kEntryStart,
    kEntry,
    kElementType,
    kShape,
    kShapeItems,
    kOffsets,
    kOffsetItems,
    kMetadataStart,
    kMetadata,
    kMetadataValue,
    kEnd
  };
  static constexpr unsigned kAllFields = 7;

  std::string place() const {
    if (entry_ == nullptr) return state_ == State::kStart ? "header: " : "__metadata__: ";
    return "tensor " + quote(*entry_name_) + ": ";
  }

  bool unexpected(const std::string& found) {
    const char* expected = "an object";
    if (state_ == State::kElementType || state_ == State::kMetadataValue) expected = "a string";
    if (state_ == State::kShape || state_ == State::kOffsets) expected = "an array";
    if (state_ == State::kShapeItems) expected = "a dimension";
    if (state_ == State::kOffsetItems) expected = "two offsets";
    return refuse(place() + "expected " + expected + ", found " + found);
  }

  bool start_member(string_t& name) {
    if (name == kMetadataKey) {
      if (has_metadata_) return refuse("duplicate key __metadata__");
      has_metadata_ = true;
      entry_ = nullptr;
      state_ = State::kMetadataStart;
      return true;
    }
    const auto [position, is_new] = header_.entries.try_emplace(std::move(name));
    if (!is_new) return refuse("duplicate tensor name " + quote(position->first));
    entry_name_ = &position->first;
    entry_ = &position->second;
    entry_->shape = Shape{};
    fields_ = 0;
    offset_count_ = 0;
    state_ = State::kEntryStart;
    return true;
  }

  bool start_field(const string_t& name) {
    unsigned field = 0;
    if (name == "dtype") {
      field = 1;
      state_ = State::kElementType;
    }
    if (name == "shape") {
      field = 2;
      state_ = State::kShape;
    }
    if (name == "data_offsets") {
      field = 4;
      state_ = State::kOffsets;
    }
    if (field == 0) return refuse(place() + "unknown key " + quote(name));
    if (fields_ & field) return refuse(place() + "duplicate key " + quote(name));
    fields_ |= field;
    return true;
  }

  Header& header_;
  State state_ = State::kStart;
  SafetensorsEntry* entry_ = nullptr;
  const std::string* entry_name_ = nullptr;
  unsigned fields_ = 0;
  int offset_count_ = 0;
  bool has_metadata_ = false;
  std::string key_;
};

void check_size(const std::string& tensor, const SafetensorsEntry& entry, const std::string& name) {
  const auto fail = [&](const std::string& reason) {
    throw IoError(name + ": tensor " + quote(tensor) + ": " + reason);
  };
  if (entry.end < entry.begin) {
    fail("data_offsets run backwards: " + std::to_string(entry.begin) + " to " +
         std::to_string(entry.end));
  }
  const ElementType& type = *find_element_type(entry.dtype);
  const std::optional<int64_t> bits =
      checked_byte_size(entry.shape, static_cast<size_t>(type.bits));
  if (!bits) fail("the size of shape " + to_string(entry.shape) + " overflows");
  if (*bits % 8 != 0) fail(entry.dtype + to_string(entry.shape) + " does not fill whole bytes");
  const uint64_t bytes = static_cast<uint64_t>(*bits / 8);
  if (bytes != entry.end - entry.begin) {
    fail(entry.dtype + to_string(entry.shape) + " needs " + std::to_string(bytes) +
         " bytes, data_offsets give " + std::to_string(entry.end - entry.begin));
  }
}

// No gap, no overlap, and nothing left at the end: then every byte of the file has one meaning.
void check_layout(const Header& header, uint64_t value_bytes, const std::string& name) {
  using Item = const std::pair<const std::string, SafetensorsEntry>*;
  std::vector<Item> order;
  order.reserve(header.entries.size());
  for (const auto& item : header.entries) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](Item a, Item b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  uint64_t position = 0;
  for (Item item : order) {
    check_size(item->first, item->second, name);
    if (item->second.begin != position) {
      throw IoError(name + ": tensor " + quote(item->first) + ": values begin at " +
                    std::to_string(item->second.begin) + ", expected " + std::to_string(position) +
                    (item->second.begin > position ? " (gap)" : " (overlap)"));
    }
    position = item->second.end;
  }
  if (position != value_bytes) {
    throw IoError(name + ": the header describes " + std::to_string(position) +
                  " bytes of values, the file has " + std::to_string(value_bytes));
  }
}

}  // namespace

const ElementType* find_element_type(std::string_view name) {
  for (const ElementType& type : kElementTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

int order_of(const ElementType& type) { return static_cast<int>(&type - kElementTypes); }

const ElementType& element_type_of(DType dtype) {
  for (const ElementType& type : kElementTypes) {
    if (type.dtype == dtype) return type;
  }
  throw DTypeError("safetensors: the format has no name for " + std::string(name_of(dtype)) +
                   "; convert to c64 or write npy");
}

Header parse_header(std::string_view text, uint64_t value_bytes, const std::string& name) {
  constexpr size_t kLengthBytes = 8;
  if (text.empty() || text.front() != '{')
    throw IoError(name + ": byte 8: the header must begin with {");
  // Only spaces may pad the header, although JSON allows more kinds of white space.
  const std::string_view object = text.substr(0, text.find_last_not_of(' ') + 1);
  if (object.back() != '}') {
    throw IoError(name + ": byte " + std::to_string(kLengthBytes + object.size() - 1) +
                  ": the header must end with } and spaces");
  }
  Header header;
  HeaderHandler handler(header);
  json_reader::scan(object, name, kLengthBytes, handler);
  check_layout(header, value_bytes, name);
  return header;
}

}  // namespace linnet::safetensors
