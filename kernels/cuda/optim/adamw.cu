// m' = (1 - b1) g + b1 m; v' = (1 - b2) g^2 + b2 v;
// p' = p - rate ((m' / c1) / (sqrt(v' / c2 + epsilon_root) + epsilon) + weight_decay p).
// Loshchilov and Hutter, "Decoupled weight decay regularization", 2019. Results may lie where the
// operands of the same role are.
#include "kernels/cuda/device/scalar.h"
#include "kernels/cuda/optim/tensor_list.cuh"

namespace linnet::cuda {

struct AdamWStep {
  AdamWSettings s;
  float rate, c1, c2;

  LINNET_DEVICE void operator()(float g, float& p, float& m, float& v) const {
    m = s.b1_complement * g + s.b1 * m;
    v = s.b2_complement * (g * g) + s.b2 * v;
    const float root = scalar::sqrt(v / c2 + s.epsilon_root);
    const float step = (m / c1) / (root + s.epsilon);
    p -= rate * (step + s.weight_decay * p);
  }
};

template <int width, class Args>
LINNET_DEVICE void adamw(const Args& args) {
  const ListPart part(args.table);
  const AdamWTensor& tensor = args.tensors[part.tensor];
  const AdamWStep step{args.settings, *args.rate.get(), *args.first_correction.get(),
                       *args.second_correction.get()};
  const float *p = tensor.parameter.get(), *g = tensor.gradient.get();
  const float *m = tensor.first_moment.get(), *v = tensor.second_moment.get();
  float* const new_p = tensor.new_parameter.get();
  float* const new_m = tensor.new_first_moment.get();
  float* const new_v = tensor.new_second_moment.get();
  for (int64_t at = part.begin + thread() * width; at < part.end; at += kListThreads * width) {
    if (at + width <= part.end) {
      const Pack<float, width> gradient = load_pack<width>(g + at);
      Pack<float, width> parameter = load_pack<width>(p + at), first = load_pack<width>(m + at),
                         second = load_pack<width>(v + at);
      LINNET_UNROLL
      for (int j = 0; j < width; ++j) step(gradient[j], parameter[j], first[j], second[j]);
      store_pack<width>(new_p + at, parameter);
      store_pack<width>(new_m + at, first);
      store_pack<width>(new_v + at, second);
    } else {
      for (int64_t i = at; i < part.end; ++i) {
        float parameter = p[i], first = m[i], second = v[i];
        step(g[i], parameter, first, second);
        new_p[i] = parameter;
        new_m[i] = first;
        new_v[i] = second;
      }
    }
  }
}

#define X(name, most, width) \
  LINNET_KERNEL(name, AdamWArgs<most>, kListThreads) { adamw<width>(args); }
LINNET_ADAMW_KERNELS(X)
#undef X

}  // namespace linnet::cuda
