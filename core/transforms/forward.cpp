// The template-free side of jvp, vmap, eval_shape and of partial evaluation.
#include "core/ops/creation.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape_ops.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/batch.h"
#include "core/trace/graph_trace.h"
#include "core/trace/jvp.h"
#include "core/transforms/arguments.h"
#include "linnet/detail/format.h"
#include "linnet/detail/known_results.h"
#include "linnet/transforms.h"

namespace linnet::detail {
namespace {

std::string name_of(const state::Cell& cell) {
  return cell.label.empty() ? "a variable" : "variable " + cell.label;
}

/// Values written inside leave without tangents.
class ForwardScope final : public state::Scope {
 public:
  explicit ForwardScope(const JvpTrace& trace) : trace_(trace) {}

 protected:
  state::Value lower(const Entry& entry) override {
    state::Value out = entry.inner;
    for (Tensor& tensor : out.tensors) tensor = trace_.primal(tensor);
    return out;
  }

 private:
  const JvpTrace& trace_;
};

/// A variable outside the batch is one for all elements, so what is written must be too.
class BatchScope final : public state::Scope {
 public:
  explicit BatchScope(const BatchTrace& trace) : trace_(trace) {}

 protected:
  state::Value lower(const Entry& entry) override {
    require_unbatched(entry, "was given a value that differs");
    return entry.inner;
  }
  state::Value lower_made(const Entry& entry) override {
    require_unbatched(entry, "was made inside, outlives it and differs");
    return entry.inner;
  }

 private:
  void require_unbatched(const Entry& entry, const char* what) const {
    for (const Tensor& tensor : entry.inner.tensors) {
      if (!trace_.batched(tensor)) continue;
      fail<TraceError>(
          "vmap: {} {} between the elements of the batch, {}\n"
          "  hint: reduce the value over the batch, or return it and write the variable outside",
          name_of(*entry.cell), what, to_string(tensor.type()));
    }
  }

  const BatchTrace& trace_;
};

/// Nothing is kept: shapes only.
class DiscardScope final : public state::Scope {
 public:
  /// @throws TraceError if a variable made inside is held outside: it would have no value.
  void require_nothing_made() const {
    for (const state::CellPtr& cell : survivors()) {
      fail<TraceError>(
          "eval_shape: {} was made inside and outlives it, without a value\n"
          "  hint: make it before (lazy_init, or one call), or return it",
          name_of(*cell));
    }
  }

 protected:
  state::Value lift(const state::CellPtr&, const state::Value& outer) override { return outer; }
};

int64_t mapped_size(const char* name, const TensorList& inputs,
                    const std::vector<std::optional<int64_t>>& axes, std::optional<int64_t> given) {
  std::optional<int64_t> size = given;
  std::string sizes = given ? fmt::format("axis_size {}", *given) : std::string();
  bool differ = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!axes[i]) continue;
    const int64_t axis = normalize_axis(*axes[i], inputs[i].rank(), name);
    const int64_t here = inputs[i].shape(axis);
    sizes += fmt::format("{}{} along axis {} of {}", sizes.empty() ? "" : ", ", here, *axes[i],
                         to_string(inputs[i].type()));
    differ |= size && *size != here;
    size = here;
  }
  if (differ) fail<ShapeError>("{}: mapped axes have different sizes: {}", name, sizes);
  if (!size) fail<ValueError>("{}: no argument is mapped and axis_size is not given", name);
  if (*size < 0) fail<ShapeError>("{}: axis_size must not be negative, got {}", name, *size);
  return *size;
}

/// Moves the batch dimension of each result to its place.
void place_axes(const char* name, const BatchTrace& trace, TensorList& outputs,
                const std::vector<std::optional<int64_t>>& axes) {
  for (size_t k = 0; k < outputs.size(); ++k) {
    if (axes[k]) {
      const Tensor value = trace.materialize(outputs[k]);
      outputs[k] = moveaxis(value, 0, normalize_axis(*axes[k], value.rank(), name));
    } else if (trace.batched(outputs[k])) {
      fail<ValueError>(
          "{}: out_axes is none for result {}, but it differs between the elements of the batch: "
          "{}\n"
          "  hint: give it an axis, or reduce it over the batch",
          name, k, to_string(outputs[k].type()));
    }
  }
}

}  // namespace

std::vector<std::optional<int64_t>> spread_axes(const char* option,
                                                const std::vector<std::optional<int64_t>>& axes,
                                                const std::vector<size_t>& counts,
                                                const char* what) {
  if (!axes.empty() && axes.size() != counts.size()) {
    fail<ValueError>("vmap: {} has {} entries for {} {}{}", option, axes.size(), counts.size(),
                     what, counts.size() == 1 ? "" : "s");
  }
  std::vector<std::optional<int64_t>> out;
  for (size_t i = 0; i < counts.size(); ++i)
    out.insert(out.end(), counts[i], axes.empty() ? std::optional<int64_t>(0) : axes[i]);
  return out;
}

