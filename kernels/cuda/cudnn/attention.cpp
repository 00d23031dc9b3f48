#include "kernels/cuda/cudnn/attention.h"

#include "kernels/cuda/cudnn/attention_extras.h"
#include "linnet/detail/format.h"
#include "linnet/deterministic.h"
#include "linnet/precision.h"

namespace linnet::cuda::cudnn {
namespace {

/// Places of operands behind q, k, v of the forward pass and q, k, v, y, log-sum-exp, dy of the
/// backward one.
constexpr size_t kForwardExtras = 3, kBackwardExtras = 6;

bool is_empty(const OperandView& view) { return element_count(view.shape) == 0; }

/// A bias is written as well in the gradient, for each query and key; else it may be the same for
/// queries, and a mask makes a whole one of it.
std::string decline_bias(const KernelRequest& request, const ScoresOperands& operands,
                         bool is_backward) {
  const OperandView& bias = request.inputs[operands.bias];
  const OperandView &q = request.inputs[0], &k = request.inputs[1];
  if (bias.dtype != q.dtype) return fmt::format("a bias of {}", name_of(bias.dtype));
  const bool has_mask = operands.mask != ScoresOperands::kNowhere;
  if (is_backward && (bias.shape[2] != q.shape[1] || bias.shape[3] != k.shape[1]))
    return "the gradient of a bias that is the same for several queries or keys";
  if (!has_mask && bias.shape[3] != k.shape[1]) return "a bias that is the same for several keys";
  return {};
}

/// What both directions decline.
std::string decline_common(const AttentionParams& p, const KernelRequest& request,
                           const ScoresOperands& operands, bool is_backward) {
  for (const OperandView& view : request.inputs) {
    if (is_empty(view)) return "an empty operand";
  }
  if (is_empty(request.outputs[0])) return "an empty result";
  if (request.inputs[0].dtype == DType::kF64) return "dtype f64";
  const std::string reason =
      p.has_bias ? decline_bias(request, operands, is_backward) : std::string();
  return reason.empty() ? decline_dropout(p, request, operands) : reason;
}

/// Tensors of a graph from operands, in cuDNN's order of dimensions.
class AttentionGraph {
 public:
  explicit AttentionGraph(const KernelRequest& request) : request_(request) {
    graph_.may_round_operands = matmul_precision() != Precision::kHighest;
    graph_.may_be_unordered = !is_deterministic();
  }

  Graph& graph() { return graph_; }
  Id number(double value) { return graph_.number(static_cast<float>(value)); }

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

constexpr size_t kNowhere = ScoresOperands::kNowhere;

/// Places of operands of the scores for the graph, some of which are made.
struct GraphOperands {
  size_t bias = kNowhere, factors = kNowhere;
  GraphOperands(MadeOperands& made, const KernelRequest& request, const AttentionParams& p,
                const ScoresOperands& operands)
      : bias(p.has_mask ? add_masked_bias(made, request, operands) : operands.bias) {
    if (p.dropout_rate > 0) factors = add_dropout_factors(made, request, p, operands);
  }
};

/// Operands and parameters that both directions have.
Attention common_parts(AttentionGraph& build, const AttentionParams& p,
                       const GraphOperands& operands) {
  Attention a;
  a.scale = static_cast<float>(p.scale);
  a.causal = p.causal;
  a.q = build.heads(false, 0);
  a.k = build.heads(false, 1);
  a.v = build.heads(false, 2);
  if (operands.bias != kNowhere) a.bias = build.scores(false, operands.bias);
  if (operands.factors == kNowhere) return a;
  const double share = p.dropout_rate < 1 ? 1 - p.dropout_rate : 1;
  a.factors = build.scores(false, operands.factors);
  a.factors_scale = build.number(1 / share);
  a.factors_scale_inverse = build.number(share);
  return a;
}

}  // namespace

std::string decline_attention(const KernelRequest& request) {
  const auto& p = request.params.as<AttentionParams>();
  std::string reason = decline_common(p, request, ScoresOperands(p, kForwardExtras), false);
  if (reason.empty() && request.inputs[0].dtype == DType::kF32 &&
      matmul_precision() == Precision::kHighest)
    return "f32 at the highest precision: cuDNN rounds the operands";
  return reason;
}

std::string decline_attention_backward(const KernelRequest& request) {
  const auto& p = request.params.as<AttentionBackwardParams>();
  if (p.has_dlse) return "a gradient of the log-sum-exp";
  if (request.inputs[0].dtype == DType::kF32) return "dtype f32";
  return decline_common(p.attention, request, ScoresOperands(p.attention, kBackwardExtras), true);
}

std::unique_ptr<Kernel> prepare_attention(const KernelRequest& request, std::string& reason) {
  const auto& p = request.params.as<AttentionParams>();
  MadeOperands made(request);
  const GraphOperands operands(made, request, p, ScoresOperands(p, kForwardExtras));
  const KernelRequest whole = made.request();
  AttentionGraph build(whole);
  Attention a = common_parts(build, p, operands);
  a.y = build.heads(true, 0);
  a.log_sum_exp = build.rows(true, 1);
  build.graph().nodes.push_back(a);
  Emit after;
  if (p.has_mask) after = empty_rows(whole, p, operands.factors);
  return std::move(made).kernel(std::move(build).kernel(reason), std::move(after));
}

std::unique_ptr<Kernel> prepare_attention_backward(const KernelRequest& request,
                                                   std::string& reason) {
  const AttentionParams& p = request.params.as<AttentionBackwardParams>().attention;
  const ScoresOperands places(p, kBackwardExtras);
  MadeOperands made(request);
  const GraphOperands operands(made, request, p, places);
  const size_t log_sum_exp = p.has_mask ? add_visible_rows(made, request) : 4;
  const KernelRequest whole = made.request();
  AttentionGraph build(whole);
  AttentionBackward b;
  b.deterministic = is_deterministic();
  Attention& a = b.forward;
  a = common_parts(build, p, operands);
  a.y = build.heads(false, 3);
  a.log_sum_exp = build.rows(false, log_sum_exp);
  b.dy = build.heads(false, 5);
  if (p.has_bias) b.dbias = build.scores(true, 3);
  b.dq = build.heads(true, 0);
  b.dk = build.heads(true, 1);
  b.dv = build.heads(true, 2);
  build.graph().nodes.push_back(b);
  Emit after;
  if (p.has_mask) after = empty_rows_backward(whole, p, operands.factors);
  return std::move(made).kernel(std::move(build).kernel(reason), std::move(after));
}

}  // namespace linnet::cuda::cudnn
