#include "core/exec/lowering.h"

#include <algorithm>
#include <map>

#include "core/graph/fused_elementwise.h"
#include "core/ops/arithmetic.h"
#include "core/ops/convert.h"
#include "core/ops/creation.h"
#include "core/ops/placement.h"
#include "core/tensor/host_access.h"
#include "core/tensor/row_order.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/back_end.h"

namespace linnet {

bool is_dense(const Place& place) { return is_dense(place.shape, place.strides); }

bool may_throw(const LoweredStep& step) {
  if (step.control) return step.control->may_throw();
  return !step.kernel.implementation || !step.kernel.implementation->never_throws;
}

bool is_whole(const Place& place, const Root& root) {
  const size_t bytes = static_cast<size_t>(element_count(place.shape)) * size_of(place.dtype);
  return place.offset == 0 && bytes == root.bytes && is_dense(place);
}

StepRequest::StepRequest(const Primitive& primitive, ParamsRef params,
                         const std::vector<Place>& inputs, const std::vector<Place>& outputs,
                         size_t widest)
    : places_(inputs), request_{primitive, params, {}, {}} {
  places_.insert(places_.end(), outputs.begin(), outputs.end());
  for (const Place& place : places_) {
    views_.push_back({place.dtype, place.shape, place.strides,
                      alignment_of(static_cast<uint64_t>(place.offset), widest)});
  }
  const std::span<const OperandView> all(views_);
  request_.inputs = all.first(inputs.size());
  request_.outputs = all.subspan(inputs.size());
}

namespace {

/// Where most of the elements that a program makes or is given lie.
Device device_of(const Graph& graph) {
  std::vector<std::pair<Device, int64_t>> shares;
  const auto count = [&](ValueId id) {
    const TensorType& type = graph.types[id];
    // A number of the host goes anywhere.
    if (type.device.host() && type.shape.empty()) return;
    for (auto& [device, elements] : shares) {
      if (device == type.device) {
        elements += element_count(type.shape);
        return;
      }
    }
    shares.emplace_back(type.device, element_count(type.shape));
  };
  for (ValueId id : graph.inputs) count(id);
  for (const Graph::Node& node : graph.nodes) {
    for (ValueId id : node.outputs) count(id);
  }
  for (const auto& [id, value] : graph.constants) count(id);
  const auto most =
      std::max_element(shares.begin(), shares.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == shares.end() ? Device{} : most->first;
}

Place dense_place(int32_t root, const TensorType& type) {
  return {root, type.dtype, type.shape, dense_strides(type.shape), 0};
}

class Lowering {
 public:
  Lowering(const Graph& graph, const LoweringOptions& options)
      : graph_(graph),
        options_(options),
        device_(options.device ? *options.device : device_of(graph)),
        widest_(options.alignment ? options.alignment : back_end_of(device_).widest_alignment()),
        places_(graph.types.size()) {}

  LoweredProgram run() {
    out_.device = device_;
    for (size_t i = 0; i < graph_.inputs.size(); ++i) {
      define(graph_.inputs[i], {Root::Kind::kInput, static_cast<int32_t>(i)});
    }
    for (const auto& [id, value] : graph_.constants) {
      define(id, {Root::Kind::kConstant, static_cast<int32_t>(out_.constants.size())});
      out_.constants.push_back(on_device(value));
    }
    for (const Graph::Node& node : graph_.nodes) {
      if (!lower_as_view(node)) lower_as_step(node);
    }
    std::vector<uint8_t> returned;
    for (ValueId id : graph_.outputs) {
      Place place = result(places_[id]);
      returned.resize(out_.roots.size(), 0);
      if (options_.own_results && returned[place.root]) place = copy(place);
      returned.resize(out_.roots.size(), 0);
      returned[place.root] = 1;
      out_.outputs.push_back(std::move(place));
    }
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

  Tensor on_device(const Tensor& value) const {
    const Tensor here = transferred(value, device_).contiguous();
    const auto address = reinterpret_cast<uintptr_t>(here.impl()->data);
    return alignment_of(address, widest_) == widest_ ? here : dense_copy(here);
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
    if (p == &copy_primitive()) {
      // Asked for by `contiguous`. An argument may have strides of its own at each call.
      const bool settled = out_.roots[from.root].kind != Root::Kind::kInput && is_dense(from);
      places_[node.outputs[0]] = settled ? from : dense_copy_of(from);
      return true;
    }
    if (p == &device_put_primitive() ||
        (p == &convert_primitive() && graph_.types[node.outputs[0]].dtype == from.dtype)) {
      places_[node.outputs[0]] = from;
      return true;
    }
    if (!p->view) return false;
    const std::optional<TensorLayout> view =
        p->view(node.params, {from.dtype, from.shape, from.strides});
    if (!view) return false;
    places_[node.outputs[0]] = {
        from.root, view->dtype, view->shape, view->strides,
        from.offset + view->offset * static_cast<int64_t>(size_of(from.dtype))};
    return true;
  }

  void lower_as_step(const Graph::Node& node) {
    LoweredStep step{.primitive = node.primitive, .params = node.params, .path = node.path};
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
    if (node.primitive->control()) {
      make_dense(step.inputs);
      step.control =
          make_control_step(node, device_, alignment_of_all(step.inputs), options_.reuse_memory);
      return;
    }
    if (device_ == Device{} && (node.primitive->pointwise() || is_cluster(*node.primitive))) {
      for (Place& place : step.inputs) {
        if (lies_across(size_of(place.dtype), place.shape, place.strides))
          place = dense_copy_of(place);
      }
    }
    std::string declined;
    for (const bool dense : {false, true}) {
      if (dense && !make_dense(step.inputs)) break;
      auto request = std::make_shared<StepRequest>(*node.primitive, step.params, step.inputs,
                                                   outputs, widest_);
      ChosenKernel kernel = choose_kernel(request->request(), device_, declined);
      if (!kernel.implementation) continue;
      if (!kernel.implementation->strided && make_dense(step.inputs)) {
        request = std::make_shared<StepRequest>(*node.primitive, step.params, step.inputs, outputs,
                                                widest_);
      }
      step.kernel = std::move(kernel);
      step.request = std::move(request);
      return;
    }
    if (node.primitive->decompose) return;
    TensorList operands;
    for (ValueId id : node.inputs) operands.push_back(abstract(graph_.types[id]));
    fail_no_kernel(*node.primitive, node.params, operands, declined);
  }

  /// What all these addresses are multiples of.
  size_t alignment_of_all(const std::vector<Place>& places) const {
    size_t out = widest_;
    for (const Place& place : places)
      out = std::min(out, alignment_of(static_cast<uint64_t>(place.offset), widest_));
    return out;
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
        std::make_shared<StepRequest>(copy_primitive(), step.params, step.inputs, outputs, widest_);
    std::string declined;
    step.kernel = choose_kernel(step.request->request(), device_, declined);
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
    if (root.kind != Root::Kind::kComputed) return options_.own_results ? copy(place) : place;
    return is_whole(place, root) ? place : dense_copy_of(place);
  }

  const Graph& graph_;
  LoweringOptions options_;
  Device device_;
  size_t widest_;
  LoweredProgram out_;
  std::vector<Place> places_;
  std::map<std::vector<int64_t>, Place> copies_;
};

}  // namespace

LoweredProgram lower(const Graph& graph, const LoweringOptions& options) {
  return Lowering(graph, options).run();
}

}  // namespace linnet
