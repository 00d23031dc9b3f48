// First and second derivatives of loops and branches in every mode, and keys inside them, against
// the real JAX in float64 (reference/cases/loop_derivatives.py).
#include <functional>
#include <string>
#include <vector>

#include "linnet/core.h"
#include "tests/ops/golden_file.h"

namespace linnet::loop_derivatives_test {
namespace {

using random::Key;
using testing::expect_golden;
using Function = std::function<Tensor(const Tensor& w, const Tensor& xs)>;

constexpr double kTolerance = 1e-12;

const testing::GoldenFile& golden() {
  static const testing::GoldenFile file("loop_derivatives");
  return file;
}
Tensor input(const std::string& name) { return golden().tensor("in/" + name); }

const std::vector<std::string>& derivative_names() {
  static const std::vector<std::string> names{
      "value",           "grad_w", "grad_xs", "forward_reverse", "reverse_reverse",
      "forward_forward", "hvp",    "batched", "batched_hvp"};
  return names;
}

/// In the order of derivative_names().
std::vector<Tensor> derivatives_of(const Function& f, const Tensor& w, const Tensor& xs,
                                   const Tensor& v, const Tensor& ws) {
  const auto of_w = [&](const Tensor& at) { return f(at, xs); };
  const auto gradient = [&](const Tensor& at) { return grad(of_w)(at); };
  const auto [of_xs_too, of_xs] = grad<0, 1>(f)(w, xs);
  const auto product = [&](const Tensor& at) {
    return grad([&](const Tensor& u) { return sum(grad<1>(f)(u, xs) * v); })(at);
  };
  return {f(w, xs),
          of_xs_too,
          of_xs,
          jacfwd(gradient)(w),
          jacrev(gradient)(w),
          jacfwd(jacfwd(of_w))(w),
          product(w),
          vmap(gradient)(ws),
          vmap(product)(ws)};
}

void check_all(const std::vector<Tensor>& got, const std::vector<std::string>& names,
               const std::string& what, const std::string& how) {
  ASSERT_EQ(got.size(), names.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const std::string name = what + "/" + names[i];
    expect_golden(got[i], golden().tensor(name), kTolerance, name + how);
  }
}

/// Eager, and all of them as one compiled program.
void check(const std::string& name, const Function& f) {
  const auto all = [&](const Tensor& w, const Tensor& xs, const Tensor& v, const Tensor& ws) {
    return derivatives_of(f, w, xs, v, ws);
  };
  const Tensor w = input("w"), xs = input("xs"), v = input("v"), ws = input("ws");
  check_all(all(w, xs, v, ws), derivative_names(), name, "");
  check_all(jit(all)(w, xs, v, ws), derivative_names(), name, ", compiled");
}

/// The same of loops of unknown length, which only forward mode differentiates.
void check_forward(const std::string& name, const Function& f) {
  const auto all = [&](const Tensor& w, const Tensor& xs, const Tensor& ws) {
    const auto of_w = [&](const Tensor& at) { return f(at, xs); };
    return std::vector<Tensor>{f(w, xs), jacfwd(of_w)(w), jacfwd(jacfwd(of_w))(w),
                               vmap(jacfwd(of_w))(ws)};
  };
  const std::vector<std::string> names{"value", "grad_w", "forward_forward", "batched"};
  const Tensor w = input("w"), xs = input("xs"), ws = input("ws");
  check_all(all(w, xs, ws), names, name, "");
  check_all(jit(all)(w, xs, ws), names, name, ", compiled");
  // Outside of a program, bounds may be known.
  const Function gradient = grad(f);
  EXPECT_THROW(jit(gradient)(w, xs), Error) << name;
}

Tensor step(const Tensor& h, const Tensor& w, const Tensor& x) {
  return tanh(matmul(h, w) + x) + 0.1 * sin(h);
}
Tensor start(const Tensor& w) { return transpose(w) * 0.5; }
Tensor noise(const Key& key, const Shape& shape) {
  return random::uniform(key, shape, DType::kF64);
}

Tensor run_scan(const Tensor& w, const Tensor& xs, const ScanOptions& options) {
  const auto [h, ys] = scan(
      [&](const Tensor& last, const Tensor& x) {
        const Tensor next = step(last, w, x);
        return std::pair(next, next * next);
      },
      start(w), xs, options);
  return sum(h) + sum(ys * xs);
}

TEST(LoopDerivatives, J_088_scan) {
  check("scan", [](const Tensor& w, const Tensor& xs) { return run_scan(w, xs, {}); });
  check("scan", [](const Tensor& w, const Tensor& xs) { return run_scan(w, xs, {.unroll = 3}); });
  check("scan_reverse",
        [](const Tensor& w, const Tensor& xs) { return run_scan(w, xs, {.reverse = true}); });
}

TEST(LoopDerivatives, J_088_scan_of_a_tree) {
  using Carry = std::tuple<Tensor, Tensor, std::pair<Tensor, Tensor>>;
  check("scan_tree", [](const Tensor& w, const Tensor& xs) {
    const auto [carry, ys] = scan(
        [&](const Carry& c, const Tensor& x) {
          const auto& [i, fixed, both] = c;
          const auto& [a, b] = both;
          return std::pair(
              Carry(i + 1, fixed, {b + fixed, matmul(sin(a), w) + x * i.astype(DType::kF64)}),
              std::pair(i, a * b));
        },
        Carry(Tensor(0), w[0], {start(w), w}), xs);
    const auto& [i, fixed, both] = carry;
    return sum(both.first * both.second) * i.astype(DType::kF64) + sum(ys.second * xs);
  });
}

TEST(LoopDerivatives, J_088_scan_without_a_sequence) {
  check("scan_length", [](const Tensor& w, const Tensor& xs) {
    const auto [h, ys] =
        scan([&](const Tensor& last) { return std::pair(step(last, w, xs[0]), sum(last)); },
             start(w), {.length = 5});
    return sum(h) + sum(ys * ys);
  });
}

TEST(LoopDerivatives, J_088_scan_in_a_scan) {
  check("scan_nested", [](const Tensor& w, const Tensor& xs) {
    const auto outer = [&](const Tensor& h, const Tensor& x) {
      const auto inner = [&](const Tensor& g, const Tensor& row) {
        const Tensor next = tanh(g + expand_dims(matmul(row, x), 1) * h);
        return std::pair(next, matmul(next, w));
      };
      const auto [last, rows] = scan(inner, h, w, {.reverse = true});
      return std::pair(last, sum(rows, 0));
    };
    const auto [h, ys] = scan(outer, start(w), xs);
    return sum(h) + sum(ys * xs);
  });
}

TEST(LoopDerivatives, J_088_gradients_in_a_scan) {
  check("scan_of_gradients", [](const Tensor& w, const Tensor& xs) {
    const auto [v, ys] = scan(
        [&](const Tensor& last, const Tensor& x) {
          const Tensor g = grad([&](const Tensor& u) { return sum(sin(matmul(u, x)) * w); })(last);
          return std::pair(last - 0.1 * g, sum(g));
        },
        w, xs);
    return sum(v) + sum(ys * ys);
  });
}

TEST(LoopDerivatives, J_088_keys_in_a_scan) {
  using Carry = std::pair<Tensor, Key>;
  check("scan_noise", [](const Tensor& w, const Tensor& xs) {
    const auto [last, ys] = scan(
        [&](const Carry& carry, const Tensor& x) {
          const Key both = random::split(carry.second, 2);
          const Tensor next = step(carry.first, w, x) * noise(both[1], {2, 2});
          return std::pair(Carry(next, both[0]), carry.first);
        },
        Carry(start(w), Key(3)), xs);
    return sum(last.first) + sum(ys * xs);
  });
}

TEST(LoopDerivatives, J_091_map) {
  check("map", [](const Tensor& w, const Tensor& xs) {
    return sum(square(map_each([&](const Tensor& x) { return sin(matmul(x, w)) * x; }, xs)));
  });
  check("map_of_gradients", [](const Tensor& w, const Tensor& xs) {
    const auto loss = [&](const Tensor& x) { return sum(square(sin(matmul(x, w)))); };
    return sum(square(map_each([&](const Tensor& x) { return grad(loss)(x); }, xs)));
  });
}

TEST(LoopDerivatives, J_089_fori_loop) {
  check("fori", [](const Tensor& w, const Tensor& xs) {
    const auto body = [&](const Tensor& i, const Tensor& h) {
      return step(h, w, take(xs, i)) * i.astype(DType::kF64);
    };
    return sum(square(fori_loop(1, 4, body, start(w))));
  });
  check("fori_noise", [](const Tensor& w, const Tensor& xs) {
    const auto body = [&](const Tensor& i, const Tensor& h) {
      return step(h, w, take(xs, i)) * noise(random::fold_in(Key(5), i), {2, 2});
    };
    return sum(square(fori_loop(0, 4, body, start(w))));
  });
  check_forward("fori_unknown", [](const Tensor& w, const Tensor& xs) {
    const Tensor last = sum(xs * 0).astype(DType::kI32) + 3;
    const auto body = [&](const Tensor& i, const Tensor& h) { return step(h, w, take(xs, i)); };
    return sum(square(fori_loop(0, last, body, start(w))));
  });
}

TEST(LoopDerivatives, J_089_while_loop) {
  check_forward("while", [](const Tensor& w, const Tensor& xs) {
    using Carry = std::pair<Tensor, Tensor>;
    const auto [h, i] = while_loop(
        [](const Carry& c) { return logical_and(sum(square(c.first)) < 20.0, c.second < 30); },
        [&](const Carry& c) {
          return Carry(1.2 * c.first + sin(matmul(c.first, w)) + 0.1 * xs[0], c.second + 1);
        },
        Carry(start(w), Tensor(0)));
    return sum(h * h) * i.astype(DType::kF64);
  });
  check_forward("while_noise", [](const Tensor& w, const Tensor&) {
    using Carry = std::tuple<Key, Tensor, Tensor>;
    const auto last = while_loop([](const Carry& c) { return std::get<2>(c) < 0.8; },
                                 [&](const Carry& c) {
                                   const Key both = random::split(std::get<0>(c), 2);
                                   const Tensor drawn = noise(both[1], {});
                                   const Tensor h = tanh(matmul(std::get<1>(c), w)) + drawn;
                                   return Carry(both[0], h, drawn);
                                 },
                                 Carry(Key(9), start(w), zeros({}, DType::kF64)));
    return sum(square(std::get<1>(last)));
  });
}

TEST(LoopDerivatives, J_090_cond) {
  check("cond", [](const Tensor& w, const Tensor& xs) {
    const auto [h, ys] = scan(
        [&](const Tensor& last, const Tensor& x) {
          const Tensor next = cond(
              sum(x) > 0.1, [&](const Tensor& g) { return step(g, w, x); },
              [&](const Tensor& g) { return matmul(g, x) - cos(w); }, last);
          return std::pair(next, next);
        },
        start(w), xs);
    const Tensor last = h;
    const Tensor end = cond(
        sum(w) > 0, [&] { return sum(last * last); }, [&] { return sum(last * w); });
    return end + sum(ys * xs);
  });
  check("cond_noise", [](const Tensor& w, const Tensor& xs) {
    using Carry = std::pair<Tensor, Key>;
    const auto [last, ys] = scan(
        [&](const Carry& carry, const Tensor& x) {
          const Key both = random::split(carry.second, 2);
          const Tensor h = cond(
              sum(x) > 0.1,
              [](const Tensor& g, const Key& key) {
                return g * noise(key, {2, 2});
              },
              [&](const Tensor& g, const Key&) { return step(g, w, x); }, carry.first, both[1]);
          return std::pair(Carry(h, both[0]), h);
        },
        Carry(start(w), Key(4)), xs);
    return sum(square(last.first)) + sum(ys * xs);
  });
}

const auto kEachBranch = [](const Tensor& w) {
  using Branch = std::function<Tensor(const Tensor&, const Tensor&)>;
  return std::vector<Branch>{
      [w](const Tensor& h, const Tensor&) { return matmul(sin(h), w); },
      [](const Tensor& h, const Tensor& x) { return h * x; },
      [](const Tensor& h, const Tensor& x) { return matmul(h, exp(-x * x)); }};
};

TEST(LoopDerivatives, J_090_switch) {
  using Carry = std::pair<Tensor, Tensor>;
  check("switch", [](const Tensor& w, const Tensor& xs) {
    const auto [last, ys] = scan(
        [&](const Carry& c, const Tensor& x) {
          const Tensor h = switch_case(mod(c.first, 4) - 1, kEachBranch(w), c.second, x);
          return std::pair(Carry(c.first + 1, h), h);
        },
        Carry(Tensor(0), start(w)), xs);
    return sum(last.second) + sum(ys * ys);
  });
}

TEST(LoopDerivatives, J_090_branches_of_each_element) {
  check("switch_batched", [](const Tensor& w, const Tensor& xs) {
    const auto one = [&](const Tensor& i, const Tensor& x) {
      return switch_case(i, kEachBranch(w), start(w), x);
    };
    return sum(square(vmap(one)(tensor({2, -1, 1, 7}), xs)));
  });
  check("cond_batched", [](const Tensor& w, const Tensor& xs) {
    const auto one = [&](const Tensor& x) {
      const Tensor first = x[{0, 0}];
      return cond(
          first > 0, [&] { return sum(sqrt(first) * w); }, [&] { return sum(matmul(x, w)); });
    };
    return sum(square(map_each(one, xs)));
  });
}

TEST(LoopDerivatives, J_091_associative_scan) {
  const auto products = [](const AssociativeScanOptions& options) {
    return [options](const Tensor& w, const Tensor& xs) {
      const auto product = [](const Tensor& a, const Tensor& b) { return matmul(a, b); };
      const Tensor each = matmul(xs, w) + 0.5 * eye(2, -1, 0, DType::kF64);
      return sum(associative_scan(product, each, options) * xs);
    };
  };
  check("associative", products({}));
  check("associative_reverse", products({.reverse = true}));
  check("associative_pairs", [](const Tensor& w, const Tensor& xs) {
    using Pair = std::pair<Tensor, Tensor>;
    const auto combine = [](const Pair& a, const Pair& b) {
      return Pair(a.first * b.first, b.first * a.second + b.second);
    };
    const Tensor x = concatenate({xs, cos(xs), xs * xs}, 1);
    const Tensor h = associative_scan(combine, Pair(sin(matmul(x, w)), x), {.axis = 1}).second;
    return sum(h * h);
  });
}

TEST(LoopDerivatives, J_086_J_088_scan_of_checkpoint_with_policies) {
  for (const CheckpointPolicy& policy :
       {checkpoint_policies::nothing_saveable(), checkpoint_policies::everything_saveable(),
        checkpoint_policies::dots_saveable(),
        checkpoint_policies::save_only_these_names({"product"})}) {
    check("checkpoint", [&](const Tensor& w, const Tensor& xs) {
      const auto block = checkpoint(
          [](const Tensor& h, const Tensor& x, const Tensor& u) {
            return tanh(checkpoint_name(matmul(step(h, u, x), u), "product")) * x;
          },
          policy);
      const auto [h, ys] = scan(
          [&](const Tensor& last, const Tensor& x) { return std::pair(block(last, x, w), last); },
          start(w), xs);
      return sum(h) + sum(ys * ys);
    });
  }
}

}  // namespace
}  // namespace linnet::loop_derivatives_test
