#include "cuda/fake_driver/graph.h"

#include <algorithm>
#include <string>

#include "cuda/fake_driver/call.h"
#include "cuda/fake_driver/queue.h"

namespace linnet::fake_cuda {

CUgraphNodeType Node::type() const {
  if (child) return CU_GRAPH_NODE_TYPE_GRAPH;
  if (std::holds_alternative<CopyAction>(action)) return CU_GRAPH_NODE_TYPE_MEMCPY;
  if (std::holds_alternative<FillAction>(action)) return CU_GRAPH_NODE_TYPE_MEMSET;
  if (std::holds_alternative<HostAction>(action)) return CU_GRAPH_NODE_TYPE_HOST;
  if (std::holds_alternative<EmptyAction>(action)) return CU_GRAPH_NODE_TYPE_EMPTY;
  return CU_GRAPH_NODE_TYPE_KERNEL;
}

Node& Graph::add(Action action, const std::vector<Node*>& dependencies) {
  for (const Node* node : dependencies)
    if (!has(node)) fail(CUDA_ERROR_INVALID_VALUE, "a dependency is no node of this graph");
  nodes_.push_back(std::make_unique<Node>());
  Node& node = *nodes_.back();
  node.graph = this;
  node.action = std::move(action);
  node.dependencies = dependencies;
  return node;
}

Node& Graph::add_child(const Graph& child, const std::vector<Node*>& dependencies) {
  std::unique_ptr<Graph> copy = child.clone();
  Node& node = add(EmptyAction{}, dependencies);
  node.child = std::move(copy);
  return node;
}

std::unique_ptr<Graph> Graph::clone() const {
  auto copy = std::make_unique<Graph>();
  std::unordered_map<const Node*, Node*> copies;
  for (const auto& node : nodes_) {
    Node& made = copy->add(node->action, {});
    if (node->child) made.child = node->child->clone();
    copies[node.get()] = &made;
  }
  for (const auto& node : nodes_)
    for (const Node* dependency : node->dependencies)
      copies[node.get()]->dependencies.push_back(copies[dependency]);
  return copy;
}

bool Graph::has(const Node* node) const {
  // Dependencies are mostly the last nodes.
  return std::any_of(nodes_.rbegin(), nodes_.rend(),
                     [&](const auto& own) { return own.get() == node; });
}

void Graph::remove(const Node* node) {
  for (const auto& other : nodes_) std::erase(other->dependencies, node);
  std::erase_if(nodes_, [&](const auto& own) { return own.get() == node; });
}

std::vector<const Node*> Graph::in_order() const {
  std::unordered_map<const Node*, std::vector<const Node*>> dependents;
  std::unordered_map<const Node*, size_t> waiting;
  std::vector<const Node*> order;
  for (const auto& node : nodes_) {
    for (const Node* dependency : node->dependencies) dependents[dependency].push_back(node.get());
    if (node->dependencies.empty()) order.push_back(node.get());
    waiting[node.get()] = node->dependencies.size();
  }
  for (size_t i = 0; i < order.size(); ++i)
    for (const Node* next : dependents[order[i]])
      if (--waiting[next] == 0) order.push_back(next);
  if (order.size() != nodes_.size()) fail(CUDA_ERROR_INVALID_VALUE, "the graph has a cycle");
  return order;
}

GraphExec::GraphExec(const Graph& graph) {
  add(graph, {}, &ranges_);
  for (const auto& node : graph.nodes()) types_[node.get()] = node->type();
}

uint32_t GraphExec::add_step(Action action, const std::vector<uint32_t>& dependencies) {
  const auto step = static_cast<uint32_t>(steps_->actions.size());
  steps_->actions.push_back(std::move(action));
  steps_->dependencies.push_back(static_cast<uint32_t>(dependencies.size()));
  steps_->dependents.emplace_back();
  for (const uint32_t before : dependencies) steps_->dependents[before].push_back(step);
  return step;
}

/// Adds the nodes of a graph, and an empty step after all of them, which is returned.
uint32_t GraphExec::add(const Graph& graph, const std::vector<uint32_t>& roots,
                        std::unordered_map<const Node*, Range>* ranges) {
  std::unordered_map<const Node*, uint32_t> ends;
  std::vector<uint32_t> all = roots;
  for (const Node* node : graph.in_order()) {
    std::vector<uint32_t> before = node->dependencies.empty() ? roots : std::vector<uint32_t>();
    for (const Node* dependency : node->dependencies) before.push_back(ends.at(dependency));
    const auto begin = static_cast<uint32_t>(steps_->actions.size());
    ends[node] = node->child ? add(*node->child, before, nullptr) : add_step(node->action, before);
    all.push_back(ends[node]);
    if (ranges) (*ranges)[node] = {begin, static_cast<uint32_t>(steps_->actions.size())};
  }
  return add_step(EmptyAction{}, all);
}

GraphSteps& GraphExec::own_steps() {
  if (steps_.use_count() > 1) steps_ = std::make_shared<GraphSteps>(*steps_);
  return *steps_;
}

const Action& GraphExec::action(const Node* original) const {
  const auto found = ranges_.find(original);
  if (found == ranges_.end())
    fail(CUDA_ERROR_INVALID_VALUE, "this is no node of the graph that was instantiated");
  return steps_->actions[found->second.begin];
}

void GraphExec::set(const Node* original, Action action) {
  const Action& old = this->action(original);
  if (old.index() != action.index() || types_.at(original) == CU_GRAPH_NODE_TYPE_GRAPH)
    fail(CUDA_ERROR_INVALID_VALUE, "the node is of another kind");
  own_steps().actions[ranges_.at(original).begin] = std::move(action);
}

void GraphExec::set_child(const Node* original, const Graph& child) {
  action(original);
  if (types_.at(original) != CU_GRAPH_NODE_TYPE_GRAPH)
    fail(CUDA_ERROR_INVALID_VALUE, "the node holds no graph");
  const GraphExec other(child);
  const Range range = ranges_.at(original);
  const GraphSteps& now = *other.steps_;
  bool same = now.actions.size() == range.end - range.begin;
  for (size_t i = 0; same && i < now.actions.size(); ++i) {
    const size_t mine = range.begin + i;
    same = now.actions[i].index() == steps_->actions[mine].index();
    if (mine + 1 == range.end) break;  // what follows the child is not its own
    std::vector<uint32_t> next = now.dependents[i];
    for (uint32_t& step : next) step += range.begin;
    same = same && next == steps_->dependents[mine];
  }
  if (!same) fail(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, "the new child graph is of another shape");
  std::ranges::copy(now.actions, own_steps().actions.begin() + range.begin);
}

GraphRun::GraphRun(std::shared_ptr<const GraphSteps> steps)
    : steps_(std::move(steps)), waiting_for_(steps_->dependencies), left_(steps_->actions.size()) {
  for (uint32_t i = 0; i < waiting_for_.size(); ++i)
    if (!waiting_for_[i]) ready_.push_back(i);
}

bool GraphRun::step(int device) {
  const auto chosen = ready_.begin() + static_cast<std::ptrdiff_t>(choose(ready_.size()));
  const uint32_t step = *chosen;
  ready_.erase(chosen);
  perform(steps_->actions[step], device);
  for (const uint32_t next : steps_->dependents[step])
    if (--waiting_for_[next] == 0) ready_.insert(std::ranges::lower_bound(ready_, next), next);
  return --left_ == 0;
}

}  // namespace linnet::fake_cuda
