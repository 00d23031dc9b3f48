#include "kernels/cpu/onednn/pipeline.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <thread>

#include "kernels/cpu/onednn/process_end.h"
#include "kernels/cpu/onednn/thread_scope.h"
#include "linnet/error.h"

namespace linnet::cpu::onednn {
namespace {

constexpr size_t kAlignment = 64;

[[noreturn]] void fail(const std::string& implementation, int status) {
  throw DeviceError(
      fmt::format("oneDNN ({}): execution failed with status {}", implementation, status));
}

/// The mutable part of a call: memory objects, whose addresses change, and a stream. Never shared
/// by two calls at a time.
class CallState {
 public:
  explicit CallState(const PipelinePlan& plan)
      : stream_(cpu_engine()), handles_(plan.descs.size(), nullptr) {
    memories_.reserve(plan.descs.size());
    for (const Desc& desc : plan.descs)
      memories_.emplace_back(desc, cpu_engine(), static_cast<void*>(DNNL_MEMORY_NONE));
    for (const PipelinePlan::Step& step : plan.steps) {
      std::vector<dnnl_exec_arg_t> arguments;
      for (const auto& [argument, memory] : step.arguments) {
        arguments.push_back({argument, memories_[memory].get()});
      }
      arguments_.push_back(std::move(arguments));
    }
  }

  /// Addresses rarely change between calls of a planned program, and setting one is not free.
  int set_handle(size_t memory, void* handle) {
    if (handles_[memory] == handle) return dnnl_success;
    handles_[memory] = handle;
    return dnnl_memory_set_data_handle(memories_[memory].get(), handle);
  }

  int run(const PipelinePlan& plan) {
    for (size_t i = 0; i < plan.steps.size(); ++i) {
      const int status =
          dnnl_primitive_execute(plan.steps[i].primitive.get(), stream_.get(),
                                 static_cast<int>(arguments_[i].size()), arguments_[i].data());
      if (status != dnnl_success) return status;
    }
    return dnnl_success;
  }

 private:
  dnnl::stream stream_;
  std::vector<dnnl::memory> memories_;
  std::vector<void*> handles_;
  std::vector<std::vector<dnnl_exec_arg_t>> arguments_;
};

/// Call states that are not in use. Taking one is a single exchange; only if more threads than ever
/// before run the kernel together is one made, and without memory for it one of theirs awaited.
class CallStates {
 public:
  explicit CallStates(const PipelinePlan& plan) : plan_(plan) { idle_[0] = new CallState(plan); }
  ~CallStates() {
    for (auto& slot : idle_) delete slot.load();
  }

  CallState* take() noexcept {
    for (;;) {
      for (auto& slot : idle_) {
        if (CallState* state = slot.exchange(nullptr, std::memory_order_acquire)) return state;
      }
      try {
        return new CallState(plan_);
      } catch (...) {
        std::this_thread::yield();
      }
    }
  }

  void give_back(CallState* state) {
    for (auto& slot : idle_) {
      CallState* expected = nullptr;
      if (slot.compare_exchange_strong(expected, state, std::memory_order_release,
                                       std::memory_order_relaxed)) {
        return;
      }
    }
    delete state;
  }

 private:
  const PipelinePlan& plan_;
  std::array<std::atomic<CallState*>, 16> idle_{};
};

class Pipeline final : public Prepared {
 public:
  Pipeline(PipelinePlan plan, std::string implementation) : plan_(std::move(plan)), states_(plan_) {
    implementation_ = std::move(implementation);
  }

  size_t workspace_bytes() const override { return plan_.workspace_bytes; }

  void execute(std::span<const void* const> inputs, std::span<void* const> outputs,
               void* workspace) const override {
    const OneThreadScope as_prepared;
    const Lease lease{states_, states_.take()};
    for (size_t i = 0; i < plan_.places.size(); ++i) {
      const Place place = plan_.places[i];
      void* handle = place.kind == Place::Kind::kInput ? const_cast<void*>(inputs[place.position])
                     : place.kind == Place::Kind::kOutput
                         ? outputs[place.position]
                         : static_cast<char*>(workspace) + place.position;
      if (const int status = lease.state->set_handle(i, handle)) fail(implementation_, status);
    }
    if (const int status = lease.state->run(plan_)) fail(implementation_, status);
    if (!has_run_.load(std::memory_order_relaxed)) {
      has_run_.store(true, std::memory_order_relaxed);
      watch_process_end(type_number(plan_.descs.front()));
    }
  }

 private:
  struct Lease {
    CallStates& states;
    CallState* state;
    ~Lease() { states.give_back(state); }
  };

  PipelinePlan plan_;
  mutable CallStates states_;
  mutable std::atomic<bool> has_run_{false};
};

}  // namespace

int PipelineBuilder::add(const Desc& desc, Place place) {
  plan_.descs.push_back(desc);
  plan_.places.push_back(place);
  return static_cast<int>(plan_.descs.size()) - 1;
}

size_t PipelineBuilder::reserve(size_t bytes) {
  const size_t offset = plan_.workspace_bytes;
  plan_.workspace_bytes += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return offset;
}

int PipelineBuilder::temporary(const Desc& desc) {
  return add(desc, {Place::Kind::kWorkspace, reserve(desc.get_size())});
}

int PipelineBuilder::converted(int memory, const Desc& desc) {
  if (plan_.descs[memory] == desc) return memory;
  const int copy = temporary(desc);
  copy_back(memory, copy);
  return copy;
}

int PipelineBuilder::writable_as(int memory, const Desc& desc) {
  return plan_.descs[memory] == desc ? memory : temporary(desc);
}

void PipelineBuilder::copy_back(int from, int to) {
  if (from == to) return;
  const auto pd = make_reorder(plan_.descs[from], plan_.descs[to], caller_scratchpad());
  step(dnnl::reorder(pd), pd.scratchpad_desc(), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
}

void PipelineBuilder::step(dnnl::primitive primitive, const Desc& scratchpad, Arguments arguments) {
  if (const size_t bytes = scratchpad.get_size()) {
    // Steps run one after the other, so they share one scratch region; its offset is known at the
    // end.
    scratch_bytes_ = std::max(scratch_bytes_, bytes);
    scratchpads_.push_back(add(scratchpad, {Place::Kind::kWorkspace, 0}));
    arguments.emplace_back(DNNL_ARG_SCRATCHPAD, scratchpads_.back());
  }
  plan_.steps.push_back({std::move(primitive), std::move(arguments)});
}

std::unique_ptr<Prepared> PipelineBuilder::finish(std::string implementation) {
  const size_t offset = reserve(scratch_bytes_);
  for (int memory : scratchpads_) plan_.places[memory].position = offset;
  return std::make_unique<Pipeline>(std::move(plan_), std::move(implementation));
}

}  // namespace linnet::cpu::onednn
