// The one exception family of Linnet. Every message says which operation failed, what was expected,
// what came (`f32[32,784]`), where (module path, user's source line if known), and a hint.
//
//   try { matmul(a, b); } catch (const linnet::ShapeError& e) { log(e.what()); }
#pragma once

#include <stdexcept>
#include <string>

#pragma GCC visibility push(default)

namespace linnet {

/// Base of all exceptions thrown by Linnet.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Shapes, axes, ranks or sizes do not fit the operation.
class ShapeError : public Error {
  using Error::Error;
};
/// An element type is not accepted by the operation.
class DTypeError : public Error {
  using Error::Error;
};
/// A traced value was used where a concrete one is needed, or outside the transformation that made
/// it.
class TraceError : public Error {
  using Error::Error;
};
/// A value argument (a name, an option, an index) is not acceptable.
class ValueError : public Error {
  using Error::Error;
};
/// Two trees differ in structure, or a path does not exist.
class TreeError : public Error {
  using Error::Error;
};
/// A module, variable, collection or random stream rule was broken.
class ModuleError : public Error {
  using Error::Error;
};
/// Memory, device or kernel trouble.
class DeviceError : public Error {
  using Error::Error;
};
/// Reading or writing files failed, or their content is malformed.
class IoError : public Error {
  using Error::Error;
};

}  // namespace linnet

#pragma GCC visibility pop
