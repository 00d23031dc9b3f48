#include "linnet/bridge/weight_map.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "bridge/weight_pattern.h"
#include "linnet/detail/format.h"
#include "linnet/numpy.h"
#include "linnet/ops.h"

namespace linnet::bridge::detail {
namespace {

struct Rule {
  const WeightRule* written;
  WeightPattern from;
  std::vector<WeightPattern> to;
  std::optional<std::string> stacked;  ///< the placeholder whose numbers are the first axis
};

Rule compiled(const WeightRule& written) {
  Rule rule{&written, WeightPattern(written.from), {}, {}};
  if (rule.from.has_wildcard() && !written.to.empty())
    fail<ValueError>("load_weights: '{}': only names that are ignored may have a *", written.from);
  std::vector<std::string> free = rule.from.placeholders();
  for (const std::string& text : written.to) {
    const WeightPattern& to = rule.to.emplace_back(text);
    for (const std::string& name : to.placeholders()) {
      const std::vector<std::string> known = rule.from.placeholders();
      if (std::find(known.begin(), known.end(), name) == known.end())
        fail<ValueError>("load_weights: '{}' has no {{{}}}, which '{}' uses", written.from, name,
                         text);
      std::erase(free, name);
    }
  }
  if (written.to.empty()) return rule;
  if (free.size() > 1)
    fail<ValueError>("load_weights: '{}' has several numbers that '{}' has not", written.from,
                     written.to[0]);
  if (!free.empty()) rule.stacked = free[0];
  for (size_t i = 0; i + 1 < written.steps.size(); ++i)
    if (written.steps[i] == WeightStep::kReshape)
      fail<ValueError>("load_weights: '{}': kReshape is the last step", written.from);
  return rule;
}

/// Which arrays one variable is made of.
struct Plan {
  const Rule* rule;
  size_t part;                           ///< of the last axis
  std::map<int64_t, std::string> names;  ///< by position in the stack, or at 0
};

/// What does not fit, told together.
class Complaints {
 public:
  template <class... A>
  void add(fmt::format_string<A...> text, A&&... args) {
    if (++count_ <= kShown) text_ += "\n  " + fmt::format(text, std::forward<A>(args)...);
  }
  void check() const {
    if (count_ == 0) return;
    fail<ValueError>("load_weights: names of the file and of the model do not fit:{}{}", text_,
                     count_ > kShown ? fmt::format("\n  and {} more", count_ - kShown) : "");
  }

 private:
  static constexpr int kShown = 12;
  int count_ = 0;
  std::string text_;
};

int64_t number(const std::string& digits) {
  int64_t value = -1;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

std::map<std::string, Plan> planned(const WeightSource& source, const std::vector<Rule>& rules,
                                    Complaints& complaints) {
  std::map<std::string, Plan> plans;
  for (const std::string& name : source.names) {
    const Rule* rule = nullptr;
    std::optional<Captures> captures;
    for (size_t i = 0; i < rules.size() && !rule; ++i)
      if ((captures = rules[i].from.match(name))) rule = &rules[i];
    if (!rule) {
      complaints.add("'{}' of the file: no rule says where it goes", name);
      continue;
    }
    for (size_t part = 0; part < rule->to.size(); ++part) {
      const std::string path = rule->to[part].fill(*captures);
      Plan& plan = plans.try_emplace(path, Plan{rule, part, {}}).first->second;
      const int64_t at = rule->stacked ? number((*captures)[*rule->stacked]) : 0;
      const auto [other, fresh] = plan.names.try_emplace(at, name);
      if (!fresh || plan.rule != rule || plan.part != part)
        complaints.add("'{}' and '{}' of the file both go to '{}'", other->second, name, path);
    }
  }
  return plans;
}

/// The name that would have filled a variable.
std::string wanted_name(const std::string& path, const std::vector<Rule>& rules) {
  for (const Rule& rule : rules)
    for (const WeightPattern& to : rule.to)
      if (const auto captures = to.match(path)) return rule.from.fill(*captures);
  return {};
}

/// Whether each axis of one shape is a product of neighbouring axes of the other, group by group.
bool regroups(const Shape& a, const Shape& b) {
  if (element_count(a) != element_count(b)) return false;
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    size_t in_a = 1, in_b = 1;
    int64_t left = a[i++], right = b[j++];
    while (left != right) {
      if (left < right && i < a.size())
        left *= a[i++], ++in_a;
      else if (right < left && j < b.size())
        right *= b[j++], ++in_b;
      else
        return false;
    }
    if (in_a > 1 && in_b > 1) return false;
  }
  return true;  // what remains has size 1: the counts are equal
}

Tensor stepped(Tensor x, WeightStep step, const std::string& name) {
  const std::string was = to_string(x.type());
  if (step == WeightStep::kTranspose) {
    if (x.rank() != 2)
      fail<ShapeError>("load_weights: '{}' {}: kTranspose needs 2 axes", name, was);
    return transpose(x);
  }
  if (step == WeightStep::kSqueeze) return squeeze(x);
  if (step != WeightStep::kConvolution) return x;
  if (x.rank() < 3)
    fail<ShapeError>("load_weights: '{}' {}: kConvolution needs 3 axes or more", name, was);
  std::vector<int64_t> order;
  for (size_t axis = 2; axis < x.rank(); ++axis) order.push_back(static_cast<int64_t>(axis));
  order.push_back(1);
  order.push_back(0);
  return transpose(x, order);
}

class Loader {
 public:
  Loader(const WeightSource& source, const WeightOptions& options)
      : source_(source), options_(options) {}

