// A material law as its energy alone: stresses and tangent stiffness of a batch of strains are
// first and second derivatives, which `vmap` takes of one point at a time. Newton's method then
// uses the tangents to pull at the material.
//
//   hyperelasticity
//
// A strain is e = (E11, E22, E33, 2 E23, 2 E13, 2 E12), the Green-Lagrange tensor with doubled
// shear, so that the gradient of the energy is the second Piola-Kirchhoff stress (S11, S22, S33,
// S23, S13, S12). See Holzapfel, Nonlinear Solid Mechanics, section 6.
#include <chrono>
#include <cmath>
#include <cstdio>

#include "linnet/linalg.h"
#include "linnet/linnet.h"

using namespace linnet;

/// Of a rubber, in MPa; the formula has Lame's constants.
constexpr double kYoung = 3, kPoisson = 0.4;
constexpr double kMu = kYoung / (2 * (1 + kPoisson));
constexpr double kLambda = kYoung * kPoisson / ((1 + kPoisson) * (1 - 2 * kPoisson));

/// Compressible neo-Hookean energy density of one strain [6]. Any other law, or a network of the
/// invariants, goes in its place: nothing below knows the formula.
Tensor energy(const Tensor& e) {
  const Tensor half = 0.5 * e;
  const Tensor strain = stack({stack({e[0], half[5], half[4]}), stack({half[5], e[1], half[3]}),
                               stack({half[4], half[3], e[2]})});
  const Tensor c = 2 * strain + eye(3, 3, 0, e.dtype());
  const Tensor log_j = 0.5 * log(linalg::det(c));
  return 0.5 * kMu * (c[{0, 0}] + c[{1, 1}] + c[{2, 2}] - 3 - 2 * log_j) +
         0.5 * kLambda * square(log_j);
}

struct Response {
  Tensor stress;   ///< [batch, 6]
  Tensor tangent;  ///< [batch, 6, 6]
};

Response response(const Tensor& strains) {
  const auto stress = grad(energy);
  return {vmap(stress)(strains), vmap(jacfwd(stress))(strains)};
}

/// Tangents by central differences of the stresses, one column for each component of the strain.
Tensor tangent_by_differences(const Tensor& strains) {
  constexpr double kStep = 1e-5;
  std::vector<Tensor> columns;
  for (int64_t i = 0; i < 6; ++i) {
    const Tensor step = kStep * one_hot(i, 6, strains.dtype());
    const auto stress = vmap(grad(energy));
    columns.push_back((stress(strains + step) - stress(strains - step)) / (2 * kStep));
  }
  return stack(columns, -1);
}

/// Uniaxial tension: the strains that leave no stress but S11 for given E11 [batch]; [batch, 6].
Tensor pull(const Tensor& axial) {
  const Tensor start = pad(expand_dims(axial, 1), {{0, 0}, {0, 5}});
  return fori_loop(
      0, 8,
      [](const Tensor&, const Tensor& strain) {
        const Response r = response(strain);
        // The other five components are unknown.
        const Tensor left = slice_axis(r.stress, 1, 6, 1);
        const Tensor stiffness = slice(r.tangent, {0, 1, 1}, {r.tangent.shape(0), 6, 6});
        const Tensor change = linalg::solve(stiffness, expand_dims(left, -1));
        return strain - pad(squeeze(change, {-1}), {{0, 0}, {1, 0}});
      },
      start);
}

double largest(const Tensor& x) { return max(abs(x)).item<double>(); }

int main() {
  // Double precision, as is usual for constitutive laws.
  const Tensor strains = random::uniform(Key(0), {10000, 6}, -0.2, 0.2, DType::kF64);
  const auto compiled = jit(response);
  compiled(strains);
  const auto begin = std::chrono::steady_clock::now();
  const auto [stress, tangent] = compiled(strains);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::printf("stress and tangent of %lld points: %.1f ms\n",
              static_cast<long long>(strains.shape(0)), 1e3 * seconds.count());

  const double asymmetry = largest(tangent - swapaxes(tangent, 1, 2));
  const double error = largest(tangent - tangent_by_differences(strains));
  std::printf("asymmetry of the tangents %.1e, distance from differences %.1e (of %.1f)\n",
              asymmetry, error, largest(tangent));

  // Of small strains it is Hooke's law.
  const Tensor small = response(zeros({1, 6}, DType::kF64)).tangent[0];
  std::printf("at rest: C11 %.4f, C12 %.4f, C44 %.4f; lambda + 2 mu %.4f, lambda %.4f, mu %.4f\n",
              small[{0, 0}].item<double>(), small[{0, 1}].item<double>(),
              small[{3, 3}].item<double>(), kLambda + 2 * kMu, kLambda, kMu);

  const Tensor axial = linspace(0.001, 0.5, 6, DType::kF64);
  const Tensor strain = pull(axial), pulled = response(strain).stress;
  std::printf("   E11      E22      S11\n");
  for (int64_t i = 0; i < axial.size(); ++i) {
    std::printf("%6.3f  %7.4f  %7.4f\n", axial[i].item<double>(), strain[{i, 1}].item<double>(),
                pulled[{i, 0}].item<double>());
  }
  const double lateral = largest(slice_axis(pulled, 1, 6, 1));
  const double poisson = -strain[{0, 1}].item<double>() / strain[{0, 0}].item<double>();
  std::printf("stress across %.1e; Poisson's ratio of the smallest pull %.3f\n", lateral, poisson);
  return asymmetry < 1e-10 && error < 1e-6 && lateral < 1e-9 && std::abs(poisson - kPoisson) < 0.01
             ? 0
             : 1;
}
