// Rows of the composites of neural networks.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/ops/nn.h"
#include "core/ops/random.h"
#include "op_table.h"

namespace linnet::testing {
namespace {

const Values kLine = uniform(-2, 2);
const Values kPositive = uniform(0.5, 2);
using Line = std::vector<double>;

double log_sum_of_distances(const Line& x) {
  const double top = *std::ranges::max_element(x);
  double sum = 0;
  for (const double value : x) sum += std::exp(value - top);
  return std::log(sum);
}

double log_sum_exp(const Line& x) { return *std::ranges::max_element(x) + log_sum_of_distances(x); }
Line softmax_line(Line x) {
  const double norm = log_sum_exp(x);
  for (double& v : x) v = std::exp(v - norm);
  return x;
}
Line log_softmax_line(Line x) {
  const double norm = log_sum_exp(x);
  for (double& v : x) v -= norm;
  return x;
}

/// Rows of matrices, one result line for each pair of lines.
HostArray combine_rows(const HostArray& a, const HostArray& b,
                       Line (*f)(const Line&, const Line&)) {
  const size_t n = static_cast<size_t>(a.shape.back());
  HostArray out(a.shape);
  for (size_t i = 0; i < a.values.size(); i += n) {
    const auto line = [&](const HostArray& x) {
      return Line(x.values.begin() + static_cast<int64_t>(i),
                  x.values.begin() + static_cast<int64_t>(i + n));
    };
    const Line y = f(line(a), line(b));
    std::copy(y.begin(), y.end(), out.values.begin() + static_cast<int64_t>(i));
  }
  return out;
}

void add_softmaxes(OpTable& table) {
  table.add("softmax", [](const Tensor& x) { return softmax(x, -1); })
      .sample({{{3, 5}, kLine}})
      .sample({{{2, 1}, kLine}})
      .sample({{{0, 3}, kLine}})
      .takes(Takes::kAny)
      .gives(Gives::kFloating)
      .jit_within(1e-13)
      .reference([](const HostArray& x) { return map_lines(x, 1, softmax_line); });
  table.add("softmax_first", [](const Tensor& x) { return softmax(x, 0); })
      .of("softmax")
      .sample({{{4, 3}, kLine}})
      .takes(Takes::kAny)
      .gives(Gives::kFloating)
      .jit_within(1e-13)
      .reference([](const HostArray& x) { return map_lines(x, 0, softmax_line); });
  table.add("log_softmax", [](const Tensor& x) { return log_softmax(x, -1); })
      .sample({{{3, 5}, kLine}})
      .sample({{{0, 3}, kLine}})
      .takes(Takes::kAny)
      .gives(Gives::kFloating)
      .jit_within(1e-13)
      .reference([](const HostArray& x) { return map_lines(x, 1, log_softmax_line); });
  table
      .add("softmax_backward",
           [](const Tensor& y, const Tensor& dy) {
             return emit_one(softmax_backward_primitive(), {y, dy}, AxisParams{1});
           })
      .sample({{{3, 4}, uniform(0.1, 1)}, {{3, 4}, kLine}})
      .jit_within(1e-13)
      .reference([](const HostArrays& o) {
        return combine_rows(o[0], o[1], [](const Line& y, const Line& dy) {
          const double dot = std::inner_product(y.begin(), y.end(), dy.begin(), 0.0);
          Line out(y.size());
          for (size_t i = 0; i < y.size(); ++i) out[i] = y[i] * (dy[i] - dot);
          return out;
        });
      });
  table
      .add("log_softmax_backward",
           [](const Tensor& y, const Tensor& dy) {
             return emit_one(log_softmax_backward_primitive(), {y, dy}, AxisParams{1});
           })
      .sample({{{3, 4}, uniform(-3, -0.1)}, {{3, 4}, kLine}})
      .jit_within(1e-13)
      .reference([](const HostArrays& o) {
        return combine_rows(o[0], o[1], [](const Line& y, const Line& dy) {
          const double sum = std::accumulate(dy.begin(), dy.end(), 0.0);
          Line out(y.size());
          for (size_t i = 0; i < y.size(); ++i) out[i] = dy[i] - std::exp(y[i]) * sum;
          return out;
        });
      });
  table.add("logsumexp",
            [](const Tensor& x) {
              return logsumexp(x, Axes{0, 2});
            })
      .sample({{{2, 3, 2}, kLine}})
      .takes(Takes::kAny)
      .gives(Gives::kFloating)
      .jit_within(1e-13)
      .reference([](const HostArray& x) {
        return fold_lines(x, {0, 2}, log_sum_exp);
      });
}

void add_cross_entropies(OpTable& table) {
  const Values labels = integers(-4, 3);
  table
      .add("softmax_cross_entropy_with_integer_labels",
           [](const TensorList& x) { return emit(integer_cross_entropy_primitive(), x); })
      .sample({{{3, 4}, kLine}, {{3}, labels}})
      .sample({{{4}, kLine}, {{}, labels}})
      .takes(Takes::kUnchecked)
      .gives(Gives::kUnchecked)
      .jit_within(1e-13)
      .reference([](const HostArrays& x) {
        const int64_t last = static_cast<int64_t>(x[0].shape.size()) - 1;
        const HostArray norm = fold_lines(x[0], {last}, log_sum_exp);
        HostArray loss = norm, log_sum = fold_lines(x[0], {last}, log_sum_of_distances);
        for (size_t i = 0; i < loss.values.size(); ++i) {
          const size_t label = static_cast<size_t>(x[1].values[i] + 4) % 4;
          loss.values[i] -= x[0].values[4 * i + label];
        }
        return HostArrays{loss, log_sum};
      });
  table
      .add("softmax_cross_entropy_with_integer_labels_backward",
           [](const TensorList& x) {
             return emit_one(integer_cross_entropy_backward_primitive(), x);
           })
      .sample({{{3, 4}, kLine}, {{3}, labels}, {{3}, kPositive}, {{3}, kLine}})
      .wide_only()
      .takes(Takes::kUnchecked)
      .jit_within(1e-13)
      .reference([](const HostArrays& x) {
        HostArray out(x[0].shape);
        for (size_t i = 0; i < out.values.size(); ++i) {
          const size_t row = i / 4, label = static_cast<size_t>(x[1].values[row] + 4) % 4;
          const double* of_row = &x[0].values[4 * row];
          const double p =
              std::exp(x[0].values[i] - *std::max_element(of_row, of_row + 4) - x[2].values[row]);
          out.values[i] = (p - (label == i % 4)) * x[3].values[row];
        }
        return out;
      });
}

constexpr double kEpsilon = 0.1;

/// Rows normalised with statistics of their own: normal numbers, means, 1 / deviations.
struct Normalised {
  HostArray normal, mean, rstd;
};
Normalised normalised(const HostArray& x, bool centre) {
  const int64_t rows = x.shape[0], n = x.shape[1];
  Normalised out{x, HostArray({rows}), HostArray({rows})};
  for (int64_t i = 0; i < rows; ++i) {
    double mean = 0, square = 0;
    for (int64_t j = 0; j < n && centre; ++j) mean += x.at({i, j}) / static_cast<double>(n);
    for (int64_t j = 0; j < n; ++j) {
      square += (x.at({i, j}) - mean) * (x.at({i, j}) - mean) / static_cast<double>(n);
    }
    out.mean.at({i}) = mean;
    out.rstd.at({i}) = 1 / std::sqrt(square + kEpsilon);
    for (int64_t j = 0; j < n; ++j) {
      out.normal.at({i, j}) = (x.at({i, j}) - mean) * out.rstd.at({i});
    }
  }
  return out;
}

HostArray affine(HostArray y, const HostArray& scale, const HostArray* bias) {
  const size_t n = scale.values.size();
  for (size_t i = 0; i < y.values.size(); ++i) {
    y.values[i] = y.values[i] * scale.values[i % n] + (bias ? bias->values[i % n] : 0);
  }
  return y;
}

/// dx, dscale, dbias of rows normalised with given statistics; without `mean` rows are not centred.
HostArrays norm_gradients(const HostArray& x, const HostArray* mean, const HostArray& rstd,
                          const HostArray& dy, const HostArray& scale) {
  const int64_t rows = x.shape[0], n = x.shape[1];
  HostArray dx(x.shape), dscale({n}), dbias({n});
  for (int64_t i = 0; i < rows; ++i) {
    double sum = 0, product = 0;
    const auto normal = [&](int64_t j) {
      return (x.at({i, j}) - (mean ? mean->at({i}) : 0)) * rstd.at({i});
    };
    for (int64_t j = 0; j < n; ++j) {
      const double g = dy.at({i, j}) * scale.at({j});
      sum += mean ? g / static_cast<double>(n) : 0;
      product += g * normal(j) / static_cast<double>(n);
      dscale.at({j}) += dy.at({i, j}) * normal(j);
      dbias.at({j}) += dy.at({i, j});
    }
    for (int64_t j = 0; j < n; ++j) {
      const double g = dy.at({i, j}) * scale.at({j});
      dx.at({i, j}) = rstd.at({i}) * (g - sum - normal(j) * product);
    }
  }
  HostArrays out{dx, dscale};
  if (mean) out.push_back(dbias);
  return out;
}

void add_norms(OpTable& table) {
  const Operand x{{3, 4}, kLine}, row{{3}, kLine}, scale{{4}, kPositive}, bias{{4}, kLine};
  const Operand rstd{{3}, kPositive};
  static const NormParams kLayer{kEpsilon, 1, true, true}, kRms{kEpsilon, 1, true, false};
  table
      .add("layer_norm",
           [](const TensorList& o) { return emit(layer_norm_primitive(), o, kLayer); })
      .sample({x, scale, bias})
      .jit_within(1e-13)
      .reordered_within(1e-13)
      .reference([](const HostArrays& o) {
        const Normalised n = normalised(o[0], true);
        return HostArrays{affine(n.normal, o[1], &o[2]), n.mean, n.rstd};
      });
  table.add("rms_norm", [](const TensorList& o) { return emit(rms_norm_primitive(), o, kRms); })
      .sample({x, scale})
      .jit_within(1e-13)
      .reordered_within(1e-13)
      .reference([](const HostArrays& o) {
        const Normalised n = normalised(o[0], false);
        return HostArrays{affine(n.normal, o[1], nullptr), n.rstd};
      });
  table
      .add("layer_norm_backward",
           [](const TensorList& o) { return emit(layer_norm_backward_primitive(), o, kLayer); })
      .sample({x, row, rstd, x, scale})
      .wide_only()
      .takes(Takes::kUnchecked)
      .jit_within(1e-13)
      .reordered_within(1e-13)
      .reference([](const HostArrays& o) { return norm_gradients(o[0], &o[1], o[2], o[3], o[4]); });
  table
      .add("rms_norm_backward",
           [](const TensorList& o) { return emit(rms_norm_backward_primitive(), o, kRms); })
      .sample({x, rstd, x, scale})
      .wide_only()
      .takes(Takes::kUnchecked)
      .jit_within(1e-13)
      .reordered_within(1e-13)
      .reference(
          [](const HostArrays& o) { return norm_gradients(o[0], nullptr, o[1], o[2], o[3]); });
}

/// Channels are rows of the transpose.
HostArray transposed(const HostArray& x) {
  HostArray y({x.shape[1], x.shape[0]});
  for_each_index(x.shape, [&](const Axes& at) { y.at({at[1], at[0]}) = x.at(at); });
  return y;
}

void add_batch_norms(OpTable& table) {
  const Operand x{{4, 3}, kLine}, mean{{3}, kLine}, var{{3}, kPositive}, bias{{3}, kLine};
  static const BatchNormParams kParams{kEpsilon, true, true};
  table
      .add("batch_norm_train",
           [](const TensorList& o) { return emit(batch_norm_train_primitive(), o, kParams); })
      .sample({x, var, bias})
      .jit_within(1e-13)
      .reordered_within(1e-13)
      .reference([](const HostArrays& o) {
        const Normalised n = normalised(transposed(o[0]), true);
        HostArray variance = n.rstd;
        for (double& v : variance.values) v = 1 / (v * v) - kEpsilon;
        return HostArrays{affine(transposed(n.normal), o[1], &o[2]), n.mean, variance};
      });
  table
      .add("batch_norm_inference",
           [](const TensorList& o) { return emit(batch_norm_inference_primitive(), o, kParams); })
      .sample({x, mean, var, var, bias})
      .jit_within(1e-13)
      .reordered_within(1e-13)
      .reference([](const HostArrays& o) {
        HostArray y = o[0];
        for (size_t i = 0; i < y.values.size(); ++i) {
          const double rstd = 1 / std::sqrt(o[2].values[i % 3] + kEpsilon);
          y.values[i] = (y.values[i] - o[1].values[i % 3]) * rstd;
        }
        return HostArrays{affine(y, o[3], &o[4])};
      });
  table
      .add("batch_norm_backward",
           [](const TensorList& o) { return emit(batch_norm_backward_primitive(), o, kParams); })
      .sample({x, mean, var, x, var})
      .wide_only()
      .takes(Takes::kUnchecked)
      .jit_within(1e-13)
      .reordered_within(1e-13)
      .reference([](const HostArrays& o) {
        // As rows: the scale of a channel multiplies its whole row.
        HostArray rstd = o[2], dy = o[3];
        for (double& v : rstd.values) v = 1 / std::sqrt(v + kEpsilon);
        HostArrays g =
            norm_gradients(transposed(o[0]), &o[1], rstd, transposed(o[3]), HostArray({4}, 1));
        HostArray dscale({3}), dbias({3});
        for_each_index(o[0].shape, [&](const Axes& at) {
          const int64_t c = at[1];
          dscale.at({c}) += o[3].at(at) * (o[0].at(at) - o[1].at({c})) * rstd.at({c});
          dbias.at({c}) += o[3].at(at);
        });
        const HostArray dx = affine(transposed(g[0]), o[4], nullptr);
        return HostArrays{dx, dscale, dbias};
      });
}

/// What surrounds the scores in a reference of attention.
struct AttentionRule {
  double scale = 1;
  const HostArray* bias = nullptr;  ///< broadcasts to [batch, heads, q_len, kv_len]
  std::function<bool(int64_t t, int64_t s)> allowed = [](int64_t, int64_t) { return true; };
  /// By what a weight is multiplied: 0 if it was dropped.
  std::function<double(int64_t b, int64_t h, int64_t t, int64_t s)> factor =
      [](int64_t, int64_t, int64_t, int64_t) { return 1.0; };
};

double broadcast_at(const HostArray& x, Axes at) {
  for (size_t i = 0; i < at.size(); ++i) at[i] = x.shape[i] == 1 ? 0 : at[i];
  return x.at(at);
}

/// The masked scores of head `h` and query `t` in batch `b`.
Line scores_line(const HostArray& q, const HostArray& k, const AttentionRule& rule, int64_t b,
                 int64_t h, int64_t t) {
  const int64_t group = q.shape[2] / k.shape[2];
  Line scores;
  for (int64_t s = 0; s < k.shape[1]; ++s) {
    double score = 0;
    for (int64_t d = 0; d < q.shape[3]; ++d)
      score += q.at({b, t, h, d}) * k.at({b, s, h / group, d});
    score *= rule.scale;
    if (rule.bias) score += broadcast_at(*rule.bias, {b, h, t, s});
    scores.push_back(rule.allowed(t, s) ? score : -INFINITY);
  }
  return scores;
}

/// Attention by definition and the log-sum-exp of the scores; operands as in AttentionParams.
HostArrays attended(const HostArrays& o, const AttentionRule& rule) {
  const HostArray &q = o[0], &k = o[1], &v = o[2];
  const int64_t length = k.shape[1], group = q.shape[2] / k.shape[2];
  HostArray out({q.shape[0], q.shape[1], q.shape[2], v.shape[3]});
  HostArray lse({q.shape[0], q.shape[1], q.shape[2]});
  for_each_index(lse.shape, [&](const Axes& at) {
    const int64_t b = at[0], t = at[1], h = at[2];
    const Line scores = scores_line(q, k, rule, b, h, t);
    const Line weights = softmax_line(scores);
    lse.at(at) = log_sum_exp(scores);
    for_each_index({length, v.shape[3]}, [&](const Axes& sv) {
      out.at({b, t, h, sv[1]}) += weights[static_cast<size_t>(sv[0])] *
                                  rule.factor(b, h, t, sv[0]) * v.at({b, sv[0], h / group, sv[1]});
    });
  });
  return {out, lse};
}

TensorList with_residual(const TensorList& x, const Tensor& bias, const Tensor& mask,
                         const AttentionOptions& options) {
  const AttentionResult r =
      dot_product_attention_with_residual(x[0], x[1], x[2], bias, mask, options);
  return {r.y, r.log_sum_exp};
}

constexpr double kDropout = 0.25;

/// Draws as attention does: one decision per weight, or per query and key.
std::function<double(int64_t, int64_t, int64_t, int64_t)> dropout_factor(const HostArray& key,
                                                                         const Shape& shape) {
  const Tensor data = from_vector(key.values, {1, 2}).astype(DType::kU32);
  const Tensor uniform = emit_one(random_uniform_primitive(), {data},
                                  RandomRangeParams{.shape = shape, .layout = random::layout()});
  HostArray drawn(shape, uniform.to_vector<double>());
  return [drawn](int64_t b, int64_t h, int64_t t, int64_t s) {
    return broadcast_at(drawn, {b, h, t, s}) < 1 - kDropout ? 1 / (1 - kDropout) : 0.0;
  };
}

CaseBuilder attention_row(OpTable& table, const char* name, TensorList (*f)(const TensorList&)) {
  return table.add(name, f)
      .of("dot_product_attention")
      .gives(Gives::kUnchecked)
      .jit_within(1e-13)
      .reordered_within(1e-13)
      .gradient_scale(8);
}

void add_attentions(OpTable& table) {
  attention_row(table, "dot_product_attention",
                [](const TensorList& x) { return with_residual(x, {}, {}, {}); })
      .sample({{{2, 2, 2, 3}, kLine}, {{2, 3, 2, 3}, kLine}, {{2, 3, 2, 2}, kLine}})
      .sample({{{0, 2, 2, 3}, kLine}, {{0, 3, 2, 3}, kLine}, {{0, 3, 2, 2}, kLine}})
      .sample({{{1, 0, 2, 3}, kLine}, {{1, 3, 1, 3}, kLine}, {{1, 3, 1, 2}, kLine}})
      .sample({{{1, 2, 2, 3}, kLine}, {{1, 3, 2, 3}, kLine}, {{1, 3, 2, 0}, kLine}})
      .reference([](const HostArrays& o) { return attended(o, {.scale = 1 / std::sqrt(3.0)}); });
  attention_row(table, "attention_causal_grouped",
                [](const TensorList& x) {
                  return with_residual(x, x[3], {}, {.scale = 0.5, .causal = true});
                })
      .sample({{{1, 3, 4, 2}, kLine},
               {{1, 3, 2, 2}, kLine},
               {{1, 3, 2, 2}, kLine},
               {{1, 4, 3, 3}, kLine}})
      .sample({{{2, 3, 2, 2}, kLine},
               {{2, 2, 1, 2}, kLine},
               {{2, 2, 1, 1}, kLine},
               {{1, 2, 1, 2}, kLine}})
      .reference([](const HostArrays& o) {
        return attended(o, {.scale = 0.5, .bias = &o[3], .allowed = [](int64_t t, int64_t s) {
                              return s <= t;
                            }});
      });
  attention_row(table, "attention_masked",
                [](const TensorList& x) { return with_residual(x, {}, x[3], {}); })
      .sample({{{1, 2, 1, 2}, kLine},
               {{1, 3, 1, 2}, kLine},
               {{1, 3, 1, 2}, kLine},
               {{1, 1, 2, 3}, given({1, 0, 1, 0, 1, 1}).as(DType::kBool)}})
      .reference([](const HostArrays& o) {
        return attended(o, {.scale = 1 / std::sqrt(2.0), .allowed = [&](int64_t t, int64_t s) {
                              return o[3].at({0, 0, t, s}) != 0;
                            }});
      });
  attention_row(table, "attention_dropout",
                [](const TensorList& x) {
                  return with_residual(x, {}, {}, {.dropout_rate = kDropout, .dropout_key = x[3]});
                })
      .sample({{{2, 2, 2, 3}, kLine}, {{2, 3, 1, 3}, kLine}, {{2, 3, 1, 2}, kLine}, {{2}, keys()}})
      .reference([](const HostArrays& o) {
        return attended(
            o, {.scale = 1 / std::sqrt(3.0), .factor = dropout_factor(o[3], {2, 2, 2, 3})});
      });
  attention_row(table, "attention_broadcast_dropout",
                [](const TensorList& x) {
                  return with_residual(
                      x, {}, {},
                      {.dropout_rate = kDropout, .broadcast_dropout = true, .dropout_key = x[3]});
                })
      .sample({{{2, 2, 2, 3}, kLine}, {{2, 3, 2, 3}, kLine}, {{2, 3, 2, 2}, kLine}, {{2}, keys()}})
      .reference([](const HostArrays& o) {
        return attended(
            o, {.scale = 1 / std::sqrt(3.0), .factor = dropout_factor(o[3], {1, 1, 2, 3})});
      });
}

/// q, k, v, y, log-sum-exp, dy, dlse, bias, mask, keys; the results do not depend on whether y and
/// the log-sum-exp are those of the other operands.
HostArrays attention_gradients(const HostArrays& o) {
  const HostArray &q = o[0], &k = o[1], &v = o[2], &y = o[3], &lse = o[4], &dy = o[5], &dlse = o[6],
                  &bias = o[7], &mask = o[8];
  const AttentionRule rule{
      .scale = 0.5,
      .bias = &bias,
      .allowed =
          [&](int64_t t, int64_t s) {
            return s <= t && mask.at({0, 0, t, s}) != 0;
          },
      .factor = dropout_factor(o[9], {q.shape[0], q.shape[2], q.shape[1], k.shape[1]})};
  HostArray dq(q.shape), dk(k.shape), dv(v.shape), dbias(bias.shape);
  const int64_t group = q.shape[2] / k.shape[2];
  for_each_index(lse.shape, [&](const Axes& at) {
    const int64_t b = at[0], h = at[1], t = at[2];
    const Line scores = scores_line(q, k, rule, b, h, t);
    double total = 0;
    for (int64_t d = 0; d < v.shape[3]; ++d) total += y.at({b, t, h, d}) * dy.at({b, t, h, d});
    for (int64_t s = 0; s < k.shape[1]; ++s) {
      const double weight = std::exp(scores[static_cast<size_t>(s)] - lse.at(at));
      const double factor = rule.factor(b, h, t, s);
      double dweight = 0;
      for (int64_t d = 0; d < v.shape[3]; ++d) {
        dweight += factor * dy.at({b, t, h, d}) * v.at({b, s, h / group, d});
        dv.at({b, s, h / group, d}) += weight * factor * dy.at({b, t, h, d});
      }
      const double dscore = weight * (dweight - total + dlse.at(at));
      dbias.at({0, h, t, s}) += dscore;
      for (int64_t d = 0; d < q.shape[3]; ++d) {
        dq.at({b, t, h, d}) += rule.scale * dscore * k.at({b, s, h / group, d});
        dk.at({b, s, h / group, d}) += rule.scale * dscore * q.at({b, t, h, d});
      }
    }
  });
  return {dq, dk, dv, dbias};
}

void add_attention_backward(OpTable& table) {
  table
      .add(
          "dot_product_attention_backward",
          [](const TensorList& x) {
            const AttentionParams p{.scale = 0.5,
                                    .causal = true,
                                    .has_bias = true,
                                    .has_mask = true,
                                    .dropout_rate = kDropout,
                                    .batch_per_key = x[0].shape(0)};
            TensorList operands = x;
            operands.back() = expand_dims(operands.back(), 0);
            return emit(attention_backward_primitive(), operands, AttentionBackwardParams{p, true});
          })
      .sample({{{2, 3, 2, 2}, kLine},
               {{2, 3, 1, 2}, kLine},
               {{2, 3, 1, 2}, kLine},
               {{2, 3, 2, 2}, kLine},
               {{2, 2, 3}, uniform(1, 2)},
               {{2, 3, 2, 2}, kLine},
               {{2, 2, 3}, kLine},
               {{1, 2, 3, 3}, kLine},
               {{1, 1, 3, 3}, given({1, 0, 1, 1, 1, 1, 0, 1, 1}).as(DType::kBool)},
               {{2}, keys()}})
      .wide_only()
      .no_nan()
      .takes(Takes::kUnchecked)
      .gives(Gives::kUnchecked)
      .jit_within(1e-13)
      .reordered_within(1e-13)
      .gradient_scale(8)
      .reference(attention_gradients);
}

}  // namespace

void add_network_cases(OpTable& table) {
  add_softmaxes(table);
  add_cross_entropies(table);
  add_norms(table);
  add_batch_norms(table);
  add_attentions(table);
  add_attention_backward(table);
}

}  // namespace linnet::testing
