#include "core/ops/families.h"
#include "linnet/primitive.h"

namespace linnet {

void define_all_primitives() {
  static const bool defined = [] {
    define_creation();
    define_placement();
    define_conversion();
    define_scalar_primitives();
    define_identities();
    define_shape_ops();
    define_indexing();
    define_reductions();
    define_nn();
    define_dot();
    define_convolution();
    define_windows();
    define_random();
    define_optim();
    define_collectives();
    define_control();
    define_complex();
    define_fft();
    define_callbacks();
    return true;
  }();
  (void)defined;
}

}  // namespace linnet
