// expect: candidate
// expect: RngsRef rngs
#include <linnet/nnx.h>

linnet::nnx::Linear layer(2, 3);
