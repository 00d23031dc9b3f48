#include "core/control/bodies.h"

#include <algorithm>
#include <cstring>
#include <list>
#include <unordered_map>

#include "core/control/loops.h"
#include "core/ops/callback.h"
#include "core/ops/shape_ops.h"
#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/graph_trace.h"
#include "core/trace/rules.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {

ProgramPtr record_program(const TypeList& types,
                          const std::function<TensorList(const TensorList&)>& f) {
  const TraceScope isolated(nullptr);
  GraphTrace trace(GraphTrace::Outside::kEmbed);
  TensorList inputs, outputs;
  for (const TensorType& type : types) inputs.push_back(trace.input(type));
  {
    TraceScope scope(&trace);
    outputs = f(inputs);
  }
  return std::make_shared<Program>(trace.finish(outputs));
}

namespace {

bool same_type(const TensorType& a, const TensorType& b) {
  return a.dtype == b.dtype && a.weak == b.weak && a.shape == b.shape && a.device == b.device;
}

bool same_value(const Tensor& a, const Tensor& b) {
  if (a.impl() == b.impl()) return true;
  if (!a.shape().empty() || !same_type(a.type(), b.type())) return false;
  const Tensor x = host_view(a), y = host_view(b);
  return std::memcmp(x.impl()->data, y.impl()->data, size_of(x.dtype())) == 0;
}

bool same_node(const Graph::Node& a, const Graph::Node& b) {
  return a.primitive == b.primitive && a.inputs == b.inputs && a.outputs == b.outputs &&
         a.params.ref() == b.params.ref();
}

bool same_graph(const Graph& a, const Graph& b) {
  return a.inputs == b.inputs && a.outputs == b.outputs &&
         std::equal(a.types.begin(), a.types.end(), b.types.begin(), b.types.end(), same_type) &&
         std::equal(a.nodes.begin(), a.nodes.end(), b.nodes.begin(), b.nodes.end(), same_node) &&
         std::equal(a.constants.begin(), a.constants.end(), b.constants.begin(), b.constants.end(),
                    [](const auto& x, const auto& y) {
                      return x.first == y.first && same_value(x.second, y.second);
                    });
}

size_t hash_of(const Graph& graph) {
  size_t hash = graph.types.size();
  for (const Graph::Node& node : graph.nodes) {
    hash = detail::mix_hash(hash, static_cast<uint64_t>(node.primitive->id));
    hash = detail::mix_hash(hash, node.params.ref().hash());
    for (ValueId id : node.inputs) hash = detail::mix_hash(hash, static_cast<uint64_t>(id));
  }
  for (ValueId id : graph.outputs) hash = detail::mix_hash(hash, static_cast<uint64_t>(id));
  return hash;
}

/// Programs by their content, the last used in front.
class SharedPrograms {
 public:
  ProgramPtr find(Graph graph) {
    const size_t hash = hash_of(graph);
    std::lock_guard lock(mutex_);
    const auto [begin, end] = by_hash_.equal_range(hash);
    for (auto found = begin; found != end; ++found) {
      if (!same_graph(found->second->program->graph(), graph)) continue;
      order_.splice(order_.begin(), order_, found->second);
      return order_.front().program;
    }
    order_.push_front({std::make_shared<Program>(std::move(graph)), hash});
    by_hash_.emplace(hash, order_.begin());
    if (order_.size() > kMost) forget_last();
    return order_.front().program;
  }

 private:
  struct Entry {
    ProgramPtr program;
    size_t hash;
  };
  static constexpr size_t kMost = 512;

  void forget_last() {
    const auto last = std::prev(order_.end());
    const auto [begin, end] = by_hash_.equal_range(last->hash);
    for (auto found = begin; found != end; ++found) {
      if (found->second != last) continue;
      by_hash_.erase(found);
      break;
    }
    order_.erase(last);
  }

  std::mutex mutex_;
  std::list<Entry> order_;
  std::unordered_multimap<size_t, std::list<Entry>::iterator> by_hash_;
};

}  // namespace

