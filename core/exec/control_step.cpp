#include "core/exec/control_step.h"

#include <algorithm>
#include <numeric>

#include "core/control/loops.h"
#include "core/exec/code.h"

namespace linnet {
namespace {

size_t bytes_of(const TensorType& type) {
  return static_cast<size_t>(element_count(type.shape)) * size_of(type.dtype);
}

void copy_bytes(const Code& code, uint64_t to, uint64_t from, size_t bytes) {
  if (bytes == 0 || to == from) return;
  code.back_end().copy(code.device(), reinterpret_cast<void*>(to), code.device(),
                       reinterpret_cast<const void*>(from), bytes);
}

template <class T>
T download(const Code& code, uint64_t address) {
  T value;
  code.back_end().download(&value, code.device(), reinterpret_cast<const void*>(address),
                           sizeof value);
  return value;
}

/// Elements of sequences begin where their sizes let them.
size_t alignment_of_elements(const TypeList& types, size_t widest) {
  for (const TensorType& type : types) {
    while (widest > 1 && bytes_of(type) % widest != 0) widest /= 2;
  }
  return widest;
}

LoweringOptions body_options(Device device, size_t alignment, bool reuse_memory) {
  return {
      .device = device, .alignment = alignment, .own_results = true, .reuse_memory = reuse_memory};
}

/// The elements of a carry: where each turn reads and writes them.
class Carry {
 public:
  /// @param first_input of the carry among the inputs of the body.
  Carry(const Code& body, const TypeList& types, size_t first_input) : first_input_(first_input) {
    for (size_t k = 0; k < types.size(); ++k) {
      const auto& donors = body.storage().outputs[k].donors;
      const auto own = static_cast<int32_t>(first_input + k);
      elements_.push_back(
          {bytes_of(types[k]), 0, std::find(donors.begin(), donors.end(), own) != donors.end()});
    }
  }

  struct Element {
    size_t bytes;
    size_t spare;   ///< offset of a second place in the workspace
    bool in_place;  ///< the body writes it where it reads it
  };
  std::vector<Element>& elements() { return elements_; }

  /// The first turn reads the operands where they are, but for what it overwrites.
  /// @param turns if they are known: every second one writes to the spare places, such that the
  /// last one writes to the results.
  void begin(const Code& body, const ControlStep::Run& run, size_t operand, uint64_t workspace,
             uint64_t* bases, int64_t turns) const {
    uint64_t* const in = bases + Code::kFirstInput + first_input_;
    uint64_t* const out = bases + Code::kFirstInput + body.input_count();
    for (size_t k = 0; k < elements_.size(); ++k) {
      const Element& element = elements_[k];
      in[k] = run.input(operand + k);
      out[k] = run.output(k);
      if (element.in_place) {
        copy_bytes(body, out[k], in[k], element.bytes);
        in[k] = out[k];
      } else if (turns % 2 == 0) {
        out[k] = workspace + element.spare;
      }
    }
  }
  /// What was written is read, and the other way round.
  void turn(const Code& body, const ControlStep::Run& run, uint64_t workspace,
            uint64_t* bases) const {
    uint64_t* const in = bases + Code::kFirstInput + first_input_;
    uint64_t* const out = bases + Code::kFirstInput + body.input_count();
    for (size_t k = 0; k < elements_.size(); ++k) {
      const Element& element = elements_[k];
      if (element.in_place) continue;
      in[k] = out[k];
      const uint64_t spare = workspace + element.spare;
      out[k] = out[k] == spare ? run.output(k) : spare;
    }
  }
  /// Brings what the last turn wrote to the results, if it is not there.
  void end(const Code& body, const ControlStep::Run& run, const uint64_t* bases) const {
    const uint64_t* const in = bases + Code::kFirstInput + first_input_;
    for (size_t k = 0; k < elements_.size(); ++k)
      copy_bytes(body, run.output(k), in[k], elements_[k].bytes);
  }

