#include "kernels/cuda/cudnn/conv.h"

#include <algorithm>
#include <optional>

#include "linnet/detail/format.h"
#include "linnet/deterministic.h"
#include "linnet/precision.h"

namespace linnet::cuda::cudnn {
namespace {

using Wanted = Convolution::Wanted;

/// Engines that would take more are not worth it.
constexpr int64_t kMostWorkspace = int64_t{1} << 30;
/// cuDNN knows images of two and of three dimensions; shorter ones get dimensions of size one.
constexpr size_t kLeastRank = 2, kMostRank = 3;

bool all(std::span<const int64_t> values, bool (*holds)(int64_t)) {
  return std::all_of(values.begin(), values.end(), holds);
}

std::optional<PointwiseMode> mode_of(ScalarOp op) {
  switch (op) {
    case ScalarOp::kRelu:
      return PointwiseMode::kRelu;
    case ScalarOp::kTanh:
      return PointwiseMode::kTanh;
    case ScalarOp::kLogistic:
      return PointwiseMode::kLogistic;
    case ScalarOp::kSilu:
      return PointwiseMode::kSilu;
    case ScalarOp::kGeluErf:
      return PointwiseMode::kGeluErf;
    case ScalarOp::kGeluTanh:
      return PointwiseMode::kGeluTanh;
    default:
      return {};
  }
}

std::string decline_epilogue(const ConvRequest& r) {
  if (!r.has_bias && !r.has_residual && !r.activation) return {};
  const DType dtype = r.request.outputs[0].dtype;
  if (r.activation && !mode_of(*r.activation))
    return fmt::format("{} inside", name_of(*r.activation));
  if (dtype == DType::kF64) return "f64 with something after it";
  return {};
}

Sizes with_ones(const Shape& values, int64_t one, size_t rank) {
  Sizes out(rank - values.size(), one);
  out.insert(out.end(), values.begin(), values.end());
  return out;
}

/// Strides of [outer, inner, spatial…] that lies in memory as [outer, spatial…, inner].
Sizes channels_last(const Sizes& shape) {
  Sizes strides(shape.size());
  int64_t run = shape[1];
  strides[1] = 1;
  for (size_t i = shape.size(); i-- > 2;) {
    strides[i] = run;
    run *= shape[i];
  }
  strides[0] = run;
  return strides;
}

/// Builds the graph and remembers which of its tensors are which operands.
class ConvGraph {
 public:
  explicit ConvGraph(const ConvRequest& r)
      : r_(r), rank_(std::max(kLeastRank, r.params.strides.size())) {
    const DType dtype = r.request.outputs[0].dtype;
    type_ = type_of(dtype);
    graph_.compute = dtype == DType::kF64 ? Type::kF64 : Type::kF32;
    graph_.may_round_operands = matmul_precision() != Precision::kHighest;
    graph_.may_be_unordered = !is_deterministic();
    graph_.most_workspace = kMostWorkspace;
    find_sizes();
    add_convolution();
    add_epilogue();
  }

  std::unique_ptr<Kernel> kernel(std::string& reason) && {
    return make_graph_kernel(graph_, std::move(bindings_), reason);
  }

 private:
  bool has_epilogue() const { return r_.has_bias || r_.has_residual || r_.activation; }

  void find_sizes() {
    const ConvParams& p = r_.params;
    const auto& in = r_.request.inputs;
    const auto& out = r_.request.outputs;
    const OperandView& x = r_.wanted == Wanted::kData ? out[0] : in[0];
    const OperandView& w = r_.wanted == Wanted::kWeights ? out[0] : in[1];
    x_shape_ = {x.shape[0], x.shape.back()};
    w_shape_ = {w.shape.back(), w.shape[w.shape.size() - 2]};
    y_shape_ = {x.shape[0], w.shape.back()};
    for (const auto& [to, sizes] : {std::pair(&x_shape_, with_ones(p.in_size, 1, rank_)),
                                    std::pair(&w_shape_, with_ones(p.kernel_size, 1, rank_)),
                                    std::pair(&y_shape_, with_ones(p.out_size(), 1, rank_))})
      to->insert(to->end(), sizes.begin(), sizes.end());
  }

  Id add(const Sizes& shape) { return graph_.tensor(type_, shape, channels_last(shape)); }
  Id add_inner() { return graph_.inner(graph_.compute, y_shape_, channels_last(y_shape_)); }

