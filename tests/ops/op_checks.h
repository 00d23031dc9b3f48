// The generic checks that every row of the op table is held against. A check collects what it finds
// wrong, so that it can also be shown to find what is wrong (op_mutation_test.cpp).
//
//   Findings findings;
//   check_first_order(row, findings);
//   EXPECT_TRUE(findings.empty()) << findings.text();
#pragma once

#include <span>
#include <string>
#include <vector>

#include "op_table.h"

namespace linnet::testing {

class Findings {
 public:
  /// Only the first few are kept.
  void add(std::string text) {
    ++count_;
    if (texts_.size() < 5) texts_.push_back(context_ + ": " + std::move(text));
  }
  void set_context(std::string context) { context_ = std::move(context); }
  bool empty() const { return count_ == 0; }
  std::string text() const;

 private:
  std::string context_;
  std::vector<std::string> texts_;
  size_t count_ = 0;
};

struct Check {
  const char* name;
  bool (*applies)(const OpCase&);
  void (*run)(const OpCase&, Findings&);
};
std::span<const Check> all_checks();

/// Results against the reference, in every floating dtype.
void check_values(const OpCase& row, Findings& findings);
/// Zeros, subnormals, the largest numbers, infinities and NaN against the reference.
void check_special_values(const OpCase& row, Findings& findings);
/// A NaN in one element of each operand in turn reaches what it reaches in the reference.
void check_nan(const OpCase& row, Findings& findings);
/// Every dtype gives the dtype it should, or is refused with a DTypeError.
void check_dtypes(const OpCase& row, Findings& findings);
/// Strided views and operands that are one tensor give the bits that dense copies give.
void check_strides(const OpCase& row, Findings& findings);
/// Forward and reverse derivatives against two schemes of differences.
void check_first_order(const OpCase& row, Findings& findings);
/// The same for derivatives of derivatives, and the three orders of nesting.
void check_second_order(const OpCase& row, Findings& findings);
/// The third derivative along a line.
void check_third_order(const OpCase& row, Findings& findings);
/// v (J u) = (J^T v) u, and linearity where it is claimed.
void check_modes(const OpCase& row, Findings& findings);
/// Gradients in f32, bf16 and f16 against those in f64.
void check_low_precision_gradients(const OpCase& row, Findings& findings);
/// Derivatives under jit, vmap and recomputation.
void check_compositions(const OpCase& row, Findings& findings);
/// Type of every cotangent; zeros for operands without derivative; edge points.
void check_structure(const OpCase& row, Findings& findings);
/// vmap over every subset of the operands against a loop.
void check_vmap(const OpCase& row, Findings& findings);
/// vmap over an axis of size 0, and its derivatives: types, and zeros where something is left.
void check_empty_vmap(const OpCase& row, Findings& findings);
/// jit against eager evaluation, in f64 and f32.
void check_jit(const OpCase& row, Findings& findings);

/// A function of those operands that have derivatives, giving those results that have.
struct Problem {
  TensorsFunction f;
  TensorList x;
};
Problem problem_of(const OpCase& row, const TensorList& operands);

/// First difference in type or value (relative to the largest element); empty if there is none.
/// Tolerance 0 means equal bits, but NaN equals NaN.
std::string difference(const TensorList& got, const TensorList& expected, double tolerance);

/// All elements; of complex ones both parts.
std::vector<double> numbers_of(const Tensor& x);

/// A tolerance meant for f64, for results of `dtype`.
double tolerance_in(DType dtype, double tolerance);

std::string describe(const TensorList& operands);

}  // namespace linnet::testing
