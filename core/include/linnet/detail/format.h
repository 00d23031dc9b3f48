// Short names for building messages; only for .cpp files of Linnet, since it needs fmt.
#pragma once

#include <fmt/format.h>

#include <string>

#include "linnet/error.h"
#include "linnet/tensor.h"
#include "linnet/trace.h"

#pragma GCC visibility push(default)

namespace linnet {

/// `\n  in model/head` if a module is running, else empty.
inline std::string where() {
  return module_path().empty() ? std::string() : "\n  in " + module_path();
}

inline std::string type_of(const Tensor& t) {
  return t.defined() ? to_string(t.type()) : "undefined";
}

template <class E, class... A>
[[noreturn]] void fail(fmt::format_string<A...> text, A&&... args) {
  throw E(fmt::format(text, std::forward<A>(args)...) + where());
}

}  // namespace linnet

#pragma GCC visibility pop
