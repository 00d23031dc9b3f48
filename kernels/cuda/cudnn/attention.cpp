#include "kernels/cuda/cudnn/attention.h"

#include <algorithm>

#include "linnet/detail/format.h"
#include "linnet/deterministic.h"
#include "linnet/precision.h"

namespace linnet::cuda::cudnn {
namespace {

/// Places of operands behind q, k, v of the forward pass and q, k, v, y, log-sum-exp, dy of the
/// backward one.
constexpr size_t kForwardExtras = 3, kBackwardExtras = 6;

bool is_empty(const OperandView& view) { return element_count(view.shape) == 0; }

/// What both directions decline.
std::string decline_common(const AttentionParams& p, const KernelRequest& request, size_t extras) {
  const DType dtype = request.inputs[0].dtype;
  for (const OperandView& view : request.inputs) {
    if (is_empty(view)) return "an empty operand";
  }
  if (is_empty(request.outputs[0])) return "an empty result";
  if (dtype == DType::kF64) return "dtype f64";
  if (p.has_mask) return "a boolean mask: a query that may look nowhere would get no finite result";
  if (p.dropout_rate > 0) return "dropout: which weights survive is decided by the key";
  if (p.has_bias) {
    const OperandView& bias = request.inputs[extras];
    const OperandView &q = request.inputs[0], &k = request.inputs[1];
    if (bias.dtype != dtype) return fmt::format("a bias of {}", name_of(bias.dtype));
    if (bias.shape[2] != q.shape[1] || bias.shape[3] != k.shape[1])
      return "a bias that is the same for several queries or keys";
  }
  return {};
}

/// Tensors of a graph from operands, in cuDNN's order of dimensions.
class AttentionGraph {
 public:
  explicit AttentionGraph(const KernelRequest& request) : request_(request) {
    graph_.may_round_operands = matmul_precision() != Precision::kHighest;
    graph_.may_be_unordered = !is_deterministic();
  }

  Graph& graph() { return graph_; }

  /// [batch, length, heads, size] as [batch, heads, length, size].
  Id heads(bool is_output, size_t operand) {
    const OperandView& x = view(is_output, operand);
    const int64_t length = x.shape[1], count = x.shape[2], size = x.shape[3];
    return add(is_output, operand, {x.shape[0], count, length, size},
               {length * count * size, size, count * size, 1});
  }
  /// [batch, heads, length], one number for each row of scores.
  Id rows(bool is_output, size_t operand) {
    const OperandView& x = view(is_output, operand);
    const int64_t count = x.shape[1], length = x.shape[2];
    return add(is_output, operand, {x.shape[0], count, length, 1}, {count * length, length, 1, 1});
  }
  /// [batch or 1, heads or 1, q_len, kv_len].
  Id scores(bool is_output, size_t operand) {
    const OperandView& x = view(is_output, operand);
    const int64_t matrix = x.shape[2] * x.shape[3];
    return add(is_output, operand, {x.shape[0], x.shape[1], x.shape[2], x.shape[3]},
               {x.shape[1] * matrix, matrix, x.shape[3], 1});
  }

  std::unique_ptr<Kernel> kernel(std::string& reason) && {
    return make_graph_kernel(graph_, std::move(bindings_), reason);
  }

 private:
  const OperandView& view(bool is_output, size_t operand) const {
    return (is_output ? request_.outputs : request_.inputs)[operand];
  }
  Id add(bool is_output, size_t operand, Sizes shape, Sizes strides) {
    const Id id = graph_.tensor(type_of(view(is_output, operand).dtype), std::move(shape),
                                std::move(strides));
    bindings_.emplace_back(id, request_, is_output, operand);
    return id;
  }

  const KernelRequest& request_;
  Graph graph_;
  std::vector<Binding> bindings_;
};

Attention with_params(const AttentionParams& p) {
  Attention a;
  a.scale = static_cast<float>(p.scale);
  a.causal = p.causal;
  return a;
}

}  // namespace

std::string decline_attention(const KernelRequest& request) {
  const auto& p = request.params.as<AttentionParams>();
  std::string reason = decline_common(p, request, kForwardExtras);
  if (reason.empty() && request.inputs[0].dtype == DType::kF32 &&
      matmul_precision() == Precision::kHighest)
    return "f32 at the highest precision: cuDNN rounds the operands";
  return reason;
}

std::string decline_attention_backward(const KernelRequest& request) {
  const auto& p = request.params.as<AttentionBackwardParams>();
  if (p.has_dlse) return "a gradient of the log-sum-exp";
  if (request.inputs[0].dtype == DType::kF32) return "dtype f32";
  return decline_common(p.attention, request, kBackwardExtras);
}

std::unique_ptr<Kernel> prepare_attention(const KernelRequest& request, std::string& reason) {
  const auto& p = request.params.as<AttentionParams>();
  AttentionGraph build(request);
  Attention a = with_params(p);
  a.q = build.heads(false, 0);
  a.k = build.heads(false, 1);
  a.v = build.heads(false, 2);
  if (p.has_bias) a.bias = build.scores(false, kForwardExtras);
  a.y = build.heads(true, 0);
  a.log_sum_exp = build.rows(true, 1);
  build.graph().nodes.push_back(a);
  return std::move(build).kernel(reason);
}

std::unique_ptr<Kernel> prepare_attention_backward(const KernelRequest& request,
                                                   std::string& reason) {
  const AttentionParams& p = request.params.as<AttentionBackwardParams>().attention;
  AttentionGraph build(request);
  AttentionBackward b;
  b.deterministic = is_deterministic();
  Attention& a = b.forward;
  a = with_params(p);
  a.q = build.heads(false, 0);
  a.k = build.heads(false, 1);
  a.v = build.heads(false, 2);
  a.y = build.heads(false, 3);
  a.log_sum_exp = build.rows(false, 4);
  b.dy = build.heads(false, 5);
  if (p.has_bias) {
    a.bias = build.scores(false, kBackwardExtras);
    b.dbias = build.scores(true, 3);
  }
  b.dq = build.heads(true, 0);
  b.dk = build.heads(true, 1);
  b.dv = build.heads(true, 2);
  build.graph().nodes.push_back(b);
  return std::move(build).kernel(reason);
}

}  // namespace linnet::cuda::cudnn
