#include "benchmarks/peers/linnet/side.h"

#include "benchmarks/support/threads.h"

namespace peers {

void add_cases(Cases& cases) {
  add_small(cases);
  add_mlp(cases);
  add_cnn(cases);
  add_gpt(cases);
  add_recurrent(cases);
  add_kernels(cases);
}

void use_threads(int count) { linnet::bench::set_threads(count); }

}  // namespace peers
