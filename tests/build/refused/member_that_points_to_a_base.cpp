// expect: use std::variant of the layers
#include <linnet/linnet.h>

struct Layer {
  virtual ~Layer() = default;
  linnet::Tensor weight;
};
struct Chain {
  std::vector<std::unique_ptr<Layer>> layers;
  LINNET_FIELDS(layers)
};
auto structure(const Chain& chain) { return linnet::tree::structure(chain); }
