// Loops and branches against the same programs without them, under every transformation and in each
// other, in float64.
#include <cmath>
#include <functional>

#include "tests/core/core_support.h"

namespace linnet::control_flow_test {
namespace {

using Function = std::function<Tensor(const Tensor& w, const Tensor& xs)>;

Tensor step(const Tensor& h, const Tensor& w, const Tensor& x) {
  return tanh(h * w + x) + 0.1 * sin(h);
}

/// A pair of programs that mean the same.
struct Case {
  const char* name;
  Function loop, plain;
};

Tensor plain_scan(const Tensor& w, const Tensor& xs, bool reverse) {
  Tensor h = zeros_like(w);
  std::vector<Tensor> ys;
  for (int64_t i = 0; i < xs.shape(0); ++i) {
    h = step(h, w, xs[reverse ? xs.shape(0) - 1 - i : i]);
    ys.push_back(h * h);
  }
  if (reverse) std::reverse(ys.begin(), ys.end());
  return sum(h) + sum(stack(ys) * xs);
}

Tensor loop_scan(const Tensor& w, const Tensor& xs, bool reverse) {
  const auto [h, ys] = scan(
      [&](const Tensor& h, const Tensor& x) {
        const Tensor next = step(h, w, x);
        return std::pair(next, next * next);
      },
      zeros_like(w), xs, {.reverse = reverse});
  return sum(h) + sum(ys * xs);
}

/// A carry that does not depend on anything active at first, and one that never does.
Tensor loop_mixed(const Tensor& w, const Tensor& xs) {
  using Carry = std::tuple<Tensor, Tensor, Tensor>;
  const auto [carry, ys] = scan(
      [&](const Carry& c, const Tensor& x) {
        const auto& [count, a, b] = c;
        return std::pair(Carry(count + 1, b + 1.0, sin(a) * w + x), count);
      },
      Carry(Tensor(0), zeros_like(w), zeros_like(w)), xs);
  return sum(std::get<1>(carry) * std::get<2>(carry)) + sum(ys).astype(DType::kF64) * 0.0 + sum(w);
}
Tensor plain_mixed(const Tensor& w, const Tensor& xs) {
  Tensor a = zeros_like(w), b = zeros_like(w);
  for (int64_t i = 0; i < xs.shape(0); ++i) {
    const Tensor next = b + 1.0;
    b = sin(a) * w + xs[i];
    a = next;
  }
  return sum(a * b) + sum(w);
}

/// A scan in a scan, and products that leave the loop.
Tensor loop_nested(const Tensor& w, const Tensor& xs) {
  const Tensor m = outer(w, w);
  const auto [h, ys] = scan(
      [&](const Tensor& h, const Tensor& x) {
        const auto [inner, rows] = scan(
            [&](const Tensor& g, const Tensor& row) {
              const Tensor next = tanh(g + matmul(row, x) * h);
              return std::pair(next, matmul(next, m));
            },
            h, m);
        return std::pair(inner, sum(rows, 0) + matmul(x, m));
      },
      w, xs);
  return sum(h) + sum(ys * ys);
}
Tensor plain_nested(const Tensor& w, const Tensor& xs) {
  const Tensor m = outer(w, w);
  Tensor h = w, total = sum(w) * 0.0;
  for (int64_t i = 0; i < xs.shape(0); ++i) {
    Tensor rows = zeros_like(w);
    const Tensor before = h;
    for (int64_t j = 0; j < m.shape(0); ++j) {
      h = tanh(h + matmul(m[j], xs[i]) * before);
      rows = rows + matmul(h, m);
    }
    const Tensor y = rows + matmul(xs[i], m);
    total = total + sum(y * y);
  }
  return sum(h) + total;
}

Tensor loop_fori(const Tensor& w, const Tensor& xs) {
  return sum(fori_loop(
      1, 4,
      [&](const Tensor& i, const Tensor& h) { return step(h, w, xs[0]) * i.astype(DType::kF64); },
      w));
}
Tensor plain_fori(const Tensor& w, const Tensor& xs) {
  Tensor h = w;
  for (int i = 1; i < 4; ++i) h = step(h, w, xs[0]) * static_cast<double>(i);
  return sum(h);
}

Tensor loop_cond(const Tensor& w, const Tensor& xs) {
  const auto [h, ys] = scan(
      [&](const Tensor& h, const Tensor& x) {
        const Tensor next = cond(
            sum(x) > 0.1, [&](const Tensor& g) { return step(g, w, x); },
            [&](const Tensor& g) { return g * x - cos(w); }, h);
        return std::pair(next, next);
      },
      w, xs);
  return sum(h) + sum(ys * ys);
}
Tensor plain_cond(const Tensor& w, const Tensor& xs) {
  Tensor h = w, total = sum(w) * 0.0;
  for (int64_t i = 0; i < xs.shape(0); ++i) {
    const Tensor x = xs[i];
    h = where(broadcast_to(sum(x) > 0.1, h.shape()), step(h, w, x), h * x - cos(w));
    total = total + sum(h * h);
  }
  return sum(h) + total;
}

Tensor loop_switch(const Tensor& w, const Tensor& xs) {
  const auto [h, ys] = scan(
      [&](const std::pair<Tensor, Tensor>& c, const Tensor& x) {
        const Tensor next =
            switch_case(mod(c.first, 3),
                        std::tuple([&](const Tensor& g) { return sin(g) * w; },
                                   [&](const Tensor& g) { return g + x; },
                                   [&](const Tensor& g) { return g * exp(-x * x); }),
                        c.second);
        return std::pair(std::pair(c.first + 1, next), next);
      },
      std::pair(Tensor(0), w), xs);
  return sum(h.second) + sum(ys * ys);
}
Tensor plain_switch(const Tensor& w, const Tensor& xs) {
  Tensor h = w, total = sum(w) * 0.0;
  for (int64_t i = 0; i < xs.shape(0); ++i) {
    const Tensor x = xs[i];
    h = i % 3 == 0 ? sin(h) * w : i % 3 == 1 ? h + x : h * exp(-x * x);
    total = total + sum(h * h);
  }
  return sum(h) + total;
}

Tensor loop_checkpoint(const Tensor& w, const Tensor& xs) {
  const auto [h, ys] = scan(
      [&](const Tensor& h, const Tensor& x) {
        const Tensor next = checkpoint(
            [&](const Tensor& g, const Tensor& y) { return step(step(g, w, y), w, y); })(h, x);
        return std::pair(next, std::tuple<>());
      },
      w, xs);
  return sum(h);
}
Tensor plain_checkpoint(const Tensor& w, const Tensor& xs) {
  Tensor h = w;
  for (int64_t i = 0; i < xs.shape(0); ++i) h = step(step(h, w, xs[i]), w, xs[i]);
  return sum(h);
}

Tensor loop_map(const Tensor& w, const Tensor& xs) {
  return sum(map_each([&](const Tensor& x) { return sum(sin(x * w)); }, xs));
}
Tensor plain_map(const Tensor& w, const Tensor& xs) {
  Tensor total = sum(w) * 0.0;
  for (int64_t i = 0; i < xs.shape(0); ++i) total = total + sum(sin(xs[i] * w));
  return total;
}

Tensor loop_associative(const Tensor& w, const Tensor& xs) {
  const Tensor all =
      associative_scan([](const Tensor& a, const Tensor& b) { return a * b; }, xs * w + 1.0);
  return sum(all * xs);
}
Tensor plain_associative(const Tensor& w, const Tensor& xs) {
  Tensor p = ones_like(w), total = sum(w) * 0.0;
  for (int64_t i = 0; i < xs.shape(0); ++i) {
    p = p * (xs[i] * w + 1.0);
    total = total + sum(p * xs[i]);
  }
  return total;
}

/// The carry is what the loop outside differentiates.
Tensor loop_of_gradients(const Tensor& w, const Tensor& xs) {
  const auto [v, ys] = scan(
      [&](const Tensor& v, const Tensor& x) {
        const Tensor g = grad([&](const Tensor& u) { return sum(sin(u * x) * w); })(v);
        return std::pair(v - 0.1 * g, sum(g));
      },
      w, xs);
  return sum(v) + sum(ys);
}
Tensor plain_of_gradients(const Tensor& w, const Tensor& xs) {
  Tensor v = w, total = sum(w) * 0.0;
  for (int64_t i = 0; i < xs.shape(0); ++i) {
    const Tensor g = cos(v * xs[i]) * xs[i] * w;
    v = v - 0.1 * g;
    total = total + sum(g);
  }
  return sum(v) + total;
}

/// Products with matrices that stay the same, large enough to be laid out for them.
Tensor loop_panels(const Tensor& w, const Tensor& xs) {
  const Tensor big = sin(reshape(arange(70 * 70), {70, 70}).astype(DType::kF64)) * 0.1;
  const Tensor scaled = big * sum(w);
  const Tensor start = broadcast_to(reshape(sum(xs, 1), {5, 1}), {5, 70});
  const auto [h, ys] = scan(
      [&](const Tensor& h, const Tensor& x) {
        const Tensor next = tanh(matmul(h, scaled) + matmul(h, transpose(big)) + sum(x));
        return std::pair(next, sum(next));
      },
      start, xs);
  return sum(h) + sum(ys);
}
Tensor plain_panels(const Tensor& w, const Tensor& xs) {
  const Tensor big = sin(reshape(arange(70 * 70), {70, 70}).astype(DType::kF64)) * 0.1;
  const Tensor scaled = big * sum(w);
  Tensor h = broadcast_to(reshape(sum(xs, 1), {5, 1}), {5, 70}), total = sum(w) * 0.0;
  for (int64_t i = 0; i < xs.shape(0); ++i) {
    h = tanh(matmul(h, scaled) + matmul(h, transpose(big)) + sum(xs[i]));
    total = total + sum(h);
  }
  return sum(h) + total;
}

const Case kCases[] = {
    {"scan", [](const Tensor& w, const Tensor& xs) { return loop_scan(w, xs, false); },
     [](const Tensor& w, const Tensor& xs) { return plain_scan(w, xs, false); }},
    {"reverse", [](const Tensor& w, const Tensor& xs) { return loop_scan(w, xs, true); },
     [](const Tensor& w, const Tensor& xs) { return plain_scan(w, xs, true); }},
    {"mixed", loop_mixed, plain_mixed},
    {"nested", loop_nested, plain_nested},
    {"fori", loop_fori, plain_fori},
    {"cond", loop_cond, plain_cond},
    {"switch", loop_switch, plain_switch},
    {"checkpoint", loop_checkpoint, plain_checkpoint},
    {"map", loop_map, plain_map},
    {"associative", loop_associative, plain_associative},
    {"gradients", loop_of_gradients, plain_of_gradients},
    {"panels", loop_panels, plain_panels},
};

/// What is done to a function before the two are compared.
struct Transformation {
  const char* name;
  std::function<Tensor(const Function&, const Tensor& w, const Tensor& xs)> apply;
};

Tensor both(const std::tuple<Tensor, Tensor>& pair) {
  return concatenate({reshape(std::get<0>(pair), {-1}), reshape(std::get<1>(pair), {-1})});
}
Tensor gradient(const Function& f, const Tensor& w, const Tensor& xs) {
  return both(grad<0, 1>([&](const Tensor& a, const Tensor& b) { return f(a, b); })(w, xs));
}

const Transformation kTransformations[] = {
    {"plain", [](const Function& f, const Tensor& w, const Tensor& xs) { return f(w, xs); }},
    {"jit",
     [](const Function& f, const Tensor& w, const Tensor& xs) {
       return jit([&](const Tensor& a, const Tensor& b) { return f(a, b); })(w, xs);
     }},
    {"grad", gradient},
    {"jit_grad",
     [](const Function& f, const Tensor& w, const Tensor& xs) {
       return jit([&](const Tensor& a, const Tensor& b) { return gradient(f, a, b); })(w, xs);
     }},
    {"grad_jit",
     [](const Function& f, const Tensor& w, const Tensor& xs) {
       const auto compiled = jit([&](const Tensor& a, const Tensor& b) { return f(a, b); });
       return gradient([&](const Tensor& a, const Tensor& b) { return compiled(a, b); }, w, xs);
     }},
    {"jvp",
     [](const Function& f, const Tensor& w, const Tensor& xs) {
       return jvp([&](const Tensor& a, const Tensor& b) { return f(a, b); }, std::tuple(w, xs),
                  std::tuple(cos(w), sin(xs)))
           .second;
     }},
    {"vmap",
     [](const Function& f, const Tensor& w, const Tensor& xs) {
       return vmap([&](const Tensor& a, const Tensor& b) { return f(a, b); })(
           stack({w, w * 0.5, -w}), stack({xs, xs + 0.1, -xs}));
     }},
    {"vmap_one",
     [](const Function& f, const Tensor& w, const Tensor& xs) {
       return vmap([&](const Tensor& b) { return f(w, b); })(stack({xs, -xs}));
     }},
    {"vmap_grad",
     [](const Function& f, const Tensor& w, const Tensor& xs) {
       return vmap([&](const Tensor& a, const Tensor& b) { return gradient(f, a, b); })(
           stack({w, -w}), stack({xs, xs * 0.3}));
     }},
    {"grad_vmap",
     [](const Function& f, const Tensor& w, const Tensor& xs) {
       return gradient(
           [&](const Tensor& a, const Tensor& b) {
             return sum(vmap([&](const Tensor& c) { return f(c, b); })(stack({a, 2.0 * a})));
           },
           w, xs);
     }},
    {"hessian",
     [](const Function& f, const Tensor& w, const Tensor& xs) {
       return hessian([&](const Tensor& a) { return f(a, xs); })(w);
     }},
    {"reverse_over_reverse",
     [](const Function& f, const Tensor& w, const Tensor& xs) {
       return gradient(
           [&](const Tensor& a, const Tensor& b) { return sum(sin(gradient(f, a, b))); }, w, xs);
     }},
    {"checkpoint_grad",
     [](const Function& f, const Tensor& w, const Tensor& xs) {
       return gradient(
           [&](const Tensor& a, const Tensor& b) {
             return checkpoint([&](const Tensor& c, const Tensor& d) { return f(c, d); })(a, b);
           },
           w, xs);
     }},
};

class ControlFlow : public testing::TestWithParam<std::tuple<size_t, size_t>> {};

TEST_P(ControlFlow, J_079_same_as_without_loops) {
  const Case& which = kCases[std::get<0>(GetParam())];
  const Transformation& how = kTransformations[std::get<1>(GetParam())];
  const Tensor w = tensor(std::vector<double>{0.3, -0.7, 1.1});
  const Tensor xs = sin(reshape(arange(15).astype(DType::kF64), {5, 3}) * 1.7) * 0.8;
  const std::vector<double> got = how.apply(which.loop, w, xs).to_vector<double>();
  const std::vector<double> expected = how.apply(which.plain, w, xs).to_vector<double>();
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], expected[i], 1e-11 * (1 + std::abs(expected[i]))) << i;
}

INSTANTIATE_TEST_SUITE_P(All, ControlFlow,
                         testing::Combine(testing::Range(size_t{0}, std::size(kCases)),
                                          testing::Range(size_t{0}, std::size(kTransformations))),
                         [](const auto& info) {
                           return std::string(kCases[std::get<0>(info.param)].name) + "_" +
                                  kTransformations[std::get<1>(info.param)].name;
                         });

}  // namespace
}  // namespace linnet::control_flow_test
