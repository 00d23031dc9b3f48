#include "linnet/detail/optim.h"

#include "core/ops/families.h"
#include "core/ops/nn.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

void check_operands(const AdamWParams& p, Inputs x) {
  const size_t n = static_cast<size_t>(p.count);
  if (x.size() != 3 + 4 * n) {
    fail<ValueError>("adamw_update: expected {} operands for {} tensors, got {}", 3 + 4 * n, n,
                     x.size());
  }
  for (size_t i = 0; i < n; ++i) {
    const Tensor& parameter = x[3 + i];
    for (size_t list = 1; list < 4; ++list) {
      const Tensor& other = x[3 + list * n + i];
      if (other.shape() != parameter.shape()) {
        fail<ShapeError>("adamw_update: parameter {} is {}, its {} {}", i,
                         to_string(parameter.type()), list == 1 ? "gradient" : "moment",
                         to_string(other.type()));
      }
    }
  }
}

TypeList infer_adamw(const AdamWParams& p, Inputs x) {
  check_operands(p, x);
  TypeList types;
  const size_t n = static_cast<size_t>(p.count);
  for (size_t i = 0; i < n; ++i) types.push_back(x[3 + i].type());
  for (size_t i = 0; i < 2 * n; ++i) types.push_back(x[3 + 2 * n + i].type());
  for (TensorType& type : types) type.weak = false;
  return types;
}

TensorList decompose_adamw(const AdamWParams& p, Inputs x) {
  check_operands(p, x);
  const size_t n = static_cast<size_t>(p.count);
  TensorList parameters, first, second;
  for (size_t i = 0; i < n; ++i) {
    const Tensor value = widened(x[3 + i]), g = widened(x[3 + n + i]);
    const Tensor m = (1 - p.b1) * g + p.b1 * widened(x[3 + 2 * n + i]);
    const Tensor v = (1 - p.b2) * square(g) + p.b2 * widened(x[3 + 3 * n + i]);
    Tensor direction = (m / x[1]) / (sqrt(v / x[2] + p.epsilon_root) + p.epsilon);
    if (p.weight_decay != 0) direction = direction + p.weight_decay * value;
    parameters.push_back(astype(value - x[0] * direction, x[3 + i].dtype()));
    first.push_back(astype(m, x[3 + 2 * n + i].dtype()));
    second.push_back(astype(v, x[3 + 3 * n + i].dtype()));
  }
  TensorList out = parameters;
  out.insert(out.end(), first.begin(), first.end());
  out.insert(out.end(), second.begin(), second.end());
  return out;
}

}  // namespace

const Primitive& adamw_update_primitive() {
  static const Primitive& p = define(Composite<AdamWParams>{
      .name = "adamw_update", .decompose = decompose_adamw, .infer = infer_adamw});
  return p;
}

void define_optim() { adamw_update_primitive(); }

}  // namespace linnet
