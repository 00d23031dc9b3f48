#include "cuda/doubles/cudnn/evaluate.h"

#include <algorithm>

#include "cuda/doubles/cudnn/operation.h"
#include "cuda/fake_driver/fake_driver.h"

namespace linnet::fake_cudnn {
namespace {

/// The tensors of all operations, by their identity.
std::map<int64_t, TensorInfo> tensors_of(const Snapshot& graph) {
  std::map<int64_t, TensorInfo> out;
  for (const auto& operation : graph.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).children) {
    for (const auto& [name, attribute] : operation->attributes) {
      for (const auto& child : attribute.children) {
        if (child->type != CUDNN_BACKEND_TENSOR_DESCRIPTOR) continue;
        TensorInfo info(*child);
        out.insert({info.id, std::move(info)});
      }
    }
  }
  return out;
}

class Evaluation final : public Values {
 public:
  Evaluation(std::shared_ptr<const Snapshot> graph, bool rounds, const Snapshot& pack)
      : graph_(std::move(graph)), rounds_(rounds) {
    const auto ids = pack.values<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    const auto addresses = pack.values<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    for (size_t i = 0; i < ids.size(); ++i) addresses_[ids[i]] = addresses.at(i);
    for (const auto& [id, info] : tensors_of(*graph_)) prepare(info);
  }

  void run_all() {
    for (const auto& operation : graph_->at(CUDNN_ATTR_OPERATIONGRAPH_OPS).children)
      run(*operation, *this);
  }

  const Elements& read(const TensorInfo& t) override {
    const auto found = values_.find(t.id);
    if (found != values_.end()) return found->second;
    if (t.is_inner) throw std::runtime_error("an inner tensor is read before it is made");
    return values_[t.id] = load(t, bytes(t));
  }

  void write(const TensorInfo& t, Elements x) override {
    round(t, x);
    if (!t.is_inner) store(t, x, bytes(t));
    values_[t.id] = std::move(x);
  }

  bool rounds_operands() const override { return rounds_; }

 private:
  void prepare(const TensorInfo& t) {
    if (t.is_inner) return;
    const std::string name = "tensor " + std::to_string(t.id);
    const auto found = addresses_.find(t.id);
    if (found == addresses_.end()) throw std::runtime_error(name + " has no address");
    if (!found->second) throw std::runtime_error(name + " has a null address");
    if (t.is_by_value) {
      values_[t.id] = load(t, found->second);
    } else if (reinterpret_cast<uintptr_t>(found->second) % static_cast<size_t>(t.alignment)) {
      throw std::runtime_error(name + " is less aligned than its descriptor says");
    }
  }

  std::byte* bytes(const TensorInfo& t) const {
    return fake_cuda::memory<std::byte>(reinterpret_cast<uintptr_t>(addresses_.at(t.id)),
                                        static_cast<size_t>(t.span()) * bytes_of(t.type));
  }

  std::shared_ptr<const Snapshot> graph_;
  bool rounds_;
  std::map<int64_t, void*> addresses_;
  std::map<int64_t, Elements> values_;
};

}  // namespace

void enqueue(void* stream, std::shared_ptr<const Snapshot> graph, bool rounds, const Snapshot& pack,
             int64_t workspace_bytes) {
  void* const workspace = pack.value<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
  if (workspace_bytes > 0 && !workspace)
    throw std::runtime_error("a plan that needs a workspace has none");
  const Evaluation evaluation(std::move(graph), rounds, pack);
  const int result = fake_cuda::enqueue(stream, "cudnn", [=] {
    fake_cuda::memory<std::byte>(reinterpret_cast<uintptr_t>(workspace),
                                 static_cast<size_t>(std::max<int64_t>(0, workspace_bytes)));
    Evaluation once = evaluation;  // a graph may run it again
    once.run_all();
  });
  if (result != 0) throw std::runtime_error("the driver does not take the work");
}

}  // namespace linnet::fake_cudnn
