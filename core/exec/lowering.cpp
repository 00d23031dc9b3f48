#include "core/exec/lowering.h"

#include <map>

#include "core/ops/arithmetic.h"
#include "core/ops/convert.h"
#include "core/ops/creation.h"
#include "core/tensor/tensor_impl.h"

namespace linnet {

bool is_dense(const Place& place) {
  int64_t step = 1;
  for (size_t i = place.shape.size(); i-- > 0;) {
    if (place.shape[i] == 0) return true;
    if (place.shape[i] != 1 && place.strides[i] != step) return false;
    step *= place.shape[i];
  }
  return true;
}

bool is_whole(const Place& place, const Root& root) {
  const size_t bytes = static_cast<size_t>(element_count(place.shape)) * size_of(place.dtype);
  return place.offset == 0 && bytes == root.bytes && is_dense(place);
}

StepRequest::StepRequest(const Primitive& primitive, ParamsRef params,
                         const std::vector<Place>& inputs, const std::vector<Place>& outputs)
    : places_(inputs), request_{primitive, params, {}, {}} {
  places_.insert(places_.end(), outputs.begin(), outputs.end());
  for (const Place& place : places_) views_.push_back({place.dtype, place.shape, place.strides});
  const std::span<const OperandView> all(views_);
  request_.inputs = all.first(inputs.size());
  request_.outputs = all.subspan(inputs.size());
}

namespace {

/// A tensor without memory that has the layout of a place, to ask a primitive for its view of it.
Tensor phantom(const Place& place) {
  // Only differences of addresses matter; nothing is read.
  std::byte* const somewhere = reinterpret_cast<std::byte*>(uintptr_t{1} << 46);
  TensorImpl* impl = new TensorImpl;
  Tensor out(impl);
  impl->dtype = place.dtype;
  impl->shape = place.shape;
  impl->strides = place.strides;
  impl->buffer = BufferHandle(Buffer::wrap(somewhere, 0, nullptr));
  impl->data = somewhere + place.offset;
  return out;
}

Place place_of(const Tensor& view, const Tensor& of, const Place& from) {
  const TensorImpl& impl = *view.impl();
  return {from.root, impl.dtype, impl.shape, impl.strides,
          from.offset + (impl.data - of.impl()->data)};
}

Place dense_place(int32_t root, const TensorType& type) {
  return {root, type.dtype, type.shape, dense_strides(type.shape), 0};
}

class Lowering {
 public:
  explicit Lowering(const Graph& graph) : graph_(graph), places_(graph.types.size()) {}

  LoweredProgram run() {
    for (size_t i = 0; i < graph_.inputs.size(); ++i) {
      define(graph_.inputs[i], {Root::Kind::kInput, static_cast<int32_t>(i)});
    }
    for (const auto& [id, value] : graph_.constants) {
      define(id, {Root::Kind::kConstant, static_cast<int32_t>(out_.constants.size())});
      out_.constants.push_back(value.contiguous());
    }
    for (const Graph::Node& node : graph_.nodes) {
      if (!lower_as_view(node)) lower_as_step(node);
    }
    for (ValueId id : graph_.outputs) out_.outputs.push_back(result(places_[id]));
    return std::move(out_);
  }

 private:
  void define(ValueId id, Root root) {
    const TensorType& type = graph_.types[id];
    root.bytes = static_cast<size_t>(element_count(type.shape)) * size_of(type.dtype);
    root.first = static_cast<int32_t>(out_.steps.size());
    places_[id] = dense_place(static_cast<int32_t>(out_.roots.size()), type);
    out_.roots.push_back(root);
  }

  bool lower_as_view(const Graph::Node& node) {
    const Primitive* p = node.primitive;
    if (p == &optimization_barrier_primitive()) {
      for (size_t k = 0; k < node.outputs.size(); ++k)
        places_[node.outputs[k]] = places_[node.inputs[k]];
      return true;
    }
    if (node.inputs.empty()) return false;
    const Place& from = places_[node.inputs[0]];
    if (p == &copy_primitive() ||
        (p == &convert_primitive() && graph_.types[node.outputs[0]].dtype == from.dtype)) {
      places_[node.outputs[0]] = from;
      return true;
    }
    if (!p->view) return false;
    const Tensor operand = phantom(from);
    const Tensor view = p->view(node.params, operand);
    if (!view.defined()) return false;
    places_[node.outputs[0]] = place_of(view, operand, from);
    return true;
  }

