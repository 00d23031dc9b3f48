#include "core/exec/code.h"

#include <algorithm>

#include "core/base/watch.h"
#include "core/exec/control_step.h"
#include "core/exec/rematerialize.h"
#include "core/graph/fused_elementwise.h"
#include "core/ops/shape_ops.h"
#include "core/profile/events.h"
#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/detail/format.h"

namespace linnet {

namespace {

LoweredProgram lowered(const Graph& graph, const LoweringOptions& options, size_t memory_limit) {
  LoweredProgram program = lower(graph, options);
  if (memory_limit == 0) return program;
  rematerialize(program, {.limit = memory_limit,
                          .alignment = back_end_of(program.device).arena_alignment(),
                          .restores = !options.own_results});
  return program;
}

}  // namespace

Code::Code(const Graph& graph, const LoweringOptions& options, bool reuse_memory,
           size_t memory_limit)
    : program_(lowered(graph, options, reuse_memory ? memory_limit : 0)),
      back_end_(back_end_of(program_.device)),
      configuration_(back_end_.configuration()),
      storage_(
          plan_storage(program_, reuse_memory, back_end_.arena_alignment(), !options.own_results)),
      inputs_(graph.inputs.size()),
      base_count_(kFirstInput + graph.inputs.size() + graph.outputs.size()) {
  if (base_count_ > Address::kMostBases) {
    fail<ValueError>("compiled program: {} inputs and results, at most {} are possible",
                     base_count_ - kFirstInput, Address::kMostBases - kFirstInput);
  }
  add_steps();
}

Address Code::address_of_block(int32_t block) const {
  const StorageBlock& b = storage_.blocks[block];
  if (b.output < 0) return Address::at(kArena, b.memory.offset);
  return Address::at(kFirstInput + inputs_ + static_cast<uint64_t>(b.output), 0);
}

Address Code::address_of(const Place& place) const {
  const Root& root = program_.roots[place.root];
  Address address;
  switch (root.kind) {
    case Root::Kind::kInput:
      address = Address::at(kFirstInput + static_cast<uint64_t>(root.index), 0);
      break;
    case Root::Kind::kConstant:
      address = Address::of(program_.constants[root.index].impl()->data);
      break;
    case Root::Kind::kComputed:
      address = address_of_block(storage_.block_of_root[place.root]);
  }
  address.word += static_cast<uint64_t>(place.offset);
  return address;
}

std::span<const Address> Code::add_addresses(const std::vector<Place>& places) {
  const size_t first = addresses_.size();
  for (const Place& place : places) addresses_.push_back(address_of(place));
  return std::span(addresses_).subspan(first);
}

void Code::add_steps() {
  size_t operands = 0;
  for (const LoweredStep& step : program_.steps)
    operands += step.inputs.size() + step.outputs.size();
  addresses_.reserve(operands);
  steps_.reserve(program_.steps.size());
  size_t first = 0;
  for (size_t s = 0; s < program_.steps.size(); ++s) {
    const LoweredStep& lowered = program_.steps[s];
    may_throw_ |= linnet::may_throw(lowered);
    const std::span<const Address> inputs = add_addresses(lowered.inputs);
    const std::span<const Address> outputs = add_addresses(lowered.outputs);
    const int32_t block = storage_.workspace_of_step[s];
    const Address workspace = block < 0 ? Address{} : address_of_block(block);
    if (!lowered.kernel.implementation) {
      add_runner(first);
      first = steps_.size();
      if (lowered.control) scratch_words_ = std::max(scratch_words_, lowered.control->words());
      parts_.push_back(
          {.step = &lowered, .inputs = inputs, .outputs = outputs, .workspace = workspace});
      continue;
    }
    lowered_.push_back(&lowered);
    steps_.push_back({.kernel = kernel_of(lowered),
                      .run = lowered.kernel.implementation->run,
                      .request = &lowered.request->request(),
                      .inputs = inputs,
                      .outputs = outputs,
                      .workspace = workspace});
  }
  add_runner(first);
}

/// The kernel that was prepared for the step or is bound to it; null if its implementation runs.
const Kernel* Code::kernel_of(const LoweredStep& step) {
  if (step.kernel.prepared || !step.kernel.implementation->bind) return step.kernel.prepared.get();
  std::unique_ptr<Kernel> bound = step.kernel.implementation->bind(step.request->request());
  return bound ? bound_.emplace_back(std::move(bound)).get() : nullptr;
}

/// Makes a part of the steps from `first` on.
void Code::add_runner(size_t first) {
  if (first == steps_.size()) return;
  auto runner = back_end_.make_runner(program_.device, std::span(steps_).subspan(first));
  scratch_words_ = std::max(scratch_words_, runner->scratch_words());
  parts_.push_back({.runner = std::move(runner), .first = first, .count = steps_.size() - first});
}

namespace {

/// Memory that somebody else keeps alive, as a tensor.
Tensor borrow(Device device, uint64_t address, const Place& place) {
  TensorImpl* impl = new TensorImpl;
  Tensor out(impl);
  impl->dtype = place.dtype;
  impl->device = device;
  impl->shape = place.shape;
  impl->strides = place.strides;
  impl->data = reinterpret_cast<std::byte*>(address);
  impl->buffer = BufferHandle(Buffer::wrap(impl->data, 0, nullptr));
  return out;
}

}  // namespace

void Code::run(uint64_t* bases) const {
  if (watched() && profile::tracing()) [[unlikely]]
    return run_traced(bases);
  for (const Part& part : parts_) run_part(part, bases);
}

void Code::run_part(const Part& part, uint64_t* bases) const {
  if (part.runner)
    part.runner->run({bases, base_count_}, bases + base_count_);
  else if (part.step->control)
    run_control(part, bases);
  else
    evaluate_part(part, bases);
}

namespace {

/// Of a cluster the operations that it is made of: `mul, add, tanh`.
std::string name_of(const LoweredStep& step) {
  const Graph* const body = cluster_body(*step.primitive, step.params);
  if (!body) return step.primitive->name;
  std::string out;
  for (const Graph::Node& node : body->nodes) {
    if (node.primitive == &broadcast_in_dim_primitive()) continue;
    if (!out.empty()) out += ", ";
    out += node.primitive->name;
  }
  return out;
}

std::string types_of(const std::vector<Place>& places) {
  std::string out;
  for (const Place& place : places) {
    if (!out.empty()) out += ", ";
    out += to_string(TensorType{place.dtype, place.shape});
  }
  return out;
}

profile::Facts facts_of(const LoweredStep& step) {
  return {.name = name_of(step),
          .path = step.path,
          .types = types_of(step.inputs) + " -> " + types_of(step.outputs),
          .kernel = step.kernel.implementation ? step.kernel.implementation->name : ""};
}

}  // namespace

/// Every step with an event, which ends when its work is done.
void Code::run_traced(uint64_t* bases) const {
  std::vector<uint64_t> scratch;
  for (const Part& part : parts_) {
    if (!part.runner) {
      const profile::Event event("step", [&] { return facts_of(*part.step); });
      run_part(part, bases);
      continue;
    }
    for (size_t s = part.first; s < part.first + part.count; ++s) {
      const ProgramRunner& runner = runner_of(s);
      scratch.resize(std::max(scratch.size(), runner.scratch_words()));
      const profile::Event event("step", [&] { return facts_of(*lowered_[s]); });
      runner.run({bases, base_count_}, scratch.data());
      if (!program_.device.host()) back_end_.synchronize(program_.device);
    }
  }
}

const ProgramRunner& Code::runner_of(size_t step) const {
  std::lock_guard lock(traced_mutex_);
  traced_.resize(steps_.size());
  std::unique_ptr<ProgramRunner>& runner = traced_[step];
  if (!runner) runner = back_end_.make_runner(program_.device, std::span(steps_).subspan(step, 1));
  return *runner;
}

void Code::run_control(const Part& part, uint64_t* bases) const {
  part.step->control->run({part.inputs, part.outputs, part.workspace, bases, bases + base_count_});
}

void Code::evaluate_part(const Part& part, const uint64_t* bases) const {
  const TraceScope eager(nullptr);
  const LoweredStep& step = *part.step;
  TensorList operands;
  for (size_t i = 0; i < step.inputs.size(); ++i)
    operands.push_back(borrow(program_.device, part.inputs[i].resolve(bases), step.inputs[i]));
  const TensorList results = evaluate(*step.primitive, operands, step.params);
  for (size_t k = 0; k < results.size(); ++k) {
    const Tensor dense = transferred(results[k], program_.device).contiguous();
    const size_t bytes = static_cast<size_t>(dense.size()) * size_of(dense.dtype());
    void* const to = reinterpret_cast<void*>(part.outputs[k].resolve(bases));
    if (bytes) back_end_.copy(program_.device, to, program_.device, dense.impl()->data, bytes);
  }
}

}  // namespace linnet
