#include "linnet/variable_type.h"

#include <cxxabi.h>

#include <cstdlib>

namespace linnet {

std::string short_type_name(const std::type_info& type) {
  int status = 0;
  char* readable = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
  std::string name = status == 0 ? readable : type.name();
  std::free(readable);
  const size_t arguments = name.find('<');
  if (arguments != std::string::npos) name.resize(arguments);
  const size_t scope = name.rfind("::");
  return scope == std::string::npos ? name : name.substr(scope + 2);
}

}  // namespace linnet