  void lower_as_step(const Graph::Node& node) {
    LoweredStep step{.primitive = node.primitive, .params = node.params};
    for (ValueId id : node.inputs) step.inputs.push_back(places_[id]);
    std::vector<Place> outputs;
    for (ValueId id : node.outputs) outputs.push_back(dense_place(-1, graph_.types[id]));
    choose(node, step, outputs);
    for (const Place& place : step.inputs) read(place);
    for (size_t k = 0; k < node.outputs.size(); ++k) {
      define(node.outputs[k], {});
      step.outputs.push_back(places_[node.outputs[k]]);
    }
    out_.steps.push_back(std::move(step));
  }

  /// A kernel for the operands as they are, else for dense copies; none for what is evaluated
  /// whole.
  void choose(const Graph::Node& node, LoweredStep& step, const std::vector<Place>& outputs) {
    if (node.primitive->control()) return;
    const Device device = node.inputs.empty() ? kCpu : graph_.types[node.inputs[0]].device;
    std::string declined;
    for (const bool dense : {false, true}) {
      if (dense && !make_dense(step.inputs)) break;
      auto request =
          std::make_shared<StepRequest>(*node.primitive, step.params, step.inputs, outputs);
      ChosenKernel kernel = choose_kernel(request->request(), device, declined);
      if (!kernel.implementation) continue;
      if (!kernel.implementation->strided && make_dense(step.inputs)) {
        request = std::make_shared<StepRequest>(*node.primitive, step.params, step.inputs, outputs);
      }
      step.kernel = std::move(kernel);
      step.request = std::move(request);
      return;
    }
    if (node.primitive->decompose) return;
    TensorList operands;
    for (ValueId id : node.inputs) operands.push_back(abstract(graph_.types[id]));
    fail_no_kernel(*node.primitive, operands, declined);
  }

  bool make_dense(std::vector<Place>& places) {
    bool changed = false;
    for (Place& place : places) {
      if (is_dense(place)) continue;
      place = dense_copy_of(place);
      changed = true;
    }
    return changed;
  }

  /// Copies a view once for all that want it dense.
  Place dense_copy_of(const Place& place) {
    std::vector<int64_t> key{place.root, static_cast<int64_t>(place.dtype), place.offset};
    key.insert(key.end(), place.shape.begin(), place.shape.end());
    key.insert(key.end(), place.strides.begin(), place.strides.end());
    const auto [found, fresh] = copies_.try_emplace(std::move(key));
    if (fresh) found->second = copy(place);
    return found->second;
  }

  Place copy(const Place& place) {
    const TensorType type{place.dtype, place.shape};
    LoweredStep step{.primitive = &copy_primitive(), .params = {}};
    step.inputs = {place};
    const std::vector<Place> outputs{dense_place(-1, type)};
    step.request =
        std::make_shared<StepRequest>(copy_primitive(), step.params, step.inputs, outputs);
    std::string declined;
    step.kernel = choose_kernel(step.request->request(), type.device, declined);
    read(place);
    Root root;
    root.bytes = static_cast<size_t>(element_count(type.shape)) * size_of(type.dtype);
    root.first = static_cast<int32_t>(out_.steps.size());
    step.outputs = {dense_place(static_cast<int32_t>(out_.roots.size()), type)};
    out_.roots.push_back(root);
    out_.steps.push_back(std::move(step));
    return out_.steps.back().outputs[0];
  }

  /// Marks a place as read by the step that is about to be appended.
  void read(const Place& place) {
    out_.roots[place.root].last = static_cast<int32_t>(out_.steps.size());
  }

  /// Results are views of inputs and constants, or memory of their own.
  Place result(const Place& place) {
    const Root& root = out_.roots[place.root];
    if (root.kind != Root::Kind::kComputed || is_whole(place, root)) return place;
    return dense_copy_of(place);
  }

  const Graph& graph_;
  LoweredProgram out_;
  std::vector<Place> places_;
  std::map<std::vector<int64_t>, Place> copies_;
};

}  // namespace

LoweredProgram lower(const Graph& graph) { return Lowering(graph).run(); }

}  // namespace linnet
