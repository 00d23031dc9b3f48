#include "core/exec/plan.h"

#include <array>
#include <cstring>

#include "core/tensor/tensor_impl.h"
#include "linnet/parallel.h"

namespace linnet {

Plan::Plan(const Graph& graph, const TypeList& output_types, bool reuse_memory)
    : graph_(graph),
      output_types_(output_types),
      threads_(num_threads()),
      program_(lower(graph)),
      storage_(plan_storage(program_, reuse_memory)),
      base_count_(kFirstInput + graph.inputs.size() + graph.outputs.size()) {
  for (size_t s = 0; s < program_.steps.size(); ++s) add_step(s);
}

Plan::Address Plan::address_of_block(int32_t block) const {
  const StorageBlock& b = storage_.blocks[block];
  if (b.output < 0) return {kArena, static_cast<int64_t>(b.memory.offset)};
  return {
      static_cast<uint32_t>(kFirstInput + graph_.inputs.size()) + static_cast<uint32_t>(b.output),
      0};
}

Plan::Address Plan::address_of(const Place& place) const {
  const Root& root = program_.roots[place.root];
  Address address{};
  switch (root.kind) {
    case Root::Kind::kInput:
      address = {kFirstInput + static_cast<uint32_t>(root.index), 0};
      break;
    case Root::Kind::kConstant:
      address = {kAbsolute, reinterpret_cast<int64_t>(program_.constants[root.index].impl()->data)};
      break;
    case Root::Kind::kComputed:
      address = address_of_block(storage_.block_of_root[place.root]);
  }
  address.offset += place.offset;
  return address;
}

void Plan::add_step(size_t index) {
  const LoweredStep& lowered = program_.steps[index];
  Step step;
  step.inputs = static_cast<uint32_t>(addresses_.size());
  for (const Place& place : lowered.inputs) addresses_.push_back(address_of(place));
  step.outputs = static_cast<uint32_t>(addresses_.size());
  for (const Place& place : lowered.outputs) addresses_.push_back(address_of(place));
  step.workspace = static_cast<uint32_t>(addresses_.size());
  const int32_t workspace = storage_.workspace_of_step[index];
  addresses_.push_back(workspace < 0 ? Address{kAbsolute, 0} : address_of_block(workspace));
  if (lowered.kernel.implementation) {
    step.prepared = lowered.kernel.prepared.get();
    step.run = lowered.kernel.implementation->run;
    step.request = &lowered.request->request();
  } else {
    step.evaluated = &lowered;
  }
  steps_.push_back(step);
}

namespace {

/// Memory that somebody else keeps alive, as a tensor.
Tensor borrow(const void* data, const Place& place) {
  TensorImpl* impl = new TensorImpl;
  Tensor out(impl);
  impl->dtype = place.dtype;
  impl->shape = place.shape;
  impl->strides = place.strides;
  impl->data = const_cast<std::byte*>(static_cast<const std::byte*>(data));
  impl->buffer = BufferHandle(Buffer::wrap(impl->data, 0, nullptr));
  return out;
}

void evaluate_step(const LoweredStep& step, const void* const* in, void* const* out) {
  const TraceScope eager(nullptr);
  TensorList operands;
  for (size_t i = 0; i < step.inputs.size(); ++i) operands.push_back(borrow(in[i], step.inputs[i]));
  const TensorList results = evaluate(*step.primitive, operands, step.params);
  for (size_t k = 0; k < results.size(); ++k) {
    const Tensor dense = results[k].contiguous();
    const size_t bytes = static_cast<size_t>(dense.size()) * size_of(dense.dtype());
    if (bytes) std::memcpy(out[k], dense.impl()->data, bytes);
  }
}

/// Whether the memory of a tensor can become that of a result: nobody else can see it.
bool may_take(const Tensor& input, size_t bytes) {
  const TensorImpl& impl = *input.impl();
  return impl.buffer && impl.unique() && !impl.buffer->external() && impl.buffer->unique() &&
         impl.data == impl.buffer->data() && impl.buffer->bytes() == bytes && dense(impl);
}

}  // namespace

/// One run: all memory is had before the first kernel starts, and only then is anything
/// overwritten.
class Plan::Call {
 public:
  Call(const Plan& plan, TensorList& inputs, std::span<const uint8_t> donated)
      : plan_(plan), inputs_(inputs), donated_(donated) {
    const size_t tail = (plan.addresses_.size() + plan.base_count_) * sizeof(std::byte*);
    const size_t bytes = plan.arena_bytes() + tail;
    std::byte* memory = small_.data();
    if (bytes > small_.size()) {
      arena_ = BufferHandle(Buffer::allocate(bytes, kCpu));
      memory = arena_->data();
    }
    // Offsets in the arena are multiples of 64, so that the tables behind it are aligned.
    bases_ = reinterpret_cast<std::byte**>(memory + plan.arena_bytes());
    addresses_ = bases_ + plan.base_count_;
    bases_[kAbsolute] = nullptr;
    bases_[kArena] = memory;
    for (size_t i = 0; i < inputs.size(); ++i) add_input(i);
    outputs_.reserve(plan.storage_.outputs.size());
    for (size_t k = 0; k < plan.storage_.outputs.size(); ++k) add_output(k);
  }

