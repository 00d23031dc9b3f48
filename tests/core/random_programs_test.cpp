// Random programs with loops, branches and transformations in each other, to depth four: compiled
// against eager, with loops against unrolled, derivatives against differences and against each
// other, batches against single calls. In float64.
#include <cmath>
#include <functional>
#include <random>

#include "support/fake_device.h"
#include "tests/core/core_support.h"

namespace linnet::random_programs_test {
namespace {

constexpr int64_t kSize = 3;

/// Vectors that an expression may use.
using Values = std::vector<Tensor>;
/// Gives a vector; `plain` without any control flow of the library.
using Expression = std::function<Tensor(const Values&, bool plain)>;

Values with(Values values, std::initializer_list<Tensor> more) {
  values.insert(values.end(), more);
  return values;
}

/// A batch of two.
Tensor rows_of(const Values& v) { return stack({v[0], v.back() * 0.5}); }

Tensor chosen(const Tensor& condition, const Tensor& a, const Tensor& b) {
  return where(broadcast_to(condition, {kSize}), a, b);
}

class Generator {
 public:
  /// One program in eight may have loops of unknown length, which only forward mode
  /// differentiates; the others are differentiated in both modes.
  explicit Generator(uint32_t seed) : random_(seed), open_loops_(seed % 8 == 0) {}

  /// An expression over `count` values.
  Expression expression(int depth, size_t count) {
    if (depth <= 0) return leaf(count);
    const Kind& kind = choose();
    text_ += std::string(" ") + kind.name + "(";
    Expression out = (this->*kind.make)(depth, count);
    text_ += ")";
    return out;
  }
  /// What was made, from the outside in: `scan(v0 v1 tanh(v3))`.
  const std::string& text() const { return text_; }
  bool forward_only() const { return forward_only_; }

 private:
  struct Kind {
    const char* name;
    uint32_t weight;
    Expression (Generator::*make)(int depth, size_t count);
  };

  const Kind& choose() {
    static const std::vector<Kind> kinds = {{"unary", 3, &Generator::unary},
                                            {"binary", 3, &Generator::binary},
                                            {"scan", 2, &Generator::scan_of},
                                            {"fori", 1, &Generator::fori_of},
                                            {"cond", 1, &Generator::cond_of},
                                            {"checkpoint", 1, &Generator::checkpoint_of},
                                            {"vmap", 1, &Generator::vmap_of},
                                            {"grad", 1, &Generator::grad_of},
                                            {"switch", 1, &Generator::switch_of},
                                            {"map", 1, &Generator::map_of},
                                            {"associative", 1, &Generator::associative_of},
                                            {"custom_vjp", 1, &Generator::custom_vjp_of},
                                            {"custom_jvp", 1, &Generator::custom_jvp_of},
                                            {"jit", 1, &Generator::jit_of},
                                            {"named", 1, &Generator::named_of},
                                            {"while", 3, &Generator::while_of}};
    const bool open = open_loops_ && reversed_ == 0;
    const size_t count = kinds.size() - (open ? 0 : 1);
    uint32_t total = 0;
    for (size_t i = 0; i < count; ++i) total += kinds[i].weight;
    uint32_t at = below(total);
    size_t i = 0;
    while (at >= kinds[i].weight) at -= kinds[i++].weight;
    return kinds[i];
  }

  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }

  Expression leaf(size_t count) {
    const size_t which = random_() % count;
    text_ += " v" + std::to_string(which);
    return [which](const Values& v, bool) { return v[which]; };
  }

  Expression unary(int depth, size_t count) {
    const Expression x = expression(depth - 1, count);
    const uint32_t which = below(4);
    return [=](const Values& v, bool plain) {
      const Tensor y = x(v, plain);
      switch (which) {
        case 0:
          return tanh(y);
        case 1:
          return sin(y) * 0.9;
        case 2:
          return y * y * 0.3 - 0.1;
        default:
          return y / (1.0 + y * y);
      }
    };
  }

