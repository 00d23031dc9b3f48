#include "core/exec/cost.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "core/exec/lifetimes.h"
#include "core/ops/conv_training.h"
#include "core/ops/dot_training.h"
#include "core/ops/flops.h"
#include "core/ops/fused.h"
#include "core/ops/indexing.h"
#include "core/ops/nn.h"
#include "core/ops/scaled_dot.h"

namespace linnet {
namespace {

double elements(const Shape& shape) { return static_cast<double>(element_count(shape)); }

double bytes_of(const Place& place) {
  return elements(place.shape) * static_cast<double>(size_of(place.dtype));
}

/// Bytes of memory behind a place: what is repeated along a dimension counts once.
double footprint(const Place& place) {
  double count = 1;
  for (size_t i = 0; i < place.shape.size(); ++i) {
    if (place.strides[i] != 0 || place.shape[i] == 0) count *= static_cast<double>(place.shape[i]);
  }
  return count * static_cast<double>(size_of(place.dtype));
}

double dot_flops(const DotParams& p, const LoweredStep& step) {
  return linnet::dot_flops(p, step.inputs[0].shape, step.outputs[0].shape);
}

/// Two products forward, five backward.
double attention_flops(const AttentionParams& p, const LoweredStep& step, double products) {
  const Shape &q = step.inputs[0].shape, &k = step.inputs[1].shape;
  const double scores = static_cast<double>(q[0] * q[2] * q[1] * k[1]);
  return products * 2 * scores * static_cast<double>(q[3]) * (p.causal ? 0.5 : 1);
}

double flops_of(const LoweredStep& step) {
  const Primitive* const p = step.primitive;
  const auto& in = step.inputs;
  if (p == &dot_general_primitive()) return dot_flops(step.params.as<DotParams>(), step);
  if (p == &linear_bias_activation_primitive())
    return dot_flops(step.params.as<LinearBiasActivationParams>().dot, step);
  if (p == &linear_activation_and_input_primitive())
    return dot_flops(step.params.as<LinearActivationParams>().dot, step);
  if (p == &dot_activation_grad_primitive())
    return dot_flops(step.params.as<DotActivationGradParams>().dot, step);
  if (p == &dot_and_sums_primitive())
    return dot_flops(step.params.as<DotAndSumsParams>().dot, step);
  if (p == &panel_linear_primitive() || p == &scaled_dot_primitive())
    return 2 * elements(step.outputs[0].shape) * static_cast<double>(in[0].shape.back());
  if (p == &conv_primitive() || p == &conv_bias_activation_primitive() ||
      p == &conv_and_moments_primitive())
    return conv_flops(step.outputs[0].shape, in[1].shape);
  if (p == &conv_backward_data_primitive() || p == &conv_backward_data_add_primitive())
    return conv_flops(in[0].shape, in[1].shape);
  if (p == &conv_backward_weights_primitive())
    return conv_flops(in[1].shape, step.outputs[0].shape);
  if (p == &attention_primitive())
    return attention_flops(step.params.as<AttentionParams>(), step, 2);
  if (p == &attention_backward_primitive())
    return attention_flops(step.params.as<AttentionBackwardParams>().attention, step, 5);
  return 0;
}

/// Bytes of the operands and results of a step that a kernel touches.
struct Touched {
  std::vector<double> inputs, outputs;

  explicit Touched(const LoweredStep& step) {
    for (const Place& place : step.inputs) inputs.push_back(footprint(place));
    for (const Place& place : step.outputs) outputs.push_back(bytes_of(place));
    const Primitive* const p = step.primitive;
    if (p == &gather_primitive() || p == &dynamic_slice_primitive()) {
      inputs[0] = std::min(inputs[0], outputs[0]);
    } else if (p == &dynamic_update_slice_primitive()) {
      inputs[0] = outputs[0] = inputs[1];
    } else if (p == &scatter_primitive() || p == &scatter_add_primitive()) {
      // Operand, indices, updates: what is updated is read and written.
      inputs[0] = 0;
      outputs[0] = std::min(2 * inputs[2], outputs[0]);
    }
  }
};

/// Takes down what a kernel wants done. Each operand, result and the workspace has a base of its
/// own.
class CostSink final : public LaunchSink {
 public:
  /// Whether result `k` of the step lies where operand `i` does.
  using Shares = std::function<bool(size_t k, size_t i)>;

  CostSink(const LoweredStep& step, double workspace_bytes, Shares shares)
      : step_(step), touched_(step), workspace_bytes_(workspace_bytes), shares_(std::move(shares)) {
    for (size_t i = 0; i < step.inputs.size(); ++i) inputs.push_back(Address::at(1 + i, 0));
    for (size_t k = 0; k < step.outputs.size(); ++k)
      outputs.push_back(Address::at(first_output() + k, 0));
    workspace = Address::at(first_output() + step.outputs.size(), 0);
  }

  void library(const void*, Enqueue, std::span<const Address> operands) override {
    std::vector<uint64_t> bases;
    for (const Address operand : operands) bases.push_back(operand.base());
    add(WorkCost::Kind::kLibrary, touched_bytes(std::move(bases), false));
  }
  void copy(Address to, Address from, size_t bytes) override {
    if (to.base() != from.base() && !same_memory(to, from))
      add(WorkCost::Kind::kCopy, 2. * static_cast<double>(bytes));
  }
  void fill(Address, uint32_t, size_t words) override {
    add(WorkCost::Kind::kFill, 4. * static_cast<double>(words));
  }

  std::vector<Address> inputs, outputs;
  Address workspace;
  std::vector<WorkCost> work;

