// What looks through object models and changes them as a whole, beside linnet/nnx.h, which has what
// every model needs: walks over modules and nodes, views, captured values, pop, plain dictionaries,
// running means, tables.
//
//   #include <linnet/nnx_tools.h>
//   auto [y, kept] = nnx::capture<nnx::Intermediate>(model, [&](Model& m) { return m(x); });
//   Model serving = nnx::view(model, {{"deterministic", true}});
//   std::cout << nnx::tabulate(model, x);
#pragma once

#include "linnet/nnx/capture.h"
#include "linnet/nnx/ema.h"
#include "linnet/nnx/graph_tools.h"
#include "linnet/nnx/nodes.h"
#include "linnet/nnx/state_dict.h"
#include "linnet/nnx/tabulate.h"
#include "linnet/nnx/variable_tools.h"
#include "linnet/nnx/views.h"
