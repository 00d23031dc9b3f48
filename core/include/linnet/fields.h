// The one reflection macro: lists the members of a struct so that trees, parameters, state and
// printing can see them.
//
//   struct Mlp {
//     nnx::Linear up, down;
//     LINNET_FIELDS(up, down)
//   };
#pragma once

#include <string_view>
#include <tuple>

/// Lists every member that holds tensors, variables, modules or configuration, in any order.
/// A forgotten member that could hold a pointer is reported at first use.
#define LINNET_FIELDS(...)                                     \
  auto linnet_fields() { return std::tie(__VA_ARGS__); }       \
  auto linnet_fields() const { return std::tie(__VA_ARGS__); } \
  static constexpr std::string_view linnet_field_names() { return #__VA_ARGS__; }

namespace linnet {

template <class T>
concept HasFields = requires(const T& object) {
  object.linnet_fields();
  T::linnet_field_names();
};

/// The `index`-th name in the text of a LINNET_FIELDS list, without blanks around it and without
/// the trailing underscore of private members.
constexpr std::string_view field_name(std::string_view names, size_t index) {
  size_t begin = 0;
  for (; index > 0; --index) begin = names.find(',', begin) + 1;
  size_t end = names.find(',', begin);
  if (end == std::string_view::npos) end = names.size();
  while (begin < end && names[begin] == ' ') ++begin;
  while (end > begin && (names[end - 1] == ' ' || names[end - 1] == '_')) --end;
  return names.substr(begin, end - begin);
}

}  // namespace linnet
