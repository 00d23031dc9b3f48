#include "core/exec/plan.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/base/loan.h"
#include "core/exec/arena_report.h"
#include "core/memory/owners.h"
#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/detail/format.h"

namespace linnet {

Plan::Plan(const Graph& graph, const TypeList& output_types, bool reuse_memory, size_t memory_limit)
    : output_types_(output_types),
      code_(graph, {.reuse_memory = reuse_memory}, reuse_memory, memory_limit) {
  for (const TensorType& type : output_types_) moves_results_ |= type.device != code_.device();
}

namespace {

/// Whether the memory of a tensor can become that of a result: nobody else can see it.
bool may_take(const Tensor& input, size_t bytes) {
  const TensorImpl& impl = *input.impl();
  return impl.buffer && impl.unique() && !impl.buffer->external() && impl.buffer->unique() &&
         impl.data == impl.buffer->data() && impl.buffer->bytes() == bytes && dense(impl);
}

/// Lists that a run needs, kept by the thread.
struct RunMemory {
  TensorList moved;
  std::vector<int32_t> taken;                        ///< inputs whose memory became a result's
  std::vector<uint8_t> is_taken;                     ///< by input; empty if nothing is donated
  std::vector<std::pair<int32_t, int32_t>> adopted;  ///< inputs that became results as they were
  std::vector<std::pair<int32_t, int32_t>> inline_copies;
  void clear() {
    moved.clear();
    taken.clear();
    is_taken.clear();
    adopted.clear();
    inline_copies.clear();
  }
};

}  // namespace

/// One run: all memory is had before the first kernel starts, and only then is anything
/// overwritten.
class Plan::Call {
 public:
  Call(const Plan& plan, TensorList& inputs, std::span<const uint8_t> donated, TensorList& outputs)
      : plan_(plan),
        device_(plan.code_.device()),
        inputs_(inputs),
        donated_(donated),
        outputs_(outputs),
        widest_alignment_(plan.code_.back_end().widest_alignment()) {
    // Results that leave the device are moved at the end, which may fail.
    if (plan.moves_results_) donated_ = {};
    memory_->is_taken.assign(donated_.size(), 0);
  }
  /// After a failure the inputs alone hold what results had adopted.
  ~Call() {
    for (const auto& [input, output] : memory_->adopted) outputs_[output].release();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /// Has all memory.
  void prepare() {
    allocating_for = "intermediate values of a compiled program";
    take_memory();
    bases_[Code::kAbsolute] = 0;
    for (size_t i = 0; i < inputs_.size(); ++i) add_input(i);
    const size_t results = plan_.code_.storage().outputs.size();
    outputs_.reserve(results);
    for (size_t k = 0; k < results; ++k) add_output(k);
  }

  void run(const std::function<void(const TensorList&)>& ready) {
    if (ready && !plan_.moves_results_) ready(outputs_);
    plan_.code_.run(bases_);
    for (const auto& [result, owner] : memory_->inline_copies) {
      const TensorImpl& from = *outputs_[owner].impl();
      std::memcpy(outputs_[result].impl()->inline_value, from.inline_value,
                  sizeof from.inline_value);
    }
    if (plan_.moves_results_) {
      for (size_t k = 0; k < outputs_.size(); ++k)
        outputs_[k] = transferred(outputs_[k], plan_.output_types_[k].device);
      if (ready) ready(outputs_);
    }
    for (int32_t input : memory_->taken) inputs_[input] = Tensor();
    for (const auto& [input, output] : memory_->adopted) inputs_[input].release();
    memory_->adopted.clear();
  }

 private:
  BufferHandle allocate(size_t bytes, Device device) const {
    try {
      return BufferHandle(Buffer::allocate(bytes, device));
    } catch (const DeviceError& e) {
      const std::string values = largest_values(plan_.code_.program(), plan_.code_.storage());
      if (values.empty()) throw;
      fail<DeviceError>("{}\n  the largest values of the program when it needs most:{}", e.what(),
                        values);
    }
  }

  /// The arena, and on the host the bases and the scratch of the runners: small ones on the stack.
  void take_memory() {
    const size_t arena = plan_.arena_bytes(), own = device_.host() ? arena : 0;
    const size_t words = plan_.code_.words();
    std::byte* memory = small_.data();
    if (own + words * sizeof(uint64_t) > small_.size()) {
      host_ = allocate(own + words * sizeof(uint64_t), Device{});
      memory = host_->data();
    }
    // Offsets in the arena are multiples of 64, so that the words behind it are aligned.
    bases_ = reinterpret_cast<uint64_t*>(memory + own);
    if (!device_.host()) {
      arena_ = arena ? allocate(arena, device_) : BufferHandle(nullptr);
      memory = arena_ ? arena_->data() : nullptr;
    }
    bases_[Code::kArena] = reinterpret_cast<uintptr_t>(memory);
  }

  /// The memory of an input, or of a copy where the kernels expect it: here, dense and aligned.
  void add_input(size_t i) {
    const TensorImpl* impl = inputs_[i].impl();
    if (impl->device != device_ || !dense(*impl) || !aligned(*impl)) {
      Tensor here = transferred(inputs_[i], device_).contiguous();
      memory_->moved.push_back(aligned(*here.impl()) ? here : dense_copy(here));
      impl = memory_->moved.back().impl();
    }
    bases_[Code::kFirstInput + i] = reinterpret_cast<uintptr_t>(impl->data);
  }

  bool aligned(const TensorImpl& impl) const {
    return alignment_of(reinterpret_cast<uintptr_t>(impl.data), widest_alignment_) ==
           widest_alignment_;
  }

  void add_output(size_t k) {
    const OutputStorage& storage = plan_.code_.storage().outputs[k];
    const bool weak = plan_.output_types_[k].weak;
    if (storage.owner < 0) {
      outputs_.push_back(with_weak(handle(storage.place), weak));
    } else if (storage.owner == static_cast<int32_t>(k)) {
      outputs_.push_back(fresh(storage, weak, static_cast<int32_t>(k)));
    } else {
      outputs_.push_back(shared(storage, weak, static_cast<int32_t>(k)));
    }
    bases_[Code::kFirstInput + inputs_.size() + k] =
        reinterpret_cast<uintptr_t>(outputs_.back().impl()->data);
  }

  /// An input or a constant, or a view of it.
  Tensor handle(const Place& place) const {
    const Root& root = plan_.code_.program().roots[place.root];
    const Tensor& whole = root.kind == Root::Kind::kInput
                              ? inputs_[root.index]
                              : plan_.code_.program().constants[root.index];
    if (is_whole(place, root) && place.dtype == whole.dtype() && place.shape == whole.shape())
      return whole;
    const Tensor base = whole.contiguous();
    const int64_t offset = place.offset / static_cast<int64_t>(size_of(base.dtype()));
    Tensor view = make_view(base, place.shape, place.strides, offset);
    view.impl()->dtype = place.dtype;
    return view;
  }

  Tensor fresh(const OutputStorage& storage, bool weak, int32_t k) {
    allocating_for = "results of a compiled program";
    const size_t bytes = plan_.code_.program().roots[storage.place.root].bytes;
    for (int32_t donor : storage.donors) {
      if (donated_.empty() || !donated_[donor] || memory_->is_taken[donor]) continue;
      if (inputs_[donor].device() != device_ || !may_take(inputs_[donor], bytes)) continue;
      memory_->is_taken[donor] = 1;
      TensorImpl* const impl = inputs_[donor].impl();
      // A strong tensor of the same type is the result as it stands, once it has its values. Until
      // then both handles share one reference.
      if (!weak && !impl->weak && impl->dtype == storage.place.dtype &&
          impl->shape == storage.place.shape) {
        memory_->adopted.emplace_back(donor, k);
        return Tensor(impl);
      }
      memory_->taken.push_back(donor);
      return over(impl->buffer, storage.place, weak);
    }
    return make_uninitialized(storage.place.dtype, storage.place.shape, device_, weak);
  }

  /// Another result that lies in the memory of an earlier one.
  Tensor shared(const OutputStorage& storage, bool weak, int32_t k) {
    const TensorImpl& owner = *outputs_[storage.owner].impl();
    if (owner.buffer) return over(owner.buffer, storage.place, weak);
    memory_->inline_copies.emplace_back(k, storage.owner);
    return make_uninitialized(storage.place.dtype, storage.place.shape, device_, weak);
  }

  Tensor over(const BufferHandle& buffer, const Place& place, bool weak) const {
    TensorImpl* impl = new TensorImpl;
    Tensor out(impl);
    impl->dtype = place.dtype;
    impl->device = device_;
    impl->weak = weak;
    impl->shape = place.shape;
    impl->strides = place.strides;
    impl->buffer = buffer;
    impl->data = buffer->data();
    return out;
  }

  const Plan& plan_;
  Device device_;
  TensorList& inputs_;
  std::span<const uint8_t> donated_;
  alignas(64) std::array<std::byte, 4096> small_;  // for programs of a few numbers
  BufferHandle host_, arena_;
  uint64_t* bases_ = nullptr;
  TensorList& outputs_;
  size_t widest_alignment_;
  const Loan<RunMemory> memory_;
};

void Plan::run(TensorList& inputs, std::span<const uint8_t> donated,
               const std::function<void(const TensorList&)>& ready, TensorList& results) const {
  Call call(*this, inputs, donated, results);
  call.prepare();
  call.run(ready);
}

}  // namespace linnet
