// Rows of contractions, convolutions and windows.
#include <cmath>

#include "core/ops/fused.h"
#include "core/ops/window.h"
#include "linnet/float8_dot.h"
#include "op_table.h"
#include "tests/ops/activation_reference.h"

namespace linnet::testing {
namespace {

const Values kLine = uniform(-2, 2);

/// Contraction by definition; axes as in DotDims.
HostArray contracted(const HostArray& a, const HostArray& b, const DotDims& dims) {
  const Axes a_free = free_axes(a.shape.size(), dims.lhs_contract, dims.lhs_batch);
  const Axes b_free = free_axes(b.shape.size(), dims.rhs_contract, dims.rhs_batch);
  DotParams params{dims.lhs_contract, dims.rhs_contract, dims.lhs_batch, dims.rhs_batch,
                   DType::kF64};
  HostArray y(dot_shape(params, a.shape, b.shape));
  Shape inner;
  for (int64_t axis : dims.lhs_contract) inner.push_back(a.shape[axis]);
  const size_t batch = dims.lhs_batch.size();
  for_each_index(y.shape, [&](const Axes& out) {
    Axes at_a(a.shape.size(), 0), at_b(b.shape.size(), 0);
    for (size_t i = 0; i < batch; ++i) at_a[dims.lhs_batch[i]] = at_b[dims.rhs_batch[i]] = out[i];
    for (size_t i = 0; i < a_free.size(); ++i) at_a[a_free[i]] = out[batch + i];
    for (size_t i = 0; i < b_free.size(); ++i) at_b[b_free[i]] = out[batch + a_free.size() + i];
    double sum = 0;
    for_each_index(inner, [&](const Axes& k) {
      for (size_t i = 0; i < k.size(); ++i) {
        at_a[dims.lhs_contract[i]] = at_b[dims.rhs_contract[i]] = k[i];
      }
      sum += a.at(at_a) * b.at(at_b);
    });
    y.at(out) = sum;
  });
  return y;
}

const DotDims kMatmul{.lhs_contract = {1}, .rhs_contract = {0}};
const DotDims kBatched{
    .lhs_contract = {3}, .rhs_contract = {0}, .lhs_batch = {1, 0}, .rhs_batch = {1, 3}};
const DotDims kTwo{.lhs_contract = {0, 2}, .rhs_contract = {2, 0}};

/// Row for dot_general; contractions of numbers are bilinear, so the second order is exact too.
CaseBuilder dot_row(OpTable& table, const char* name, Tensor (*f)(const Tensor&, const Tensor&)) {
  return table.add(name, f)
      .of("dot_general")
      .takes(Takes::kUnchecked)
      .jit_within(1e-13)
      .reordered_within(1e-13);
}

void add_dots(OpTable& table) {
  dot_row(table, "dot_general",
          [](const Tensor& a, const Tensor& b) { return dot_general(a, b, kMatmul); })
      .sample({{{3, 4}, kLine}, {{4, 5}, kLine}})
      .sample({{{1, 7}, kLine}, {{7, 1}, kLine}})
      .sample({{{2, 0}, kLine}, {{0, 3}, kLine}})
      .sample({{{0, 3}, kLine}, {{3, 2}, kLine}})
      .reference([](const HostArrays& x) { return contracted(x[0], x[1], kMatmul); });
  dot_row(table, "dot_batched",
          [](const Tensor& a, const Tensor& b) { return dot_general(a, b, kBatched); })
      .sample({{{2, 3, 2, 4}, kLine}, {{4, 3, 3, 2}, kLine}})
      .reference([](const HostArrays& x) { return contracted(x[0], x[1], kBatched); });
  dot_row(table, "dot_two_axes",
          [](const Tensor& a, const Tensor& b) { return dot_general(a, b, kTwo); })
      .sample({{{2, 4, 3}, kLine}, {{3, 5, 2}, kLine}})
      .reference([](const HostArrays& x) { return contracted(x[0], x[1], kTwo); });
  dot_row(table, "dot_outer",
          [](const Tensor& a, const Tensor& b) { return dot_general(a, b, {}); })
      .sample({{{3}, kLine}, {{2, 2}, kLine}})
      .sample({{{}, kLine}, {{3}, kLine}})
      .reference([](const HostArrays& x) { return contracted(x[0], x[1], {}); });
}

/// The number of eight bits: e4m3 has the bias 7, e5m2 the bias 15.
double number_of(int bits, int mantissa, int bias) {
  const int exponent = (bits & 0x7F) >> mantissa, fraction = bits & ((1 << mantissa) - 1);
  const double size = exponent == 0
                          ? std::ldexp(fraction, 1 - bias - mantissa)
                          : std::ldexp(fraction + (1 << mantissa), exponent - bias - mantissa);
  return bits & 0x80 ? -size : size;
}

HostArray numbers_of(HostArray x, int mantissa, int bias) {
  for (double& value : x.values) value = number_of(static_cast<int>(value), mantissa, bias);
  return x;
}

/// Products of eight-bit numbers from 0.5 to 4, whose sums in f32 are exact in any order.
void add_scaled_dots(OpTable& table) {
  const Values lhs = integers(0x30, 0x47).as(DType::kU8), rhs = integers(0x38, 0x43).as(DType::kU8),
               scale = integers(1, 3).as(DType::kF32);
  static const DotDims kInner{.lhs_contract = {1}, .rhs_contract = {1}};
  static const DotDims kInnerOfBatch{
      .lhs_contract = {2}, .rhs_contract = {2}, .lhs_batch = {0}, .rhs_batch = {0}};
  table
      .add("scaled_dot",
           [](const TensorList& x) {
             return scaled_dot({x[0], x[2]}, {x[1], x[3], Float8::kE5M2});
           })
      .sample({{{3, 4}, lhs}, {{5, 4}, rhs}, {{}, scale}, {{}, scale}})
      .sample({{{2, 3, 4}, lhs}, {{2, 5, 4}, rhs}, {{}, scale}, {{}, scale}})
      .sample({{{2, 0}, lhs}, {{3, 0}, rhs}, {{}, scale}, {{}, scale}})
      .takes(Takes::kUnchecked)
      .gives(Gives::kUnchecked)
      .constants({2, 3})
      .reference([](const HostArrays& x) {
        HostArray y = contracted(numbers_of(x[0], 3, 7), numbers_of(x[1], 2, 15),
                                 x[0].shape.size() == 2 ? kInner : kInnerOfBatch);
        for (double& value : y.values) value *= x[2].values[0] * x[3].values[0];
        return y;
      });
}

/// One product of a convolution: indices into x, w and y.
using Term = std::function<void(const Axes& x, const Axes& w, const Axes& y)>;

/// Visits every product of the convolution that `p` describes (see ConvParams).
void for_each_term(const ConvParams& p, int64_t batch, int64_t in, int64_t out, const Term& visit) {
  Shape loops{batch};
  const Shape out_size = p.out_size();
  loops.append(out_size.begin(), out_size.end());
  loops.append(p.kernel_size.begin(), p.kernel_size.end());
  loops.push_back(in / p.groups);
  loops.push_back(out);
  const size_t rank = p.strides.size();
  for_each_index(loops, [&](const Axes& at) {
    Axes x{at[0]}, w, y{at[0]};
    for (size_t d = 0; d < rank; ++d) {
      const int64_t place =
          at[1 + d] * p.strides[d] - p.padding_low[d] + at[1 + rank + d] * p.rhs_dilation[d];
      if (place < 0 || place % p.lhs_dilation[d] || place / p.lhs_dilation[d] >= p.in_size[d]) {
        return;
      }
      x.push_back(place / p.lhs_dilation[d]);
      w.push_back(at[1 + rank + d]);
      y.push_back(at[1 + d]);
    }
    const int64_t channel = at[1 + 2 * rank], filter = at[2 + 2 * rank];
    x.push_back(filter / (out / p.groups) * (in / p.groups) + channel);
    w.push_back(channel);
    w.push_back(filter);
    y.push_back(filter);
    visit(x, w, y);
  });
}

const ConvParams kPlain{{1}, {0}, {0}, {1}, {1}, 1, {6}, {3}};
const ConvParams kGrouped{{2, 1}, {1, 0}, {1, 2}, {1, 1}, {1, 2}, 2, {5, 4}, {3, 2}};
const ConvParams kDilated{{1, 1}, {1, 1}, {0, 1}, {2, 1}, {1, 1}, 1, {3, 3}, {2, 2}};

HostArray convolved(const ConvParams& p, const HostArray& x, const HostArray& w) {
  Shape shape{x.shape[0]};
  const Shape size = p.out_size();
  shape.append(size.begin(), size.end());
  shape.push_back(w.shape.back());
  HostArray out(shape);
  for_each_term(
      p, x.shape[0], x.shape.back(), w.shape.back(),
      [&](const Axes& i, const Axes& j, const Axes& k) { out.at(k) += x.at(i) * w.at(j); });
  return out;
}
HostArray backward_data(const ConvParams& p, const HostArray& g, const HostArray& w) {
  const int64_t in = w.shape[w.shape.size() - 2] * p.groups;
  Shape shape{g.shape[0]};
  shape.append(p.in_size.begin(), p.in_size.end());
  shape.push_back(in);
  HostArray out(shape);
  for_each_term(
      p, g.shape[0], in, g.shape.back(),
      [&](const Axes& i, const Axes& j, const Axes& k) { out.at(i) += g.at(k) * w.at(j); });
  return out;
}
HostArray backward_weights(const ConvParams& p, const HostArray& x, const HostArray& g) {
  Shape shape = p.kernel_size;
  shape.push_back(x.shape.back() / p.groups);
  shape.push_back(g.shape.back());
  HostArray out(shape);
  for_each_term(
      p, x.shape[0], x.shape.back(), g.shape.back(),
      [&](const Axes& i, const Axes& j, const Axes& k) { out.at(j) += x.at(i) * g.at(k); });
  return out;
}

CaseBuilder conv_row(OpTable& table, const char* name, const char* primitive,
                     Tensor (*f)(const Tensor&, const Tensor&)) {
  return table.add(name, f)
      .of(primitive)
      .takes(Takes::kUnchecked)
      .jit_within(1e-13)
      .reordered_within(1e-13);
}

template <const ConvParams& kParams>
void add_conv_rows(OpTable& table, const std::string& suffix, const Operand& x, const Operand& w,
                   const Operand& y) {
  conv_row(table, ("conv_" + suffix).c_str(), "conv_general_dilated",
           [](const Tensor& a, const Tensor& b) {
             return emit_one(conv_primitive(), {a, b}, kParams);
           })
      .sample({x, w})
      .reference([](const HostArrays& o) { return convolved(kParams, o[0], o[1]); });
  conv_row(table, ("conv_backward_data_" + suffix).c_str(), "conv_backward_data",
           [](const Tensor& a, const Tensor& b) {
             return emit_one(conv_backward_data_primitive(), {a, b}, kParams);
           })
      .sample({y, w})
      .reference([](const HostArrays& o) { return backward_data(kParams, o[0], o[1]); });
  conv_row(table, ("conv_backward_weights_" + suffix).c_str(), "conv_backward_weights",
           [](const Tensor& a, const Tensor& b) {
             return emit_one(conv_backward_weights_primitive(), {a, b}, kParams);
           })
      .sample({x, y})
      .padding_may_count()
      .reference([](const HostArrays& o) { return backward_weights(kParams, o[0], o[1]); });
}

void add_convolutions(OpTable& table) {
  add_conv_rows<kPlain>(table, "plain", {{2, 6, 3}, kLine}, {{3, 3, 2}, kLine}, {{2, 4, 2}, kLine});
  add_conv_rows<kGrouped>(table, "grouped", {{1, 5, 4, 4}, kLine}, {{3, 2, 2, 4}, kLine},
                          {{1, 3, 4, 4}, kLine});
  add_conv_rows<kDilated>(table, "dilated", {{1, 3, 3, 2}, kLine}, {{2, 2, 2, 3}, kLine},
                          {{1, 5, 4, 3}, kLine});
}

HostArray finished(HostArray y, const HostArray& bias, const HostArray& residual,
                   Activation activation) {
  for (size_t i = 0; i < y.values.size(); ++i) {
    const double sum = y.values[i] + bias.values[i % bias.values.size()];
    y.values[i] = static_cast<double>(exact_activation(activation, sum)) + residual.values[i];
  }
  return y;
}

void add_fused_linear(OpTable& table, const std::string& suffix, Activation activation) {
  table
      .add_function("linear_bias_activation" + suffix,
                    [activation](const TensorList& x) {
                      const LinearBiasActivationParams p{
                          {{1}, {0}, {}, {}, x[0].dtype()}, true, true, activation};
                      return TensorList{emit_one(linear_bias_activation_primitive(), x, p)};
                    })
      .of("linear_bias_activation")
      .sample({{{3, 4}, kLine}, {{4, 2}, kLine}, {{2}, kLine}, {{3, 2}, kLine}})
      .takes(Takes::kUnchecked)
      .jit_within(1e-13)
      .reordered_within(1e-13)
      .reference_function([activation](const HostArrays& x) {
        return HostArrays{finished(contracted(x[0], x[1], kMatmul), x[2], x[3], activation)};
      });
}

/// Five columns in two panels of three.
void add_panels(OpTable& table) {
  table
      .add_function("panel_linear",
                    [](const TensorList& x) {
                      const PanelLinearParams p{5, true, true, ScalarOp::kTanh};
                      return TensorList{emit_one(panel_linear_primitive(), x, p)};
                    })
      .sample({{{3, 4}, kLine}, {{2, 4, 3}, kLine}, {{5}, kLine}, {{3, 5}, kLine}})
      .takes(Takes::kUnchecked)
      .jit_within(1e-13)
      .reordered_within(1e-13)
      .reference_function([](const HostArrays& x) {
        HostArray w({4, 5});
        for_each_index(w.shape, [&](const Axes& at) {
          w.at(at) = x[1].at({at[1] / 3, at[0], at[1] % 3});
        });
        return HostArrays{finished(contracted(x[0], w, kMatmul), x[2], x[3], ScalarOp::kTanh)};
      });
}

void add_fused_conv(OpTable& table, const std::string& suffix, Activation activation) {
  table
      .add_function("conv_bias_activation" + suffix,
                    [activation](const TensorList& x) {
                      const ConvBiasActivationParams p{kPlain, true, true, activation};
                      return TensorList{emit_one(conv_bias_activation_primitive(), x, p)};
                    })
      .of("conv_bias_activation")
      .sample({{{2, 6, 3}, kLine}, {{3, 3, 2}, kLine}, {{2}, kLine}, {{2, 4, 2}, kLine}})
      .takes(Takes::kUnchecked)
      .jit_within(1e-13)
      .reordered_within(1e-13)
      .reference_function([activation](const HostArrays& x) {
        return HostArrays{finished(convolved(kPlain, x[0], x[1]), x[2], x[3], activation)};
      });
}

void add_fused(OpTable& table) {
  add_fused_linear(table, "", {});
  add_fused_conv(table, "", {});
  add_panels(table);
  for (const EpilogueActivation& entry : epilogue_activations()) {
    const std::string suffix = "_" + std::string(name_of(entry.op));
    add_fused_linear(table, suffix, entry.op);
    add_fused_conv(table, suffix, entry.op);
  }
}

const WindowParams kPool{{2, 2}, {2, 1}, {1, 0}, {0, 1}, {1, 1}, {1, 1}};
const WindowParams kSparse{{2, 2}, {1, 2}, {0, 0}, {1, 0}, {2, 1}, {1, 2}};

/// Visits every element of every window: the window's index and the element's.
void for_each_in_window(const WindowParams& p, const Shape& in,
                        const std::function<void(const Axes& window, const Axes& element)>& visit) {
  for_each_index(p.out_size(in), [&](const Axes& out) {
    for_each_index(p.window, [&](const Axes& t) {
      Axes at;
      for (size_t d = 0; d < t.size(); ++d) {
        const int64_t place =
            out[d] * p.strides[d] - p.padding_low[d] + t[d] * p.window_dilation[d];
        if (place < 0 || place % p.base_dilation[d] || place / p.base_dilation[d] >= in[d]) return;
        at.push_back(place / p.base_dilation[d]);
      }
      visit(out, at);
    });
  });
}

HostArray pooled(const WindowParams& p, const HostArray& x, double start,
                 double (*step)(double, double)) {
  HostArray y(p.out_size(x.shape), start);
  for_each_in_window(p, x.shape, [&](const Axes& window, const Axes& at) {
    y.at(window) = step(y.at(window), x.at(at));
  });
  return y;
}

/// Offset of the largest element of each window: the first of equals, NaN above all.
std::vector<size_t> selected(const HostArray& x) {
  HostArray best(kPool.out_size(x.shape), -INFINITY);
  std::vector<size_t> where(best.values.size(), 0);
  for_each_in_window(kPool, x.shape, [&](const Axes& window, const Axes& at) {
    if (std::isnan(best.at(window)) || x.at(at) <= best.at(window)) return;
    best.at(window) = x.at(at);
    where[best.offset(window)] = x.offset(at);
  });
  return where;
}

double plus(double a, double b) { return a + b; }
double larger(double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::max(a, b); }
double smaller(double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::min(a, b); }

void add_windows(OpTable& table) {
  const auto row = [&](const char* name, const char* primitive, Tensor (*f)(const Tensor&)) {
    return table.add(name, f)
        .of(primitive)
        .sample({{{4, 5}, kLine}})
        .sample({{{3, 2}, kLine}})
        .takes(Takes::kNumbers);
  };
  row("reduce_window_sum", "reduce_window_sum",
      [](const Tensor& x) { return emit_one(reduce_window_sum_primitive(), {x}, kPool); })
      .linear()
      .reference([](const HostArray& x) { return pooled(kPool, x, 0, plus); });
  row("reduce_window_sum_sparse", "reduce_window_sum",
      [](const Tensor& x) { return emit_one(reduce_window_sum_primitive(), {x}, kSparse); })
      .linear()
      .reference([](const HostArray& x) { return pooled(kSparse, x, 0, plus); });
  row("reduce_window_max", "reduce_window_max",
      [](const Tensor& x) { return emit_one(reduce_window_max_primitive(), {x}, kPool); })
      .exact()
      .reference([](const HostArray& x) { return pooled(kPool, x, -INFINITY, larger); });
  row("reduce_window_min", "reduce_window_min",
      [](const Tensor& x) { return emit_one(reduce_window_min_primitive(), {x}, kPool); })
      .exact()
      .reference([](const HostArray& x) { return pooled(kPool, x, INFINITY, smaller); });
  table
      .add("select_and_scatter_add",
           [](const Tensor& source, const Tensor& x) {
             return emit_one(select_and_scatter_add_primitive(), {source, x},
                             SelectParams{kPool, true});
           })
      .sample({{{2, 5}, kLine}, {{4, 5}, kLine}})
      .takes(Takes::kUnchecked)
      .constants({1})
      .scale(4)
      .reference([](const HostArrays& o) {
        HostArray y(o[1].shape);
        const std::vector<size_t> where = selected(o[1]);
        for (size_t i = 0; i < where.size(); ++i) y.values[where[i]] += o[0].values[i];
        return y;
      });
  table
      .add("select_and_gather",
           [](const Tensor& values, const Tensor& x) {
             return emit_one(select_and_gather_primitive(), {values, x}, SelectParams{kPool, true});
           })
      .sample({{{4, 5}, kLine}, {{4, 5}, kLine}})
      .takes(Takes::kUnchecked)
      .constants({1})
      .exact()
      .reference([](const HostArrays& o) {
        const std::vector<size_t> where = selected(o[1]);
        HostArray y(kPool.out_size(o[1].shape));
        for (size_t i = 0; i < where.size(); ++i) y.values[i] = o[0].values[where[i]];
        return y;
      });
}

}  // namespace

void add_product_cases(OpTable& table) {
  add_dots(table);
  add_scaled_dots(table);
  add_convolutions(table);
  add_fused(table);
  add_windows(table);
}

}  // namespace linnet::testing
