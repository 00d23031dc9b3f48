// Parameters of primitives: a plain struct whose field list gives equality, hash and text.
//
//   struct ReduceParams { Axes axes; LINNET_FIELDS(axes) };
//   ParamsRef ref(params);                       // borrowed, no allocation
//   Params kept(ref);                            // owned copy, shared
//   const ReduceParams& p = ref.as<ReduceParams>();
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "linnet/detail/type_traits.h"
#include "linnet/device.h"
#include "linnet/fields.h"
#include "linnet/shape.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Parameters of a primitive that has none.
struct NoParams {
  LINNET_FIELDS()
};

namespace detail {

void append_text(std::string& out, bool value);
void append_text(std::string& out, int64_t value);
void append_text(std::string& out, uint64_t value);
void append_text(std::string& out, double value);
void append_text(std::string& out, const std::string& value);
void append_text(std::string& out, DType value);
void append_text(std::string& out, Device value);
void append_text(std::string& out, const void* value);

inline size_t mix_hash(size_t seed, uint64_t value) {
  value *= 0x9E3779B97F4A7C15ull;
  value ^= value >> 32;
  return seed * 0x100000001B3ull ^ static_cast<size_t>(value);
}

template <class T>
inline constexpr bool is_sequence = is_small_vector<T> || is_vector<T>;

template <class T>
void value_text(std::string& out, const T& value) {
  if constexpr (HasFields<T>) {
    size_t index = 0;
    value.linnet_fields().apply([&](const auto&... field) {
      ((out += index ? ", " : "", out += field_name(T::linnet_field_names(), index++), out += '=',
        value_text(out, field)),
       ...);
    });
  } else if constexpr (is_sequence<T>) {
    out += '[';
    bool first = true;
    for (const auto& element : value) {
      if (!first) out += ',';
      first = false;
      value_text(out, element);
    }
    out += ']';
  } else if constexpr (is_optional<T>) {
    if (value)
      value_text(out, *value);
    else
      out += "none";
  } else if constexpr (is_pair<T>) {
    out += '(';
    value_text(out, value.first);
    out += ',';
    value_text(out, value.second);
    out += ')';
  } else if constexpr (is_shared_pointer<T>) {
    append_text(out, static_cast<const void*>(value.get()));
  } else if constexpr (std::is_same_v<T, DType> || std::is_same_v<T, Device> ||
                       std::is_same_v<T, bool> || std::is_same_v<T, std::string>) {
    append_text(out, value);
  } else if constexpr (std::is_floating_point_v<T>) {
    append_text(out, static_cast<double>(value));
  } else if constexpr (std::is_enum_v<T> && requires { out += name_of(value); }) {
    out += name_of(value);
  } else {
    append_text(out, static_cast<int64_t>(value));
  }
}

template <class T>
size_t value_hash(size_t seed, const T& value) {
  if constexpr (HasFields<T>) {
    value.linnet_fields().apply(
        [&](const auto&... field) { ((seed = value_hash(seed, field)), ...); });
    return seed;
  } else if constexpr (is_sequence<T> || std::is_same_v<T, std::string>) {
    seed = mix_hash(seed, value.size());
    for (const auto& element : value) seed = value_hash(seed, element);
    return seed;
  } else if constexpr (is_optional<T>) {
    return value ? value_hash(mix_hash(seed, 1), *value) : mix_hash(seed, 0);
  } else if constexpr (is_pair<T>) {
    return value_hash(value_hash(seed, value.first), value.second);
  } else if constexpr (is_shared_pointer<T>) {
    return mix_hash(seed, reinterpret_cast<uintptr_t>(value.get()));
  } else if constexpr (std::is_floating_point_v<T>) {
    return mix_hash(seed, std::bit_cast<uint64_t>(static_cast<double>(value)));
  } else if constexpr (std::is_same_v<T, Device>) {
    return mix_hash(seed, static_cast<uint64_t>(value.type) << 8 | value.index);
  } else {
    return mix_hash(seed, static_cast<uint64_t>(value));
  }
}

/// Floating-point fields compare by bits, so NaN equals itself and 0 differs from -0.
template <class T>
bool value_equal(const T& a, const T& b) {
  if constexpr (HasFields<T>) {
    return a.linnet_fields().apply([&](const auto&... of_a) {
      return b.linnet_fields().apply(
          [&](const auto&... of_b) { return (value_equal(of_a, of_b) && ...); });
    });
  } else if constexpr (is_sequence<T>) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i) {
      if (!value_equal(a[i], b[i])) return false;
    }
    return true;
  } else if constexpr (is_optional<T>) {
    return a.has_value() == b.has_value() && (!a || value_equal(*a, *b));
  } else if constexpr (is_pair<T>) {
    return value_equal(a.first, b.first) && value_equal(a.second, b.second);
  } else if constexpr (std::is_floating_point_v<T>) {
    return std::bit_cast<uint64_t>(static_cast<double>(a)) ==
           std::bit_cast<uint64_t>(static_cast<double>(b));
  } else {
    return a == b;
  }
}

struct ParamsTable {
  const void* type;
  std::string (*text)(const void*);
  size_t (*hash)(const void*);
  bool (*equal)(const void*, const void*);
  std::shared_ptr<const void> (*copy)(const void*);
};

template <class P>
inline constexpr char kParamsType = 0;

template <class P>
inline constexpr ParamsTable kParamsTable{
    &kParamsType<P>,
    [](const void* p) {
      std::string out;
      value_text(out, *static_cast<const P*>(p));
      return out;
    },
    [](const void* p) { return value_hash(size_t{17}, *static_cast<const P*>(p)); },
    [](const void* a, const void* b) {
      return value_equal(*static_cast<const P*>(a), *static_cast<const P*>(b));
    },
    [](const void* p) -> std::shared_ptr<const void> {
      return std::make_shared<P>(*static_cast<const P*>(p));
    }};

}  // namespace detail

/// Borrowed parameters of any type.
class ParamsRef {
 public:
  template <class P>
    requires HasFields<P>
  ParamsRef(const P& params)
      : data_(&params), table_(&detail::kParamsTable<P>) {}  // NOLINT(runtime/explicit)
  ParamsRef(const void* data, const detail::ParamsTable* table) : data_(data), table_(table) {}

  template <class P>
  const P& as() const {
    return *static_cast<const P*>(data_);
  }
  template <class P>
  bool is() const {
    return table_->type == &detail::kParamsType<P>;
  }

  std::string text() const { return table_->text(data_); }
  size_t hash() const { return table_->hash(data_); }
  friend bool operator==(ParamsRef a, ParamsRef b) {
    return a.table_->type == b.table_->type &&
           (a.data_ == b.data_ || a.table_->equal(a.data_, b.data_));
  }

 private:
  friend class Params;
  const void* data_;
  const detail::ParamsTable* table_;
};

/// Owned, immutable, shared parameters.
class Params {
 public:
  Params() : Params(ParamsRef(NoParams{})) {}
  explicit Params(ParamsRef ref) : data_(ref.table_->copy(ref.data_)), table_(ref.table_) {}
  operator ParamsRef() const { return {data_.get(), table_}; }  // NOLINT(runtime/explicit)
  ParamsRef ref() const { return *this; }
  template <class P>
  const P& as() const {
    return *static_cast<const P*>(data_.get());
  }

 private:
  std::shared_ptr<const void> data_;
  const detail::ParamsTable* table_;
};

}  // namespace linnet

#pragma GCC visibility pop
