// expect: operator() of a functional module must be const
#include <linnet/linen.h>

struct Model {
  linnet::Tensor operator()(linnet::linen::Scope&, const linnet::Tensor& x) { return x; }
};
auto f() { return linnet::linen::init(Model{}, linnet::Key(0), linnet::ones({2})); }
