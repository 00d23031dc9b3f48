// expect: this functional module cannot be called with these arguments
#include <linnet/linen.h>

auto f() { return linnet::linen::init(linnet::linen::Dense{.features = 3}, linnet::Key(0)); }
