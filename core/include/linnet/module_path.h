// Where in the tree of modules the present operation is: `model/head`. Errors and graphs name it.
//
//   const ModulePathScope path("head");
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)

namespace linnet {

/// Where in the module tree we are, for error texts and graph nodes: `model/head`.
class ModulePathScope {
 public:
  explicit ModulePathScope(std::string_view name);
  ~ModulePathScope();
  ModulePathScope(const ModulePathScope&) = delete;
  ModulePathScope& operator=(const ModulePathScope&) = delete;

 private:
  size_t previous_size_;
};
const std::string& module_path();

}  // namespace linnet

#pragma GCC visibility pop
