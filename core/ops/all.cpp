#include "core/ops/families.h"
#include "linnet/primitive.h"

namespace linnet {

void define_all_primitives() {
  static const bool defined = [] {
    define_creation();
    define_placement();
    define_conversion();
    define_arithmetic();
    define_logic();
    define_functions();
    define_activations();
    define_shape_ops();
    define_indexing();
    define_reductions();
    define_nn();
    define_dot();
    define_convolution();
    define_windows();
    define_random();
    define_optim();
    define_control();
    return true;
  }();
  (void)defined;
}

}  // namespace linnet