 private:
  size_t first_input_;
  std::vector<Element> elements_;
};

class ScanStep final : public ControlStep {
 public:
  ScanStep(const ScanParams& p, Device device, size_t alignment, bool reuse_memory)
      : length_(p.length),
        constants_(static_cast<size_t>(p.constants)),
        carries_(static_cast<size_t>(p.carries)),
        reverse_(p.reverse),
        inputs_(input_types(p.body->graph())),
        results_(result_types(p.body->graph())),
        body_(p.body->graph(), body_options(device, alignment_of_turns(alignment), reuse_memory),
              reuse_memory),
        carry_(body_, TypeList(results_.begin(), results_.begin() + p.carries), constants_) {
    const size_t aligned = body_.back_end().arena_alignment();
    for (Carry::Element& element : carry_.elements())
      if (!element.in_place) element.spare = reserve(element.bytes, aligned);
    arena_ = reserve(body_.storage().arena_bytes, aligned);
    words_ = body_.words();
    may_throw_ = body_.may_throw();
  }

  void run(const Run& run) const override {
    uint64_t* const bases = run.words;
    const uint64_t workspace = run.workspace.resolve(run.bases);
    bases[Code::kAbsolute] = 0;
    bases[Code::kArena] = workspace + arena_;
    uint64_t* const in = bases + Code::kFirstInput;
    uint64_t* const out = in + body_.input_count();
    for (size_t i = 0; i < constants_; ++i) in[i] = run.input(i);
    carry_.begin(body_, run, constants_, workspace, bases, length_);
    const int64_t first = reverse_ ? length_ - 1 : 0;
    for (size_t i = constants_ + carries_; i < inputs_.size(); ++i)
      in[i] = run.input(i) + static_cast<uint64_t>(first) * bytes_of(inputs_[i]);
    for (size_t k = carries_; k < results_.size(); ++k)
      out[k] = run.output(k) + static_cast<uint64_t>(first) * bytes_of(results_[k]);
    for (int64_t t = 0; t < length_; ++t) {
      if (t) advance(run, workspace, bases);
      body_.run(bases);
    }
    if (length_ == 0) carry_.end(body_, run, bases);
  }

 private:
  size_t alignment_of_turns(size_t outside) const {
    TypeList elements(inputs_.begin() + static_cast<int64_t>(constants_ + carries_), inputs_.end());
    elements.insert(elements.end(), results_.begin() + static_cast<int64_t>(carries_),
                    results_.end());
    return alignment_of_elements(elements, outside);
  }

  void advance(const Run& run, uint64_t workspace, uint64_t* bases) const {
    uint64_t* const in = bases + Code::kFirstInput;
    uint64_t* const out = in + body_.input_count();
    carry_.turn(body_, run, workspace, bases);
    const uint64_t sign = reverse_ ? ~uint64_t{0} : 1;
    for (size_t i = constants_ + carries_; i < inputs_.size(); ++i)
      in[i] += sign * bytes_of(inputs_[i]);
    for (size_t k = carries_; k < results_.size(); ++k) out[k] += sign * bytes_of(results_[k]);
  }

  int64_t length_;
  size_t constants_, carries_;
  bool reverse_;
  TypeList inputs_, results_;
  Code body_;
  Carry carry_;
  size_t arena_ = 0;
};

class WhileStep final : public ControlStep {
 public:
  WhileStep(const WhileParams& p, Device device, size_t alignment, bool reuse_memory)
      : condition_constants_(static_cast<size_t>(p.condition_constants)),
        body_constants_(static_cast<size_t>(p.body_constants)),
        condition_(p.condition->graph(), body_options(device, alignment, reuse_memory),
                   reuse_memory),
        body_(p.body->graph(), body_options(device, alignment, reuse_memory), reuse_memory),
        carry_(body_, result_types(p.body->graph()), body_constants_) {
    const size_t aligned = body_.back_end().arena_alignment();
    for (Carry::Element& element : carry_.elements())
      if (!element.in_place) element.spare = reserve(element.bytes, aligned);
    flag_ = reserve(sizeof(bool), aligned);
    arena_ =
        reserve(std::max(condition_.storage().arena_bytes, body_.storage().arena_bytes), aligned);
    words_ = condition_.words() + body_.words();
    may_throw_ = condition_.may_throw() || body_.may_throw();
  }

