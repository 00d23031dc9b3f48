#include "core/control/stage.h"

#include <algorithm>

#include "core/tensor/tensor_impl.h"
#include "linnet/detail/format.h"

namespace linnet {

/// Lifts variables into inputs of the program.
class Stage::Scope final : public state::Scope {
 public:
  explicit Scope(Stage& stage) : stage_(stage) {}

  struct Lifted {
    size_t position;  ///< among the program's inputs
    Recorded::Source source;
  };
  std::vector<Lifted>& lifted() { return lifted_; }

 protected:
  state::Value lift(const state::CellPtr& cell, const state::Value& outer) override {
    const auto preset = stage_.presets_.find(cell.get());
    if (preset != stage_.presets_.end()) return preset->second;
    GraphTrace& trace = stage_.trace_;
    state::Value inner = outer;
    for (size_t i = 0; i < inner.tensors.size(); ++i) {
      Tensor& tensor = inner.tensors[i];
      // A variable made while recording, and one that is yet without a value, is read as it is.
      if (!tensor.defined() || trace.owns(tensor)) continue;
      lifted_.push_back({trace.graph().inputs.size(), {tensor, cell, i, inner.tensors.size()}});
      tensor = trace.input(tensor.type());
    }
    return inner;
  }

 private:
  Stage& stage_;
  std::vector<Lifted> lifted_;
};

void Stage::preset(const state::CellPtr& cell, state::Value value) {
  presets_[cell.get()] = std::move(value);
}

namespace {

/// The first device that is not the host, else the default.
Device device_of(const TypeList& types) {
  for (const TensorType& type : types) {
    if (!type.device.host()) return type.device;
  }
  return default_device();
}

}  // namespace

Recorded Stage::record(const std::function<TensorList()>& body) {
  const size_t given = trace_.graph().inputs.size();
  Recorded out;
  TensorList outputs;
  Scope scope(*this);
  {
    // Arrays that the function makes from nothing go where its operands are.
    const ScopedDevice there(device_of(input_types(trace_.graph())));
    TraceScope tracing(&trace_);
    outputs = body();
    require_defined(outputs, construct_, "a result");
    out.results = outputs.size();
    for (const state::Scope::Entry& touched : scope.entries()) {
      if (!touched.written || presets_.count(touched.cell.get())) continue;
      const TensorList& tensors = touched.inner.tensors;
      require_defined(tensors, construct_, "a variable");
      out.written.push_back(
          {touched.cell, outputs.size(), tensors.size(), touched.inner.tuple, false});
      outputs.insert(outputs.end(), tensors.begin(), tensors.end());
    }
    // Variables that a captured module has got inside: every run gives them values.
    for (const state::CellPtr& made : scope.survivors()) {
      const state::Value& value = made->raw();
      const bool valued =
          std::all_of(value.tensors.begin(), value.tensors.end(), [](const Tensor& tensor) {
            return tensor.defined() && tensor.impl()->serial != TensorImpl::kAbstract;
          });
      if (!valued) continue;
      out.written.push_back({made, outputs.size(), value.tensors.size(), value.tuple, true});
      outputs.insert(outputs.end(), value.tensors.begin(), value.tensors.end());
    }
  }
  out.graph = trace_.finish(outputs);
  out.sources.resize(out.graph.inputs.size() - given);
  for (auto& lifted : scope.lifted())
    out.sources[lifted.position - given] = std::move(lifted.source);
  for (const GraphTrace::Capture& capture : trace_.captures())
    out.sources[capture.position - given] = {capture.outer, nullptr, 0, 1};
  out.reusable = !trace_.captures_traced();
  return out;
}

TensorList Staged::finish(TensorList results) const {
  for (const Recorded::Written& written : recorded.written) {
    state::Value value;
    value.tuple = written.tuple;
    const auto first = results.begin() + static_cast<int64_t>(written.first);
    value.tensors.assign(first, first + static_cast<int64_t>(written.count));
    state::write(written.cell, std::move(value));
  }
  results.resize(recorded.results);
  return results;
}

Staged stage(const char* construct, const TensorList& inputs,
             const std::function<TensorList(const TensorList&)>& f) {
  require_defined(inputs, construct, "a leaf of the arguments");
  Stage recording(construct);
  TensorList tracers;
  for (const Tensor& input : inputs) tracers.push_back(recording.input(input.type()));
  Staged out;
  out.inputs = inputs.size();
  out.recorded = recording.record([&] { return f(tracers); });
  out.operands = inputs;
  for (const Recorded::Source& source : out.recorded.sources) out.operands.push_back(source.value);
  out.program = std::make_shared<Program>(std::move(out.recorded.graph));
  return out;
}

}  // namespace linnet
