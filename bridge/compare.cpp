#include "linnet/bridge/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "linnet/detail/format.h"
#include "linnet/trace.h"

namespace linnet::bridge {
namespace {

using Kind = Difference::Kind;

/// The largest absolute difference of tensors of one shape.
double largest_difference(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  double largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i]))) continue;
    const double difference = std::abs(x[i] - y[i]);
    if (!(difference <= largest))
      largest = std::isnan(difference) ? std::numeric_limits<double>::infinity() : difference;
  }
  return largest;
}

std::string text_of(const state::Value& value) {
  if (value.single()) return to_string(value.tensors[0].type());
  std::string out = fmt::format("tuple of {}", value.tensors.size());
  for (const Tensor& tensor : value.tensors) out += ' ' + to_string(tensor.type());
  return out;
}

std::string text_of(const std::optional<linen::Box>& box) {
  if (!box) return "none";
  const std::string type = box->variable_type ? ' ' + box->variable_type->name() : std::string();
  return box->kind + type + ' ' + to_string(box->metadata);
}

/// Where two values cannot be compared number by number.
std::optional<Kind> type_difference(const state::Value& a, const state::Value& b) {
  if (a.tuple != b.tuple || a.tensors.size() != b.tensors.size()) return Kind::kShape;
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    if (a.tensors[i].shape() != b.tensors[i].shape()) return Kind::kShape;
  }
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    if (a.tensors[i].dtype() != b.tensors[i].dtype()) return Kind::kDType;
  }
  return std::nullopt;
}

double largest_difference(const state::Value& a, const state::Value& b) {
  double largest = 0;
  for (size_t i = 0; i < a.tensors.size(); ++i)
    largest = std::max(largest, largest_difference(a.tensors[i], b.tensors[i]));
  return largest;
}

using Leaves = std::map<std::string, const linen::Variables*>;

Leaves leaves_of(const linen::Variables& variables) {
  Leaves out;
  for (const auto& [path, leaf] : linen::flat_leaves(variables)) {
    if (!leaf->fixed()) out.emplace(tree::to_string(path), leaf);
  }
  return out;
}

class VariableComparer {
 public:
  explicit VariableComparer(const CompareOptions& options) : options_(options) {}

  void pair(const std::string& path, const linen::Variables& a, const linen::Variables& b) {
    ++out.variables_compared;
    if (const std::optional<Kind> kind = type_difference(a.leaf(), b.leaf()))
      add(*kind, path, text_of(a.leaf()), text_of(b.leaf()));
    if (options_.metadata && a.box() != b.box())
      add(Kind::kMetadata, path, text_of(a.box()), text_of(b.box()));
    if (type_difference(a.leaf(), b.leaf()) == Kind::kShape) return;
    const double largest = largest_difference(a.leaf(), b.leaf());
    out.largest_value = std::max(out.largest_value, largest);
    if (largest > options_.tolerance) add(Kind::kValue, path, {}, {}, largest);
  }

  /// What each has alone; equal values under other paths have moved.
  void alone(Leaves first, Leaves second) {
    for (const auto& [path, leaf] : first) {
      const auto moved = std::find_if(second.begin(), second.end(), [&, own = leaf](const auto& e) {
        return !type_difference(own->leaf(), e.second->leaf()) &&
               largest_difference(own->leaf(), e.second->leaf()) <= options_.tolerance;
      });
      if (moved == second.end()) {
        add(Kind::kMissing, path, text_of(leaf->leaf()), {});
      } else {
        add(Kind::kPath, path, text_of(leaf->leaf()), moved->first);
        second.erase(moved);
      }
    }
    for (const auto& [path, leaf] : second) add(Kind::kExtra, path, {}, text_of(leaf->leaf()));
  }

  Comparison out;

 private:
  void add(Kind kind, std::string path, std::string first, std::string second, double largest = 0) {
    out.differences.push_back(
        {kind, std::move(path), std::move(first), std::move(second), largest});
  }
  const CompareOptions& options_;
};

