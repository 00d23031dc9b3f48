// expect: LINNET_FIELDS_AND_BASE(Base, members...)
#include <linnet/linnet.h>

struct Base {
  linnet::Tensor weight;
  LINNET_FIELDS(weight)
};
struct Derived : Base {
  linnet::Tensor bias;
};
auto structure(const Derived& derived) { return linnet::tree::structure(derived); }
