// One definition function per family of primitives; `define_all_primitives` calls them all.
#pragma once

namespace linnet {

void define_creation();
void define_placement();
void define_conversion();
void define_scalar_primitives();
void define_identities();
void define_shape_ops();
void define_indexing();
void define_reductions();
void define_nn();
void define_dot();
void define_convolution();
void define_windows();
void define_random();
void define_optim();
void define_collectives();
void define_control();
void define_complex();
void define_fft();
void define_callbacks();

}  // namespace linnet
