// Transformations of functional modules: as of functions, with their variables and random streams
// lifted into the transformation.
//
//   linen::vmap, map_variables, swap_collection, add_metadata_axis      transforms_map.h
//   linen::remat, grad, value_and_grad, vjp, jvp, custom_vjp            transforms_gradient.h
//   linen::scan, remat_scan, while_loop, cond, switch_case              transforms_loop.h
//   linen::jit, fold_rngs                                               transforms_jit.h
//
// What wraps a module gives a module: `s("layers", linen::scan(Layer{}, {...}), x)` has its
// variables under `layers`, `s(linen::vmap(linen::Dense{8}), x)` under `VmapDense_0`. Called on a
// scope itself, `linen::scan(body, {...})(s, carry, xs)`, a body goes on with the names and
// variables of that scope; that is the form for one of several methods of a module. Scopes and
// variables among the arguments, or in the fields of a module that lists them, are lifted too.
#pragma once

#include "linnet/linen/transforms_gradient.h"
#include "linnet/linen/transforms_jit.h"
#include "linnet/linen/transforms_loop.h"
#include "linnet/linen/transforms_map.h"