  Expression binary(int depth, size_t count) {
    const Expression a = expression(depth - 1, count), b = expression(depth - 1, count);
    const uint32_t which = below(4);
    return [=](const Values& v, bool plain) {
      const Tensor x = a(v, plain), y = b(v, plain);
      switch (which) {
        case 0:
          return x + y;
        case 1:
          return x * cos(y);
        case 2:
          return matmul(outer(x, y), y) * 0.2;
        default:
          return x * 0.5 - y;
      }
    };
  }

  Expression scan_of(int depth, size_t count) {
    const Expression init = leaf(count), next = expression(depth - 1, count + 2),
                     out = expression(depth - 1, count + 2);
    const bool reverse = random_() % 2, stacked = random_() % 3 != 0;
    const int64_t length = static_cast<int64_t>(random_() % 4);
    return [=](const Values& v, bool plain) {
      const Tensor xs = outer(arange(length).astype(DType::kF64) * 0.4 - 0.3, v[0]);
      if (!plain) {
        const auto [last, ys] = scan(
            [&](const Tensor& c, const Tensor& x) {
              return std::pair(tanh(next(with(v, {c, x}), false)), out(with(v, {c, x}), false));
            },
            init(v, false), xs, {.reverse = reverse});
        return stacked ? last + sum(ys, 0) : last;
      }
      Tensor c = init(v, true), total = zeros_like(c);
      for (int64_t i = 0; i < length; ++i) {
        const Values inside = with(v, {c, xs[reverse ? length - 1 - i : i]});
        c = tanh(next(inside, true));
        total = total + out(inside, true);
      }
      return stacked ? c + total : c;
    };
  }

  Expression fori_of(int depth, size_t count) {
    const Expression init = leaf(count), next = expression(depth - 1, count + 1);
    const int64_t turns = static_cast<int64_t>(random_() % 3);
    return [=](const Values& v, bool plain) {
      const auto body = [&](const Tensor& i, const Tensor& c, bool flat) {
        return tanh(next(with(v, {c}), flat) + i.astype(DType::kF64) * 0.1);
      };
      if (!plain) {
        return fori_loop(
            0, static_cast<int>(turns),
            [&](const Tensor& i, const Tensor& c) { return body(i, c, false); }, init(v, false));
      }
      Tensor c = init(v, true);
      for (int64_t i = 0; i < turns; ++i) c = body(Tensor(static_cast<int>(i)), c, true);
      return c;
    };
  }

  Expression cond_of(int depth, size_t count) {
    const Expression by = leaf(count), a = expression(depth - 1, count),
                     b = expression(depth - 1, count);
    return [=](const Values& v, bool plain) {
      const Tensor predicate = sum(by(v, plain)) > 0.137;
      if (!plain)
        return cond(
            predicate, [&] { return a(v, false); }, [&] { return b(v, false); });
      return chosen(predicate, a(v, true), b(v, true));
    };
  }

  Expression checkpoint_of(int depth, size_t count) {
    const Expression x = expression(depth - 1, count);
    return [=](const Values& v, bool plain) {
      if (plain) return x(v, true);
      return checkpoint([&](const Values& inner) { return x(inner, false); })(v);
    };
  }

  Expression vmap_of(int depth, size_t count) {
    const Expression x = expression(depth - 1, count + 1);
    return [=](const Values& v, bool plain) {
      const auto element = [&](const Tensor& row) { return x(with(v, {row}), plain); };
      const Tensor rows = rows_of(v);
      if (!plain) return sum(vmap(element)(rows), 0);
      return element(rows[0]) + element(rows[1]);
    };
  }

  Expression grad_of(int depth, size_t count) {
    const Expression x = reversed(depth - 2, count + 1);
    return [=](const Values& v, bool plain) {
      return tanh(grad([&](const Tensor& u) { return sum(sin(x(with(v, {u}), plain))); })(v[0]));
    };
  }

  /// An expression that reverse mode differentiates where it stands.
  Expression reversed(int depth, size_t count) {
    ++reversed_;
    Expression out = expression(depth, count);
    --reversed_;
    return out;
  }

