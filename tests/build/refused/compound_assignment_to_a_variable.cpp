// expect: write v = v + y
#include <linnet/nnx.h>

void f(linnet::nnx::Param& w) { w += 1; }
