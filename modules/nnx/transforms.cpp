#include "linnet/nnx/transforms.h"

#include "core/base/format.h"
#include "core/trace/vjp.h"

namespace linnet::nnx::detail {
namespace {

/// Chosen cells are seen with derivative information; what is written leaves without it.
class GradScope final : public state::Scope {
 public:
  explicit GradScope(const VjpTrace& trace, const std::map<const state::Cell*, Tensor>& chosen)
      : trace_(trace), chosen_(chosen) {}

 protected:
  state::Value lift(const state::CellPtr& cell, const state::Value& outer) override {
    const auto found = chosen_.find(cell.get());
    return found == chosen_.end() ? outer : state::Value(found->second);
  }
  state::Value lower(const Entry& entry) override {
    state::Value out = entry.inner;
    for (Tensor& tensor : out.tensors) tensor = trace_.primal(tensor);
    return out;
  }

 private:
  const VjpTrace& trace_;
  const std::map<const state::Cell*, Tensor>& chosen_;
};

}  // namespace

struct GradCall::Impl {
  struct Chosen {
    NodeLeaf leaf;
    Tensor traced, plain;
  };
  VjpTrace trace;
  std::vector<Chosen> chosen;
  std::map<const state::Cell*, Tensor> by_cell;
};

GradCall::GradCall(const std::vector<NodeLeaf>& leaves, const Filter& wrt)
    : impl_(std::make_unique<Impl>()) {
  for (const NodeLeaf& leaf : leaves) {
    StateLeaf as_leaf;
    if (leaf.cell)
      as_leaf.cell = std::static_pointer_cast<VariableCell>(leaf.cell);
    else
      as_leaf.tensor = *leaf.tensor;
    if (!wrt(leaf.path, as_leaf)) continue;
    const Tensor plain = leaf.cell ? state::read(leaf.cell).tensors.at(0) : *leaf.tensor;
    if (!is_floating(plain.dtype())) {
      fail<DTypeError>(
          "grad: variable {} is {}; expected a floating type to differentiate with respect to",
          tree::to_string(leaf.path), linnet::to_string(plain.type()));
    }
    Impl::Chosen chosen{leaf, impl_->trace.input(plain), plain};
    if (leaf.cell) impl_->by_cell[leaf.cell.get()] = chosen.traced;
    impl_->chosen.push_back(std::move(chosen));
  }
}
GradCall::~GradCall() = default;

void GradCall::run(const std::function<void()>& body) {
  // Plain tensor leaves are differentiated in place and put back whatever happens.
  struct Restore {
    Impl& impl;
    ~Restore() {
      for (auto& chosen : impl.chosen) {
        if (chosen.leaf.tensor) *chosen.leaf.tensor = impl.trace.primal(*chosen.leaf.tensor);
      }
    }
  } restore{*impl_};
  for (auto& chosen : impl_->chosen) {
    if (chosen.leaf.tensor) *chosen.leaf.tensor = chosen.traced;
  }
  GradScope scope(impl_->trace, impl_->by_cell);
  {
    TraceScope trace_scope(&impl_->trace);
    body();
  }
  scope.commit();
}

Tensor GradCall::primal(const Tensor& tensor) const { return impl_->trace.primal(tensor); }

void GradCall::lower(const std::vector<NodeLeaf>& leaves) const {
  for (const NodeLeaf& leaf : leaves) {
    if (!leaf.cell) continue;
    state::Value value = leaf.cell->raw();
    bool traced = false;
    for (Tensor& tensor : value.tensors) {
      if (!tensor.defined() || !impl_->trace.owns(tensor)) continue;
      tensor = impl_->trace.primal(tensor);
      traced = true;
    }
    if (traced) leaf.cell->set_raw(std::move(value));
  }
}

State GradCall::gradients(const Tensor& loss) {
  if (!is_floating(loss.dtype()))
    fail<DTypeError>("grad: expected a floating loss, got {}", to_string(loss.type()));
  if (!loss.shape().empty()) {
    fail<ShapeError>("grad: expected a scalar loss, got {}\n  hint: reduce it with mean() or sum()",
                     to_string(loss.type()));
  }
  TensorList inputs;
  for (const auto& chosen : impl_->chosen) inputs.push_back(chosen.traced);
  const Tensor one = ones({}, loss.dtype());
  const TensorList grads =
      impl_->trace.pullback(std::span(&loss, 1), std::span(&one, 1), inputs, true);
  std::vector<State::Entry> entries;
  for (size_t i = 0; i < grads.size(); ++i) {
    const NodeLeaf& leaf = impl_->chosen[i].leaf;
    if (!leaf.cell) {
      entries.emplace_back(leaf.path, StateLeaf{nullptr, grads[i]});
      continue;
    }
    const auto& cell = static_cast<const VariableCell&>(*leaf.cell);
    entries.emplace_back(
        leaf.path,
        StateLeaf{std::make_shared<VariableCell>(*cell.type, state::Value(grads[i]), cell.metadata),
                  {}});
  }
  return State(std::move(entries));
}

}  // namespace linnet::nnx::detail