  void run(const Run& run) const override {
    const uint64_t workspace = run.workspace.resolve(run.bases);
    uint64_t* const test = run.words;
    uint64_t* const bases = test + condition_.words();
    test[Code::kAbsolute] = bases[Code::kAbsolute] = 0;
    test[Code::kArena] = bases[Code::kArena] = workspace + arena_;
    uint64_t* const test_in = test + Code::kFirstInput;
    for (size_t i = 0; i < condition_constants_; ++i) test_in[i] = run.input(i);
    test_in[condition_.input_count()] = workspace + flag_;
    uint64_t* const in = bases + Code::kFirstInput;
    for (size_t i = 0; i < body_constants_; ++i) in[i] = run.input(condition_constants_ + i);
    carry_.begin(body_, run, condition_constants_ + body_constants_, workspace, bases, 0);
    while (goes_on(test, in + body_constants_, workspace)) {
      body_.run(bases);
      carry_.turn(body_, run, workspace, bases);
    }
    carry_.end(body_, run, bases);
  }

 private:
  bool goes_on(uint64_t* test, const uint64_t* carry, uint64_t workspace) const {
    std::copy(carry, carry + carry_count(), test + Code::kFirstInput + condition_constants_);
    condition_.run(test);
    return download<bool>(condition_, workspace + flag_);
  }
  size_t carry_count() const { return condition_.input_count() - condition_constants_; }

  size_t condition_constants_, body_constants_;
  Code condition_, body_;
  Carry carry_;
  size_t flag_ = 0, arena_ = 0;
};

class CondStep final : public ControlStep {
 public:
  CondStep(const CondParams& p, Device device, size_t alignment, bool reuse_memory) {
    size_t arena = 0;
    for (const ProgramPtr& branch : p.branches) {
      branches_.push_back(std::make_unique<Code>(
          branch->graph(), body_options(device, alignment, reuse_memory), reuse_memory));
      arena = std::max(arena, branches_.back()->storage().arena_bytes);
      words_ = std::max(words_, branches_.back()->words());
      may_throw_ |= branches_.back()->may_throw();
    }
    reserve(arena, branches_[0]->back_end().arena_alignment());
  }

  void run(const Run& run) const override {
    const auto which = static_cast<size_t>(download<int32_t>(*branches_[0], run.input(0)));
    const Code& branch = *branches_[which];
    uint64_t* const bases = run.words;
    bases[Code::kAbsolute] = 0;
    bases[Code::kArena] = run.workspace.resolve(run.bases);
    uint64_t* const in = bases + Code::kFirstInput;
    for (size_t i = 0; i < branch.input_count(); ++i) in[i] = run.input(i + 1);
    for (size_t k = 0; k < run.outputs.size(); ++k) in[branch.input_count() + k] = run.output(k);
    branch.run(bases);
  }

 private:
  std::vector<std::unique_ptr<Code>> branches_;
};

}  // namespace

std::shared_ptr<const ControlStep> make_control_step(const Graph::Node& node, Device device,
                                                     size_t alignment, bool reuse_memory) {
  const Primitive* p = node.primitive;
  const auto make = [&]<class Step, class P>() {
    return std::make_shared<const Step>(node.params.as<P>(), device, alignment, reuse_memory);
  };
  if (p == &scan_primitive()) return make.operator()<ScanStep, ScanParams>();
  if (p == &while_primitive()) return make.operator()<WhileStep, WhileParams>();
  if (p == &cond_primitive()) return make.operator()<CondStep, CondParams>();
  return nullptr;
}

}  // namespace linnet
