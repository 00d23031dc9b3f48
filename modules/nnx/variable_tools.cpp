#include "linnet/nnx/variable_tools.h"

#include "linnet/detail/format.h"

namespace linnet::nnx {

void copy_from(Variable& variable, const Variable& other) {
  if (&variable.type() != &other.type()) {
    fail<ValueError>("copy_from: expected a variable of the kind {}, got one of the kind {}",
                     variable.type().name(), other.type().name());
  }
  variable = other;
}

}  // namespace linnet::nnx
