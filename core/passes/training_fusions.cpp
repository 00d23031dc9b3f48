// What only a step of training has: an activation whose operand is kept for the way back, its
// derivative behind a product, the gradient of a bias beside that of a kernel, an activation behind
// a batch norm, the gradient of one behind that of a convolution, the moments of a batch norm
// beside the convolution that it normalises, a loss beside its gradient. Each becomes one node
// where a kernel takes it.
#include <algorithm>
#include <utility>

#include "core/graph/rewrite.h"
#include "core/ops/activation.h"
#include "core/ops/arithmetic.h"
#include "core/ops/batch_norm_training.h"
#include "core/ops/conv_training.h"
#include "core/ops/dot_training.h"
#include "core/ops/fused.h"
#include "core/ops/reduce.h"
#include "core/ops/shape_ops.h"
#include "core/passes/passes.h"

namespace linnet {
namespace {

class TrainingFusions {
 public:
  explicit TrainingFusions(Graph& graph) : graph_(graph) {}

  void run() {
    for (const auto step :
         {&TrainingFusions::keep_input, &TrainingFusions::derive_behind_product,
          &TrainingFusions::sum_beside_product, &TrainingFusions::activate_normalised,
          &TrainingFusions::derive_normalised, &TrainingFusions::derive_behind_convolution,
          &TrainingFusions::measure_beside_convolution, &TrainingFusions::derive_loss_beside}) {
      if (std::exchange(changed_, false)) {
        producers_ = producers(graph_);
        consumers_ = Consumers(graph_);
        uses_ = use_counts(graph_);
      }
      absorbed_.assign(graph_.nodes.size(), 0);
      for (size_t n = 0; n < graph_.nodes.size(); ++n) {
        if (!absorbed_[n]) (this->*step)(static_cast<int32_t>(n));
      }
      if (changed_) remove_absorbed();
    }
  }

 private:
  Graph::Node& node(int32_t n) { return graph_.nodes[static_cast<size_t>(n)]; }
  bool is(int32_t n, const Primitive& primitive) { return node(n).primitive == &primitive; }

  bool takes(const Graph::Node& fused) const {
    return has_kernel(*fused.primitive, fused.params, operand_types(graph_, fused.inputs),
                      operand_types(graph_, fused.outputs));
  }

  /// Puts `fused` in the place of `n`; `other` goes.
  bool fuse(int32_t n, int32_t other, Graph::Node fused) {
    if (!takes(fused)) return false;
    node(n) = std::move(fused);
    absorbed_[static_cast<size_t>(other)] = 1;
    changed_ = true;
    return true;
  }

  void remove_absorbed() {
    std::vector<Graph::Node> kept;
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (!absorbed_[n]) kept.push_back(std::move(graph_.nodes[n]));
    }
    graph_.nodes = std::move(kept);
  }

  /// h = product + bias, activation(h), and somebody else who reads h.
  void keep_input(int32_t n) {
    LinearActivationParams params;
    if (is(n, linear_bias_activation_primitive())) {
      const auto& p = node(n).params.as<LinearBiasActivationParams>();
      if (p.has_residual || p.activation) return;
      params.dot = p.dot;
      params.has_bias = p.has_bias;
    } else if (is(n, dot_general_primitive())) {
      params.dot = node(n).params.as<DotParams>();
    } else {
      return;
    }
    const ValueId h = node(n).outputs[0];
    if (uses_[h] < 2) return;
    for (int32_t reader : consumers_[h]) {
      for (const EpilogueActivation& entry : epilogue_activations()) {
        if (absorbed_[reader] || !is(reader, entry.primitive()) || !activation_gradient(entry.op))
          continue;
        params.activation = entry.op;
        if (fuse(n, reader,
                 {&linear_activation_and_input_primitive(),
                  Params(params),
                  node(n).inputs,
                  {node(reader).outputs[0], h},
                  node(n).path}))
          return;
      }
    }
  }

  /// dy = product, read by nothing but activation'(x) dy.
  void derive_behind_product(int32_t n) {
    if (!is(n, dot_general_primitive())) return;
    const ValueId dy = node(n).outputs[0];
    if (uses_[dy] != 1 || consumers_[dy].size() != 1) return;
    const int32_t reader = consumers_[dy][0];
    for (const EpilogueActivation& entry : epilogue_activations()) {
      const Primitive* const gradient = activation_gradient(entry.op);
      if (!gradient || !is(reader, *gradient) || node(reader).inputs[1] != dy) continue;
      Graph::Node fused{&dot_activation_grad_primitive(),
                        Params(DotActivationGradParams{node(n).params.as<DotParams>(), entry.op}),
                        node(n).inputs, node(reader).outputs, node(n).path};
      fused.inputs.push_back(node(reader).inputs[0]);
      if (fuse(reader, n, std::move(fused))) return;
    }
  }