  /// The value of the variable `path`, which is now `held`.
  Tensor value(const Plan& plan, const std::string& path, const Tensor& held) const {
    TensorList pieces;
    for (const auto& [at, name] : plan.names) {
      if (plan.rule->stacked && at != static_cast<int64_t>(pieces.size())) {
        Captures captures{{*plan.rule->stacked, std::to_string(pieces.size())}};
        fail<ValueError>("load_weights: '{}' is stacked, and the file has '{}' but no '{}'", path,
                         name, plan.rule->from.fill(captures));
      }
      pieces.push_back(piece(plan, name));
    }
    const std::string name = plan.names.begin()->second;
    const std::string from =
        plan.names.size() > 1 ? name + "' to '" + plan.names.rbegin()->second : name;
    const Tensor whole = plan.rule->stacked ? stack(pieces) : pieces[0];
    return fitted(plan, whole, from, path, held);
  }

 private:
  Tensor piece(const Plan& plan, const std::string& name) const {
    Tensor x = to_tensor(source_.array(name));
    for (const WeightStep step : plan.rule->written->steps) x = stepped(x, step, name);
    const auto parts = static_cast<int64_t>(plan.rule->to.size());
    if (parts == 1) return x;
    const int64_t size = x.rank() == 0 ? 0 : x.shape(-1);
    if (size == 0 || size % parts != 0)
      fail<ShapeError>("load_weights: '{}' {}: the last axis cannot be cut into {} equal parts",
                       name, to_string(x.type()), parts);
    const auto part = static_cast<int64_t>(plan.part);
    return slice_axis(x, size / parts * part, size / parts * (part + 1), -1);
  }

  Tensor fitted(const Plan& plan, Tensor x, const std::string& from, const std::string& path,
                const Tensor& held) const {
    const auto& steps = plan.rule->written->steps;
    const bool reshapes = !steps.empty() && steps.back() == WeightStep::kReshape;
    const std::string wanted = to_string(held.type()), got = to_string(x.type());
    if (reshapes && regroups(x.shape(), held.shape())) x = reshape(x, held.shape());
    if (x.shape() != held.shape()) {
      fail<ShapeError>("load_weights: '{}' of the file gives '{}': expected {}, got {}", from, path,
                       wanted, got);
    }
    if (x.dtype() != held.dtype() && !options_.cast) {
      fail<DTypeError>(
          "load_weights: '{}' of the file gives '{}': expected {}, got {}\n  hint: {{.cast = "
          "true}} "
          "converts",
          from, path, wanted, got);
    }
    return x.astype(held.dtype());
  }

  const WeightSource& source_;
  const WeightOptions& options_;
};

}  // namespace

TensorList mapped_weights(const WeightSource& source, const WeightMap& map,
                          const std::vector<StoredLeaf>& leaves, const WeightOptions& options) {
  std::vector<Rule> rules;
  for (const WeightRule& written : map) rules.push_back(compiled(written));
  Complaints complaints;
  std::map<std::string, Plan> plans = planned(source, rules, complaints);
  const auto names = stored_names(leaves, [&](const std::string& name) {
    return plans.count(name) > 0 || !wanted_name(name, rules).empty();
  });

  std::vector<std::optional<Plan>> chosen;
  for (size_t i = 0; i < leaves.size(); ++i) {
    chosen.emplace_back();
    if (!names[i]) continue;
    const auto found = plans.find(*names[i]);
    if (found != plans.end()) {
      chosen.back() = std::move(found->second);
      plans.erase(found);
      continue;
    }
    const std::string wanted = wanted_name(*names[i], rules);
    complaints.add("'{}' {} of the model: {}", *names[i], to_string(leaves[i].value.type()),
                   wanted.empty() ? "no rule leads there" : "the file has no '" + wanted + "'");
  }
  for (const auto& [path, plan] : plans) {
    complaints.add("'{}' of the file goes to '{}', which the model does not have",
                   plan.names.begin()->second, path);
  }
  complaints.check();

  const Loader loader(source, options);
  TensorList out;
  for (size_t i = 0; i < leaves.size(); ++i)
    out.push_back(chosen[i] ? loader.value(*chosen[i], *names[i], leaves[i].value) : Tensor());
  return out;
}

}  // namespace linnet::bridge::detail