  /// The number of the branch may lie on either side of those there are.
  Expression switch_of(int depth, size_t count) {
    const Expression by = leaf(count), operand = leaf(count), a = expression(depth - 1, count + 1),
                     b = expression(depth - 2, count + 1), c = expression(depth - 2, count + 1);
    const bool listed = below(2);
    return [=](const Values& v, bool plain) {
      const Tensor index = floor(sum(by(v, plain)) * 1.9).astype(DType::kI32) + 1;
      const Tensor x = operand(v, plain);
      const auto branch = [&](const Expression& e) {
        return [&](const Tensor& y) { return e(with(v, {y}), plain); };
      };
      if (plain) {
        const Tensor other = chosen(index <= 1, branch(b)(x), branch(c)(x));
        return chosen(index <= 0, branch(a)(x), other);
      }
      using Branch = std::function<Tensor(const Tensor&)>;
      if (listed)
        return switch_case(index, std::vector<Branch>{branch(a), branch(b), branch(c)}, x);
      return switch_case(index, std::tuple(branch(a), branch(b), branch(c)), x);
    };
  }

  Expression map_of(int depth, size_t count) {
    const Expression x = expression(depth - 1, count + 1);
    return [=](const Values& v, bool plain) {
      const auto element = [&](const Tensor& row) { return x(with(v, {row}), plain); };
      const Tensor rows = rows_of(v);
      if (!plain) return sum(map_each(element, rows), 0);
      return element(rows[0]) + element(rows[1]);
    };
  }

  /// Linear maps one after the other, which is associative and does not commute.
  Expression associative_of(int depth, size_t count) {
    const Expression x = expression(depth - 1, count);
    const bool reverse = below(2);
    const int64_t length = static_cast<int64_t>(below(4));
    return [=](const Values& v, bool plain) {
      using Maps = std::pair<Tensor, Tensor>;
      const Tensor t = arange(length).astype(DType::kF64), start = x(v, plain);
      const Maps maps(outer(cos(t), tanh(start)), outer(t * 0.2 - 0.3, v[0]));
      if (!plain) {
        const auto then = [](const Maps& f, const Maps& g) {
          return Maps(g.first * f.first, g.first * f.second + g.second);
        };
        return sum(associative_scan(then, maps, {.reverse = reverse}).second, 0);
      }
      Tensor c = zeros_like(start), total = c;
      for (int64_t i = 0; i < length; ++i) {
        const int64_t at = reverse ? length - 1 - i : i;
        c = maps.first[at] * c + maps.second[at];
        total = total + c;
      }
      return total;
    };
  }

  /// What a rule of its own is given to: a product, so that there is something to differentiate
  /// around a leaf too. Rules are called after the expression, and hold what they need.
  static auto ruled(const Expression& x, bool plain) {
    return [x, plain](const Values& v) { return sin(x(v, plain)) * v[0]; };
  }

  Expression custom_vjp_of(int depth, size_t count) {
    const Expression x = reversed(depth - 2, count);
    return [=](const Values& v, bool plain) {
      const auto f = ruled(x, plain);
      if (plain) return f(v);
      return custom_vjp(
          f, [f](const Values& in) { return std::pair(f(in), in); },
          [f](const Values& in, const Tensor& ct) { return vjp(f, in).second(ct); })(v);
    };
  }

  Expression custom_jvp_of(int depth, size_t count) {
    const Expression x = expression(depth - 2, count);
    return [=](const Values& v, bool plain) {
      const auto f = ruled(x, plain);
      if (plain) return f(v);
      return custom_jvp(f, [f](const std::tuple<Values>& in, const std::tuple<Values>& tangents) {
        return jvp(f, in, tangents);
      })(v);
    };
  }

  /// Reads its operands as arguments, or all but one as variables of the program around.
  Expression jit_of(int depth, size_t count) {
    const Expression x = expression(depth - 1, count);
    const bool captures = below(2);
    return [=](const Values& v, bool plain) {
      if (plain) return x(v, true);
      if (!captures) return jit([&](const Values& in) { return x(in, false); })(v);
      return jit([&](const Tensor& last) {
        Values in = v;
        in.back() = last;
        return x(in, false);
      })(v.back());
    };
  }

