// Random numbers: explicit keys, counter-based threefry, bit-compatible with JAX (docs/rng.md).
//
//   random::Key key(42);
//   auto [first, second] = random::split(key);              // two independent keys
//   for (const Key& each : random::split(key, 3)) ...
//   Tensor x = random::normal(first, {3, 4});               // f32[3,4]
//   Tensor mask = random::bernoulli(second, 0.9, {4});      // bool[4]
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "linnet/fields.h"
#include "linnet/ops.h"
#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet::random {

/// A key, or an array of keys of shape S stored as u32[S..., 2] (high word first).
class Key {
 public:
  /// The key of a seed: (0, seed mod 2^32), as JAX with 32-bit types (docs/rng.md section 2.2).
  Key(int64_t seed = 0);  // NOLINT(runtime/explicit)
  /// @throws DTypeError or ShapeError unless `data` is u32[..., 2].
  explicit Key(Tensor data);
  /// u32[shape..., 2].
  const Tensor& data() const { return data_; }
  /// Shape of the key array; empty for one key.
  Shape shape() const;
  /// Element of a key array along its first axis.
  Key operator[](int64_t index) const;
  /// Along the first axis. @throws ShapeError for a single key.
  ElementIterator<Key> begin() const { return {*this, 0}; }
  ElementIterator<Key> end() const { return {*this, length()}; }
  /// For `auto [first, second] = split(key)`. @throws ShapeError unless there are two.
  template <size_t I>
  Key get() const {
    return one_of_two(I);
  }

  LINNET_FIELDS(data_)

 private:
  int64_t length() const;
  Key one_of_two(int64_t index) const;
  Tensor data_;
};

/// How positions become counters (docs/rng.md section 2). Results of the two have nothing in
/// common.
enum class Layout : uint8_t {
  kPartitionable,  ///< the default of JAX since 0.5: element i does not depend on the rest of the
                   ///< shape
  kOriginal,       ///< the older one
};
/// The layout that functions called now in this thread use.
Layout layout();
/// Chooses the layout for a scope. A jitted function keeps the layout of the call that traced it.
class LayoutScope {
 public:
  explicit LayoutScope(Layout layout);
  ~LayoutScope();
  LayoutScope(const LayoutScope&) = delete;
  LayoutScope& operator=(const LayoutScope&) = delete;

 private:
  Layout previous_;
};

/// The full 64-bit seed: (high word, low word), as JAX with 64-bit types.
Key wide_key(int64_t seed);

/// `count` new keys (an array of keys).
Key split(const Key& key, int64_t count = 2);
Key split(const Key& key, const Shape& shape);
/// The same keys one by one: `auto [first, second, third] = random::split<3>(key)`.
template <size_t N>
std::array<Key, N> split(const Key& key) {
  const Key keys = split(key, static_cast<int64_t>(N));
  return [&]<size_t... I>(std::index_sequence<I...>) {
    return std::array<Key, N>{keys[static_cast<int64_t>(I)]...};
  }(std::make_index_sequence<N>());
}
/// A new key from a key and a number (a u32 scalar tensor may be traced; negative literals wrap).
Key fold_in(const Key& key, uint32_t data);
Key fold_in(const Key& key, const Tensor& data);

/// Uniform random bits of an unsigned dtype (u8, u16, u32, u64); shape key shape + `shape`.
Tensor bits(const Key& key, const Shape& shape = {}, DType dtype = DType::kU32);
/// [low, high) in the dtype; docs/rng.md section 3.
Tensor uniform(const Key& key, const Shape& shape = {}, DType dtype = DType::kF32,
               const Tensor& low = 0.0, const Tensor& high = 1.0);
inline Tensor uniform(const Key& key, const Shape& shape, const Tensor& low, const Tensor& high,
                      DType dtype = DType::kF32) {
  return uniform(key, shape, dtype, low, high);
}
Tensor normal(const Key& key, const Shape& shape = {}, DType dtype = DType::kF32);
/// Standard normal cut to the open interval (lower, upper).
Tensor truncated_normal(const Key& key, const Tensor& lower, const Tensor& upper,
                        const Shape& shape = {}, DType dtype = DType::kF32);
/// bool: true with probability p.
Tensor bernoulli(const Key& key, const Tensor& p = 0.5, const std::optional<Shape>& shape = {});
/// Integers in [low, high).
Tensor randint(const Key& key, const Shape& shape, const Tensor& low, const Tensor& high,
               DType dtype = DType::kI32);
/// A random order of 0 … count-1.
Tensor permutation(const Key& key, int64_t count);
/// `x` shuffled along `axis`.
Tensor permutation(const Key& key, const Tensor& x, int64_t axis = 0, bool independent = false);
Tensor choice(const Key& key, const Tensor& x, const Shape& shape = {}, bool replace = true,
              const Tensor& p = {}, int64_t axis = 0);
Tensor gumbel(const Key& key, const Shape& shape = {}, DType dtype = DType::kF32);
/// Indices drawn with probabilities softmax(logits) along `axis`.
Tensor categorical(const Key& key, const Tensor& logits, int64_t axis = -1,
                   const std::optional<Shape>& shape = {}, bool replace = true);
