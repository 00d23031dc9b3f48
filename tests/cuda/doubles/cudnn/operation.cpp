#include "cuda/doubles/cudnn/operation.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace linnet::fake_cudnn {
namespace {

/// A product of matrices over the last two dimensions. Lengths cut them for each element of the
/// batch: what lies behind is zero, or not summed.
class Lengths {
 public:
  Lengths(const Snapshot& operation, int name, int64_t whole, Values& values) : whole_(whole) {
    const Snapshot* const found = operation.find_child(name);
    if (found) lengths_ = values.read(TensorInfo(*found));
  }
  int64_t of(int64_t batch) const {
    if (lengths_.empty()) return whole_;
    const size_t i = lengths_.size() == 1 ? 0 : static_cast<size_t>(batch);
    return std::min(whole_, static_cast<int64_t>(lengths_.at(i)));
  }

 private:
  int64_t whole_;
  Elements lengths_;
};

double reduced(cudnnReduceTensorOp_t op, double a, double b) {
  switch (op) {
    case CUDNN_REDUCE_TENSOR_ADD:
      return a + b;
    case CUDNN_REDUCE_TENSOR_MUL:
      return a * b;
    case CUDNN_REDUCE_TENSOR_MIN:
      return std::isnan(a) || a < b ? a : b;
    case CUDNN_REDUCE_TENSOR_MAX:
      return std::isnan(a) || a > b ? a : b;
    case CUDNN_REDUCE_TENSOR_AMAX:
      return std::max(std::fabs(a), std::fabs(b));
    default:
      throw std::runtime_error("reduction " + std::to_string(op) + " is not evaluated");
  }
}

double start_of(cudnnReduceTensorOp_t op) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  switch (op) {
    case CUDNN_REDUCE_TENSOR_MUL:
      return 1;
    case CUDNN_REDUCE_TENSOR_MIN:
      return kInfinity;
    case CUDNN_REDUCE_TENSOR_MAX:
      return -kInfinity;
    default:
      return 0;
  }
}

void run_reduction(const Snapshot& operation, Values& values) {
  const TensorInfo x(operation.child(CUDNN_ATTR_OPERATION_REDUCTION_XDESC));
  const TensorInfo y(operation.child(CUDNN_ATTR_OPERATION_REDUCTION_YDESC));
  const auto op = operation.child(CUDNN_ATTR_OPERATION_REDUCTION_DESC)
                      .value<cudnnReduceTensorOp_t>(CUDNN_ATTR_REDUCTION_OPERATOR);
  const Elements& from = values.read(x);
  const std::vector<int64_t> to = places(x.shape, y);
  Elements out(static_cast<size_t>(y.count()), start_of(op));
  for (size_t i = 0; i < from.size(); ++i) {
    double& sum = out[static_cast<size_t>(to[i])];
    sum = reduced(op, sum, from[i]);
  }
  values.write(y, std::move(out));
}

/// The elements in the order in which they lie in memory keep their places.
void run_reshape(const Snapshot& operation, Values& values) {
  const TensorInfo x(operation.child(CUDNN_ATTR_OPERATION_RESHAPE_XDESC));
  const TensorInfo y(operation.child(CUDNN_ATTR_OPERATION_RESHAPE_YDESC));
  const Elements& from = values.read(x);
  std::vector<double> memory(static_cast<size_t>(std::max(x.span(), y.span())));
  for_each_element(x, [&](int64_t i, int64_t offset) {
    memory[static_cast<size_t>(offset)] = from[static_cast<size_t>(i)];
  });
  Elements out(static_cast<size_t>(y.count()));
  for_each_element(y, [&](int64_t i, int64_t offset) {
    out[static_cast<size_t>(i)] = memory[static_cast<size_t>(offset)];
  });
  values.write(y, std::move(out));
}

/// A generator of its own: what cuDNN draws is documented nowhere. Equal seeds draw equally.
void run_random(const Snapshot& operation, Values& values) {
  const TensorInfo y(operation.child(CUDNN_ATTR_OPERATION_RNG_YDESC));
  const double keep = operation.child(CUDNN_ATTR_OPERATION_RNG_DESC)
                          .value<double>(CUDNN_ATTR_RNG_BERNOULLI_DIST_PROBABILITY);
  uint64_t state = 0x9e3779b97f4a7c15;
  for (const int name : {CUDNN_ATTR_OPERATION_RNG_SEED, CUDNN_ATTR_OPERATION_RNG_OFFSET_DESC}) {
    if (const Snapshot* const found = operation.find_child(name))
      state = state * 31 + static_cast<uint64_t>(values.read(TensorInfo(*found)).at(0));
  }
  Elements out(static_cast<size_t>(y.count()));
  for (double& value : out) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    value = static_cast<double>(state >> 11) * 0x1p-53 < keep ? 1 : 0;
  }
  values.write(y, std::move(out));
}

}  // namespace

void run_product(const Snapshot& operation, Values& values) {
  const TensorInfo a(operation.child(CUDNN_ATTR_OPERATION_MATMUL_ADESC));
  const TensorInfo b(operation.child(CUDNN_ATTR_OPERATION_MATMUL_BDESC));
  const TensorInfo c(operation.child(CUDNN_ATTR_OPERATION_MATMUL_CDESC));
  Elements x = values.read(a), y = values.read(b);
  if (values.rounds_operands() && a.type == CUDNN_DATA_FLOAT) {
    round_operand(x);
    round_operand(y);
  }
  const size_t rank = c.shape.size();
  const int64_t m = c.shape[rank - 2], n = c.shape[rank - 1], k = a.shape[rank - 1];
  if (a.shape[rank - 2] != m || b.shape[rank - 2] != k || b.shape[rank - 1] != n)
    throw std::runtime_error("a product of matrices whose sizes differ");
  const Lengths rows(operation, CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC, m, values);
  const Lengths columns(operation, CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC, n, values);
  const Lengths inner(operation, CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC, k, values);
  // Matrices of the batch, of which operands may have fewer.
  const auto batches = [&](const TensorInfo& t) {
    TensorInfo out = t;
    out.shape.resize(rank - 2);
    return out;
  };
  const Sizes batch = batches(c).shape;
  const std::vector<int64_t> from_a = places(batch, batches(a)), from_b = places(batch, batches(b));
  const auto per_element = static_cast<int64_t>(from_a.size()) / (batch.empty() ? 1 : batch[0]);
  Elements out(static_cast<size_t>(c.count()), 0);
  for (size_t i = 0; i < from_a.size(); ++i) {
    const int64_t element = static_cast<int64_t>(i) / per_element;
    const double* const left = x.data() + from_a[i] * m * k;
    const double* const right = y.data() + from_b[i] * k * n;
    double* const to = out.data() + static_cast<int64_t>(i) * m * n;
    for (int64_t r = 0; r < rows.of(element); ++r) {
      for (int64_t s = 0; s < inner.of(element); ++s) {
        for (int64_t j = 0; j < columns.of(element); ++j)
          to[r * n + j] += left[r * k + s] * right[s * n + j];
      }
    }
  }
  values.write(c, std::move(out));
}

void run(const Snapshot& operation, Values& values) {
  switch (operation.type) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
      return run_convolution(operation, values);
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
      return run_pointwise(operation, values);
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
      return run_product(operation, values);
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
      return run_reduction(operation, values);
    case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
      return run_reshape(operation, values);
    case CUDNN_BACKEND_OPERATION_RNG_DESCRIPTOR:
      return run_random(operation, values);
    default:
      throw std::runtime_error("operation " + std::to_string(operation.type) + " is not evaluated");
  }
}

}  // namespace linnet::fake_cudnn
