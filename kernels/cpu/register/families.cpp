#include "kernels/cpu/register/families.h"

namespace linnet {

void register_cpu_kernels(KernelTable& table) {
  register_elementwise(table);
  register_fused_elementwise(table);
  register_shape(table);
  register_indexing(table);
  register_reduce(table);
  register_nn(table);
  register_dot(table);
  register_attention(table);
  register_conv(table);
  register_window(table);
  register_random(table);
  register_optim(table);
  register_complex(table);
}

}  // namespace linnet
