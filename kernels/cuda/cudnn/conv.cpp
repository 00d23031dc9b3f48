#include "kernels/cuda/cudnn/conv.h"

#include <algorithm>
#include <optional>

#include "kernels/layout/conv_layout.h"
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
  if (!r.has_bias && !r.has_residual && !r.activation && !r.adds) return {};
  const DType dtype = r.request.outputs[0].dtype;
  if (r.activation && !mode_of(*r.activation))
    return fmt::format("{} inside", name_of(*r.activation));
  if (dtype == DType::kF64) return "f64 with something after it";
  if (r.adds && !is_ordinary(r.params)) return "a dilated input with something after it";
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

/// Builds the graph and remembers which of its tensors are which operands. A convolution of a
/// dilated input is the transpose of an ordinary one if it can be; otherwise the input is written
/// out as the convolution sees it.
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
    if (is_ordinary(r.params)) {
      add_ordinary(r.params.in_size, r.params.padding_low, r.params.padding_high);
    } else if (const auto transposed = transposed_conv(r.params); transposed && !has_epilogue()) {
      add_transposed(*transposed);
    } else {
      add_padded();
    }
    add_epilogue();
    if (r.sums) add_sums();
  }

  std::unique_ptr<Kernel> kernel(std::string& reason) && {
    return make_graph_kernel(graph_, std::move(bindings_), reason);
  }

 private:
  bool has_epilogue() const { return r_.has_bias || r_.has_residual || r_.activation || r_.adds; }

  const OperandView& x() const {
    return r_.wanted == Wanted::kData ? r_.request.outputs[0] : r_.request.inputs[0];
  }
  const OperandView& w() const {
    return r_.wanted == Wanted::kWeights ? r_.request.outputs[0] : r_.request.inputs[1];
  }
  int64_t ins() const { return x().shape.back(); }
  int64_t outs() const { return w().shape.back(); }

  Id add(const Sizes& shape) { return graph_.tensor(type_, shape, channels_last(shape)); }
  Sizes image(int64_t channels, const Shape& size) const {
    Sizes out{x().shape[0], channels};
    const Sizes spatial = with_ones(size, 1, rank_);
    out.insert(out.end(), spatial.begin(), spatial.end());
    return out;
  }
  Sizes filter(int64_t out, int64_t in) const {
    Sizes shape{out, in};
    const Sizes spatial = with_ones(r_.params.kernel_size, 1, rank_);
    shape.insert(shape.end(), spatial.begin(), spatial.end());
    return shape;
  }

  Binding& bind(Id id, bool is_output, size_t operand) {
    return bindings_.emplace_back(id, r_.request, is_output, operand);
  }
  Binding& bind_x(Id id) { return bind(id, r_.wanted == Wanted::kData, 0); }
  Binding& bind_w(Id id) {
    return bind(id, r_.wanted == Wanted::kWeights, r_.wanted == Wanted::kWeights ? 0 : 1);
  }
  void bind_y(Id id) {
    bind(id, r_.wanted == Wanted::kResult, r_.wanted == Wanted::kWeights ? 1 : 0);
  }

  void set_geometry(Convolution& c, const Shape& strides, const Shape& low, const Shape& high) {
    c.strides = with_ones(strides, 1, rank_);
    c.padding_low = with_ones(low, 0, rank_);
    c.padding_high = with_ones(high, 0, rank_);
    c.dilation = with_ones(r_.params.rhs_dilation, 1, rank_);
  }

  /// The convolution of an input of this size.
  void add_ordinary(const Shape& in_size, const Shape& low, const Shape& high) {
    Convolution c;
    c.wanted = r_.wanted;
    c.x = add_image(image(ins(), in_size), Wanted::kData);
    c.w = add(filter(outs(), ins() / r_.params.groups));
    c.y = add_image(image(outs(), r_.params.out_size()), Wanted::kResult);
    set_geometry(c, r_.params.strides, low, high);
    if (!is_inner(c.x)) bind_x(c.x);
    if (!is_inner(c.y)) bind_y(c.y);
    // [spatial, in, out] as [out, spatial, in]: the transpose of a matrix, or the same memory.
    const int64_t columns = outs(), rows = element_count(w().shape) / columns;
    Binding& binding = bind_w(c.w);
    const int64_t shape[] = {rows, columns}, own[] = {columns, 1}, staged[] = {1, rows};
    if (rows != 1 && columns != 1) binding.stage(shape, own, 0, staged, 0, rows * columns);
    last_ = r_.wanted == Wanted::kData ? c.x : c.y;
    graph_.nodes.emplace_back(c);
  }

  /// x or y: a value between two nodes if it is the result and something follows.
  Id add_image(const Sizes& shape, Wanted as_result) {
    const bool follows = has_epilogue() && r_.wanted == as_result;
    return follows ? graph_.inner(graph_.compute, shape, channels_last(shape)) : add(shape);
  }
  bool is_inner(Id id) const { return graph_.tensors[static_cast<size_t>(id)].is_inner; }

  void add_padded() {
    const PaddedInput in(r_.params, x().shape);
    const Shape none(in.size.size(), 0);
    add_ordinary(in.size, none, none);
    bindings_.front().stage(in.shape, in.own, in.own_offset, in.padded, in.padded_offset,
                            in.padded_size);
  }

  void add_transposed(const TransposedConv& transposed) {
    Convolution c;
    c.wanted = r_.wanted == Wanted::kResult ? Wanted::kData
               : r_.wanted == Wanted::kData ? Wanted::kResult
                                            : Wanted::kWeights;
    const int64_t groups = r_.params.groups, group_outs = outs() / groups;
    c.x = add(image(outs(), r_.params.out_size()));
    c.w = add(filter(ins(), group_outs));
    c.y = add(image(ins(), r_.params.in_size));
    set_geometry(c, transposed.strides, transposed.padding_low, transposed.padding_high);
    bind_y(c.x);
    bind_x(c.y);
    const FlippedKernel flipped(r_.params, ins(), outs());
    bind_w(c.w).stage(flipped.shape, flipped.strides, flipped.offset, staged_strides(group_outs), 0,
                      element_count(w().shape));
    graph_.nodes.emplace_back(c);
  }

  /// Of the transposed kernel [group, in / groups, spatial…, out / groups] in the order of a
  /// `FlippedKernel`.
  Strides staged_strides(int64_t group_outs) const {
    Strides out(r_.params.kernel_size.size());
    int64_t run = group_outs;
    for (size_t i = out.size(); i-- > 0;) {
      out[i] = run;
      run *= r_.params.kernel_size[i];
    }
    for (const int64_t stride : {run, ins() / r_.params.groups * run, int64_t{1}})
      out.push_back(stride);
    return out;
  }

  void add_epilogue() {
    if (!has_epilogue()) return;
    const Sizes shape = graph_.tensors[static_cast<size_t>(last_)].shape;
    std::vector<Pointwise> steps;
    size_t operand = 2;
    const auto add_step = [&](PointwiseMode mode, const Sizes& of) {
      steps.push_back({.mode = mode, .other = add(of)});
      bind(steps.back().other, false, operand++);
    };
    if (r_.has_bias) {
      Sizes bias(rank_ + 2, 1);
      bias[1] = outs();
      add_step(PointwiseMode::kAdd, bias);
    }
    if (r_.activation) steps.push_back({.mode = *mode_of(*r_.activation)});
    if (r_.has_residual || r_.adds) add_step(PointwiseMode::kAdd, shape);
    if (r_.masks) add_step(PointwiseMode::kReluGrad, shape);
    for (size_t i = 0; i < steps.size(); ++i) {
      steps[i].x = last_;
      steps[i].y = last_ = i + 1 == steps.size()
                               ? add(shape)
                               : graph_.inner(graph_.compute, shape, channels_last(shape));
      graph_.nodes.emplace_back(steps[i]);
    }
    bind(last_, true, 0);
  }

  void add_sums() {
    Sizes shape(rank_ + 2, 1);
    shape[1] = outs();
    ChannelSums sums{.x = last_};
    sums.sum = graph_.tensor(Type::kF32, shape, channels_last(shape));
    sums.squares = graph_.tensor(Type::kF32, shape, channels_last(shape));
    bind(sums.sum, true, 1);
    bind(sums.squares, true, 2);
    graph_.nodes.emplace_back(sums);
  }

  const ConvRequest& r_;
  size_t rank_;
  Type type_ = Type::kF32;
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
  if (r.sums && size_of(dtype) != 2) return fmt::format("sums of {}", name_of(dtype));
  if (r.sums && !is_ordinary(p)) return "a dilated input with sums beside it";
  return decline_epilogue(r);
}

std::unique_ptr<Kernel> prepare_conv(const ConvRequest& r, std::string& reason) {
  return ConvGraph(r).kernel(reason);
}

}  // namespace linnet::cuda::cudnn
