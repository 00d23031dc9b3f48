// What is wrong with a spec on a mesh.
#include <algorithm>

#include "core/sharding/names.h"
#include "linnet/detail/format.h"
#include "linnet/sharding.h"

namespace linnet {
namespace {

void check_known(const PartitionSpec& spec, const Mesh& mesh, const std::string& axis,
                 const char* what) {
  if (mesh.has_axis(axis)) return;
  fail<UnknownAxisError>("{}: the {} {} is not an axis of {}{}", to_string(spec), what,
                         quoted(axis), to_string(mesh), nearest_hint(axis, mesh.axis_names()));
}

void check_once(const PartitionSpec& spec) {
  std::vector<std::pair<std::string, size_t>> seen;
  for (size_t d = 0; d < spec.size(); ++d) {
    for (const std::string& axis : spec[d].axes()) {
      const auto found = std::find_if(seen.begin(), seen.end(),
                                      [&](const auto& entry) { return entry.first == axis; });
      if (found != seen.end()) {
        fail<DuplicateAxisError>("{}: axis {} divides dimension {} and again dimension {}",
                                 to_string(spec), quoted(axis), found->second, d);
      }
      seen.emplace_back(axis, d);
    }
  }
}

AxisType type_of_axis(const Mesh& mesh, const std::string& axis) {
  return mesh.axis_types()[mesh.axis_index(axis)];
}

void check_types(const PartitionSpec& spec, const Mesh& mesh) {
  for (const SpecEntry& entry : spec) {
    for (const std::string& axis : entry.axes()) {
      const std::string& first = entry.axes().front();
      if (type_of_axis(mesh, axis) == type_of_axis(mesh, first)) continue;
      fail<SpecError>("{}: the axes of one dimension are of one type, but {} is {} and {} is {}",
                      to_string(spec), quoted(first), to_string(type_of_axis(mesh, first)),
                      quoted(axis), to_string(type_of_axis(mesh, axis)));
    }
  }
  const auto check_pending = [&](const std::vector<std::string>& axes, const char* what) {
    for (const std::string& axis : axes) {
      check_known(spec, mesh, axis, what);
      if (type_of_axis(mesh, axis) == AxisType::kExplicit) continue;
      fail<SpecError>("{}: the {} {} must be Explicit in {}", to_string(spec), what, quoted(axis),
                      to_string(mesh));
    }
  };
  check_pending(spec.pending().unreduced, "unreduced axis");
  check_pending(spec.pending().reduced, "reduced axis");
}

}  // namespace

void check_spec(const PartitionSpec& spec, const Mesh& mesh) {
  for (const SpecEntry& entry : spec) {
    for (const std::string& axis : entry.axes()) check_known(spec, mesh, axis, "name");
  }
  check_once(spec);
  if (spec.has_unconstrained() && mesh.auto_axes().empty()) {
    fail<SpecError>("{}: UNCONSTRAINED needs an Auto axis, got {}", to_string(spec),
                    to_string(mesh));
  }
  check_types(spec, mesh);
}

}  // namespace linnet
