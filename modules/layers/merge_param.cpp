#include "linnet/layers/merge_param.h"

#include "linnet/detail/format.h"

namespace linnet::layers::detail {

void fail_not_given_once(std::string_view layer, std::string_view name, bool both) {
  fail<ValueError>("{}: '{}' must be given once, to the layer or to the call; it was given {}",
                   layer, name, both ? "to both" : "to neither");
}

}  // namespace linnet::layers::detail
