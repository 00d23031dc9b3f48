#include "core/control/rule_state.h"

#include <algorithm>

#include "linnet/detail/format.h"

namespace linnet {

using detail::CustomJvpRule;
using detail::CustomVjpRule;
using detail::FlatFunction;

namespace {

std::string name_of_variable(const state::Cell& cell) {
  return cell.label.empty() ? "a variable" : "variable " + cell.label;
}

bool same_cell(const std::weak_ptr<state::Cell>& known, const state::CellPtr& cell) {
  return known.lock() == cell;
}

}  // namespace

class RuleState::Scope final : public state::Scope {
 public:
  Scope(const RuleState& state, const char* rule, const TensorList& operands)
      : state_(state), rule_(rule), operands_(operands) {}

 protected:
  state::Value lift(const state::CellPtr& cell, const state::Value& outer) override {
    state::Value inner = outer;
    bool known = std::none_of(outer.tensors.begin(), outer.tensors.end(),
                              [](const Tensor& tensor) { return tensor.defined(); });
    for (const Read& read : state_.read_) {
      if (!same_cell(read.cell, cell) || read.index >= inner.tensors.size()) continue;
      inner.tensors[read.index] = operands_[read.operand];
      known = true;
    }
    if (known) return inner;
    fail<TraceError>(
        "{}: {} reads {}, which the function does not read\n"
        "  hint: pass it as an argument, so that the rule gets the value that the function had",
        state_.construct_, rule_, name_of_variable(*cell));
  }

 private:
  const RuleState& state_;
  const char* rule_;
  const TensorList& operands_;
};

RuleState::RuleState(const char* construct, const Staged& staged)
    : construct_(construct),
      arguments_(staged.inputs),
      operands_(staged.operands.size()),
      results_(staged.recorded.results) {
  const std::vector<Recorded::Source>& sources = staged.recorded.sources;
  for (size_t i = 0; i < sources.size(); ++i) {
    if (sources[i].cell) read_.push_back({sources[i].cell, arguments_ + i, sources[i].index});
  }
  for (const Recorded::Written& written : staged.recorded.written) written_.push_back(written.cell);
}

TensorList RuleState::run(const char* name, const FlatFunction& rule, const TensorList& inputs,
                          const TensorList& operands, TensorList& written) const {
  Scope scope(*this, name, operands);
  TensorList out = rule(inputs);
  for (const state::Scope::Entry& touched : scope.entries()) {
    const bool known = std::any_of(written_.begin(), written_.end(),
                                   [&](const auto& cell) { return same_cell(cell, touched.cell); });
    if (touched.written && !known) {
      fail<TraceError>("{}: {} writes {}, which the function does not write", construct_, name,
                       name_of_variable(*touched.cell));
    }
  }
  for (const auto& known : written_) {
    const state::CellPtr cell = known.lock();
    if (!cell) fail<TraceError>("{}: a variable that the function writes has gone", construct_);
    for (Tensor& tensor : scope.read(cell).tensors) written.push_back(std::move(tensor));
  }
  return out;
}

TensorList RuleState::run_reading(const char* name, const FlatFunction& rule,
                                  const TensorList& inputs) const {
  const state::Scope scope;
  TensorList out = rule(inputs);
  for (const state::Scope::Entry& touched : scope.entries()) {
    if (!touched.written) continue;
    fail<TraceError>(
        "{}: {} was written inside of {}, which may run any number of times\n"
        "  hint: write it in the function and in the forward rule",
        construct_, name_of_variable(*touched.cell), name);
  }
  return out;
}

std::shared_ptr<const CustomVjpRule> rule_over_operands(std::shared_ptr<const CustomVjpRule> rule,
                                                        const Staged& staged) {
  auto state = std::make_shared<const RuleState>("custom_vjp", staged);
  auto out = std::make_shared<CustomVjpRule>();
  out->fwd = [rule, state](const TensorList& operands) {
    const TensorList arguments(operands.begin(),
                               operands.begin() + static_cast<int64_t>(state->arguments()));
    TensorList written;
    TensorList all = state->run("the forward rule", rule->fwd, arguments, operands, written);
    if (all.size() < state->results()) {
      fail<TraceError>("custom_vjp: the forward rule returned {} results, the function returns {}",
                       all.size(), state->results());
    }
    all.insert(all.begin() + static_cast<int64_t>(state->results()), written.begin(),
               written.end());
    return all;
  };
  out->bwd = [rule, state](const TensorList& inputs) {
    return state->run_reading("the backward rule", rule->bwd, inputs);
  };
  return out;
}

std::shared_ptr<const CustomJvpRule> rule_over_operands(std::shared_ptr<const CustomJvpRule> rule,
                                                        const Staged& staged) {
  auto state = std::make_shared<const RuleState>("custom_jvp", staged);
  auto out = std::make_shared<CustomJvpRule>();
  out->jvp = [rule, state](const TensorList& inputs) {
    const auto first = inputs.begin();
    const int64_t arguments = static_cast<int64_t>(state->arguments()),
                  operands = static_cast<int64_t>(state->operands());
    TensorList given(first, first + arguments);
    given.insert(given.end(), first + operands, inputs.end());
    TensorList written;
    TensorList all =
        state->run("the rule", rule->jvp, given, TensorList(first, first + operands), written);
    if (all.size() != 2 * state->results()) {
      fail<TraceError>(
          "custom_jvp: the rule returned {} tensors; expected {} results and as many tangents",
          all.size(), state->results());
    }
    all.insert(all.begin() + static_cast<int64_t>(state->results()), written.begin(),
               written.end());
    return all;
  };
  return out;
}

}  // namespace linnet