  void bind_operand(Id id, bool is_output, size_t operand) {
    bindings_.push_back(bind(id, r_.request, is_output, operand));
  }
  void bind_filter(Id id, bool is_output, size_t operand) {
    bind_operand(id, is_output, operand);
    Binding& b = bindings_.back();
    b.columns = w_shape_[0];
    b.rows = static_cast<int64_t>(b.bytes / b.element_bytes) / b.columns;
    // One of a side: the transpose is the same memory.
    if (b.rows == 1 || b.columns == 1) b.rows = b.columns = 0;
    b.is_staged = b.is_staged || b.rows != 0;
  }

  void add_convolution() {
    const ConvParams& p = r_.params;
    Convolution c;
    c.wanted = r_.wanted;
    c.x = add(x_shape_);
    c.w = add(w_shape_);
    c.y = has_epilogue() ? add_inner() : add(y_shape_);
    c.padding_low = with_ones(p.padding_low, 0, rank_);
    c.padding_high = with_ones(p.padding_high, 0, rank_);
    c.strides = with_ones(p.strides, 1, rank_);
    c.dilation = with_ones(p.rhs_dilation, 1, rank_);
    graph_.nodes.push_back(c);
    switch (r_.wanted) {
      case Wanted::kResult:
        bind_operand(c.x, false, 0);
        bind_filter(c.w, false, 1);
        if (!has_epilogue()) bind_operand(c.y, true, 0);
        break;
      case Wanted::kData:
        bind_operand(c.y, false, 0);
        bind_filter(c.w, false, 1);
        bind_operand(c.x, true, 0);
        break;
      case Wanted::kWeights:
        bind_operand(c.x, false, 0);
        bind_operand(c.y, false, 1);
        bind_filter(c.w, true, 0);
        break;
    }
    last_ = c.y;
  }

  void add_epilogue() {
    if (!has_epilogue()) return;
    std::vector<Pointwise> steps;
    size_t operand = 2;
    if (r_.has_bias) {
      const Sizes shape = [&] {
        Sizes s(rank_ + 2, 1);
        s[1] = y_shape_[1];
        return s;
      }();
      steps.push_back({.mode = PointwiseMode::kAdd, .other = add(shape)});
      bind_operand(steps.back().other, false, operand++);
    }
    if (r_.activation) steps.push_back({.mode = *mode_of(*r_.activation)});
    if (r_.has_residual) {
      steps.push_back({.mode = PointwiseMode::kAdd, .other = add(y_shape_)});
      bind_operand(steps.back().other, false, operand++);
    }
    for (size_t i = 0; i < steps.size(); ++i) {
      steps[i].x = last_;
      steps[i].y = last_ = i + 1 == steps.size() ? add(y_shape_) : add_inner();
      graph_.nodes.push_back(steps[i]);
    }
    bind_operand(last_, true, 0);
  }

  const ConvRequest& r_;
  size_t rank_;
  Type type_ = Type::kF32;
  Sizes x_shape_, w_shape_, y_shape_;
  Graph graph_;
  std::vector<Binding> bindings_;
  Id last_ = kNone;
};

bool is_empty(const OperandView& view) { return element_count(view.shape) == 0; }

}  // namespace

std::string decline_conv(const ConvRequest& r) {
  const ConvParams& p = r.params;
  const DType dtype = r.request.outputs[0].dtype;
  for (const OperandView& view : r.request.inputs) {
    if (view.dtype != dtype) return "operands of several dtypes";
    if (is_empty(view)) return "an empty operand";
  }
  if (!is_floating(dtype)) return fmt::format("dtype {}", name_of(dtype));
  if (is_empty(r.request.outputs[0])) return "an empty result";
  if (p.strides.size() > kMostRank) return fmt::format("{} spatial dimensions", p.strides.size());
  if (!all(p.lhs_dilation, [](int64_t d) { return d == 1; })) return "a dilated input";
  if (!all(p.padding_low, [](int64_t d) { return d >= 0; }) ||
      !all(p.padding_high, [](int64_t d) { return d >= 0; }))
    return "negative padding";
  return decline_epilogue(r);
}

std::unique_ptr<Kernel> prepare_conv(const ConvRequest& r, std::string& reason) {
  return ConvGraph(r).kernel(reason);
}

}  // namespace linnet::cuda::cudnn
