// expect: make it a linnet::Function
#include <linnet/linnet.h>

struct Block {
  std::function<linnet::Tensor(const linnet::Tensor&)> activation;
  LINNET_FIELDS(activation)
};
auto structure(const Block& block) { return linnet::tree::structure(block); }