Tensor exponential(const Key& key, const Shape& shape = {}, DType dtype = DType::kF32);
Tensor laplace(const Key& key, const Shape& shape = {}, DType dtype = DType::kF32);
Tensor logistic(const Key& key, const Shape& shape = {}, DType dtype = DType::kF32);
Tensor cauchy(const Key& key, const Shape& shape = {}, DType dtype = DType::kF32);
Tensor rademacher(const Key& key, const Shape& shape = {}, DType dtype = DType::kI32);
/// exp(exponential / b): at least 1, with density b / x^(b + 1).
Tensor pareto(const Key& key, const Tensor& b, const std::optional<Shape>& shape = {});
/// scale * exponential^(1 / concentration).
Tensor weibull_min(const Key& key, const Tensor& scale, const Tensor& concentration,
                   const std::optional<Shape>& shape = {});
Tensor rayleigh(const Key& key, const Tensor& scale, const std::optional<Shape>& shape = {});
Tensor triangular(const Key& key, const Tensor& left, const Tensor& mode, const Tensor& right,
                  const std::optional<Shape>& shape = {});
/// Number of trials up to the first success of probability `p`, from 1.
Tensor geometric(const Key& key, const Tensor& p, const std::optional<Shape>& shape = {},
                 DType dtype = DType::kI32);
/// exp(sigma * normal).
Tensor lognormal(const Key& key, const Tensor& sigma = 1.0, const std::optional<Shape>& shape = {});
/// Inverse Gaussian numbers of scale 1.
Tensor wald(const Key& key, const Tensor& mean, const std::optional<Shape>& shape = {});
/// Length of a vector of three standard normal numbers.
Tensor maxwell(const Key& key, const Shape& shape = {}, DType dtype = DType::kF32);
/// Result shape: `shape` (that of the parameters if not given) followed by that of the parameters.
Tensor double_sided_maxwell(const Key& key, const Tensor& loc, const Tensor& scale,
                            const std::optional<Shape>& shape = {});

/// Gamma numbers of shape parameter `a` and scale 1, f32 or f64 (docs/rng.md section 5.5). Not
/// differentiable in `a`.
Tensor gamma(const Key& key, const Tensor& a, const std::optional<Shape>& shape = {});
/// Their logarithms, accurate for small `a`.
Tensor loggamma(const Key& key, const Tensor& a, const std::optional<Shape>& shape = {});
Tensor beta(const Key& key, const Tensor& a, const Tensor& b,
            const std::optional<Shape>& shape = {});
/// Points of a simplex: alpha [..., n] -> [shape..., n], `shape` by default the leading axes of
/// alpha.
Tensor dirichlet(const Key& key, const Tensor& alpha, const std::optional<Shape>& shape = {});
Tensor chisquare(const Key& key, const Tensor& df, const std::optional<Shape>& shape = {});
/// Student's t of `df` degrees of freedom.
Tensor t(const Key& key, const Tensor& df, const std::optional<Shape>& shape = {});
/// Ratio of two chi-square numbers, each divided by its degrees of freedom.
Tensor f(const Key& key, const Tensor& numerator_df, const Tensor& denominator_df,
         const std::optional<Shape>& shape = {});
/// Density proportional to exp(-|x|^p).
Tensor generalized_normal(const Key& key, const Tensor& p, const std::optional<Shape>& shape = {});
/// Points of the unit ball of the p-norm in `dimensions` dimensions: [shape..., dimensions].
Tensor ball(const Key& key, int64_t dimensions, const Tensor& p = 2.0, const Shape& shape = {});
/// Integers of mean `rate`, which is taken as f32; -1 where it is negative, NaN or infinite, and
/// the dtype's largest number where the count is beyond it.
Tensor poisson(const Key& key, const Tensor& rate, const std::optional<Shape>& shape = {},
               DType dtype = DType::kI32);
/// Successes in `n` trials of probability `p`, as floating numbers: f32 unless a parameter is f64.
/// NaN where n is negative or NaN, or p no probability; infinite where n is.
/// @throws ShapeError for an array of keys: vmap draws from each.
Tensor binomial(const Key& key, const Tensor& n, const Tensor& p,
                const std::optional<Shape>& shape = {});
/// Trials of which outcome: n [...], p [..., k] -> [..., k], whose sums along the last axis are n
/// where the p's are at least one positive number. Probabilities need not sum to 1.
Tensor multinomial(const Key& key, const Tensor& n, const Tensor& p);
/// mean [..., n], covariance [..., n, n] -> [shape..., n], by the Cholesky factor of the
/// covariance. `shape` is by default the common leading shape of the two.
Tensor multivariate_normal(const Key& key, const Tensor& mean, const Tensor& covariance,
                           const std::optional<Shape>& shape = {});

/// Haar-distributed orthogonal matrices f[shape..., n, n] (docs/rng.md section 5.7).
Tensor orthogonal(const Key& key, int64_t n, const Shape& shape = {}, std::optional<int64_t> m = {},
                  DType dtype = DType::kF32);

}  // namespace linnet::random

template <>
struct std::tuple_size<linnet::random::Key> : std::integral_constant<size_t, 2> {};
template <size_t I>
struct std::tuple_element<I, linnet::random::Key> {
  using type = linnet::random::Key;
};

namespace linnet {
using random::Key;
}  // namespace linnet

#pragma GCC visibility pop