  /// A product, and the sums of an operand over what it contracts.
  void sum_beside_product(int32_t n) {
    if (!is(n, dot_general_primitive())) return;
    const auto& dot = node(n).params.as<DotParams>();
    if (!dot.lhs_batch.empty()) return;
    for (const bool of_lhs : {false, true}) {
      Axes axes = of_lhs ? dot.lhs_contract : dot.rhs_contract;
      std::sort(axes.begin(), axes.end());
      for (int32_t reader : consumers_[node(n).inputs[of_lhs ? 0 : 1]]) {
        if (absorbed_[reader] || !is(reader, reduce_sum_primitive()) ||
            !(node(reader).params.as<ReduceParams>().axes == axes) || !before_readers(n, reader))
          continue;
        if (fuse(n, reader,
                 {&dot_and_sums_primitive(),
                  Params(DotAndSumsParams{dot, of_lhs}),
                  node(n).inputs,
                  {node(n).outputs[0], node(reader).outputs[0]},
                  node(n).path}))
          return;
      }
    }
  }

  /// Whether node `n` comes before all that read the result of `other`.
  bool before_readers(int32_t n, int32_t other) {
    const std::span<const int32_t> readers = consumers_[node(other).outputs[0]];
    return std::all_of(readers.begin(), readers.end(), [&](int32_t r) { return r > n; });
  }

  /// The only reader of the first result of node `n`; -1 if there are others, or the program.
  int32_t only_reader(int32_t n) {
    const ValueId id = node(n).outputs[0];
    return uses_[id] == 1 && consumers_[id].size() == 1 ? consumers_[id][0] : -1;
  }

  /// A batch norm, read by nothing but relu, or by a sum that is read by nothing but relu and whose
  /// other operand is there before.
  void activate_normalised(int32_t n) {
    if (!is(n, batch_norm_train_primitive())) return;
    int32_t reader = only_reader(n), sum = -1;
    Graph::Node fused{
        &batch_norm_train_relu_primitive(), {}, node(n).inputs, node(n).outputs, node(n).path};
    BatchNormReluParams params{node(n).params.as<BatchNormParams>(), false};
    if (reader >= 0 && is(reader, add_primitive())) {
      sum = reader;
      const std::vector<ValueId>& terms = node(sum).inputs;
      const ValueId residual = terms[terms[0] == node(n).outputs[0] ? 1 : 0];
      if (residual == node(n).outputs[0] || producers_[residual] >= n || is_repeated(residual))
        return;
      params.has_residual = true;
      fused.inputs.push_back(residual);
      reader = only_reader(sum);
    }
    if (reader < 0 || !is(reader, relu_primitive())) return;
    fused.params = Params(params);
    fused.outputs[0] = node(reader).outputs[0];
    if (fuse(n, reader, std::move(fused)) && sum >= 0) absorbed_[static_cast<size_t>(sum)] = 1;
  }

  /// The gradient of a batch norm, of a cotangent that comes through the relu behind it.
  void derive_normalised(int32_t n) {
    if (!is(n, batch_norm_backward_primitive())) return;
    const std::vector<ValueId>& inputs = node(n).inputs;  // x, mean, var, dy, [scale]
    const int32_t slope = producers_[inputs[3]];
    if (slope < 0 || !is(slope, relu_grad_primitive()) || only_reader(slope) != n) return;
    const int32_t forward = producers_[node(slope).inputs[0]];
    if (forward < 0 || !is(forward, batch_norm_train_relu_primitive())) return;
    const auto& p = node(forward).params.as<BatchNormReluParams>();
    const std::vector<ValueId>& given = node(forward).inputs;  // x, [scale], [bias], [residual]
    const bool same = given[0] == inputs[0] && node(forward).outputs[1] == inputs[1] &&
                      node(forward).outputs[2] == inputs[2] &&
                      (!p.norm.has_scale || given[1] == inputs[4]);
    if (p.has_residual || !same) return;
    Graph::Node fused{&batch_norm_relu_backward_primitive(), node(n).params, inputs,
                      node(n).outputs, node(n).path};
    fused.inputs[3] = node(slope).inputs[1];
    if (p.norm.has_bias) fused.inputs.push_back(given[1 + p.norm.has_scale]);
    fuse(n, slope, std::move(fused));
  }

  /// The gradient of a convolution's input, read by nothing but a sum, which may be read by nothing
  /// but the gradient of relu.
  void derive_behind_convolution(int32_t n) {
    if (!is(n, conv_backward_data_primitive())) return;
    const int32_t sum = only_reader(n);
    if (sum < 0 || absorbed_[static_cast<size_t>(sum)] != 0 || !is(sum, add_primitive())) return;
    const std::vector<ValueId>& terms = node(sum).inputs;
    const ValueId other = terms[terms[0] == node(n).outputs[0] ? 1 : 0];
    if (other == node(n).outputs[0] || is_repeated(other)) return;
    Graph::Node fused{&conv_backward_data_add_primitive(), {}, node(n).inputs, {}, node(n).path};
    fused.inputs.push_back(other);
    ConvDataAddParams params{node(n).params.as<ConvParams>(), false};
    int32_t last = sum;
    const int32_t slope = only_reader(sum);
    if (slope >= 0 && is(slope, relu_grad_primitive()) &&
        node(slope).inputs[1] == node(sum).outputs[0]) {
      params.masks = true;
      fused.inputs.push_back(node(slope).inputs[0]);
      last = slope;
    }
    fused.params = Params(params);
    fused.outputs = node(last).outputs;
    if (fuse(last, n, std::move(fused)) && last != sum) absorbed_[static_cast<size_t>(sum)] = 1;
  }

