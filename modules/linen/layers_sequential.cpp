#include "linnet/linen/layers_sequential.h"

#include "linnet/detail/format.h"

namespace linnet::linen::detail {

void fail_empty_sequential() { fail<ValueError>("Sequential: there are no layers"); }

}  // namespace linnet::linen::detail
