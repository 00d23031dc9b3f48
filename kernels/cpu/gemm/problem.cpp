// Rewrites a product into the shortest equivalent form.
#include <algorithm>
#include <utility>

#include "kernels/cpu/gemm/gemm.h"

namespace linnet::cpu {
namespace {

void drop_single_batches(GemmProblem& p) {
  for (size_t i = p.batch.size(); i-- > 0;) {
    if (p.batch[i] != 1) continue;
    p.batch.erase(i);
    p.a_batch.erase(i);
    p.b_batch.erase(i);
    p.out_batch.erase(i);
  }
}

void merge_neighbours(GemmProblem& p) {
  for (size_t i = p.batch.size(); i-- > 1;) {
    const int64_t size = p.batch[i];
    const bool mergeable = p.a_batch[i - 1] == p.a_batch[i] * size &&
                           p.b_batch[i - 1] == p.b_batch[i] * size &&
                           p.out_batch[i - 1] == p.out_batch[i] * size;
    if (!mergeable) continue;
    p.batch[i - 1] *= size;
    p.a_batch[i - 1] = p.a_batch[i];
    p.b_batch[i - 1] = p.b_batch[i];
    p.out_batch[i - 1] = p.out_batch[i];
    p.batch.erase(i);
    p.a_batch.erase(i);
    p.b_batch.erase(i);
    p.out_batch.erase(i);
  }
}

// The rows of all batches form one matrix if B is shared and the batches follow each other.
bool fold_batch_into_rows(GemmProblem& p) {
  if (p.batch.empty() || p.b_batch.back() != 0) return false;
  const int64_t a_step = p.a_batch.back(), out_step = p.out_batch.back();
  if (p.m == 1) {
    p.a_row = a_step;
    p.out_row = out_step;
  } else if (a_step != p.m * p.a_row || out_step != p.m * p.out_row) {
    return false;
  }
  p.m *= p.batch.back();
  p.batch.pop_back();
  p.a_batch.pop_back();
  p.b_batch.pop_back();
  p.out_batch.pop_back();
  return true;
}

void tidy_unit_strides(GemmProblem& p) {
  if (p.k == 1) p.a_column = 1, p.b_row = std::max<int64_t>(1, p.n * p.b_column);
  if (p.n == 1) p.b_column = 1;
  if (p.m == 1) {
    p.a_row = std::max<int64_t>(1, p.k * p.a_column);
    p.out_row = p.n;
  }
}

// out^T = B^T A^T. Only for one column whose elements are contiguous.
void turn_column_into_row(GemmProblem& p) {
  if (p.n != 1 || p.m == 1 || p.out_row != 1) return;
  std::swap(p.m, p.n);
  std::swap(p.a_batch, p.b_batch);
  const int64_t a_row = p.a_row, a_column = p.a_column;
  p.a_row = p.b_column;
  p.a_column = p.b_row;
  p.b_row = a_column;
  p.b_column = a_row;
  p.out_row = p.n;
  p.bias_is_scalar = true;
}

}  // namespace

GemmProblem merge_batches(GemmProblem p) {
  drop_single_batches(p);
  merge_neighbours(p);
  while (fold_batch_into_rows(p)) {
  }
  tidy_unit_strides(p);
  return p;
}

GemmProblem canonical(GemmProblem problem) {
  problem = merge_batches(std::move(problem));
  turn_column_into_row(problem);
  return problem;
}

}  // namespace linnet::cpu
