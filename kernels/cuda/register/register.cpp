#include "kernels/cuda/register/register.h"

#include "core/trace/eval.h"
#include "kernels/cuda/register/families.h"

namespace linnet::cuda {

void register_kernels(KernelTable& table) {
  kernel_table(Device{});  // defines every primitive that has a kernel
  register_reduce(table);
  register_scan(table);
  register_sort(table);
  register_index(table);
  register_pool(table);
  register_matmul(table);
  register_elementwise(table);
  register_shape(table);
  register_clusters(table);
  register_softmax(table);
  register_loss(table);
  register_norm(table);
  register_random(table);
  register_optim(table);
  register_cudnn(table);
  register_host(table);
}

}  // namespace linnet::cuda
