// Looking at values while programs run: printing and watching from inside of compiled functions,
// and finding the operation that gives the first NaN.
//
//   #include "linnet/debug.h"
//   auto step = jit([](const Tensor& x) {
//     debug::print("x = {}, of mean {:.3f}", x, mean(x));
//     return x * 2;
//   });
//   const debug::NanChecks checks;          // or LINNET_DEBUG_NANS=1 in the environment
//   step(x);                                // throws NanError where a NaN comes up
//
// Prints and callbacks happen once per call of the program, in the order in which they are written,
// wherever their values go. In loops they happen in every turn, in branches where they are taken.
// Derivatives leave them as they are: they see values, not tangents, and happen on the way forward
// (not again where `checkpoint` computes again). `vmap` calls them for one element after the other;
// where elements of a batch take different branches, for each element in all of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/callback.h"
#include "linnet/error.h"
#include "linnet/module_path.h"

#pragma GCC visibility push(default)

namespace linnet {

/// An operation gave the first NaN, while `debug::NanChecks` were on.
class NanError : public Error {
  using Error::Error;
};

namespace detail {

/// What `debug::print` may be given: a tensor, a number, which counts as one, or a text.
struct PrintArgument {
  PrintArgument(Tensor value) : tensor(std::move(value)) {}  // NOLINT(runtime/explicit)
  PrintArgument(std::string value) : text(std::move(value)), is_text(true) {}
  PrintArgument(std::string_view value) : text(value), is_text(true) {}
  PrintArgument(const char* value) : text(value), is_text(true) {}
  template <class T>
    requires std::is_arithmetic_v<T>
  PrintArgument(T value) : tensor(value) {}
  Tensor tensor = {};
  std::string text = {};
  bool is_text = false;
};
void print_when_run(std::string_view format, const std::vector<PrintArgument>& arguments);

}  // namespace detail

namespace debug {

/// Prints a line, `format` with the arguments in the places of its `{}`, when the program runs.
/// A zero-dimensional tensor is a number and takes the specifications of numbers (`{:.3f}`); other
/// tensors are written whole (`{}`), texts as they are.
/// @throws ValueError, when it is called, if the format does not fit the arguments.
template <class... A>
void print(std::string_view format, const A&... arguments) {
  detail::print_when_run(format, {detail::PrintArgument(arguments)...});
}

/// Replaces where lines go (standard output by default); an empty function restores the default.
void set_print_sink(std::function<void(std::string_view line)> sink);

/// Calls `f(arguments...)` with concrete values on the host when the program runs.
/// @param f gives nothing; must be copyable.
/// @param arguments tensors, numbers (which come as tensors), and trees of them.
template <class F, class... A>
void callback(F f, const A&... arguments) {
  static_assert(
      std::is_void_v<std::invoke_result_t<const F&, const detail::CallbackArgument<A>&...>>,
      "a debug callback returns nothing; pure_callback and io_callback give results");
  detail::callback("debug::callback", detail::CallbackKind::kDebug, std::move(f), {},
                   VmapMethod::kNone,
                   detail::as_tensors<detail::CallbackArgument<A>>(arguments)...);
}

/// While one lives, this thread checks every result for NaN, and `NanError` names the operation,
/// its types and the module path of the first that has one. Compiled programs are then run
/// operation by operation, as they were recorded: slower, and with nothing fused.
/// `LINNET_DEBUG_NANS=1` does so on all threads; checks that are off within a scope stay off.
class NanChecks {
 public:
  explicit NanChecks(bool on = true);
  ~NanChecks();
  NanChecks(const NanChecks&) = delete;
  NanChecks& operator=(const NanChecks&) = delete;

 private:
  int8_t previous_;
};
/// Whether this thread checks now.
bool nan_checks();

/// Names a line of the source in module paths, and so in errors, traces, costs and reports of
/// memory, for a scope: `model/train.cpp:42`.
///
///   const debug::Here here;
class Here : public ModulePathScope {
 public:
  // Clang 14 has no std::source_location.
  explicit Here(const char* file = __builtin_FILE(), int line = __builtin_LINE());
};

}  // namespace debug
}  // namespace linnet

#pragma GCC visibility pop
