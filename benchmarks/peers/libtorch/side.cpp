#include "benchmarks/peers/libtorch/side.h"

namespace peers {

void add_cases(Cases& cases) {
  add_models(cases);
  add_kernels(cases);
}

void use_threads(int count) { at::set_num_threads(count); }

}  // namespace peers