/// Passes everything on, and keeps what the last operation under each module path gave.
class Recorder final : public Trace {
 public:
  TensorList process(const Primitive& primitive, Inputs inputs, ParamsRef params) override {
    const std::string path = module_path();
    TensorList outputs;
    {
      const TraceScope outside(parent());
      outputs = emit(primitive, inputs, params);
    }
    if (!path.empty() && !outputs.empty() && !outputs[0].traced())
      activations.insert_or_assign(path, outputs[0]);
    return outputs;
  }
  const char* transformation() const override { return "compare_calls"; }
  std::map<std::string, Tensor> activations;
};

/// Results and activations of one call; the former are numbered under an empty path.
std::map<std::string, Tensor> activations_of(const std::function<TensorList()>& call) {
  Recorder recorder;
  TensorList results;
  {
    const TraceScope scope(&recorder);
    results = call();
  }
  std::map<std::string, Tensor> out = std::move(recorder.activations);
  for (size_t i = 0; i < results.size(); ++i)
    out.insert_or_assign("output " + std::to_string(i), results[i]);
  return out;
}

const char* kind_text(Kind kind) {
  switch (kind) {
    case Kind::kMissing:
      return "only in the first";
    case Kind::kExtra:
      return "only in the second";
    case Kind::kPath:
      return "under another path in the second";
    case Kind::kShape:
      return "shapes differ";
    case Kind::kDType:
      return "dtypes differ";
    case Kind::kMetadata:
      return "metadata differ";
    case Kind::kValue:
      return "values differ";
    case Kind::kActivation:
      return "activations differ";
  }
  return "";
}

}  // namespace

bool Comparison::has(Difference::Kind kind, const std::string& path) const {
  return std::any_of(differences.begin(), differences.end(), [&](const Difference& difference) {
    return difference.kind == kind && difference.path == path;
  });
}

std::string to_string(const Comparison& comparison) {
  std::string out;
  for (const Difference& d : comparison.differences) {
    out += fmt::format("{}: {}", d.path, kind_text(d.kind));
    if (!d.first.empty()) out += ": " + d.first;
    if (!d.second.empty()) out += (d.first.empty() ? ": " : " | ") + d.second;
    if (d.largest > 0) out += fmt::format(" by up to {:.3g}", d.largest);
    out += '\n';
  }
  const size_t count = comparison.differences.size();
  out += fmt::format("{} difference{} in {} variables and {} activations\n", count,
                     count == 1 ? "" : "s", comparison.variables_compared,
                     comparison.activations_compared);
  return out;
}

namespace detail {

Comparison compare_variables(const linen::Variables& first, const linen::Variables& second,
                             const CompareOptions& options) {
  Leaves left = leaves_of(first), right = leaves_of(second);
  VariableComparer comparer(options);
  for (auto own = left.begin(); own != left.end();) {
    const auto other = right.find(own->first);
    if (other == right.end()) {
      ++own;
      continue;
    }
    comparer.pair(own->first, *own->second, *other->second);
    right.erase(other);
    own = left.erase(own);
  }
  comparer.alone(std::move(left), std::move(right));
  return std::move(comparer.out);
}

Comparison compare_calls(const std::function<TensorList()>& first,
                         const std::function<TensorList()>& second, const CompareOptions& options) {
  const std::map<std::string, Tensor> left = activations_of(first), right = activations_of(second);
  Comparison out;
  for (const auto& [path, own] : left) {
    const auto other = right.find(path);
    if (other == right.end()) continue;
    ++out.activations_compared;
    const bool comparable = own.shape() == other->second.shape();
    const double largest = comparable ? largest_difference(own, other->second) : 0;
    out.largest_activation = std::max(out.largest_activation, largest);
    if (own.type() == other->second.type() && largest <= options.tolerance) continue;
    const bool same_type = own.type() == other->second.type();
    out.differences.push_back({Kind::kActivation, path, same_type ? "" : to_string(own.type()),
                               same_type ? "" : to_string(other->second.type()), largest});
  }
  return out;
}

Comparison joined(Comparison variables, Comparison activations) {
  std::move(activations.differences.begin(), activations.differences.end(),
            std::back_inserter(variables.differences));
  variables.largest_activation = activations.largest_activation;
  variables.activations_compared = activations.activations_compared;
  return variables;
}

}  // namespace detail
}  // namespace linnet::bridge
