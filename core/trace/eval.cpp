#include "core/trace/eval.h"

#include <array>
#include <list>
#include <mutex>
#include <unordered_map>

#include "core/base/format.h"
#include "core/base/log.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/parallel.h"

namespace linnet {

void KernelTable::add(const Primitive& primitive, KernelImplementation implementation) {
  if (lists_.size() <= static_cast<size_t>(primitive.id)) lists_.resize(primitive.id + 1);
  lists_[primitive.id].push_back(implementation);
}

std::span<const KernelImplementation> KernelTable::implementations(const Primitive& primitive) const {
  if (static_cast<size_t>(primitive.id) >= lists_.size()) return {};
  return lists_[primitive.id];
}

KernelTable& kernel_table(Device device) {
  if (device.type != DeviceType::kCpu) {
    fail<DeviceError>("{}: no kernels for this device are built in", to_string(device));
  }
  static KernelTable* table = [] {
    define_all_primitives();
    KernelTable* fresh = new KernelTable;
    register_cpu_kernels(*fresh);
    return fresh;
  }();
  return *table;
}

RequestStorage::RequestStorage(Inputs inputs, const TypeList& outputs) : input_count_(inputs.size()) {
  output_strides_.reserve(outputs.size());
  views_.reserve(inputs.size() + outputs.size());
  for (const Tensor& x : inputs) views_.push_back({x.dtype(), x.shape(), x.impl()->strides});
  for (const TensorType& y : outputs) {
    output_strides_.push_back(dense_strides(y.shape));
    views_.push_back({y.dtype, y.shape, output_strides_.back()});
  }
}

void fail_no_kernel(const Primitive& primitive, Inputs inputs, const std::string& declined) {
  std::string operands;
  for (const Tensor& x : inputs) operands += (operands.empty() ? "" : ", ") + to_string(x.type());
  fail<DeviceError>("{}: no kernel takes ({}){}", primitive.name, operands,
                    declined.empty() ? std::string("; none is registered") : ":" + declined);
}

namespace {

bool is_dense(const OperandView& view) {
  int64_t step = 1;
  for (size_t i = view.shape.size(); i-- > 0;) {
    if (view.shape[i] == 0) return true;
    if (view.shape[i] != 1 && view.strides[i] != step) return false;
    step *= view.shape[i];
  }
  return true;
}

/// Text that is equal exactly for requests that one prepared kernel serves.
std::string request_key(const KernelRequest& request, const KernelImplementation& implementation) {
  std::string key;
  key.reserve(128);
  const auto put = [&key](const void* bytes, size_t size) { key.append(static_cast<const char*>(bytes), size); };
  const void* identity = &implementation;
  put(&identity, sizeof identity);
  // Libraries divide the work among the threads there are at preparation.
  const int threads = num_threads();
  put(&threads, sizeof threads);
  for (const auto& operands : {request.inputs, request.outputs}) {
    key.push_back(static_cast<char>(operands.size()));
    for (const OperandView& operand : operands) {
      key.push_back(static_cast<char>(operand.dtype));
      key.push_back(static_cast<char>(operand.shape.size()));
      put(operand.shape.data(), operand.shape.size_bytes());
      put(operand.strides.data(), operand.strides.size_bytes());
    }
  }
  return key;
}

/// Prepared kernels, least recently used out first. Locked; preparation happens outside the lock.
class PreparedCache {
 public:
  struct Entry {
    std::string key;
    Params params;
    std::shared_ptr<const Kernel> kernel;
    std::string declined;
  };

  bool find(const std::string& key, size_t hash, ParamsRef params, Entry& out) {
    std::lock_guard lock(mutex_);
    auto [begin, end] = index_.equal_range(hash);
    for (auto it = begin; it != end; ++it) {
      if (it->second->key == key && it->second->params.ref() == params) {
        order_.splice(order_.begin(), order_, it->second);
        out = *it->second;
        return true;
      }
    }
    return false;
  }

  void insert(size_t hash, Entry entry) {
    std::lock_guard lock(mutex_);
    order_.push_front(std::move(entry));
    index_.emplace(hash, order_.begin());
    if (order_.size() <= kCapacity) return;
    auto last = std::prev(order_.end());
    for (auto it = index_.begin(); it != index_.end(); ++it) {
      if (it->second == last) {
        index_.erase(it);
        break;
      }
    }
    order_.erase(last);
  }

 private:
  static constexpr size_t kCapacity = 4096;
  std::mutex mutex_;
  std::list<Entry> order_;
  std::unordered_multimap<size_t, std::list<Entry>::iterator> index_;
};

PreparedCache& prepared_cache() {
  static PreparedCache* cache = new PreparedCache;
  return *cache;
}

void log_choice(const KernelRequest& request, const std::string& declined, const char* chosen) {
  std::string operands;
  for (const OperandView& x : request.inputs) {
    operands += (operands.empty() ? "" : ", ") + type_string(x.dtype, x.shape);
  }
  log_line("kernels", fmt::format("{}({}) {{{}}}: {}{}", request.primitive.name, operands, request.params.text(),
                                  chosen ? chosen : "none", declined));
}

/// The request as `implementation` wants to see it: with its own strides or dense ones.
class AdaptedRequest {
 public:
  AdaptedRequest(const KernelRequest& from, bool strided)
      : inputs_(from.inputs.begin(), from.inputs.end()),
        request{from.primitive, from.params, inputs_, from.outputs} {
    if (strided) return;
    strides_.reserve(inputs_.size());
    for (OperandView& view : inputs_) {
      if (is_dense(view)) continue;
      strides_.push_back(dense_strides(view.shape));
      view.strides = strides_.back();
    }
  }