  /// A batch norm of what a convolution gives: its moments beside the convolution, which has the
  /// values at hand.
  void measure_beside_convolution(int32_t n) {
    const bool with_relu = is(n, batch_norm_train_relu_primitive());
    if (!with_relu && !is(n, batch_norm_train_primitive())) return;
    const int32_t conv = producers_[node(n).inputs[0]];
    if (conv < 0 || !is(conv, conv_primitive())) return;
    const ValueId x = node(n).inputs[0], mean = node(n).outputs[1], var = node(n).outputs[2];
    Graph::Node measured{&conv_and_moments_primitive(),
                         node(conv).params,
                         node(conv).inputs,
                         {x, mean, var},
                         node(conv).path};
    Graph::Node applied{
        with_relu ? &batch_norm_inference_relu_primitive() : &batch_norm_inference_primitive(),
        node(n).params,
        {x, mean, var},
        {node(n).outputs[0]},
        node(n).path};
    applied.inputs.insert(applied.inputs.end(), node(n).inputs.begin() + 1, node(n).inputs.end());
    if (!takes(measured) || !takes(applied)) return;
    node(conv) = std::move(measured);
    node(n) = std::move(applied);
    changed_ = true;
  }

  /// Something repeated is cheaper to add where it is read.
  bool is_repeated(ValueId value) {
    return producers_[value] >= 0 && is(producers_[value], broadcast_in_dim_primitive());
  }

  /// A cross-entropy and its gradient, whose cotangent does not depend on it.
  void derive_loss_beside(int32_t n) {
    if (!is(n, integer_cross_entropy_primitive())) return;
    for (int32_t reader : consumers_[node(n).inputs[0]]) {
      const Graph::Node& back = node(reader);
      if (absorbed_[reader] || back.primitive != &integer_cross_entropy_backward_primitive() ||
          back.inputs[1] != node(n).inputs[1] || back.inputs[2] != node(n).outputs[1])
        continue;
      std::vector<int32_t> made;
      if (!collect_makers(back.inputs[3], n, made)) continue;
      Graph::Node fused{&integer_cross_entropy_and_gradient_primitive(),
                        {},
                        {back.inputs[0], back.inputs[1], back.inputs[3]},
                        {node(n).outputs[0], node(n).outputs[1], back.outputs[0]},
                        node(n).path};
      if (!takes(fused)) continue;
      node(n) = std::move(fused);
      absorbed_[reader] = 1;
      changed_ = true;
      move_before(n, std::move(made));
      return;
    }
  }

  /// The nodes behind `n` that `value` comes from, if they are few and none reads a result of `n`.
  bool collect_makers(ValueId value, int32_t n, std::vector<int32_t>& made) const {
    constexpr size_t kMostMoved = 16;
    const int32_t maker = producers_[value];
    if (maker < n || std::find(made.begin(), made.end(), maker) != made.end()) return true;
    if (maker == n || made.size() == kMostMoved) return false;
    made.push_back(maker);
    const std::vector<ValueId>& inputs = graph_.nodes[static_cast<size_t>(maker)].inputs;
    return std::all_of(inputs.begin(), inputs.end(),
                       [&](ValueId id) { return collect_makers(id, n, made); });
  }

  /// Puts nodes in front of node `n`. No node behind it has been fused.
  void move_before(int32_t n, std::vector<int32_t> made) {
    if (made.empty()) return;
    std::sort(made.begin(), made.end());
    std::vector<Graph::Node> nodes;
    std::vector<uint8_t> absorbed;
    const auto take = [&](int32_t i) {
      nodes.push_back(std::move(node(i)));
      absorbed.push_back(absorbed_[static_cast<size_t>(i)]);
    };
    const auto count = static_cast<int32_t>(graph_.nodes.size());
    for (int32_t i = 0; i < n; ++i) take(i);
    for (int32_t i : made) take(i);
    for (int32_t i = n; i < count; ++i) {
      if (!std::binary_search(made.begin(), made.end(), i)) take(i);
    }
    graph_.nodes = std::move(nodes);
    absorbed_ = std::move(absorbed);
    producers_ = producers(graph_);
    consumers_ = Consumers(graph_);
  }

  Graph& graph_;
  std::vector<int32_t> producers_, uses_;
  Consumers consumers_;
  std::vector<uint8_t> absorbed_;  ///< by the step at hand
  bool changed_ = true;            ///< since producers, readers and uses were counted
};

}  // namespace

void fuse_training(Graph& graph) { TrainingFusions(graph).run(); }

}  // namespace linnet