ProgramPtr shared_program(Graph graph) {
  // Never destroyed: tensors in programs may outlive everything else.
  static SharedPrograms* programs = new SharedPrograms;
  return programs->find(std::move(graph));
}

ProgramPtr single_node_program(const Primitive& primitive, ParamsRef params, Inputs inputs) {
  Graph graph;
  Graph::Node node{&primitive, Params(params), {}, {}, module_path()};
  for (const Tensor& input : inputs) {
    graph.inputs.push_back(graph.add_value(input.type()));
    node.inputs.push_back(graph.inputs.back());
  }
  for (const TensorType& type : primitive.infer(params, inputs)) {
    graph.outputs.push_back(graph.add_value(type));
    node.outputs.push_back(graph.outputs.back());
  }
  graph.nodes.push_back(std::move(node));
  return shared_program(std::move(graph));
}

Flags active_results(const Graph& graph, const Flags& active) {
  Flags carries(graph.types.size(), 0), out;
  for (size_t i = 0; i < graph.inputs.size(); ++i) carries[graph.inputs[i]] = active[i];
  for (const Graph::Node& node : graph.nodes) {
    if (!differentiable(*node.primitive)) continue;
    bool any = false;
    for (size_t i = 0; i < node.inputs.size(); ++i)
      any |= carries[node.inputs[i]] && !is_nondifferentiable(*node.primitive, i);
    for (ValueId id : node.outputs) carries[id] = any && is_inexact(graph.types[id].dtype);
  }
  for (ValueId id : graph.outputs) out.push_back(carries[id]);
  return out;
}

void refuse_input_output(const char* construct, const Graph& body) {
  if (!has_input_output(body)) return;
  fail<TraceError>(
      "{}: io_callback stands where only some elements of the batch come, and vmap runs it for "
      "all\n"
      "  hint: call it outside, or give it what tells the elements apart and use debug::callback",
      construct);
}

Program::Batched batched_body(const Program& body, const Flags& batched, const BatchTrace& trace) {
  return body.batch(batched, trace.axis());
}

std::string batch_key(const BatchTrace& trace) {
  return fmt::format("{} {}", trace.size(), trace.axis().name);
}

ProgramPtr batched_results(const Program::Batched& batch, const Flags& always, int64_t size) {
  const Graph& graph = batch.program->graph();
  return record_program(input_types(graph), [&](const TensorList& inputs) {
    TensorList results = run_graph(graph, inputs);
    for (size_t k = 0; k < results.size(); ++k) {
      if (always[k] && !batch.results[k]) results[k] = repeated(results[k], size);
    }
    return results;
  });
}

Tensor chosen_elements(const Tensor& mask, const Tensor& a, const Tensor& b) {
  Shape shape = mask.shape();
  while (shape.size() < a.rank()) shape.push_back(1);
  return where(broadcast_to(reshape(mask, shape).to(a.device()), a.shape()), a, b);
}

Graph rearranged(const Graph& graph, const std::vector<int64_t>& inputs,
                 const std::vector<int64_t>& outputs, const TypeList& unread) {
  Graph out = graph;
  out.inputs.clear();
  out.outputs.clear();
  size_t next = 0;
  for (const int64_t i : inputs)
    out.inputs.push_back(i < 0 ? out.add_value(unread[next++])
                               : graph.inputs[static_cast<size_t>(i)]);
  for (const int64_t k : outputs) out.outputs.push_back(graph.outputs[static_cast<size_t>(k)]);
  return out;
}

std::vector<int64_t> range(int64_t first, size_t count) {
  std::vector<int64_t> out;
  for (size_t i = 0; i < count; ++i) out.push_back(first + static_cast<int64_t>(i));
  return out;
}

size_t count_of(std::span<const uint8_t> flags) {
  return static_cast<size_t>(
      std::count_if(flags.begin(), flags.end(), [](uint8_t f) { return f; }));
}

std::string text_of(std::span<const uint8_t> flags) { return {flags.begin(), flags.end()}; }

}  // namespace linnet