 private:
  std::vector<Strides> strides_;
  std::vector<OperandView> inputs_;

 public:
  KernelRequest request;
};

bool try_prepare(const KernelImplementation& implementation, const KernelRequest& request, ChosenKernel& chosen,
                 std::string& reason) {
  const std::string key = request_key(request, implementation);
  const size_t hash = std::hash<std::string>{}(key) ^ request.params.hash();
  PreparedCache::Entry entry;
  if (!prepared_cache().find(key, hash, request.params, entry)) {
    entry.key = key;
    entry.params = Params(request.params);
    cpu::apply_num_threads();
    entry.kernel = implementation.prepare(request, entry.declined);
    prepared_cache().insert(hash, entry);
  }
  reason = entry.declined;
  if (!entry.kernel) return false;
  chosen = {&implementation, entry.kernel};
  return true;
}

}  // namespace

ChosenKernel choose_kernel(const KernelRequest& request, Device device, std::string& declined) {
  ChosenKernel chosen;
  for (const KernelImplementation& implementation : kernel_table(device).implementations(request.primitive)) {
    std::string reason;
    if (implementation.strided && !implementation.decline && implementation.run) {
      chosen.implementation = &implementation;
      break;
    }
    const AdaptedRequest adapted(request, implementation.strided);
    if (implementation.decline) reason = implementation.decline(adapted.request);
    if (reason.empty()) {
      if (implementation.run) {
        chosen.implementation = &implementation;
        break;
      }
      if (try_prepare(implementation, adapted.request, chosen, reason)) break;
    }
    declined += fmt::format("; {} declined: {}", implementation.name, reason);
  }
  if (log_enabled("kernels")) {
    log_choice(request, declined, chosen.implementation ? chosen.implementation->name : nullptr);
  }
  return chosen;
}

namespace {

void run_chosen(const ChosenKernel& chosen, const KernelRequest& request, Inputs inputs, const TensorList& outputs) {
  constexpr size_t kMost = 16;
  std::array<const void*, kMost> in_fixed;
  std::array<void*, kMost> out_fixed;
  std::vector<const void*> in_heap;
  std::vector<void*> out_heap;
  const void** in = in_fixed.data();
  void** out = out_fixed.data();
  if (inputs.size() > kMost) { in_heap.resize(inputs.size()); in = in_heap.data(); }
  if (outputs.size() > kMost) { out_heap.resize(outputs.size()); out = out_heap.data(); }

  TensorList dense_inputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorImpl& x = *inputs[i].impl();
    if (chosen.implementation->strided || dense(x)) {
      in[i] = x.data;
    } else {
      dense_inputs.push_back(dense_copy(inputs[i]));
      in[i] = dense_inputs.back().impl()->data;
    }
  }
  for (size_t i = 0; i < outputs.size(); ++i) out[i] = mutable_data(outputs[i]);
  if (!chosen.prepared) {
    if (dense_inputs.empty()) {
      chosen.implementation->run(request, in, out);
    } else {
      const AdaptedRequest adapted(request, false);
      chosen.implementation->run(adapted.request, in, out);
    }
    return;
  }
  const size_t bytes = chosen.prepared->workspace_bytes();
  const BufferHandle workspace(bytes ? Buffer::allocate(bytes, inputs.empty() ? kCpu : inputs[0].device()) : nullptr);
  chosen.prepared->run(in, out, workspace ? workspace->data() : nullptr);
}

}  // namespace

TensorList evaluate(const Primitive& primitive, Inputs inputs, ParamsRef params) {
  for (const Tensor& input : inputs) {
    if (!input.impl()->concrete()) require_concrete(input, primitive.name.c_str());
  }
  if (primitive.view) {
    Tensor view = primitive.view(params, inputs[0]);
    if (view.defined()) return {std::move(view)};
  }
  if (primitive.kind == Kind::kControl) return primitive.decompose(params, inputs);

  const Device device = inputs.empty() ? kCpu : inputs[0].device();
  if (primitive.kind == Kind::kComposite && kernel_table(device).implementations(primitive).empty()) {
    return primitive.decompose(params, inputs);
  }
  const TypeList types = primitive.infer(params, inputs);
  const RequestStorage storage(inputs, types);
  const KernelRequest request{primitive, params, storage.inputs(), storage.outputs()};
  std::string declined;
  const ChosenKernel chosen = choose_kernel(request, device, declined);
  if (!chosen.implementation) {
    if (primitive.decompose) return primitive.decompose(params, inputs);
    fail_no_kernel(primitive, inputs, declined);
  }
  TensorList outputs;
  outputs.reserve(types.size());
  for (const TensorType& type : types) {
    outputs.push_back(make_uninitialized(type.dtype, type.shape, type.device, type.weak));
  }
  run_chosen(chosen, request, inputs, outputs);
  return outputs;
}

}  // namespace linnet
