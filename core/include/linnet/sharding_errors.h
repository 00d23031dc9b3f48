// Errors about meshes, specs and shardings. An axis that is not there is an UnknownAxisError, as it
// is in collectives.
//
//   try { NamedSharding(mesh, P("rows")); } catch (const SpecError& e) { log(e.what()); }
#pragma once

#include "linnet/collectives.h"
#include "linnet/error.h"

#pragma GCC visibility push(default)

namespace linnet {

/// A mesh cannot be made or used like this: names, sizes, devices, kinds of axes.
class MeshError : public ValueError {
  using ValueError::ValueError;
};
/// A partition spec, or what stands for one, does not fit the mesh, the array or the rules.
class SpecError : public ValueError {
  using ValueError::ValueError;
};
/// A name stands for two dimensions of one array.
class DuplicateAxisError : public SpecError {
  using SpecError::SpecError;
};
/// A spec speaks of more dimensions than the array has.
class SpecRankError : public SpecError {
  using SpecError::SpecError;
};
/// The axes of a dimension do not divide its size.
class IndivisibleError : public ShapeError {
  using ShapeError::ShapeError;
};
/// One variable is reached in two ways that say different things of it.
class AliasingError : public ModuleError {
  using ModuleError::ModuleError;
};
/// A new axis needs a name, and none is given.
class PartitioningUnspecifiedError : public ModuleError {
  using ModuleError::ModuleError;
};

}  // namespace linnet

#pragma GCC visibility pop