  /// Elements of a batch that see each other in every turn; `plain` takes their turns side by side.
  Expression named_of(int depth, size_t count) {
    const Expression x = expression(depth - 1, count + 1);
    const bool mean = below(2);
    const int turns = static_cast<int>(1 + below(2));
    const std::string axis = "axis" + std::to_string(depth);
    return [=](const Values& v, bool plain) {
      const auto own = [&](const Tensor& c) { return x(with(v, {c}), plain); };
      const auto next = [](const Tensor& y, const Tensor& all) { return tanh(y * 0.7 + all); };
      const auto seen = [&](const Tensor& y) {
        return mean ? pmean(y * y, axis) : psum(cos(y), axis) * 0.2;
      };
      const auto turn = [&](const Tensor&, const Tensor& c) {
        const Tensor y = own(c);
        return next(y, seen(y));
      };
      const Tensor rows = rows_of(v);
      if (!plain) {
        const auto element = [&](const Tensor& row) { return fori_loop(0, turns, turn, row); };
        return sum(vmap(element, {.axis_name = axis})(rows), 0);
      }
      Tensor a = rows[0], b = rows[1];
      for (int i = 0; i < turns; ++i) {
        const Tensor y = own(a), z = own(b);
        const Tensor all = mean ? (y * y + z * z) * 0.5 : (cos(y) + cos(z)) * 0.2;
        a = next(y, all);
        b = next(z, all);
      }
      return a + b;
    };
  }

  /// Elements of a batch end after different turns.
  Expression while_of(int depth, size_t count) {
    forward_only_ = true;
    const Expression init = leaf(count), next = expression(depth - 1, count + 1);
    const int most = static_cast<int>(below(4));
    return [=](const Values& v, bool plain) {
      using Carry = std::pair<Tensor, Tensor>;
      const auto goes_on = [&](const Carry& c) {
        return logical_and(c.first < most, sum(c.second - v[0] * 0.1) < 0.83);
      };
      const auto turn = [&](const Carry& c) {
        return Carry(c.first + 1, tanh(next(with(v, {c.second}), plain)) + 0.2);
      };
      Carry c(Tensor(0), init(v, plain));
      if (!plain) return while_loop(goes_on, turn, c).second;
      for (int i = 0; i < most; ++i) {
        const Tensor on = goes_on(c);
        const Carry after = turn(c);
        c = Carry(where(on, after.first, c.first), chosen(on, after.second, c.second));
      }
      return c.second;
    };
  }

