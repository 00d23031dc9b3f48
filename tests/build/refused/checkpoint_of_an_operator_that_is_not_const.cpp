// expect: the function's operator() is not const
#include <linnet/core.h>

struct Model {
  linnet::Tensor operator()(const linnet::Tensor& x) { return x; }
};
auto f() { return linnet::checkpoint(Model{})(linnet::Tensor(2.0)); }
