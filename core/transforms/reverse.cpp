// The template-free side of grad, value_and_grad and vjp.
#include "core/ops/creation.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/vjp.h"
#include "core/transforms/arguments.h"
#include "linnet/detail/format.h"
#include "linnet/transforms.h"

namespace linnet::detail {
namespace {

/// Cells to differentiate with respect to are seen with derivative information; what is written
/// leaves without it.
class ReverseScope final : public state::Scope {
 public:
  ReverseScope(const VjpTrace& trace, const std::vector<state::CellPtr>& cells,
               const TensorList& inputs)
      : trace_(trace) {
    for (size_t i = 0; i < cells.size(); ++i) {
      if (cells[i]) inputs_[cells[i].get()] = inputs[i];
    }
  }

  std::vector<std::pair<state::CellPtr, state::Value>> written() {
    std::vector<std::pair<state::CellPtr, state::Value>> out;
    for (const Entry& entry : entries()) {
      if (entry.written) out.emplace_back(entry.cell, lower(entry));
    }
    return out;
  }

 protected:
  state::Value lift(const state::CellPtr& cell, const state::Value& outer) override {
    const auto found = inputs_.find(cell.get());
    return found == inputs_.end() ? outer : state::Value(found->second);
  }
  state::Value lower(const Entry& entry) override {
    state::Value out = entry.inner;
    for (Tensor& tensor : out.tensors) tensor = trace_.primal(tensor);
    return out;
  }

 private:
  const VjpTrace& trace_;
  std::map<const state::Cell*, Tensor> inputs_;
};

}  // namespace

struct ReverseCall::Impl {
  VjpTrace trace;
  TensorList inputs;
  std::vector<state::CellPtr> cells;
  bool scalar_loss;
  /// Of a scalar loss: handed out by `commit`, so that a failing backward pass changes nothing.
  std::vector<std::pair<state::CellPtr, state::Value>> written;
};

ReverseCall::ReverseCall(const char* name, const TensorList& primals, bool scalar_loss,
                         std::vector<state::CellPtr> cells)
    : impl_(std::make_unique<Impl>()) {
  impl_->cells = std::move(cells);
  impl_->scalar_loss = scalar_loss;
  require_differentiable(name, primals, scalar_loss);
  for (const Tensor& primal : primals) impl_->inputs.push_back(impl_->trace.input(primal));
}
ReverseCall::~ReverseCall() = default;
ReverseCall::ReverseCall(ReverseCall&&) noexcept = default;

const TensorList& ReverseCall::traced() const { return impl_->inputs; }

void ReverseCall::run(const std::function<void()>& body) {
  ReverseScope scope(impl_->trace, impl_->cells, impl_->inputs);
  {
    TraceScope trace_scope(&impl_->trace);
    body();
  }
  if (!impl_->scalar_loss) return scope.commit();
  impl_->written = scope.written();
  scope.commit_made();
}

Tensor ReverseCall::primal(const Tensor& tensor) const { return impl_->trace.primal(tensor); }

TensorList ReverseCall::gradients(const Tensor& loss, const GradOptions& options) {
  require_defined(std::span(&loss, 1), "grad", "the loss");
  if (options.holomorphic) {
    for (const Tensor& input : impl_->inputs) require_kind("grad", "argument", input, true);
  }
  require_kind("grad", "loss", loss, options.holomorphic);
  if (!is_inexact(loss.dtype()))
    fail<DTypeError>("grad: expected a floating loss, got {}", to_string(loss.type()));
  if (!loss.shape().empty()) {
    fail<ShapeError>(
        "grad: expected a scalar loss, got {}\n  hint: reduce it with mean() or sum(), or use "
        "jacrev for all outputs",
        to_string(loss.type()));
  }
  const Tensor one = filled(scalar(1, loss.dtype()), {}, loss.device());
  return impl_->trace.pullback(std::span(&loss, 1), std::span(&one, 1), impl_->inputs, true);
}

void ReverseCall::commit() {
  for (auto& [cell, value] : impl_->written) state::write(cell, std::move(value));
  impl_->written.clear();
}

TensorList ReverseCall::pullback(const TensorList& outputs, const TensorList& cotangents) {
  if (outputs.size() != cotangents.size()) {
    fail<TreeError>("vjp: {} cotangents were given for {} outputs", cotangents.size(),
                    outputs.size());
  }
  require_defined(outputs, "vjp", "a result");
  TensorList fitting;
  for (size_t k = 0; k < outputs.size(); ++k)
    fitting.push_back(literal_as(outputs[k].dtype(), cotangents[k]));
  TensorList out = impl_->trace.pullback(outputs, fitting, impl_->inputs);
  for (size_t i = 0; i < out.size(); ++i) {
    // Integer inputs have no derivative; zeros of their own type keep the tree whole.
    if (!out[i].defined()) out[i] = zeros_of(impl_->inputs[i].type());
  }
  return out;
}

}  // namespace linnet::detail