  std::mt19937 random_;
  bool open_loops_, forward_only_ = false;
  int reversed_ = 0;  ///< expressions around that reverse mode goes through
  std::string text_;
};

double largest_difference(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  double worst = x.size() == y.size() ? 0 : INFINITY;
  for (size_t i = 0; i < x.size() && i < y.size(); ++i)
    worst = std::max(worst, std::abs(x[i] - y[i]) / (1 + std::abs(y[i])));
  return worst;
}

using Function = std::function<Tensor(const Tensor&)>;

double difference_of(const Function& f, const Tensor& x, const Tensor& along) {
  const double h = 1e-6;
  return (f(x + h * along).item<double>() - f(x - h * along).item<double>()) / (2 * h);
}

void expect_values_agree(const Function& f, const Function& plain, const Tensor& u) {
  const Tensor y = f(u);
  EXPECT_LT(largest_difference(y, plain(u)), 1e-12) << "unrolled";
  EXPECT_LT(largest_difference(jit([&](const Tensor& x) { return f(x); })(u), y), 1e-12) << "jit";
  EXPECT_LT(largest_difference(vmap(f)(stack({u, u * 0.3, -u})), stack({y, f(u * 0.3), f(-u)})),
            1e-12)
      << "vmap";
}

/// @return the derivative of `loss` along `t`.
double expect_forward_mode_agrees(const Function& loss, const Tensor& u, const Tensor& t) {
  const double along = jvp(loss, u, t).second.item<double>();
  EXPECT_NEAR(along, difference_of(loss, u, t), 1e-5 * (1 + std::abs(along))) << "differences";
  return along;
}

/// Of programs that have no other derivatives.
void expect_tangents_agree(const Function& loss, const Tensor& u, const Tensor& t, double along) {
  const auto tangent = [&](const Tensor& x) { return jvp(loss, x, t).second; };
  EXPECT_NEAR(jit([&](const Tensor& x) { return tangent(x); })(u).item<double>(), along,
              1e-11 * (1 + std::abs(along)))
      << "jit of jvp";
  EXPECT_NEAR(vmap(tangent)(stack({u * 0.3, u, -u}))[1].item<double>(), along,
              1e-11 * (1 + std::abs(along)))
      << "vmap of jvp";
}

void expect_gradients_agree(const Function& loss, const Tensor& u, const Tensor& t, double along) {
  const Tensor g = grad(loss)(u);
  EXPECT_LT(largest_difference(jit([&](const Tensor& x) { return grad(loss)(x); })(u), g), 1e-12)
      << "jit of grad";
  EXPECT_NEAR(sum(g * t).item<double>(), along, 1e-11 * (1 + std::abs(along))) << "grad and jvp";
  EXPECT_LT(largest_difference(vmap(grad(loss))(stack({u, u * 0.3, -u}))[0], g), 1e-11)
      << "vmap of grad";
}

class RandomPrograms : public ::testing::TestWithParam<uint32_t> {};

TEST_P(RandomPrograms, R_021_agree_with_themselves) {
  constexpr uint32_t kEach = 50;
  for (uint32_t seed = GetParam() * kEach; seed < (GetParam() + 1) * kEach; ++seed) {
    Generator generator(seed);
    const Expression program = generator.expression(4, 2);
    SCOPED_TRACE(std::to_string(seed) + ": " + generator.text());
    const Tensor u = tensor(std::vector<double>{0.4, -0.6, 0.9});
    const Tensor k = tensor(std::vector<double>{-0.2, 0.7, 0.3});
    const Function f = [&](const Tensor& x) { return program({x, k}, false); };
    const Function loss = [&](const Tensor& x) { return sum(f(x) * k); };
    expect_values_agree(
        f,
        [&](const Tensor& x) {
          return program({x, k}, true);
        },
        u);
    const Tensor t = cos(u);
    const double along = expect_forward_mode_agrees(loss, u, t);
    if (generator.forward_only())
      expect_tangents_agree(loss, u, t, along);
    else
      expect_gradients_agree(loss, u, t, along);
    if (HasFailure()) return;
  }
}

class RandomProgramsOnDevice : public ::testing::TestWithParam<uint32_t> {};

/// The value of a program and its derivative: the gradient, or along a direction.
std::pair<double, std::vector<double>> values_on(Device device, const Expression& program,
                                                 bool forward_only) {
  const ScopedDevice here(device);
  const Tensor u = tensor(std::vector<double>{0.4, -0.6, 0.9});
  const Tensor k = tensor(std::vector<double>{-0.2, 0.7, 0.3});
  const Function loss = [&](const Tensor& x) { return sum(program({x, k}, false) * k); };
  const auto both = jit([&](const Tensor& x) {
    return forward_only ? jvp(loss, x, cos(x)) : value_and_grad(loss)(x);
  });
  const auto [value, derivative] = both(u);
  EXPECT_EQ(derivative.device(), device);
  return std::pair(value.item<double>(), derivative.to_vector<double>());
}

/// Compiled for a second device, whose work is late: the CPU's bits.
TEST_P(RandomProgramsOnDevice, agree_with_the_host) {
  constexpr uint32_t kEach = 50;
  for (uint32_t seed = GetParam() * kEach; seed < (GetParam() + 1) * kEach; ++seed) {
    Generator generator(seed);
    const Expression program = generator.expression(4, 2);
    SCOPED_TRACE(std::to_string(seed) + ": " + generator.text());
    const bool forward_only = generator.forward_only();
    EXPECT_EQ(values_on(linnet::testing::fake_device(), program, forward_only),
              values_on(kCpu, program, forward_only));
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Hundred, RandomProgramsOnDevice,
                         ::testing::Range(uint32_t{0}, uint32_t{2}));

// What a sanitizer looks for is found in the first programs or not at all, and each costs it ten
// times as much; values are compared over all of them without one.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint32_t kBatches = 4;
#else
constexpr uint32_t kBatches = 20;
#endif
INSTANTIATE_TEST_SUITE_P(Thousand, RandomPrograms, ::testing::Range(uint32_t{0}, kBatches));

}  // namespace
}  // namespace linnet::random_programs_test
