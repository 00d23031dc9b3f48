// What a scope keeps of values that pass by: sown ones, perturbations, outputs of modules.
#include "linnet/detail/format.h"
#include "linnet/function.h"
#include "linnet/linen/scope.h"
#include "modules/linen/call_log.h"
#include "modules/linen/lift.h"
#include "modules/linen/scope_node.h"

namespace linnet::linen {

bool CaptureFilter::contains(const ModuleCall& call) const {
  return predicate_ ? predicate_(call) : all_ && call.method == "__call__";
}

CaptureFilter::CaptureFilter(std::function<bool(const ModuleCall&)> predicate, Predicate)
    : predicate_(std::move(predicate)), text_(std::to_string(linnet::detail::unique_number())) {}

namespace {

/// Appends to the tuple at `path`, which begins empty.
void append_to_tuple(ScopeRoot& root, const std::vector<std::string>& path, const Tensor& value) {
  const Variables* before = root.find(path);
  Variables leaf = before && before->is_leaf() ? *before : Variables(state::Value::tuple_of({}));
  leaf.leaf().tensors.push_back(value);
  root.put(path, std::move(leaf));
}

constexpr size_t kNotNoted = ~size_t{0};

bool is_new(ScopeNode& node, const std::string& collection, const std::string& name) {
  const Variables* before = node.root->find(node.full_path(collection, name));
  return !before || before->empty();
}

}  // namespace

bool Scope::sow(const std::string& collection, const std::string& name, const Tensor& value) {
  node_->check_alive();
  if (!node_->root->mutate.contains(collection)) return false;
  if (is_new(*node_, collection, name)) reserve(*node_, name, collection, "variable");
  append_to_tuple(*node_->root, node_->full_path(collection, name), value);
  return true;
}

bool Scope::sow(const std::string& collection, const std::string& name, const Tensor& value,
                const std::function<Tensor(const Tensor&, const Tensor&)>& reduce,
                const std::function<Tensor()>& first) {
  node_->check_alive();
  if (!node_->root->mutate.contains(collection)) return false;
  const bool fresh = is_new(*node_, collection, name);
  if (fresh) reserve(*node_, name, collection, "variable");
  const std::vector<std::string> path = node_->full_path(collection, name);
  const Tensor before = fresh ? first() : node_->root->find(path)->value();
  node_->root->put(path, Variables(reduce(before, value)));
  return true;
}

namespace detail {

std::string types_text(const TensorList& tensors) {
  std::string out;
  for (const Tensor& tensor : tensors) out += (out.empty() ? "" : ", ") + type_of(tensor);
  return tensors.size() == 1 ? out : "(" + out + ")";
}

}  // namespace detail

bool Scope::observed() const { return !node_->root->capture.empty() || node_->root->log; }

size_t Scope::begin_call(const ModuleCall& call, std::vector<std::string> inputs) {
  // What a loop evaluates beforehand, for what all turns share, is not the call that is meant.
  const bool noted = node_->root->log && !evaluating_known();
  return noted ? node_->root->log->begin(call, std::move(inputs)) : kNotNoted;
}

void Scope::end_call(const ModuleCall& call, size_t entry,
                     const std::vector<std::pair<std::string, Tensor>>& leaves) {
  if (entry != kNotNoted) {
    TensorList tensors;
    for (const auto& [below, value] : leaves) tensors.push_back(value);
    node_->root->log->end(entry, detail::types_text(tensors));
  }
  const std::string collection = "intermediates";
  if (!node_->root->mutate.contains(collection) || !node_->root->capture.contains(call)) return;
  if (is_new(*node_, collection, call.method)) reserve(*node_, call.method, collection, "variable");
  for (const auto& [below, value] : leaves) {
    std::vector<std::string> path = node_->full_path(collection, call.method);
    for (std::string& name : tree::split_path(below)) path.push_back(std::move(name));
    append_to_tuple(*node_->root, path, value);
  }
}

Tensor Scope::perturb(const std::string& name, const Tensor& value, const std::string& collection) {
  node_->check_alive();
  if (node_->root->initializing && node_->root->mutate.contains(collection)) {
    node_->root->put(node_->full_path(collection, name), Variables(zeros_like(value)));
  }
  const Variables* all = node_->root->find({collection});
  if (!all) return value;
  const Variables* leaf = node_->root->find(node_->full_path(collection, name));
  if (!leaf) {
    fail<ModuleError>(
        "perturb: collection '{}' has no entry '{}' in scope {}\n  hint: leave the collection out",
        collection, name, node_->text());
  }
  return value + leaf->value();
}

}  // namespace linnet::linen
