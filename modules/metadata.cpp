#include "linnet/metadata.h"

#include <algorithm>

#include "linnet/detail/format.h"
#include "linnet/detail/log.h"
#include "linnet/mesh.h"

namespace linnet {
namespace {

std::string_view canonical(std::string_view name) {
  if (name != "sharding" && name != "sharding_names") return name;
  [[maybe_unused]] static const bool told = [] {
    log_warning("metadata: 'sharding' and 'sharding_names' are old names of 'out_sharding'");
    return true;
  }();
  return "out_sharding";
}

/// A name as it is.
std::string text_of(const SpecEntry& entry) {
  if (entry.none()) return "none";
  return entry.axes().size() == 1 ? entry.axes()[0] : to_string(entry);
}

std::string text_of(const MetadataValue& value) {
  struct Text {
    std::string operator()(std::monostate) const { return "none"; }
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(int64_t v) const { return std::to_string(v); }
    std::string operator()(double v) const { return fmt::format("{}", v); }
    std::string operator()(const std::string& v) const { return "'" + v + "'"; }
    std::string operator()(const AxisNames& v) const {
      std::string out = "(";
      for (size_t i = 0; i < v.names.size(); ++i) out += (i ? ", " : "") + text_of(v.names[i]);
      return out + ")";
    }
    std::string operator()(const AxisRules& v) const {
      std::string out = "[";
      for (const auto& [from, to] : v.rules) out += from + "->" + text_of(to) + ";";
      return out + "]";
    }
    std::string operator()(const MeshAxes& v) const {
      std::string out = "mesh(";
      for (const auto& [name, size] : v.axes) out += fmt::format("{}={};", name, size);
      if (v.mesh && !v.mesh->is_abstract()) {
        for (Device device : v.mesh->devices()) out += to_string(device) + ",";
      }
      if (v.mesh) out += to_string(*v.mesh);
      return out + ")";
    }
    std::string operator()(const std::vector<ValueHook>& v) const {
      std::string out = "hooks[";
      for (const ValueHook& hook : v)
        out += fmt::format("{};", static_cast<const void*>(hook.id.get()));
      return out + "]";
    }
    std::string operator()(const std::vector<AxisHook>& v) const {
      std::string out = "hooks[";
      for (const AxisHook& hook : v)
        out += fmt::format("{};", static_cast<const void*>(hook.id.get()));
      return out + "]";
    }
  };
  return std::visit(Text{}, value);
}

/// The name of a new axis, or none.
SpecEntry axis_name(const Metadata& parameters, std::string_view key) {
  if (const AxisNames* several = parameters.get<AxisNames>(key); several && several->names.size())
    return several->names.front();
  const std::string* name = parameters.get<std::string>(key);
  return name ? SpecEntry(*name) : SpecEntry();
}

/// Entries that are per-axis tuples and have a value for the new axis.
template <class F>
void for_each_axis_entry(Metadata& out, const Metadata& parameters, F&& f) {
  const std::map<std::string, MetadataValue, std::less<>> entries = out.entries();
  for (const auto& [name, value] : entries) {
    const AxisNames* names = std::get_if<AxisNames>(&value);
    if (!names) continue;
    const bool sharding = name == "out_sharding";
    if (sharding && !parameters.has(kPartitionName)) {
      fail<PartitioningUnspecifiedError>(
          "PartitioningUnspecifiedError: the value has sharding {} but no '{}' is given for the "
          "new axis, only {}\n"
          "  hint: add {{\"{}\", \"layers\"}}, or a name of your own, to the metadata of the "
          "transformation",
          text_of(value), kPartitionName, to_string(parameters), kPartitionName);
    }
    if (!sharding && !parameters.has(name)) continue;
    out.set(name, f(name, *names,
                    axis_name(parameters, sharding ? std::string_view(kPartitionName) : name)));
  }
}

void run_axis_hooks(Metadata& out, const char* name, int64_t position, const Metadata& parameters) {
  const auto* found = out.get<std::vector<AxisHook>>(name);
  if (!found) return;
  const std::vector<AxisHook> hooks = *found;
  const std::string* axis = parameters.get<std::string>(kPartitionName);
  for (const AxisHook& hook : hooks) {
    hook.function(out, position, axis ? std::optional<std::string>(*axis) : std::nullopt);
  }
}

/// The position counted from the front, of `count` possible ones.
int64_t checked_position(const char* operation, int64_t position, int64_t count) {
  const int64_t at = position < 0 ? position + count : position;
  if (at < 0 || at >= count) {
    fail<ValueError>("{}: expected a position from {} to {}, got {}", operation, -count, count - 1,
                     position);
  }
  return at;
}

/// Names with nothing at their end: a shorter tuple means the same as one padded with none.
void drop_trailing_none(std::vector<SpecEntry>& names) {
  while (!names.empty() && names.back().none()) names.pop_back();
}

}  // namespace

Metadata::Metadata(std::initializer_list<std::pair<std::string, MetadataValue>> entries) {
  for (const auto& [name, value] : entries) set(name, value);
}
bool Metadata::has(std::string_view name) const { return find(name) != nullptr; }
const MetadataValue* Metadata::find(std::string_view name) const {
  const auto found = entries_.find(canonical(name));
  return found == entries_.end() ? nullptr : &found->second;
}
void Metadata::set(std::string_view name, MetadataValue value) {
  entries_.insert_or_assign(std::string(canonical(name)), std::move(value));
}
void Metadata::erase(std::string_view name) {
  const auto found = entries_.find(canonical(name));
  if (found != entries_.end()) entries_.erase(found);
}

std::string to_string(const Metadata& metadata) {
  std::string out = "{";
  for (const auto& [name, value] : metadata.entries()) {
    out += (out.size() > 1 ? ", " : "") + name + "=" + text_of(value);
  }
  return out + "}";
}

bool AxisNames::operator==(const AxisNames& other) const {
  const size_t count = std::max(names.size(), other.names.size());
  for (size_t i = 0; i < count; ++i) {
    const auto at = [i](const AxisNames& axes) {
      return i < axes.names.size() ? axes.names[i] : SpecEntry();
    };
    if (at(*this) != at(other)) return false;
  }
  return true;
}

MeshAxes::MeshAxes(const Mesh& of) : axes(of.shape()), mesh(std::make_shared<const Mesh>(of)) {}

bool MeshAxes::operator==(const MeshAxes& other) const {
  if (axes != other.axes) return false;
  if (!mesh || !other.mesh) return mesh == other.mesh;
  return *mesh == *other.mesh;
}

size_t hash_of(const Metadata& metadata) {
  Metadata canonical = metadata;
  for (const auto& [name, value] : metadata.entries()) {
    const AxisNames* axes = std::get_if<AxisNames>(&value);
    if (!axes) continue;
    AxisNames shortest = *axes;
    drop_trailing_none(shortest.names);
    canonical.set(name, std::move(shortest));
  }
  return std::hash<std::string>{}(to_string(canonical));
}

size_t axis_count(const Metadata& metadata, size_t rank) {
  rank = static_cast<size_t>(
      std::max<int64_t>(0, static_cast<int64_t>(rank) + metadata.axes_beside_array()));
  for (const auto& [name, value] : metadata.entries()) {
    if (const AxisNames* axes = std::get_if<AxisNames>(&value))
      rank = std::max(rank, axes->names.size());
  }
  return rank;
}

Metadata add_axis(const Metadata& metadata, int64_t position, const Metadata& parameters,
                  size_t rank) {
  Metadata out = metadata;
  const int64_t after = static_cast<int64_t>(rank) + 1;
  const int64_t at = checked_position("add_axis", position, after);
  for_each_axis_entry(out, parameters,
                      [&](const std::string&, const AxisNames& names, const SpecEntry& axis) {
                        AxisNames result = names;
                        // A short tuple stands for one padded with none (B-137). The padding is
                        // written down, so that a negative position means the same axis on the way
                        // back.
                        if (static_cast<int64_t>(result.names.size()) < after - 1)
                          result.names.resize(static_cast<size_t>(after - 1));
                        result.names.insert(result.names.begin() + at, axis);
                        return result;
                      });
  out.set_axes_beside_array(metadata.axes_beside_array() + 1);
  run_axis_hooks(out, "on_add_axis", at, parameters);
  return out;
}

Metadata remove_axis(const Metadata& metadata, int64_t position, const Metadata& parameters,
                     size_t rank) {
  Metadata out = metadata;
  const int64_t at = checked_position("remove_axis", position, static_cast<int64_t>(rank));
  for_each_axis_entry(
      out, parameters, [&](const std::string& name, const AxisNames& names, const SpecEntry& axis) {
        AxisNames result = names;
        const bool present = at < static_cast<int64_t>(names.names.size());
        const SpecEntry found = present ? names.names[static_cast<size_t>(at)] : SpecEntry();
        if (found != axis) {
          fail<SpecError>(
              "remove_axis: expected axis name '{}' at position {} of {}={}, found '{}'",
              text_of(axis), at, name, text_of(MetadataValue(names)), text_of(found));
        }
        if (!present) return result;
        result.names.erase(result.names.begin() + at);
        drop_trailing_none(result.names);
        return result;
      });
  out.set_axes_beside_array(metadata.axes_beside_array() - 1);
  run_axis_hooks(out, "on_remove_axis", at, parameters);
  return out;
}

}  // namespace linnet