Tensor unit_directions(const char* transformation, const char* what, const Tensor& of,
                       const GradOptions& options) {
  require_kind(transformation, what, of, options.holomorphic);
  return eye(of.size(), of.size(), 0, of.dtype());
}

Tensor jacobian_of_columns(const Tensor& columns, const Tensor& x, const GradOptions& options) {
  if (options.holomorphic) require_kind("jacfwd", "result", columns, true);
  const Tensor jacobian = moveaxis(columns, 0, -1);
  Shape shape = jacobian.shape();
  shape.pop_back();
  shape.append(x.shape().begin(), x.shape().end());
  return reshape(jacobian, shape);
}

Tensor jacobian_of_rows(const Tensor& rows, const Shape& output, const Tensor& x,
                        const GradOptions& options) {
  if (options.holomorphic) require_kind("jacrev", "argument", x, true);
  Shape shape = output;
  shape.append(x.shape().begin(), x.shape().end());
  return reshape(rows, shape);
}

TensorList forward_call(const TensorList& primals, const TensorList& tangents,
                        const std::function<TensorList(const TensorList&)>& f,
                        TensorList& tangents_out) {
  if (primals.size() != tangents.size()) {
    fail<TreeError>("jvp: {} tangents were given for {} primals", tangents.size(), primals.size());
  }
  require_differentiable("jvp", primals);
  JvpTrace trace;
  TensorList lifted, outputs;
  for (size_t i = 0; i < primals.size(); ++i) {
    lifted.push_back(is_inexact(primals[i].dtype())
                         ? trace.lift(primals[i], literal_as(primals[i].dtype(), tangents[i]))
                         : primals[i]);
  }
  {
    ForwardScope scope(trace);
    {
      TraceScope trace_scope(&trace);
      outputs = f(lifted);
    }
    require_defined(outputs, "jvp", "a result");
    for (Tensor& output : outputs) {
      Tensor tangent = trace.tangent(output);
      output = trace.primal(output);
      tangents_out.push_back(tangent.defined() ? tangent : zeros_of(output.type()));
    }
    scope.commit();
  }
  return outputs;
}

TensorList batch_call(const char* name, const TensorList& inputs,
                      const std::vector<std::optional<int64_t>>& in_axes,
                      const std::function<TensorList(const TensorList&)>& f,
                      const std::function<std::vector<std::optional<int64_t>>(size_t)>& out_axes,
                      std::optional<int64_t> axis_size, const std::string& axis_name) {
  require_defined(inputs, name, "a leaf of the arguments");
  BatchTrace trace({axis_name, mapped_size(name, inputs, in_axes, axis_size)});
  TensorList lifted, outputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    lifted.push_back(in_axes[i] ? trace.lift(moveaxis(inputs[i], *in_axes[i], 0)) : inputs[i]);
  }
  {
    BatchScope scope(trace);
    {
      TraceScope trace_scope(&trace);
      outputs = f(lifted);
    }
    require_defined(outputs, name, "a result");
    place_axes(name, trace, outputs, out_axes(outputs.size()));
    scope.commit();
  }
  return outputs;
}

TensorList abstract_call(const TensorList& inputs,
                         const std::function<TensorList(const TensorList&)>& f) {
  require_defined(inputs, "eval_shape", "a leaf of the arguments");
  TypeList types;
  for (const Tensor& input : inputs) types.push_back(input.type());
  GraphTrace stage;
  TensorList traced, outputs;
  for (const TensorType& type : types) traced.push_back(stage.input(type));
  DiscardScope scope;
  {
    TraceScope trace_scope(&stage);
    outputs = f(traced);
  }
  require_defined(outputs, "eval_shape", "a result");
  scope.require_nothing_made();
  for (Tensor& output : outputs) output = abstract(output.type());
  return outputs;
}

bool is_abstract(const Tensor& tensor) {
  return tensor.defined() && tensor.impl()->serial == TensorImpl::kAbstract;
}

TensorList known_results(const char* name, const TypeList& unknown,
                         const std::function<TensorList(const TensorList&)>& f) {
  // Results for a batch of no entries follow from the types alone, and only what depends on a
  // batched operand is batched.
  BatchTrace trace({"", 0});
  TensorList operands, outputs;
  for (const TensorType& type : unknown) {
    const Tensor zero = convert(scalar(0, type.dtype), {type.dtype, type.weak});
    operands.push_back(trace.lift(filled(zero, with_batch(type.shape, 0), type.device)));
  }
  DiscardScope scope;
  {
    TraceScope trace_scope(&trace);
    outputs = f(operands);
  }
  require_defined(outputs, name, "a result");
  for (Tensor& output : outputs) {
    if (trace.batched(output)) output = Tensor();
  }
  return outputs;
}

}  // namespace linnet::detail
