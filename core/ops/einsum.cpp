#include <algorithm>
#include <limits>
#include <map>
#include <string>

#include "core/ops/creation.h"
#include "core/ops/einsum_equation.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {
namespace {

struct Term {
  Tensor value;
  std::string labels;
};

using Sizes = std::map<char, int64_t>;

bool has(const std::string& labels, char label) { return labels.find(label) != std::string::npos; }
int64_t axis_of(const std::string& labels, char label) {
  return static_cast<int64_t>(labels.find(label));
}

Sizes sizes_of(std::string_view equation, const std::vector<Term>& terms) {
  Sizes sizes;
  for (const Term& term : terms) {
    for (size_t i = 0; i < term.labels.size(); ++i) {
      const char label = term.labels[i];
      const int64_t size = term.value.shape()[i];
      const auto [entry, fresh] = sizes.emplace(label, size);
      if (fresh) continue;
      // Within one operand a repeated label means a diagonal, which needs equal sizes.
      const size_t first = term.labels.find(label);
      if (first < i ? term.value.shape()[first] == size : entry->second == size) continue;
      if (first == i && (size == 1 || entry->second == 1)) {
        if (entry->second == 1) entry->second = size;
        continue;
      }
      fail<ShapeError>(
          "einsum: sizes of {} differ in {}: {} and {} (operand {})",
          from_ellipsis(label) ? std::string("an ellipsis dimension") : fmt::format("'{}'", label),
          equation, entry->second, size, to_string(term.value.type()));
    }
  }
  return sizes;
}

/// Keeps the diagonal of dimensions with equal labels: everything else becomes zero and is summed
/// up.
void take_diagonals(Term& term) {
  for (size_t i = 0; i < term.labels.size(); ++i) {
    size_t j = term.labels.find(term.labels[i], i + 1);
    while (j != std::string::npos) {
      const Shape& shape = term.value.shape();
      const auto along = [&](size_t axis) {
        return iota_on(term.value.device(), DType::kI32, shape, static_cast<int64_t>(axis));
      };
      const Tensor on_diagonal = equal(along(i), along(j));
      const Tensor kept = where(on_diagonal, term.value, zeros_like(term.value));
      const DType dtype = term.value.dtype();
      term.value = sum(kept, Axes{static_cast<int64_t>(j)});
      if (term.value.dtype() != dtype) term.value = astype(term.value, dtype);
      term.labels.erase(j, 1);
      j = term.labels.find(term.labels[i], i + 1);
    }
  }
}

/// A dimension of size 1 that others extend carries no information.
void drop_broadcast(Term& term, const Sizes& sizes) {
  for (size_t i = term.labels.size(); i-- > 0;) {
    if (term.value.shape()[i] == sizes.at(term.labels[i])) continue;
    term.value = squeeze(term.value, Axes{static_cast<int64_t>(i)});
    term.labels.erase(i, 1);
  }
}

/// Sums over the labels that nobody else needs.
void sum_unneeded(Term& term, const std::string& needed) {
  Axes axes;
  std::string kept;
  for (size_t i = 0; i < term.labels.size(); ++i) {
    if (has(needed, term.labels[i]))
      kept += term.labels[i];
    else
      axes.push_back(static_cast<int64_t>(i));
  }
  if (axes.empty()) return;
  const DType dtype = term.value.dtype();
  term.value = sum(term.value, axes);
  if (term.value.dtype() != dtype) term.value = astype(term.value, dtype);
  term.labels = kept;
}

std::string needed_by_others(const std::vector<Term>& terms, const std::string& result, size_t a,
                             size_t b) {
  std::string needed = result;
  for (size_t i = 0; i < terms.size(); ++i) {
    if (i != a && i != b) needed += terms[i].labels;
  }
  return needed;
}

struct PairLabels {
  std::string batch, contracted, lhs_free, rhs_free;
  std::string result() const { return batch + lhs_free + rhs_free; }
};

PairLabels classify(const std::string& lhs, const std::string& rhs, const std::string& needed) {
  PairLabels out;
  for (char c : lhs) {
    if (!has(rhs, c))
      out.lhs_free += c;
    else if (has(needed, c))
      out.batch += c;
    else
      out.contracted += c;
  }
  for (char c : rhs) {
    if (!has(lhs, c)) out.rhs_free += c;
  }
  // Batch dimensions come out in the order in which they are wanted.
  std::sort(out.batch.begin(), out.batch.end(),
            [&](char a, char b) { return needed.find(a) < needed.find(b); });
  return out;
}

Term contract(const Term& lhs, const Term& rhs, const PairLabels& labels) {
  DotDims dims;
  for (char c : labels.contracted) {
    dims.lhs_contract.push_back(axis_of(lhs.labels, c));
    dims.rhs_contract.push_back(axis_of(rhs.labels, c));
  }
  for (char c : labels.batch) {
    dims.lhs_batch.push_back(axis_of(lhs.labels, c));
    dims.rhs_batch.push_back(axis_of(rhs.labels, c));
  }
  return {dot_general(lhs.value, rhs.value, dims), labels.result()};
}

Term contract_pair(Term lhs, Term rhs, const std::string& needed) {
  sum_unneeded(lhs, needed + rhs.labels);
  sum_unneeded(rhs, needed + lhs.labels);
  const PairLabels forward = classify(lhs.labels, rhs.labels, needed);
  const PairLabels swapped = classify(rhs.labels, lhs.labels, needed);
  // `needed` begins with the labels of the result: of the two orders, prefer the one that gives
  // them directly.
  const bool swap = needed.compare(0, swapped.result().size(), swapped.result()) == 0 &&
                    needed.compare(0, forward.result().size(), forward.result()) != 0;
  return swap ? contract(rhs, lhs, swapped) : contract(lhs, rhs, forward);
}

double volume(const std::string& labels, const Sizes& sizes) {
  double out = 1;
  for (char c : labels) out *= static_cast<double>(sizes.at(c));
  return out;
}

std::string merged(const std::string& a, const std::string& b) {
  std::string out = a;
  for (char c : b) {
    if (!has(out, c)) out += c;
  }
  return out;
}

/// The cheapest next pair: fewest multiplications, then smallest result, then first.
std::pair<size_t, size_t> choose_pair(const std::vector<Term>& terms, const std::string& result,
                                      const Sizes& sizes) {
  std::pair<size_t, size_t> best{0, 1};
  std::pair<double, double> best_cost{std::numeric_limits<double>::infinity(), 0};
  for (size_t i = 0; i < terms.size(); ++i) {
    for (size_t j = i + 1; j < terms.size(); ++j) {
      const std::string needed = needed_by_others(terms, result, i, j);
      const std::string all = merged(terms[i].labels, terms[j].labels);
      std::string left;
      for (char c : all) {
        if (has(needed, c)) left += c;
      }
      const std::pair<double, double> cost{volume(all, sizes), volume(left, sizes)};
      if (cost < best_cost) {
        best_cost = cost;
        best = {i, j};
      }
    }
  }
  return best;
}

std::vector<Term> make_terms(const EinsumEquation& parsed, const std::vector<Tensor>& operands) {
  WeakDType type{operands[0].dtype(), operands[0].weak()};
  for (const Tensor& x : operands) type = promote_types(type, {x.dtype(), x.weak()});
  std::vector<Term> terms;
  for (size_t i = 0; i < operands.size(); ++i) {
    const Tensor& x = operands[i];
    terms.push_back({x.dtype() == type.dtype ? x : astype(x, type.dtype), parsed.operands[i]});
  }
  return terms;
}

Tensor in_result_order(const Term& term, const std::string& result, const Sizes& sizes) {
  Shape shape;
  Axes permutation;
  std::string present;
  for (char c : result) {
    shape.push_back(sizes.at(c));
    if (!has(term.labels, c)) continue;
    permutation.push_back(axis_of(term.labels, c));
    present += c;
  }
  Tensor out = present == term.labels ? term.value : transpose(term.value, permutation);
  if (present.size() == result.size()) return out;
  Axes dimensions;
  for (char c : present) dimensions.push_back(axis_of(result, c));
  return broadcast_in_dim(out, shape, dimensions);
}

}  // namespace

Tensor einsum(std::string_view equation, const std::vector<Tensor>& operands) {
  if (operands.empty()) fail<ValueError>("einsum: no operands for {}", equation);
  std::vector<size_t> ranks;
  for (const Tensor& x : operands) ranks.push_back(x.rank());
  const EinsumEquation parsed = parse_einsum(equation, ranks);
  std::vector<Term> terms = make_terms(parsed, operands);
  const Sizes sizes = sizes_of(equation, terms);
  for (Term& term : terms) {
    drop_broadcast(term, sizes);
    take_diagonals(term);
  }
  while (terms.size() > 1) {
    const auto [i, j] = choose_pair(terms, parsed.result, sizes);
    const std::string needed = needed_by_others(terms, parsed.result, i, j);
    Term joined = contract_pair(terms[i], terms[j], needed);
    terms.erase(terms.begin() + static_cast<std::ptrdiff_t>(j));
    terms[i] = std::move(joined);
  }
  sum_unneeded(terms[0], parsed.result);
  return in_result_order(terms[0], parsed.result, sizes);
}

}  // namespace linnet
