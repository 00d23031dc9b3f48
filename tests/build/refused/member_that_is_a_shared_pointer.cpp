// expect: use nnx::Shared<T>
#include <linnet/linnet.h>

struct Tied {
  std::shared_ptr<linnet::Tensor> weight;
  LINNET_FIELDS(weight)
};
auto structure(const Tied& tied) { return linnet::tree::structure(tied); }
