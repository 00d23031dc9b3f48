// Checks of batching, compilation and their compositions with derivatives.
#include <fmt/core.h>

#include "linnet/jit.h"
#include "linnet/transforms.h"
#include "op_checks.h"

namespace linnet::testing {
namespace {

constexpr unsigned kBatch = 3;

/// Entries of a batch: operands chosen by `mapped` differ, the others are those of the first entry.
std::vector<TensorList> batch_entries(const Sample& sample, DType dtype, uint64_t mapped) {
  std::vector<TensorList> entries;
  for (unsigned b = 0; b < kBatch; ++b) {
    TensorList x = make_operands(sample, dtype, 100 + b);
    if (b > 0) {
      for (size_t i = 0; i < x.size(); ++i) {
        if (!(mapped >> i & 1u)) x[i] = entries[0][i];
      }
    }
    entries.push_back(std::move(x));
  }
  return entries;
}

Tensor stacked(const std::vector<TensorList>& entries, size_t index) {
  TensorList parts;
  for (const TensorList& entry : entries) parts.push_back(entry[index]);
  return stack(parts);
}

/// Results of `f` on every entry, stacked.
TensorList looped(const TensorsFunction& f, const std::vector<TensorList>& entries) {
  std::vector<TensorList> results;
  for (const TensorList& entry : entries) results.push_back(f(entry));
  TensorList out;
  for (size_t k = 0; k < results[0].size(); ++k) out.push_back(stacked(results, k));
  return out;
}

/// vmap of `f` over the chosen operands.
TensorList mapped_call(const TensorsFunction& f, const std::vector<TensorList>& entries,
                       uint64_t mapped) {
  TensorList batches;
  for (size_t i = 0; i < entries[0].size(); ++i) {
    if (mapped >> i & 1u) batches.push_back(stacked(entries, i));
  }
  const TensorsFunction assembled = [&](const TensorList& part) {
    TensorList all = entries[0];
    size_t next = 0;
    for (size_t i = 0; i < all.size(); ++i) {
      if (mapped >> i & 1u) all[i] = part[next++];
    }
    return f(all);
  };
  return vmap(assembled)(batches);
}

/// Every subset of few operands; single ones, all but one and all of many.
std::vector<uint64_t> subsets(size_t count) {
  const uint64_t all = (uint64_t{1} << count) - 1;
  std::vector<uint64_t> out;
  if (count <= 4) {
    for (uint64_t mask = 1; mask <= all; ++mask) out.push_back(mask);
    return out;
  }
  for (size_t i = 0; i < count; ++i) {
    out.push_back(uint64_t{1} << i);
    out.push_back(all & ~(uint64_t{1} << i));
  }
  out.push_back(all);
  return out;
}

TensorList weights_for(const TensorList& y) {
  TensorList out;
  for (const Tensor& t : y) {
    const int64_t count = t.size();
    const Tensor ramp = arange(0.0, static_cast<double>(count), 1.0, DType::kF64);
    out.push_back(reshape(ramp * 0.25 - 0.375, t.shape()));
  }
  return out;
}

/// x -> J(x)^T v for fixed weights v.
TensorsFunction gradient_function(const TensorsFunction& f) {
  return [f](const TensorList& x) {
    auto [y, pullback] = vjp(f, x);
    return pullback(weights_for(y));
  };
}

}  // namespace

void check_vmap(const OpCase& row, Findings& findings) {
  for (const Sample& sample : row.samples) {
    for (uint64_t mapped : subsets(sample.size())) {
      const auto entries = batch_entries(sample, row.base_dtype(), mapped);
      findings.set_context(
          fmt::format("vmap of {}{}, operands {:b}", row.name, describe(entries[0]), mapped));
      const std::string text = difference(mapped_call(row.function, entries, mapped),
                                          looped(row.function, entries), row.reordered_tolerance);
      if (!text.empty()) findings.add(text);
    }
  }
}

namespace {

/// An operand for no entries: [0, shape of one entry...].
Tensor no_entries(const Tensor& entry) {
  Shape shape = entry.shape();
  shape.insert(0, 0);
  return zeros(shape, entry.dtype());
}

TensorList no_entries(const TensorList& entries) {
  TensorList out;
  for (const Tensor& entry : entries) out.push_back(no_entries(entry));
  return out;
}

/// vmap of `f` over no entries of the chosen operands; the others are those of `x`.
TensorsFunction over_no_entries(const TensorsFunction& f, uint64_t mapped) {
  return [f, mapped](const TensorList& x) {
    TensorList batches;
    for (size_t i = 0; i < x.size(); ++i) {
      if (mapped >> i & 1u) batches.push_back(x[i]);
    }
    return vmap(TensorsFunction([&](const TensorList& part) {
      TensorList all = x;
      size_t next = 0;
      for (size_t i = 0; i < all.size(); ++i) {
        if (mapped >> i & 1u) all[i] = part[next++];
      }
      return f(all);
    }))(batches);
  };
}

/// Derivatives of a vmap over no entries: empty for what is mapped, zero for what is not.
void check_derivatives_without_entries(const OpCase& row, const Sample& sample,
                                       Findings& findings) {
  const Problem p = problem_of(row, make_operands(sample, DType::kF64, 9));
  if (p.x.empty()) return;
  const TensorList y = no_entries(p.f(p.x));
  for (uint64_t mapped : subsets(p.x.size())) {
    TensorList x = p.x, zero;
    for (size_t i = 0; i < x.size(); ++i) {
      if (mapped >> i & 1u) x[i] = no_entries(x[i]);
      zero.push_back(zeros_like(x[i]));
    }
    const TensorsFunction f = over_no_entries(p.f, mapped);
    const auto expect = [&](const char* what, const TensorList& got, const TensorList& wanted) {
      const std::string text = difference(got, wanted, 0);
      if (!text.empty()) findings.add(std::string(what) + ": " + text);
    };
    const auto [value, pullback] = vjp(f, x);
    expect("vjp", pullback(y), zero);
    expect("jvp", jvp(f, x, zero).second, y);
  }
  const uint64_t all = (uint64_t{1} << p.x.size()) - 1;
  const TensorList x = no_entries(p.x);
  const std::string text = difference(over_no_entries(gradient_function(p.f), all)(x), x, 0);
  if (!text.empty()) findings.add("vmap of the gradient: " + text);
}

}  // namespace

void check_empty_vmap(const OpCase& row, Findings& findings) {
  for (const Sample& sample : row.samples) {
    const TensorList entry = make_operands(sample, row.base_dtype(), 9);
    const TensorList expected = no_entries(row.function(entry));
    for (uint64_t mapped : subsets(sample.size())) {
      TensorList x = entry;
      for (size_t i = 0; i < x.size(); ++i) {
        if (mapped >> i & 1u) x[i] = no_entries(x[i]);
      }
      findings.set_context(fmt::format("vmap of {}{} over no entries, operands {:b}", row.name,
                                       describe(x), mapped));
      const TensorsFunction f = over_no_entries(row.function, mapped);
      for (const TensorList& got : {f(x), jit(f)(x)}) {
        const std::string text = difference(got, expected, 0);
        if (!text.empty()) findings.add(text);
      }
    }
    if (row.orders >= 1 && !row.no_gradient && is_floating(row.base_dtype())) {
      check_derivatives_without_entries(row, sample, findings);
    }
  }
}

void check_jit(const OpCase& row, Findings& findings) {
  const auto compiled = jit(row.function);
  for (const Sample& sample : row.samples) {
    for (DType dtype : {row.base_dtype(), DType::kF32}) {
      if (!taken(row.takes, dtype)) continue;
      const TensorList x = make_operands(sample, dtype, 7);
      findings.set_context("jit of " + row.name + describe(x));
      const double tolerance = tolerance_in(dtype, row.jit_tolerance);
      const std::string text = difference(compiled(x), row.function(x), tolerance);
      if (!text.empty()) findings.add(text);
    }
  }
}

namespace {

void compare_batched(const OpCase& row, const Sample& sample, Findings& findings) {
  const uint64_t all = (uint64_t{1} << sample.size()) - 1;
  std::vector<TensorList> points;
  TensorsFunction f;
  // Operands without derivative stay those of the first entry.
  for (const TensorList& entry : batch_entries(sample, DType::kF64, all)) {
    Problem p = problem_of(row, entry);
    if (points.empty()) f = p.f;
    points.push_back(std::move(p.x));
  }
  const TensorsFunction gradient = gradient_function(f);
  const uint64_t every = (uint64_t{1} << points[0].size()) - 1;
  const TensorList expected = looped(gradient, points);
  const std::string of_gradient = difference(mapped_call(gradient, points, every), expected, 1e-12);
  if (!of_gradient.empty()) findings.add("vmap of the gradient: " + of_gradient);

  TensorList batches, weights;
  for (size_t i = 0; i < points[0].size(); ++i) batches.push_back(stacked(points, i));
  const auto [y, pullback] = vjp(TensorsFunction(vmap(f)), batches);
  for (const Tensor& w : weights_for(f(points[0]))) {
    weights.push_back(stack(TensorList(kBatch, w)));
  }
  const std::string of_vmap = difference(pullback(weights), expected, 1e-12);
  if (!of_vmap.empty()) findings.add("gradient of vmap: " + of_vmap);
}

}  // namespace

void check_compositions(const OpCase& row, Findings& findings) {
  for (const Sample& sample : row.samples) {
    const TensorList x = make_operands(sample, DType::kF64, 8);
    findings.set_context("compositions of " + row.name + describe(x));
    const Problem p = problem_of(row, x);
    const TensorsFunction gradient = gradient_function(p.f);
    const TensorList expected = gradient(p.x);
    const TensorsFunction compiled = jit(p.f);
    const TensorList tangents = weights_for(p.x);
    const auto expect = [&](const char* what, const TensorList& got, const TensorList& wanted) {
      const std::string text = difference(got, wanted, 1e-12);
      if (!text.empty()) findings.add(std::string(what) + ": " + text);
    };
    expect("jit of the gradient", jit(gradient)(p.x), expected);
    expect("gradient of jit", gradient_function(compiled)(p.x), expected);
    expect("gradient of a recomputed function",
           gradient_function(TensorsFunction(checkpoint(p.f)))(p.x), expected);
    expect("forward mode of jit", jvp(compiled, p.x, tangents).second,
           jvp(p.f, p.x, tangents).second);
    expect("forward mode of the gradient of jit",
           jvp(gradient_function(compiled), p.x, tangents).second,
           jvp(gradient, p.x, tangents).second);
    compare_batched(row, sample, findings);
  }
}

}  // namespace linnet::testing
