// The checks are checked: derivative and batching rules are made slightly wrong, one at a time, and
// each wrong rule must be found. A mutant is a primitive that computes what the original computes.
#include <gtest/gtest.h>

#include <cmath>
#include <optional>

#include "core/trace/rules.h"
#include "linnet/trace.h"
#include "op_checks.h"

namespace linnet::testing::op_mutation_test {
namespace {

/// Hands everything on, with one primitive put in place of another.
class SubstituteTrace final : public Trace {
 public:
  SubstituteTrace(const Primitive& from, const Primitive& to) : from_(from), to_(to) {}
  TensorList process(const Primitive& primitive, Inputs inputs, ParamsRef params) override {
    TraceScope scope(parent());
    return emit(&primitive == &from_ ? to_ : primitive, inputs, params);
  }
  const char* transformation() const override { return "substitution"; }

 private:
  const Primitive &from_, &to_;
};

OpCase with_substitute(const OpCase& row, const Primitive& from, const Primitive& to) {
  OpCase out = row;
  out.function = [f = row.function, &from, &to](const TensorList& x) {
    SubstituteTrace trace(from, to);
    TraceScope scope(&trace);
    return f(x);
  };
  return out;
}

enum class Mutation : uint8_t { kNone, kNegated, kDoubled, kZero, kSmallTerm, kReversed, kSwapped };
constexpr Mutation kMutations[] = {Mutation::kNegated,   Mutation::kDoubled,  Mutation::kZero,
                                   Mutation::kSmallTerm, Mutation::kReversed, Mutation::kSwapped};
constexpr const char* kMutationNames[] = {
    "none", "sign", "factor two", "dropped", "1e-4 too much", "wrong axis", "swapped operands"};

Axes every_axis(const Tensor& x) {
  Axes axes;
  for (size_t i = 0; i < x.rank(); ++i) axes.push_back(static_cast<int64_t>(i));
  return axes;
}

/// Whether a mutation made any difference is noted where the values can be seen.
void note_change(const Tensor& before, const Tensor& after, bool& changed) {
  if (before.traced() || after.traced()) return;
  const std::vector<double> a = numbers_of(before), b = numbers_of(after);
  for (size_t i = 0; i < a.size(); ++i) changed |= std::abs(a[i] - b[i]) > 1e-6;
}

void mutate(TensorList& grads, size_t which, Mutation mutation, bool& changed) {
  // Parts of complex operands are one operand of the primitive.
  if (which >= grads.size()) return;
  Tensor& g = grads[which];
  if (!g.defined() || mutation == Mutation::kNone) return;
  const Tensor before = g;
  if (mutation == Mutation::kNegated) g = neg(g);
  if (mutation == Mutation::kDoubled) g = g * 2;
  if (mutation == Mutation::kZero) g = zeros_like(g);
  if (mutation == Mutation::kSmallTerm) g = g + 1e-4;
  if (mutation == Mutation::kReversed && g.rank() > 0) g = flip(g, every_axis(g));
  if (mutation == Mutation::kSwapped) {
    for (size_t i = 0; i < grads.size(); ++i) {
      if (i == which || !grads[i].defined() || grads[i].shape() != g.shape()) continue;
      std::swap(grads[i], g);
      break;
    }
  }
  note_change(before, g, changed);
}

/// A primitive with the reverse rule of `original`, mutated. Its forward rule is the original one,
/// or (`consistent`) the transpose of the wrong reverse rule, so that the modes agree.
const Primitive& define_mutant(const Primitive& original, size_t which, Mutation mutation,
                               bool consistent, bool& changed) {
  Primitive p = original;
  p.name = std::string("mutant of ") + original.name;
  p.elementwise_typing = p.all_boolean_result = false;
  p.decompose = [&original](ParamsRef params, Inputs x) { return emit(original, x, params); };
  rules::Vjp rule;
  rule.vjp = [=, &original, &changed](ParamsRef params, Inputs x, Outputs y, Inputs cts) {
    std::vector<uint8_t> needed(x.size());
    for (size_t i = 0; i < x.size(); ++i) needed[i] = !is_nondifferentiable(original, i);
    TensorList grads = apply_vjp(original, params, x, y, cts, needed);
    mutate(grads, which, mutation, changed);
    return grads;
  };
  if (!consistent && !original.composite()) {
    rule.jvp = [&original](ParamsRef params, Inputs x, Outputs y, Inputs t) {
      return apply_jvp(original, params, x, y, t);
    };
  }
  p.rule = std::move(rule);
  return define_primitive(std::move(p));
}

const Primitive& primitive_of(const OpCase& row) {
  for (const Primitive* primitive : all_primitives()) {
    if (primitive->name == row.primitive) return *primitive;
  }
  throw std::logic_error("no primitive " + row.primitive);
}

bool has_reverse_rule(const OpCase& row, const Primitive& p) {
  if (row.orders < 1 || row.no_gradient || !differentiable(p)) return false;
  const Problem problem = problem_of(row, make_operands(row.samples[0], row.base_dtype(), 0));
  if (problem.x.empty() || problem.f(problem.x).empty()) return false;
  const auto* composite = p.rule_as<rules::Composite>();
  return composite ? static_cast<bool>(composite->vjp)
                   : !p.control() && !p.rule_as<rules::Opaque>();
}

/// The row with one sample: the first that has more than one element everywhere it can.
OpCase with_one_sample(const OpCase& row) {
  OpCase out = row;
  for (const Sample& sample : row.samples) {
    bool suitable = true;
    for (const Operand& operand : sample) {
      const int64_t count = element_count(operand.shape);
      suitable = suitable && count > 0 && count <= 64 && (operand.shape.empty() || count > 1);
    }
    if (!suitable || (sample.size() == 1 && sample[0].shape.empty())) continue;
    out.samples = {sample};
    break;
  }
  return out;
}

struct Tally {
  int tried = 0, effective = 0;
  std::vector<std::string> missed;
};

void try_reverse_mutants(const OpCase& row, const Primitive& original, Tally& tally) {
  const size_t operands = row.samples[0].size();
  for (size_t which = 0; which < std::min<size_t>(operands, 4); ++which) {
    for (Mutation mutation : kMutations) {
      for (bool consistent : {false, true}) {
        auto* changed =
            new bool(false);  // primitives live for ever, and so does what they refer to
        const Primitive& mutant = define_mutant(original, which, mutation, consistent, *changed);
        Findings findings;
        check_first_order(with_substitute(row, original, mutant), findings);
        ++tally.tried;
        tally.effective += *changed;
        if (*changed && findings.empty()) {
          tally.missed.push_back(row.name + ", operand " + std::to_string(which) + ": " +
                                 kMutationNames[static_cast<int>(mutation)]);
        }
      }
    }
  }
}

// It is about values, and a sanitizer, for which it takes thirty times as long, has seen the same
// checks on every row: there one row in five.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kRowsApart = 5;
#else
constexpr size_t kRowsApart = 1;
#endif

TEST(OpMutation, R_013_every_wrong_reverse_rule_is_found) {
  define_all_primitives();
  Tally tally;
  const auto& rows = op_table().rows();
  for (size_t i = 0; i < rows.size(); i += kRowsApart) {
    const Primitive& original = primitive_of(rows[i]);
    if (!has_reverse_rule(rows[i], original)) continue;
    try_reverse_mutants(with_one_sample(rows[i]), original, tally);
  }
  RecordProperty("mutants", tally.effective);
  EXPECT_GT(tally.effective, 500 / static_cast<int>(kRowsApart));
  EXPECT_GT(tally.tried, tally.effective);
  EXPECT_TRUE(tally.missed.empty()) << tally.missed.size() << " of " << tally.effective
                                    << " wrong rules were not found, the first: "
                                    << (tally.missed.empty() ? "" : tally.missed[0]);
}

TEST(OpMutation, substitutes_that_are_right_are_not_found) {
  define_all_primitives();
  static bool changed = false;
  for (const OpCase& row : op_table().rows()) {
    const Primitive& original = primitive_of(row);
    if (!has_reverse_rule(row, original)) continue;
    const Primitive& same = define_mutant(original, 0, Mutation::kNone, false, changed);
    Findings findings;
    check_first_order(with_substitute(with_one_sample(row), original, same), findings);
    EXPECT_TRUE(findings.empty()) << row.name << ": " << findings.text();
  }
}

/// The original with every batch entry in the place of the next.
const Primitive& define_batching_mutant(const Primitive& original, bool& changed) {
  Primitive p = original;
  p.name = std::string("batching mutant of ") + original.name;
  p.elementwise_typing = p.all_boolean_result = false;
  if (p.composite()) p.rule = rules::Opaque{};
  p.decompose = [&original](ParamsRef params, Inputs x) { return emit(original, x, params); };
  maps::Custom map;
  map.batch = [&original, &changed](ParamsRef params, const BatchedInputs& in) {
    TensorList out = apply_batch(original, params, in);
    for (Tensor& y : out) {
      const Tensor before = y;
      y = roll(y, 1, 0);
      note_change(before, y, changed);
    }
    return out;
  };
  if (p.rule_as<rules::Partials>()) p.rule = rules::Opaque{};
  p.map = std::move(map);
  return define_primitive(std::move(p));
}

TEST(OpMutation, every_wrong_batching_rule_is_found) {
  define_all_primitives();
  int tried = 0;
  for (const OpCase& row : op_table().rows()) {
    const Primitive& original = primitive_of(row);
    if (std::holds_alternative<maps::Parts>(original.map) || row.samples[0].empty()) continue;
    auto* changed = new bool(false);
    const Primitive& mutant = define_batching_mutant(original, *changed);
    Findings findings;
    check_vmap(with_substitute(with_one_sample(row), original, mutant), findings);
    if (!*changed) continue;
    EXPECT_FALSE(findings.empty()) << row.name;
    ++tried;
  }
  EXPECT_GT(tried, 120);
}

/// Forward rules, in primitives whose reverse rule is right.
TEST(OpMutation, every_wrong_forward_rule_is_found) {
  define_all_primitives();
  int tried = 0;
  for (const OpCase& row : op_table().rows()) {
    const Primitive& original = primitive_of(row);
    if (!has_reverse_rule(row, original) || original.composite()) continue;
    auto* changed = new bool(false);
    Primitive p = define_mutant(original, 0, Mutation::kNone, false, *changed);
    std::get<rules::Vjp>(p.rule).jvp = [&original, changed](ParamsRef params, Inputs x, Outputs y,
                                                            Inputs t) {
      TensorList out = apply_jvp(original, params, x, y, t);
      for (Tensor& tangent : out) {
        if (!tangent.defined()) continue;
        *changed |= tangent.size() > 0;
        tangent = tangent + 1e-4;
      }
      return out;
    };
    const Primitive& mutant = define_primitive(std::move(p));
    const OpCase wrong = with_substitute(with_one_sample(row), original, mutant);
    Findings numeric, modes;
    check_first_order(wrong, numeric);
    check_modes(wrong, modes);
    if (!*changed) continue;
    EXPECT_FALSE(numeric.empty()) << row.name << ": by differences";
    EXPECT_FALSE(modes.empty()) << row.name << ": by the other mode";
    ++tried;
  }
  EXPECT_GT(tried, 80);
}

}  // namespace
}  // namespace linnet::testing::op_mutation_test
