// Complex numbers in transformations: holomorphic derivatives, loops, branches, recomputation,
// rules of the caller, named axes and the search for NaN. Values are exact in c64.
#include <complex>

#include "linnet/collectives.h"
#include "linnet/complex.h"
#include "linnet/control_flow.h"
#include "linnet/debug.h"
#include "linnet/jit.h"
#include "linnet/transforms.h"
#include "tests/ops/elementwise_support.h"

namespace linnet::complex_programs_test {
namespace {

using testing::expect_error;

using C64 = std::complex<float>;
using Cs = std::vector<C64>;
using Function = std::function<Tensor(const Tensor&)>;

const GradOptions kHolomorphic{.holomorphic = true};

Tensor number(float re, float im) { return scalar(re, DType::kC64) + C64(0, im); }
Cs values(const Tensor& x) { return x.to_vector<C64>(); }
void expect_near(const Tensor& got, const Tensor& expected) {
  EXPECT_LT(std::abs(got.item<C64>() - expected.item<C64>()), 1e-6f)
      << to_string(got) << ", expected " << to_string(expected);
}

TEST(ComplexPrograms, J_078_holomorphic_gradients) {
  const Tensor z = number(2, 1);
  const Function cube = [](const Tensor& x) { return x * x * x; };
  const Function once = grad(cube, kHolomorphic), twice = grad(once, kHolomorphic);
  EXPECT_EQ(once(z).item<C64>(), C64(9, 12));   // 3 z²
  EXPECT_EQ(twice(z).item<C64>(), C64(12, 6));  // 6 z
  EXPECT_EQ(grad(twice, kHolomorphic)(z).item<C64>(), C64(6, 0));
  EXPECT_EQ(jit(once)(z).item<C64>(), C64(9, 12));
  EXPECT_EQ(values(vmap(once)(stack({z, conj(z)}))), (Cs{{9, 12}, {9, -12}}));
  const auto [value, gradient] = value_and_grad(cube, kHolomorphic)(z);
  EXPECT_EQ(value.item<C64>(), C64(2, 11));
  EXPECT_EQ(gradient.item<C64>(), C64(9, 12));
  // The same without the option, by a pullback and by a tangent.
  const auto [y, pullback] = vjp(cube, z);
  EXPECT_EQ(pullback(ones_like(y)).item<C64>(), C64(9, 12));
  EXPECT_EQ(jvp(cube, z, ones_like(z)).second.item<C64>(), C64(9, 12));
}

TEST(ComplexPrograms, J_078_gradients_of_real_losses) {
  const Tensor z = number(2, 1);
  // JAX: df/dx - i df/dy.
  EXPECT_EQ(grad([](const Tensor& x) { return square(abs(x)); })(z).item<C64>(), C64(4, -2));
  EXPECT_EQ(grad([](const Tensor& x) { return imag(x * x); })(z).item<C64>(), C64(2, -4));
  // From a real argument through complex numbers: d|x (1 + 2i)|²/dx = 10 x.
  const Function energy = [](const Tensor& x) { return abs_squared(x * C64(1, 2)); };
  EXPECT_EQ(grad(energy)(3.0f).item<float>(), 30);
  EXPECT_EQ(grad(grad(energy))(3.0f).item<float>(), 10);
}

TEST(ComplexPrograms, J_078_errors_name_what_is_not_real_or_not_complex) {
  const Tensor z = number(2, 1), x = scalar(2, DType::kF32);
  const Function squared = [](const Tensor& y) { return y * y; },
                 size = [](const Tensor& y) { return abs(y); };
  const std::pair<const char*, std::function<void()>> refused[] = {
      {"grad: expected a real loss, got c64[]", [&] { grad(squared)(z); }},
      {"grad: expected a complex argument of a holomorphic function, got f32[]",
       [&] { grad(squared, kHolomorphic)(x); }},
      {"grad: expected a complex loss of a holomorphic function, got f32[]",
       [&] { grad(size, kHolomorphic)(z); }},
      {"jacfwd: expected a real argument, got c64[]", [&] { jacfwd(squared)(z); }},
      {"jacrev: expected a real result, got c64[]", [&] { jacrev(squared)(z); }},
      {"jacfwd: expected a complex result", [&] { jacfwd(size, kHolomorphic)(z); }},
      {"jacrev: expected a complex result", [&] { jacrev(size, kHolomorphic)(z); }}};
  for (const auto& [message, f] : refused) {
    SCOPED_TRACE(message);
    expect_error<DTypeError>(f, message);
  }
}

TEST(ComplexPrograms, J_081_jacobians_and_hessians) {
  const Tensor z = tensor({C64(1, 2), C64(0, -1)});
  const Function squares = [](const Tensor& x) { return x * x; };
  const Cs expected{{2, 4}, {0, 0}, {0, 0}, {0, -2}};
  EXPECT_EQ(values(jacfwd(squares, kHolomorphic)(z)), expected);
  EXPECT_EQ(values(jacrev(squares, kHolomorphic)(z)), expected);
  const Function cubes = [](const Tensor& x) { return sum(x * x * x); };
  EXPECT_EQ(values(hessian(cubes, kHolomorphic)(z)), (Cs{{6, 12}, {0, 0}, {0, 0}, {0, -6}}));
  // Real arguments with complex results, and the other way round.
  EXPECT_EQ(values(jacfwd([](const Tensor& x) { return x * C64(0, 2); })(ones({1}))), (Cs{{0, 2}}));
  EXPECT_EQ(values(jacrev([](const Tensor& x) { return abs_squared(x); })(z)),
            (Cs{{2, -4}, {0, 0}, {0, 0}, {0, 2}}));
}

/// z -> z² + c three times, and the same as a loop of `scan`, of `while_loop`, and recomputed.
Tensor unrolled(const Tensor& z, const Tensor& c) {
  Tensor out = z;
  for (int i = 0; i < 3; ++i) out = out * out + c;
  return out;
}

TEST(ComplexPrograms, J_001_J_088_J_089_J_086_loops_and_recomputation) {
  const Tensor z = number(0.5f, 0.25f), c = number(-0.25f, 0.5f);
  const auto scanned = [](const Tensor& start, const Tensor& add) {
    const auto step = [&](const Tensor& carry, const Tensor& x) {
      const Tensor next = carry * carry + x;
      return std::pair(next, conj(next));
    };
    const auto [last, all] = scan(step, start, broadcast_to(add, {3}));
    return last + 0 * sum(all);
  };
  using Counted = std::pair<Tensor, Tensor>;
  const auto counted = [&](const Tensor& start) {
    return while_loop([](const Counted& carry) { return carry.first < 3; },
                      [&](const Counted& carry) {
                        return Counted(carry.first + 1, carry.second * carry.second + c);
                      },
                      Counted(0, start))
        .second;
  };
  expect_near(scanned(z, c), unrolled(z, c));
  expect_near(jit(scanned)(z, c), unrolled(z, c));
  expect_near(counted(z), unrolled(z, c));
  const auto straight = [&](const Tensor& x) { return unrolled(x, c); };
  expect_near(jvp(counted, z, ones_like(z)).second, jvp(straight, z, ones_like(z)).second);
  const auto loss = [](const auto& f) {
    return [f](const Tensor& x, const Tensor& y) { return abs_squared(f(x, y)); };
  };
  const auto [dz, dc] = grad<0, 1>(loss(unrolled))(z, c);
  const auto [sz, sc] = grad<0, 1>(loss(scanned))(z, c);
  const auto [rz, rc] = grad<0, 1>(loss(checkpoint(unrolled)))(z, c);
  expect_near(sz, dz);
  expect_near(sc, dc);
  expect_near(rz, dz);
  expect_near(rc, dc);
}

TEST(ComplexPrograms, J_001_J_090_J_087_branches_rules_and_named_axes) {
  const Tensor z = tensor({C64(1, 2), C64(3, -4)});
  const auto chosen = [](const Tensor& p, const Tensor& x) {
    return cond(
        p, [](const Tensor& y) { return conj(y); }, [](const Tensor& y) { return y * y; }, x);
  };
  EXPECT_EQ(values(chosen(true, z)), (Cs{{1, -2}, {3, 4}}));
  EXPECT_EQ(values(vmap(chosen)(tensor({true, false}), z)), (Cs{{1, -2}, {-7, -24}}));
  EXPECT_EQ(values(grad([&](const Tensor& x) { return sum(real(chosen(false, x))); })(z)),
            (Cs{{2, 4}, {6, -8}}));
  // A rule of the caller, which says something else than the function.
  const auto ruled = custom_vjp([](const Tensor& x) { return x * x; },
                                [](const Tensor& x) { return std::pair(x * x, x); },
                                [](const Tensor& x, const Tensor& ct) { return conj(x) * ct; });
  EXPECT_EQ(values(grad([&](const Tensor& x) { return sum(real(ruled(x))); })(z)),
            (Cs{{1, -2}, {3, 4}}));
  const auto mean_of = [](const Tensor& x) { return pmean(x, "batch"); };
  EXPECT_EQ(values(vmap(mean_of, {.axis_name = "batch"})(z)), (Cs{{2, -1}, {2, -1}}));
}

TEST(ComplexPrograms, J_001_clusters_of_real_operations_lie_beside_complex_ones) {
  const auto f = [](const Tensor& x, const Tensor& z) {
    const Tensor chain = tanh(x * 2 + 1) * x;
    const Tensor w = exp(z * chain) + conj(z) / (chain + C64(0, 2));
    return real(w) * sqrt(abs(chain)) + imag(w);
  };
  const Tensor x = (arange(40).astype(DType::kF32) + 1) / 40, z = complex(x - 0.5, cos(3 * x));
  const Tensor eager = f(x, z);
  EXPECT_LT(max(abs(jit(f)(x, z) - eager)).item<float>(), 1e-6f);
  const auto slope = [&](const Tensor& p, const Tensor& q) {
    return grad<0, 1>([&](const Tensor& a, const Tensor& b) { return sum(f(a, b)); })(p, q);
  };
  const auto [dx, dz] = slope(x, z);
  const auto [jx, jz] = jit(slope)(x, z);
  EXPECT_LT(max(abs(jx - dx)).item<float>(), 1e-5f);
  EXPECT_LT(max(abs(jz - dz)).item<float>(), 1e-5f);
}

TEST(ComplexPrograms, J_096_the_first_nan_of_a_complex_result_is_named) {
  const debug::NanChecks checks;
  const Tensor z = tensor({C64(1, 2), C64(0, 0)});
  expect_error<NanError>([&] { div(z, z); }, "div: NaN at [1] of result 0");
}

}  // namespace
}  // namespace linnet::complex_programs_test
