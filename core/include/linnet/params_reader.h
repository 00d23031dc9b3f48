// Parameters from the text that they print, so that programs can be stored and named operations
// called.
//
//   const Primitive& sum = *find_primitive("reduce_sum");
//   emit_one(sum, {x}, sum.read_params("axes=[0,2]"));
#pragma once

#include <string_view>

#include "linnet/params.h"

#pragma GCC visibility push(default)

namespace linnet::detail {

/// Reads one value after the other. @throws ValueError saying where and what was expected.
class TextReader {
 public:
  explicit TextReader(std::string_view text) : text_(text) {}

  /// Whether the text goes on with `word`, which is then passed over.
  bool accept(std::string_view word);
  void expect(std::string_view word);
  void expect_end();

  int64_t integer();
  double number();
  bool boolean();
  DType dtype();
  Device device();
  /// Between quotes; what the quotes enclose must hold none.
  std::string quoted();
  /// All up to the end of the value.
  std::string_view word();

  size_t position() const { return at_; }
  [[noreturn]] void fail(std::string_view expected) const;
  [[noreturn]] void fail_at(size_t position, std::string_view expected) const;

 private:
  std::string_view text_;
  size_t at_ = 0;
};

template <class T>
void read_value(TextReader& in, T& value);

template <class P>
void read_fields(TextReader& in, P& params) {
  size_t index = 0;
  params.linnet_fields().apply([&](auto&... field) {
    ((in.expect(index ? ", " : ""), in.expect(field_name(P::linnet_field_names(), index++)),
      in.expect("="), read_value(in, field)),
     ...);
  });
}

template <class T>
void read_sequence(TextReader& in, T& values) {
  values.clear();
  in.expect("[");
  while (!in.accept("]")) {
    if (!values.empty()) in.expect(",");
    typename T::value_type element{};
    read_value(in, element);
    values.push_back(std::move(element));
  }
}

template <class T>
void read_value(TextReader& in, T& value) {
  if constexpr (HasFields<T>) {
    read_fields(in, value);
  } else if constexpr (is_sequence<T>) {
    read_sequence(in, value);
  } else if constexpr (is_optional<T>) {
    value.reset();
    if (!in.accept("none")) read_value(in, value.emplace());
  } else if constexpr (is_pair<T>) {
    in.expect("(");
    read_value(in, value.first);
    in.expect(",");
    read_value(in, value.second);
    in.expect(")");
  } else if constexpr (is_shared_pointer<T>) {
    in.fail("no program, which text cannot hold");
  } else if constexpr (std::is_same_v<T, DType>) {
    value = in.dtype();
  } else if constexpr (std::is_same_v<T, Device>) {
    value = in.device();
  } else if constexpr (std::is_enum_v<T> && requires { from_name(std::string_view(), value); }) {
    const size_t before = in.position();
    if (!from_name(in.word(), value)) in.fail_at(before, "a name");
  } else if constexpr (std::is_same_v<T, bool>) {
    value = in.boolean();
  } else if constexpr (std::is_same_v<T, std::string>) {
    value = in.quoted();
  } else if constexpr (std::is_floating_point_v<T>) {
    value = static_cast<T>(in.number());
  } else {
    value = static_cast<T>(in.integer());
  }
}

template <class P>
Params read_params(std::string_view text) {
  TextReader in(text);
  P params{};
  read_fields(in, params);
  in.expect_end();
  return Params(ParamsRef(params));
}

}  // namespace linnet::detail

#pragma GCC visibility pop
