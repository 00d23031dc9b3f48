// Jacobi's rotations. A round turns all rows in disjoint pairs; a sweep meets every pair once.
#include <algorithm>
#include <cmath>

#include "core/linalg/matrices.h"
#include "linnet/control_flow.h"

namespace linnet::linalg {
namespace {

constexpr int kMostSweeps = 24;

/// i32 [rounds, n]: the partner of every row in every round, n even. By the circle method: one
/// stays, the others move on by one.
Tensor partners(int64_t n) {
  std::vector<int32_t> table(static_cast<size_t>((n - 1) * n));
  for (int64_t round = 0; round < n - 1; ++round) {
    const auto player = [&](int64_t seat) {
      return seat == 0 ? 0 : 1 + (seat - 1 + round) % (n - 1);
    };
    for (int64_t seat = 0; seat < n / 2; ++seat) {
      const int64_t a = player(seat), b = player(n - 1 - seat);
      table[static_cast<size_t>(round * n + a)] = static_cast<int32_t>(b);
      table[static_cast<size_t>(round * n + b)] = static_cast<int32_t>(a);
    }
  }
  return from_vector(table, {n - 1, n});
}

/// Cosine and sine for every row: row_i cos_i + row_partner sin_i.
struct Turns {
  Tensor cosine, sine, partner;
};

/// The turns that make `off`, the products of rows and their partners, zero; `own` are the products
/// with themselves (Golub and Van Loan, section 8.5.2).
Turns turns(const Tensor& own, const Tensor& off, const Tensor& partner) {
  const Tensor done = equal(off, 0);
  const Tensor ratio = (row_of(own, partner) - own) / where(done, 1.0, 2 * off);
  // Of two rows whose ratio is 0, one turns forwards and the other backwards.
  const Tensor index = count_to(own.shape(0));
  const Tensor direction = where(equal(ratio, 0), where(index < partner, 1.0, -1.0), sign(ratio));
  const Tensor tangent = where(done, 0.0, direction / (abs(ratio) + sqrt(1 + square(ratio))));
  const Tensor cosine = rsqrt(1 + square(tangent));
  return {astype(cosine, own.dtype()), astype(-tangent * cosine, own.dtype()), partner};
}

Tensor turned_rows(const Turns& t, const Tensor& a) {
  return expand_dims(t.cosine, 1) * a + expand_dims(t.sine, 1) * row_of(a, t.partner);
}

/// The element of each row in the column of its partner.
Tensor at_partner(const Tensor& a, const Tensor& partner) {
  return squeeze(take_along_axis(a, expand_dims(partner, 1), 1, GatherMode::kPromiseInBounds),
                 Axes{1});
}

/// With a row and a column of zeros if the number is odd.
Tensor even(const Tensor& a, bool columns) {
  const int64_t more = a.shape(0) % 2;
  return more == 0 ? a : pad(a, {{.high = more}, {.high = columns ? more : 0}});
}

/// What is not larger than rounding is zero: turning by it would only add errors.
Tensor above(const Tensor& off, const Tensor& rounding) {
  return where(abs(off) > rounding, off, 0.0);
}

struct Sweeps {
  Tensor a, vt, off, count;
  LINNET_FIELDS(a, vt, off, count)
};

/// Sweeps until there is nothing left to turn.
template <class Round>
Sweeps swept(const Tensor& a, int64_t n, Round round) {
  const Tensor table = partners(n);
  const Sweeps start{a, eye(n, -1, 0, a.dtype()), scalar(1, a.dtype()),
                     scalar_integer(0, DType::kI32)};
  return while_loop(
      [&](const Sweeps& s) {
        return logical_and(s.off > 0, s.count < scalar_integer(kMostSweeps, DType::kI32));
      },
      [&](const Sweeps& s) {
        const Sweeps begun{s.a, s.vt, scalar(0, a.dtype()), s.count + 1};
        return scan(
                   [&](const Sweeps& at, const Tensor& partner) {
                     return std::pair(round(at, partner), std::tuple<>());
                   },
                   begun, table)
            .first;
      },
      start);
}

Sweeps eigh_round(const Sweeps& s, const Tensor& partner) {
  const Tensor size = sqrt(sum(square(s.a)));
  // Rounding makes the two triangles differ; both rows of a pair must turn by one angle.
  const Tensor upper = at_partner(s.a, partner), both = (upper + row_of(upper, partner)) / 2;
  const Tensor off = above(both, finfo(s.a.dtype()).eps * size);
  const Turns t = turns(diagonal(s.a), off, partner);
  const Tensor a = transposed(turned_rows(t, transposed(turned_rows(t, s.a))));
  return {a, turned_rows(t, s.vt), maximum(s.off, max(abs(off))), s.count};
}

Eigh eigh_value(const Tensor& a) {
  const int64_t n = a.shape(0);
  const Tensor whole = even(a, true);
  const Sweeps s = swept(whole, whole.shape(0), eigh_round);
  // The row that was added belongs to no vector of the others.
  const Tensor w = slice_axis(diagonal(s.a), 0, n, 0);
  const Tensor vt = slice(s.vt, {0, 0}, {n, n});
  const Tensor order = argsort(w);
  return {row_of(w, order), transposed(row_of(vt, order))};
}

Eigh eigh_one(const Tensor& a) {
  const auto rule = [](const std::tuple<Tensor>& primal, const std::tuple<Tensor>& tangent) {
    const Eigh y = eigh_one(std::get<0>(primal));
    const Tensor change = matmul(transposed(y.v), matmul(std::get<0>(tangent), y.v));
    const Tensor gap = expand_dims(y.w, 0) - expand_dims(y.w, 1), same = equal(gap, 0);
    const Tensor turn = where(same, 0.0, change / where(same, 1.0, gap));
    return std::pair(y, Eigh{diagonal(change), matmul(y.v, turn)});
  };
  return custom_jvp(eigh_value, rule)(a);
}

/// Rows become orthogonal to each other.
Sweeps svd_round(const Sweeps& s, const Tensor& partner) {
  const Tensor own = sum(square(s.a), 1);
  const double eps = finfo(own.dtype()).eps;
  const double length = static_cast<double>(s.a.shape(1));
  // Beside the largest row, what is left of a row that depends on others is rounding.
  const Tensor rounding =
      maximum(sqrt(own) * sqrt(row_of(own, partner)) * std::sqrt(length + 4), eps * max(own)) * eps;
  const Tensor off = above(sum(s.a * row_of(s.a, partner), 1), rounding);
  const Turns t = turns(own, off, partner);
  return {turned_rows(t, s.a), turned_rows(t, s.vt), maximum(s.off, max(abs(off))), s.count};
}

/// Of a matrix with at least as many rows as columns.
Svd svd_value(const Tensor& a) {
  const int64_t n = a.shape(1);
  const Tensor rows = even(transposed(a), false);
  const Sweeps s = swept(rows, rows.shape(0), svd_round);
  const Tensor lengths = slice_axis(sqrt(sum(square(s.a), 1)), 0, n, 0);
  const Tensor order = argsort(-lengths);
  const Tensor values = row_of(lengths, order);
  const Tensor vt = row_of(slice(s.vt, {0, 0}, {n, n}), order);
  const Tensor turned = row_of(slice_axis(s.a, 0, n, 0), order);
  const Tensor least = finfo(a.dtype()).eps * max(values);
  const Tensor none = logical_or(values <= least, equal(values, 0));
  const Tensor u = transposed(turned / expand_dims(where(none, 1.0, values), 1));
  // Columns without a value of their own are completed to an orthonormal set.
  const Tensor known = where(expand_dims(none, 0), 0.0, u);
  return {where(expand_dims(none, 0), qr(known).q, u), values, vt};
}

Svd svd_tall(const Tensor& a) {
  const auto rule = [](const std::tuple<Tensor>& primal, const std::tuple<Tensor>& tangent) {
    const Svd y = svd_tall(std::get<0>(primal));
    const Tensor &da = std::get<0>(tangent), v = transposed(y.vt);
    const Tensor change = matmul(transposed(y.u), matmul(da, v));
    const Tensor row = expand_dims(y.s, 0), column = expand_dims(y.s, 1);
    const Tensor gap = square(row) - square(column), same = equal(gap, 0);
    const auto by_gap = [&](const Tensor& x) {
      return where(same, 0.0, x / where(same, 1.0, gap));
    };
    const Tensor du = matmul(y.u, by_gap(change * row + column * transposed(change)));
    const Tensor dv = matmul(v, by_gap(column * change + transposed(change) * row));
    // What leaves the span of u.
    const Tensor outside = matmul(da, v) - matmul(y.u, change);
    const Tensor zero = equal(row, 0);
    const Tensor leaving = where(zero, 0.0, outside / where(zero, 1.0, row));
    return std::pair(y, Svd{du + leaving, diagonal(change), transposed(dv)});
  };
  return custom_jvp(svd_value, rule)(a);
}

Svd svd_one(const Tensor& a) {
  if (a.shape(0) >= a.shape(1)) return svd_tall(a);
  const Svd y = svd_tall(transposed(a));
  return {transposed(y.vt), y.s, transposed(y.u)};
}

}  // namespace

Eigh eigh(const Tensor& a) {
  const Tensor x = symmetric(matrices("eigh", a, true));
  if (x.shape(-1) == 0) return {sum(x, -1), x};
  return for_each_matrix(eigh_one, x);
}

Svd svd(const Tensor& a) {
  const Tensor x = matrices("svd", a, false);
  if (x.shape(-1) == 0 || x.shape(-2) == 0) {
    const Tensor empty = slice_axis(x, 0, 0, x.shape(-1) == 0 ? -1 : -2);
    const bool no_columns = x.shape(-1) == 0;
    Shape none = empty.shape();
    none[none.size() - (no_columns ? 2 : 1)] = 0;
    const Tensor nothing = zeros(none, x.dtype());
    return {no_columns ? empty : nothing, sum(nothing, -1), no_columns ? nothing : empty};
  }
  return for_each_matrix(svd_one, x);
}

}  // namespace linnet::linalg
