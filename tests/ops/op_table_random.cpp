// Rows of random numbers, of matrix factors and of optimiser steps. What random numbers come out is
// checked against known answers elsewhere; here they are held against transformations.
#include <cmath>

#include "core/ops/random.h"
#include "linnet/detail/optim.h"
#include "op_table.h"

namespace linnet::testing {
namespace {

const Operand kKeys{{2, 2}, keys()}, kKey{{2}, keys()};

void add_generators(OpTable& table) {
  const auto row = [&](const char* name, Tensor (*f)(const TensorList&)) {
    return table.add(name, f)
        .sample({kKeys})
        .sample({kKey})
        .takes(Takes::kUnchecked)
        .gives(Gives::kUnchecked)
        .orders(0);
  };
  row("random_bits", [](const TensorList& x) {
    return emit_one(random_bits_primitive(), x, RandomParams{.shape = {3}, .dtype = DType::kU16});
  });
  row("random_split", [](const TensorList& x) {
    return emit_one(random_split_primitive(), x, RandomParams{.shape = {3}});
  });
  row("random_uniform", [](const TensorList& x) {
    return emit_one(random_uniform_primitive(), x, RandomRangeParams{.shape = {5}});
  });
  row("random_normal", [](const TensorList& x) {
    return emit_one(random_normal_primitive(), x,
                    RandomParams{.shape = {2, 3}, .dtype = DType::kF64});
  });
  row("random_truncated_normal", [](const TensorList& x) {
    return emit_one(random_truncated_normal_primitive(), x,
                    RandomRangeParams{.shape = {5}, .low = -1.5, .high = 2});
  });
  table
      .add("random_fold_in",
           [](const TensorList& x) { return emit_one(random_fold_in_primitive(), x); })
      .sample({kKeys, {{2}, integers(0, 99).as(DType::kU32)}})
      .sample({kKey, {{}, integers(0, 99).as(DType::kU32)}})
      .takes(Takes::kUnchecked)
      .orders(0);
  table
      .add("random_gamma",
           [](const TensorList& x) {
             return emit_one(random_gamma_primitive(), x, RandomGammaParams{});
           })
      .sample({kKeys, {{2, 3}, uniform(0.5, 3)}})
      .takes(Takes::kWideFloats)
      .no_gradient();
  table
      .add("random_poisson",
           [](const TensorList& x) {
             return emit_one(random_poisson_primitive(), x, RandomParams{});
           })
      .sample({kKeys, {{2, 3}, uniform(0.5, 9).as(DType::kF32)}})
      .takes(Takes::kUnchecked)
      .orders(0);
  table.add("dropout", [](const TensorList& x) { return dropout(x[0], x[1], 0.4); })
      .sample({{{3, 4}, uniform(0.5, 2)}, kKey})
      .sample({{{0, 4}, uniform(0.5, 2)}, kKey})
      .takes(Takes::kAny)
      .gives(Gives::kFloating)
      .linear();
}

/// Columns made orthonormal one after the other, in f64.
HostArray orthonormal(const HostArray& a) {
  HostArray q = a;
  const int64_t rows = a.shape[0], columns = a.shape[1];
  for (int64_t j = 0; j < columns; ++j) {
    for (int64_t k = 0; k < j; ++k) {
      double dot = 0;
      for (int64_t i = 0; i < rows; ++i) dot += q.at({i, k}) * q.at({i, j});
      for (int64_t i = 0; i < rows; ++i) q.at({i, j}) -= dot * q.at({i, k});
    }
    double norm = 0;
    for (int64_t i = 0; i < rows; ++i) norm += q.at({i, j}) * q.at({i, j});
    for (int64_t i = 0; i < rows; ++i) q.at({i, j}) /= std::sqrt(norm);
  }
  return q;
}

HostArray lower_factor(const HostArray& a) {
  HostArray l(a.shape);
  for (int64_t i = 0; i < a.shape[0]; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double rest = a.at({i, j});
      for (int64_t k = 0; k < j; ++k) rest -= l.at({i, k}) * l.at({j, k});
      l.at({i, j}) = i == j ? std::sqrt(rest) : rest / l.at({j, j});
    }
  }
  return l;
}

void add_factors(OpTable& table) {
  table
      .add("qr_orthogonal",
           [](const TensorList& x) { return emit_one(qr_orthogonal_primitive(), x); })
      .sample({{{5, 3}, uniform(-2, 2)}})
      .sample({{{2, 2}, uniform(-2, 2)}})
      .takes(Takes::kUnchecked)
      .no_gradient()
      .scale(256)
      .reference([](const HostArrays& x) { return orthonormal(x[0]); });
  table.add("cholesky", [](const TensorList& x) { return emit_one(cholesky_primitive(), x); })
      .sample({{{3, 3}, given({4, 1, 0.5, 1, 3, -1, 0.5, -1, 5})}})
      .takes(Takes::kUnchecked)
      .no_gradient()
      .scale(64)
      .reference([](const HostArrays& x) { return lower_factor(x[0]); });
}

const AdamWParams kAdamW{.count = 2, .b1 = 0.8, .b2 = 0.95, .epsilon = 1e-4, .weight_decay = 0.1};

void add_optimisers(OpTable& table) {
  const auto number = [](double value) { return Operand{{}, given({value}).as(DType::kF32)}; };
  const Values line = uniform(-2, 2), positive = uniform(0.5, 2);
  table
      .add("adamw_update",
           [](const TensorList& x) { return emit(adamw_update_primitive(), x, kAdamW); })
      .sample({number(0.125),
               number(0.5),
               number(0.25),
               {{3}, line},
               {{2, 2}, line},
               {{3}, line},
               {{2, 2}, line},
               {{3}, line},
               {{2, 2}, line},
               {{3}, positive},
               {{2, 2}, positive}})
      .constants({0, 1, 2})
      .jit_within(1e-13)
      .takes(Takes::kUnchecked)
      .reference([](const HostArrays& x) {
        HostArrays out(6, HostArray({}));
        for (size_t i = 0; i < 2; ++i) {
          HostArray p = x[3 + i], m = x[7 + i], v = x[9 + i];
          for (size_t j = 0; j < p.values.size(); ++j) {
            const double g = x[5 + i].values[j];
            m.values[j] = 0.2 * g + 0.8 * m.values[j];
            v.values[j] = 0.05 * g * g + 0.95 * v.values[j];
            const double step = m.values[j] / 0.5 / (std::sqrt(v.values[j] / 0.25) + 1e-4);
            p.values[j] -= 0.125 * (step + 0.1 * p.values[j]);
          }
          out[i] = p;
          out[2 + i] = m;
          out[4 + i] = v;
        }
        return out;
      });
}

}  // namespace

void add_random_cases(OpTable& table) {
  add_generators(table);
  add_factors(table);
  add_optimisers(table);
}

}  // namespace linnet::testing
