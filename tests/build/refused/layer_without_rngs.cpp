// expect: candidate
// expect: Rngs&
#include <linnet/nnx.h>

linnet::nnx::Linear layer(2, 3);
