#include "core/exec/storage.h"

#include <algorithm>
#include <utility>

#include "core/graph/fused_elementwise.h"

namespace linnet {
namespace {

/// Most inputs that are considered as donors of one result.
constexpr size_t kMostDonors = 8;

class StoragePlanner {
 public:
  StoragePlanner(const LoweredProgram& program, bool reuse, size_t alignment, bool restores)
      : program_(program), reuse_(reuse), alignment_(alignment), restores_(restores) {}

  /// All but offsets and donors.
  StoragePlan& blocks() {
    steps_ = static_cast<int32_t>(program_.steps.size());
    for (const Root& root : program_.roots) last_.push_back(std::max(root.last, root.first));
    for (const Place& place : program_.outputs) last_[place.root] = steps_;
    plan_.block_of_root.assign(program_.roots.size(), -1);
    for (int32_t s = 0; s < steps_; ++s) {
      for (size_t k = 0; k < program_.steps[s].outputs.size(); ++k) place_result(s, k);
      place_workspace(s);
    }
    place_outputs();
    return plan_;
  }
  StoragePlan run() {
    blocks();
    if (reuse_) find_donors();
    assign_arena();
    return std::move(plan_);
  }

 private:
  const Root& root_of(const Place& place) const { return program_.roots[place.root]; }

  int32_t add_block(size_t bytes, int32_t first, int32_t last) {
    plan_.blocks.push_back({{bytes, first, last}, -1, first});
    return static_cast<int32_t>(plan_.blocks.size()) - 1;
  }

  void place_result(int32_t s, size_t result) {
    const Place& output = program_.steps[s].outputs[result];
    const int32_t root = output.root;
    if (const int32_t block = reuse_ ? block_to_take_over(s, result) : -1; block >= 0) {
      plan_.block_of_root[root] = block;
      plan_.blocks[block].memory.last = last_[root];
      plan_.blocks[block].written = s;
      return;
    }
    plan_.block_of_root[root] = add_block(root_of(output).bytes, s, last_[root]);
  }

  /// The block of an operand that nothing reads after step `s` and that the kernel may overwrite.
  int32_t block_to_take_over(int32_t s, size_t result) const {
    const LoweredStep& step = program_.steps[s];
    const auto [first, end] = overwritable(step, result);
    for (size_t i = first; i < end; ++i) {
      const int32_t root = step.inputs[i].root;
      const int32_t block = plan_.block_of_root[root];
      // Two results of one step must not share memory, even if nothing reads one of them.
      if (block < 0 || last_[root] != s || plan_.blocks[block].written == s) continue;
      if (lies_as(step, i, result)) return block;
    }
    return -1;
  }

  static bool elementwise(const LoweredStep& step) {
    return step.primitive->pointwise() || is_cluster(*step.primitive);
  }

  /// The operands, from the first to before the second, in whose memory the kernel of a step may
  /// put a result.
  static std::pair<size_t, size_t> overwritable(const LoweredStep& step, size_t result) {
    const KernelImplementation* kernel = step.kernel.implementation;
    if (!kernel || !kernel->in_place) return {0, 0};
    if (kernel->in_place_operand) {
      const int operand = kernel->in_place_operand(step.request->request(), result);
      if (operand < 0) return {0, 0};
      return {static_cast<size_t>(operand), static_cast<size_t>(operand) + 1};
    }
    if (elementwise(step)) return {0, step.inputs.size()};
    return {0, step.outputs.size() == 1 && !step.inputs.empty() ? 1 : 0};
  }

  /// Whether a result of a step may lie where operand `i` lies, as far as their layouts and the
  /// other operands are concerned.
  bool lies_as(const LoweredStep& step, size_t i, size_t result) const {
    const Place& output = step.outputs[result];
    const Place& operand = step.inputs[i];
    if (!is_whole(operand, root_of(operand)) || operand.dtype != output.dtype ||
        operand.shape != output.shape) {
      return false;
    }
    // Every other look at the same memory must see each element where it is written.
    for (size_t k = 0; k < step.inputs.size(); ++k) {
      const Place& other = step.inputs[k];
      if (k == i || other.root != operand.root) continue;
      const bool same =
          other.offset == 0 && other.shape == operand.shape && other.dtype == operand.dtype;
      if (!same || !is_dense(other) || !elementwise(step)) return false;
    }
    return true;
  }

