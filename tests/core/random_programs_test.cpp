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

class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  /// An expression over `count` values.
  Expression expression(int depth, size_t count) {
    if (depth == 0) return leaf(count);
    switch (random_() % 11) {
      case 0:
      case 1:
        return unary(expression(depth - 1, count));
      case 2:
      case 3:
        return binary(expression(depth - 1, count), expression(depth - 1, count));
      case 4:
      case 5:
        return scan_of(depth, count);
      case 6:
        return fori_of(depth, count);
      case 7:
        return cond_of(depth, count);
      case 8:
        return checkpoint_of(expression(depth - 1, count));
      case 9:
        return vmap_of(depth, count);
      default:
        return grad_of(depth, count);
    }
  }

 private:
  Expression leaf(size_t count) {
    const size_t which = random_() % count;
    return [which](const Values& v, bool) { return v[which]; };
  }

  Expression unary(Expression x) {
    const unsigned which = random_() % 4;
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

  Expression binary(Expression a, Expression b) {
    const unsigned which = random_() % 4;
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
      return where(broadcast_to(predicate, {kSize}), a(v, true), b(v, true));
    };
  }

  Expression checkpoint_of(Expression x) {
    return [=](const Values& v, bool plain) {
      if (plain) return x(v, true);
      return checkpoint([&](const Values& inner) { return x(inner, false); })(v);
    };
  }

  Expression vmap_of(int depth, size_t count) {
    const Expression x = expression(depth - 1, count + 1);
    return [=](const Values& v, bool plain) {
      const auto element = [&](const Tensor& row) { return x(with(v, {row}), plain); };
      const Tensor rows = stack({v[0], v.back() * 0.5});
      if (!plain) return sum(vmap(element)(rows), 0);
      return element(rows[0]) + element(rows[1]);
    };
  }

  Expression grad_of(int depth, size_t count) {
    const Expression x = expression(depth - 2 < 0 ? 0 : depth - 2, count + 1);
    return [=](const Values& v, bool plain) {
      return tanh(grad([&](const Tensor& u) { return sum(sin(x(with(v, {u}), plain))); })(v[0]));
    };
  }

  std::mt19937 random_;
};

double largest_difference(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  double worst = x.size() == y.size() ? 0 : INFINITY;
  for (size_t i = 0; i < x.size() && i < y.size(); ++i)
    worst = std::max(worst, std::abs(x[i] - y[i]) / (1 + std::abs(y[i])));
  return worst;
}

class RandomPrograms : public ::testing::TestWithParam<uint32_t> {};

TEST_P(RandomPrograms, R_021_agree_with_themselves) {
  constexpr uint32_t kEach = 50;
  for (uint32_t seed = GetParam() * kEach; seed < (GetParam() + 1) * kEach; ++seed) {
    SCOPED_TRACE(seed);
    const Expression program = Generator(seed).expression(4, 2);
    const Tensor u = tensor(std::vector<double>{0.4, -0.6, 0.9});
    const Tensor k = tensor(std::vector<double>{-0.2, 0.7, 0.3});
    const auto f = [&](const Tensor& x) { return program({x, k}, false); };
    const auto loss = [&](const Tensor& x) { return sum(f(x) * k); };
    const Tensor y = f(u);
    EXPECT_LT(largest_difference(y, program({u, k}, true)), 1e-12) << "unrolled";
    EXPECT_LT(largest_difference(jit([&](const Tensor& x) { return f(x); })(u), y), 1e-12) << "jit";

    const Tensor g = grad(loss)(u);
    EXPECT_LT(largest_difference(jit([&](const Tensor& x) { return grad(loss)(x); })(u), g), 1e-12)
        << "jit of grad";
    const Tensor t = cos(u);
    const double along = jvp(loss, u, t).second.item<double>();
    EXPECT_NEAR(sum(g * t).item<double>(), along, 1e-11 * (1 + std::abs(along))) << "grad and jvp";
    const double h = 1e-6;
    const double difference =
        (loss(u + h * t).item<double>() - loss(u - h * t).item<double>()) / (2 * h);
    EXPECT_NEAR(along, difference, 1e-5 * (1 + std::abs(along))) << "differences";

    const Tensor batch = stack({u, u * 0.3, -u});
    EXPECT_LT(largest_difference(vmap(f)(batch), stack({f(u), f(u * 0.3), f(-u)})), 1e-12)
        << "vmap";
    EXPECT_LT(largest_difference(vmap(grad(loss))(batch)[0], g), 1e-11) << "vmap of grad";
    if (HasFailure()) return;
  }
}

class RandomProgramsOnDevice : public ::testing::TestWithParam<uint32_t> {};

/// Compiled for a second device, whose work is late: the CPU's bits.
TEST_P(RandomProgramsOnDevice, agree_with_the_host) {
  constexpr uint32_t kEach = 50;
  for (uint32_t seed = GetParam() * kEach; seed < (GetParam() + 1) * kEach; ++seed) {
    SCOPED_TRACE(seed);
    const Expression program = Generator(seed).expression(4, 2);
    const auto values_on = [&](Device device) {
      const ScopedDevice here(device);
      const Tensor u = tensor(std::vector<double>{0.4, -0.6, 0.9});
      const Tensor k = tensor(std::vector<double>{-0.2, 0.7, 0.3});
      const auto loss = [&](const Tensor& x) { return sum(program({x, k}, false) * k); };
      const auto both = jit([&](const Tensor& x) { return value_and_grad(loss)(x); });
      const auto [value, gradient] = both(u);
      EXPECT_EQ(gradient.device(), device);
      return std::pair(value.item<double>(), gradient.to_vector<double>());
    };
    EXPECT_EQ(values_on(linnet::testing::fake_device()), values_on(kCpu));
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
