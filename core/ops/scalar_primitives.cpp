#include "core/ops/scalar_primitives.h"

#include "core/ops/families.h"

namespace linnet {

void define_scalar_primitives() {
#define LINNET_DEFINE_PRIMITIVE(id, name, function, arity, params, kind, cost) \
  function##_primitive();
  LINNET_SCALAR_PRIMITIVES(LINNET_DEFINE_PRIMITIVE)
#undef LINNET_DEFINE_PRIMITIVE
}

}  // namespace linnet
