// Views: a model with other settings on the same variables.
//
//   Model serving = nnx::view(model, {{"deterministic", true}, {"use_running_average", true}});
//   Model decoder = nnx::view(model, {{"decode", true}, {"batch_size", 1}, {"max_length", 64}});
//   Model softer = nnx::with_attributes(model, {{"rate", 0.1}}, {.only =
//   nnx::of_module<nnx::Dropout>()});
//
// The model itself stays as it is; what is trained in one is trained in the other.
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "linnet/nnx/nodes.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

/// A value for a setting. Whole numbers are given to settings of any arithmetic type but bool.
using Attribute = std::variant<bool, int64_t, double, std::string>;

/// Named values, and which of them somebody has used. A module with a member
/// `void set_view(nnx::Attributes&)` takes what it knows.
class Attributes {
 public:
  Attributes(std::initializer_list<std::pair<std::string, Attribute>> list)
      : Attributes(std::vector<std::pair<std::string, Attribute>>(list)) {}
  explicit Attributes(std::vector<std::pair<std::string, Attribute>> list)
      : entries_(std::move(list)), used_(entries_.size()) {}

  /// The value of that name, which counts as used; none if it was not given.
  /// @throws ValueError if it is of another type.
  template <class T>
  std::optional<T> take(std::string_view name);
  /// Writes the value of that name to a setting. Settings of other types than an Attribute has are
  /// left alone.
  /// @throws ValueError if the setting is of another type.
  template <class T>
  void assign(std::string_view name, T& setting);
  /// @throws ValueError listing the names that nobody has used.
  void require_used(const char* operation) const;

 private:
  const Attribute* find(std::string_view name);
  [[noreturn]] static void fail_type(std::string_view name, const char* expected,
                                     const Attribute& got);
  std::vector<std::pair<std::string, Attribute>> entries_;
  std::vector<uint8_t> used_;
};

using ModuleFilter = std::function<bool(const tree::Path&, const ModuleRef&)>;
/// Modules of exactly the type T.
template <class T>
ModuleFilter of_module() {
  return [](const tree::Path&, const ModuleRef& module) { return module.as<T>() != nullptr; };
}

struct ViewOptions {
  ModuleFilter only = {};  ///< none: every module
  bool raise_if_not_found = true;
};

namespace detail {

template <class T>
inline constexpr bool is_setting = std::is_arithmetic_v<T> || std::is_same_v<T, std::string>;
template <class T>
inline constexpr bool is_setting<std::optional<T>> = is_setting<T>;

template <class M>
void assign_attributes(M& module, Attributes& attributes, bool flags_only) {
  size_t index = 0;
  const auto assign = [&](auto& field) {
    using Field = std::remove_cvref_t<decltype(field)>;
    const std::string_view name = field_name(M::linnet_field_names(), index++);
    if constexpr (is_setting<Field>) {
      if (!flags_only || std::is_same_v<Field, bool>) attributes.assign(name, field);
    }
  };
  module.linnet_fields().apply([&](auto&... field) { (assign(field), ...); });
}

template <class M, class F>
M changed_view(const M& model, const ViewOptions& options, const F& change) {
  M out = share(model);
  for_each_module(out, [&](const tree::Path& path, auto& module) {
    if (!options.only || options.only(path, ModuleRef(typeid(module), &module))) change(module);
  });
  return out;
}

}  // namespace detail

/// A copy of the model on the same variables, in whose modules the settings of these names have
/// these values (N-035).
/// @throws ValueError listing names found nowhere.
template <class M>
M with_attributes(const M& model, Attributes attributes, const ViewOptions& options = {}) {
  M out = detail::changed_view(
      model, options, [&](auto& module) { detail::assign_attributes(module, attributes, false); });
  if (options.raise_if_not_found) attributes.require_used("with_attributes");
  return out;
}

/// The same for modes: settings that are true or false, and what modules take in
/// `set_view(Attributes&)` (N-033). Variables that a module makes there are the view's own.
/// @throws ValueError listing names that no module uses.
template <class M>
M view(const M& model, Attributes attributes, const ViewOptions& options = {}) {
  M out = detail::changed_view(model, options, [&](auto& module) {
    detail::assign_attributes(module, attributes, true);
    if constexpr (requires { module.set_view(attributes); }) module.set_view(attributes);
  });
  if (options.raise_if_not_found) attributes.require_used("view");
  return out;
}

template <class T>
std::optional<T> Attributes::take(std::string_view name) {
  T value{};
  const Attribute* found = find(name);
  if (!found) return std::nullopt;
  assign(name, value);
  return value;
}

template <class T>
void Attributes::assign(std::string_view name, T& setting) {
  if constexpr (tree::detail::is_optional<T>) {
    auto value = take<typename T::value_type>(name);
    if (value) setting = std::move(value);
  } else {
    const Attribute* found = find(name);
    if (!found) return;
    if constexpr (std::is_same_v<T, bool>) {
      const bool* value = std::get_if<bool>(found);
      if (!value) fail_type(name, "a bool", *found);
      setting = *value;
    } else if constexpr (std::is_arithmetic_v<T>) {
      const int64_t* whole = std::get_if<int64_t>(found);
      const double* real = std::get_if<double>(found);
      if (whole)
        setting = static_cast<T>(*whole);
      else if (real && std::is_floating_point_v<T>)
        setting = static_cast<T>(*real);
      else
        fail_type(name, std::is_floating_point_v<T> ? "a number" : "a whole number", *found);
    } else {
      const std::string* value = std::get_if<std::string>(found);
      if (!value) fail_type(name, "a text", *found);
      setting = *value;
    }
  }
}

}  // namespace linnet::nnx

#pragma GCC visibility pop