 protected:
  void launch_bytes(const DeviceFunction&, Extent grid, std::span<const std::byte> args,
                    uint32_t pointers, uint32_t) override {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
    std::vector<uint64_t> bases;
    for (uint32_t i = 0; i < pointers; ++i) {
      Address address;
      std::memcpy(&address.word, args.data() + i * sizeof(uint64_t), sizeof(uint64_t));
      bases.push_back(address.base());
    }
    add(WorkCost::Kind::kLaunch, touched_bytes(std::move(bases), true));
  }

 private:
  uint64_t first_output() const { return 1 + step_.inputs.size(); }

  bool same_memory(Address to, Address from) const {
    return to.base() >= first_output() && to.base() < workspace.base() && from.base() > 0 &&
           from.base() < first_output() && shares_(to.base() - first_output(), from.base() - 1);
  }

  /// Of operands that lie at one place, one is counted. Copies into the workspace are as large as
  /// what they copy.
  double touched_bytes(std::vector<uint64_t> bases, bool counts_workspace) const {
    std::sort(bases.begin(), bases.end());
    bases.erase(std::unique(bases.begin(), bases.end()), bases.end());
    double sum = 0;
    bool scratch = false;
    for (const uint64_t base : bases) {
      if (base == 0) continue;
      const uint64_t i = base - 1;
      if (i < touched_.inputs.size())
        sum += is_repeated(i, bases) ? 0 : touched_.inputs[i];
      else if (i - touched_.inputs.size() < touched_.outputs.size())
        sum += touched_.outputs[i - touched_.inputs.size()];
      else
        scratch = true;
    }
    if (!scratch || !counts_workspace) return sum;
    return sum + (flops_of(step_) > 0 ? std::min(sum, workspace_bytes_) : workspace_bytes_);
  }
  bool is_repeated(uint64_t input, const std::vector<uint64_t>& bases) const {
    const Place& place = step_.inputs[input];
    for (const uint64_t base : bases) {
      if (base == 0 || base - 1 >= input) continue;
      const Place& other = step_.inputs[base - 1];
      if (other.root == place.root && other.offset == place.offset && other.shape == place.shape)
        return true;
    }
    return false;
  }

  void add(WorkCost::Kind kind, double bytes) { work.push_back({.kind = kind, .bytes = bytes}); }

  const LoweredStep& step_;
  Touched touched_;
  double workspace_bytes_;
  Shares shares_;
};

class Costs {
 public:
  explicit Costs(const Code& code) : code_(code), program_(code.program()) {}

  ProgramCost run() {
    out_.device = program_.device;
    out_.arena_bytes = code_.storage().arena_bytes;
    for (int64_t bytes : bytes_in_use(code_.storage(), program_.steps.size()))
      out_.live_bytes = std::max(out_.live_bytes, static_cast<size_t>(bytes));
    for (const Root& root : program_.roots) {
      if (root.kind != Root::Kind::kComputed) out_.input_bytes += root.bytes;
    }
    for (const StorageBlock& block : code_.storage().blocks) {
      if (block.output >= 0 && code_.storage().outputs[block.output].donors.empty())
        out_.result_bytes += block.memory.bytes;
    }
    for (size_t s = 0; s < program_.steps.size(); ++s) add_step(s);
    return std::move(out_);
  }

 private:
  /// Whether a result lies in the memory of an operand, or can if that is donated.
  bool shares(const LoweredStep& step, size_t result, size_t operand) const {
    const StoragePlan& storage = code_.storage();
    const int32_t block = storage.block_of_root[step.outputs[result].root];
    const int32_t root = step.inputs[operand].root;
    if (storage.block_of_root[root] >= 0) return storage.block_of_root[root] == block;
    const int32_t output = storage.blocks[block].output;
    if (output < 0 || program_.roots[root].kind != Root::Kind::kInput) return false;
    const std::vector<int32_t>& donors = storage.outputs[output].donors;
    return std::find(donors.begin(), donors.end(), program_.roots[root].index) != donors.end();
  }

  void add_step(size_t s) {
    const LoweredStep& step = program_.steps[s];
    const int32_t block = code_.storage().workspace_of_step[s];
    const size_t workspace = block < 0 ? 0 : code_.storage().blocks[block].memory.bytes;
    CostSink sink(step, static_cast<double>(workspace),
                  [&](size_t k, size_t i) { return shares(step, k, i); });
    const auto* const kernel = dynamic_cast<const DeviceKernel*>(step.kernel.prepared.get());
    if (kernel) {
      kernel->emit(sink, sink.inputs, sink.outputs, sink.workspace);
    } else {
      sink.work.push_back(
          {.kind = step.kernel.implementation ? WorkCost::Kind::kLaunch : WorkCost::Kind::kStep,
           .bytes = cost_of(step).bytes});
    }
    // What computes is the library's call, or else what comes last.
    size_t computes = sink.work.size() - 1;
    for (size_t i = 0; i < sink.work.size(); ++i) {
      if (sink.work[i].kind == WorkCost::Kind::kLibrary) computes = i;
    }
    if (!sink.work.empty()) sink.work[computes].flops = flops_of(step);
    for (WorkCost& each : sink.work) {
      each.operation = step.primitive->name;
      if (step.kernel.implementation) each.kernel = step.kernel.implementation->name;
      each.path = step.path;
      each.dtype = (step.inputs.empty() ? step.outputs : step.inputs)[0].dtype;
      out_.work.push_back(std::move(each));
    }
  }

  const Code& code_;
  const LoweredProgram& program_;
  ProgramCost out_;
};

}  // namespace

StepCost cost_of(const LoweredStep& step) {
  const Touched touched(step);
  StepCost cost{.flops = flops_of(step)};
  for (const std::vector<double>* list : {&touched.inputs, &touched.outputs})
    for (double each : *list) cost.bytes += each;
  return cost;
}

ProgramCost cost_of(const Code& code) { return Costs(code).run(); }

}  // namespace linnet
