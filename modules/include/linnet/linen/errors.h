// The exceptions of the functional module API: one class for each rule, named as in Flax, so that
// a program can tell them apart. All are ModuleErrors; their texts begin with the name of the class
// and name variable, path and shapes.
//
//   try {
//     linen::apply(model, variables, x);
//   } catch (const linen::ScopeParamShapeError& error) { ... }   // the file is of another model
#pragma once

#include "linnet/error.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

/// A variable was made from an argument of which `lazy_init` knows the type alone.
class LazyInitError : public ModuleError {
  using ModuleError::ModuleError;
};
/// A random stream is missing, or is not one key.
class InvalidRngError : public ModuleError {
  using ModuleError::ModuleError;
};
/// Variables that are no dictionary of dictionaries.
class ApplyScopeInvalidVariablesTypeError : public ModuleError {
  using ModuleError::ModuleError;
};
/// `{"params": {"params": ...}}`.
class ApplyScopeInvalidVariablesStructureError : public ModuleError {
  using ModuleError::ModuleError;
};
/// A parameter is missing in variables that have others.
class ScopeParamNotFoundError : public ModuleError {
  using ModuleError::ModuleError;
};
/// The whole collection of a parameter or variable is missing.
class ScopeCollectionNotFound : public ModuleError {
  using ModuleError::ModuleError;
};
/// A parameter has another shape than its layer makes.
class ScopeParamShapeError : public ModuleError {
  using ModuleError::ModuleError;
};
/// A variable is missing in a collection that has others.
class ScopeVariableNotFoundError : public ModuleError {
  using ModuleError::ModuleError;
};
/// A scope, or what was bound to one, is used after its call has ended.
class InvalidScopeError : public ModuleError {
  using ModuleError::ModuleError;
};
/// A collection that is not mutable is written.
class ModifyScopeVariableError : public ModuleError {
  using ModuleError::ModuleError;
};
/// Two parameters, variables of one collection or submodules have one name.
class NameInUseError : public ModuleError {
  using ModuleError::ModuleError;
};
/// A lifted module returns a scope or a handle of a variable.
class TransformedMethodReturnValueError : public ModuleError {
  using ModuleError::ModuleError;
};

}  // namespace linnet::linen

#pragma GCC visibility pop