  TensorList run() {
    for (size_t i = 0; i < plan_.addresses_.size(); ++i) {
      const Address& address = plan_.addresses_[i];
      // The null base makes the offset an address.
      addresses_[i] = reinterpret_cast<std::byte*>(
          reinterpret_cast<intptr_t>(bases_[address.base]) + address.offset);
    }
    for (const Step& step : plan_.steps_) {
      const void* const* in = reinterpret_cast<const void* const*>(addresses_ + step.inputs);
      void* const* out = reinterpret_cast<void* const*>(addresses_ + step.outputs);
      if (step.prepared) {
        step.prepared->run(in, out, addresses_[step.workspace]);
      } else if (step.run) {
        step.run(*step.request, in, out);
      } else {
        evaluate_step(*step.evaluated, in, out);
      }
    }
    for (const auto& [result, owner] : inline_copies_) {
      const TensorImpl& from = *outputs_[owner].impl();
      std::memcpy(outputs_[result].impl()->inline_value, from.inline_value,
                  sizeof from.inline_value);
    }
    for (int32_t input : taken_) inputs_[input] = Tensor();
    return std::move(outputs_);
  }

 private:
  void add_input(size_t i) {
    const TensorImpl* impl = inputs_[i].impl();
    if (!dense(*impl)) {
      dense_.push_back(inputs_[i].contiguous());
      impl = dense_.back().impl();
    }
    bases_[kFirstInput + i] = impl->data;
  }

  void add_output(size_t k) {
    const OutputStorage& storage = plan_.storage_.outputs[k];
    const bool weak = plan_.output_types_[k].weak;
    if (storage.owner < 0) {
      outputs_.push_back(with_weak(handle(storage.place), weak));
    } else if (storage.owner == static_cast<int32_t>(k)) {
      outputs_.push_back(fresh(storage, weak));
    } else {
      outputs_.push_back(shared(storage, weak, static_cast<int32_t>(k)));
    }
    bases_[kFirstInput + inputs_.size() + k] = outputs_.back().impl()->data;
  }

  /// An input or a constant, or a view of it.
  Tensor handle(const Place& place) const {
    const Root& root = plan_.program_.roots[place.root];
    const Tensor& whole = root.kind == Root::Kind::kInput ? inputs_[root.index]
                                                          : plan_.program_.constants[root.index];
    if (is_whole(place, root) && place.dtype == whole.dtype() && place.shape == whole.shape())
      return whole;
    const Tensor base = whole.contiguous();
    const int64_t offset = place.offset / static_cast<int64_t>(size_of(base.dtype()));
    Tensor view = make_view(base, place.shape, place.strides, offset);
    view.impl()->dtype = place.dtype;
    return view;
  }

  Tensor fresh(const OutputStorage& storage, bool weak) {
    const size_t bytes = plan_.program_.roots[storage.place.root].bytes;
    for (int32_t donor : storage.donors) {
      if (donated_.empty() || !donated_[donor] || !inputs_[donor].defined() || is_taken(donor))
        continue;
      if (!may_take(inputs_[donor], bytes)) continue;
      taken_.push_back(donor);
      return over(inputs_[donor].impl()->buffer, storage.place, weak);
    }
    return make_uninitialized(storage.place.dtype, storage.place.shape, kCpu, weak);
  }

  bool is_taken(int32_t donor) const {
    for (int32_t other : taken_) {
      if (other == donor) return true;
    }
    return false;
  }

  /// Another result that lies in the memory of an earlier one.
  Tensor shared(const OutputStorage& storage, bool weak, int32_t k) {
    const TensorImpl& owner = *outputs_[storage.owner].impl();
    if (owner.buffer) return over(owner.buffer, storage.place, weak);
    inline_copies_.emplace_back(k, storage.owner);
    return make_uninitialized(storage.place.dtype, storage.place.shape, kCpu, weak);
  }

  static Tensor over(const BufferHandle& buffer, const Place& place, bool weak) {
    TensorImpl* impl = new TensorImpl;
    Tensor out(impl);
    impl->dtype = place.dtype;
    impl->weak = weak;
    impl->shape = place.shape;
    impl->strides = place.strides;
    impl->buffer = buffer;
    impl->data = buffer->data();
    return out;
  }

  const Plan& plan_;
  TensorList& inputs_;
  std::span<const uint8_t> donated_;
  alignas(kArenaAlignment) std::array<std::byte, 4096> small_;  // for programs of a few numbers
  BufferHandle arena_;
  std::byte** bases_ = nullptr;
  std::byte** addresses_ = nullptr;
  TensorList dense_, outputs_;
  std::vector<int32_t> taken_;
  std::vector<std::pair<int32_t, int32_t>> inline_copies_;
};

TensorList Plan::run(TensorList& inputs, std::span<const uint8_t> donated) const {
  cpu::apply_num_threads();
  return Call(*this, inputs, donated).run();
}

}  // namespace linnet