  void place_workspace(int32_t s) {
    const LoweredStep& step = program_.steps[s];
    size_t bytes = 0;
    if (step.control)
      bytes = step.control->workspace_bytes();
    else if (step.kernel.implementation)
      bytes = step.kernel.workspace_bytes(step.request->request());
    plan_.workspace_of_step.push_back(bytes ? add_block(bytes, s, s) : -1);
  }

  void place_outputs() {
    for (size_t k = 0; k < program_.outputs.size(); ++k) {
      OutputStorage storage{.place = program_.outputs[k]};
      if (root_of(storage.place).kind == Root::Kind::kComputed) {
        StorageBlock& block = plan_.blocks[plan_.block_of_root[storage.place.root]];
        if (block.output < 0) block.output = static_cast<int32_t>(k);
        storage.owner = block.output;
      }
      plan_.outputs.push_back(std::move(storage));
    }
  }

  void find_donors() {
    std::vector<uint8_t> returned(program_.roots.size(), 0);
    for (const Place& place : program_.outputs) returned[place.root] = 1;
    // What was overwritten before a step that throws could not be given back.
    int32_t last_throwing = -1;
    for (int32_t s = 0; s < steps_; ++s) {
      if (restores_ && may_throw(program_.steps[s])) last_throwing = s;
    }
    for (const StorageBlock& block : plan_.blocks) {
      if (block.output < 0 || block.memory.first <= last_throwing) continue;
      const std::vector<size_t> overwritten = overwritten_by_first(block);
      std::vector<int32_t> partners, others;
      for (size_t r = 0; r < program_.roots.size(); ++r) {
        const Root& root = program_.roots[r];
        if (root.kind != Root::Kind::kInput || returned[r] || root.bytes != block.memory.bytes)
          continue;
        if (root.last < block.memory.first) others.push_back(root.index);
        if (root.last == block.memory.first &&
            std::find(overwritten.begin(), overwritten.end(), r) != overwritten.end())
          partners.push_back(root.index);
      }
      partners.insert(partners.end(), others.begin(), others.end());
      if (partners.size() > kMostDonors) partners.resize(kMostDonors);
      plan_.outputs[block.output].donors = std::move(partners);
    }
  }

  /// The inputs in whose memory the step that first writes a block may put it. A step may have
  /// hundreds of results, so that this is asked once for each block.
  std::vector<size_t> overwritten_by_first(const StorageBlock& block) const {
    std::vector<size_t> roots;
    const LoweredStep& step = program_.steps[block.memory.first];
    for (size_t k = 0; k < step.outputs.size(); ++k) {
      if (&plan_.blocks[plan_.block_of_root[step.outputs[k].root]] != &block) continue;
      const auto [first, end] = overwritable(step, k);
      for (size_t i = first; i < end; ++i) {
        if (root_of(step.inputs[i]).kind == Root::Kind::kInput && lies_as(step, i, k))
          roots.push_back(static_cast<size_t>(step.inputs[i].root));
      }
    }
    return roots;
  }

  void assign_arena() {
    std::vector<MemoryBlock> memory;
    std::vector<size_t> index;
    for (size_t b = 0; b < plan_.blocks.size(); ++b) {
      if (plan_.blocks[b].output >= 0) continue;
      memory.push_back(plan_.blocks[b].memory);
      index.push_back(b);
      if (!reuse_) {
        memory.back().first = 0;
        memory.back().last = steps_;
      }
    }
    plan_.arena_bytes = assign_offsets(memory, alignment_);
    for (size_t i = 0; i < index.size(); ++i)
      plan_.blocks[index[i]].memory.offset = memory[i].offset;
  }

  const LoweredProgram& program_;
  bool reuse_;
  size_t alignment_;
  bool restores_;
  int32_t steps_ = 0;
  std::vector<int32_t> last_;  // step that last reads each root; the number of steps for results
  StoragePlan plan_;
};

}  // namespace

StoragePlan plan_blocks(const LoweredProgram& program) {
  return std::move(StoragePlanner(program, true, 1, true).blocks());
}

StoragePlan plan_storage(const LoweredProgram& program, bool reuse, size_t alignment,
                         bool restores) {
  return StoragePlanner(program, reuse, alignment, restores).run();
}

}  // namespace linnet
