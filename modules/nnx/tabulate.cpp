#include "linnet/nnx/tabulate.h"

#include <algorithm>
#include <set>

#include "linnet/count_flops.h"
#include "linnet/detail/format.h"
#include "linnet/module_path.h"
#include "linnet/trace.h"
#include "modules/text_table.h"

namespace linnet::nnx {
namespace detail {

/// Operations in order, and the arguments and results of the whole.
struct CallObserver::Record {
  struct Operation {
    std::vector<std::string> path;
    TensorList inputs, outputs;  // held, so that their addresses stay theirs
    linnet::detail::RecordedCost cost = {};
  };
  TabulateOptions options;
  std::vector<Operation> operations;
  TensorList inputs, outputs;
};

namespace {

/// Hands operations on to the trace around, and notes them.
template <class Operations>
class ObservingTrace final : public Trace {
 public:
  ObservingTrace(Operations& operations, const TabulateOptions& options)
      : operations_(operations), options_(options) {}
  TensorList process(const Primitive& primitive, Inputs inputs, ParamsRef params) override {
    const TraceScope outside(parent());
    const linnet::detail::RecordingMark mark = linnet::detail::recording_mark();
    const TensorList outputs = emit(primitive, inputs, params);
    operations_.push_back(
        {tree::split_path(module_path()), TensorList(inputs.begin(), inputs.end()), outputs});
    if (options_.compute_flops || options_.compute_vjp_flops) {
      operations_.back().cost = linnet::detail::recorded_cost(mark, options_.compute_vjp_flops);
    }
    return outputs;
  }
  const char* transformation() const override { return "tabulate"; }

 private:
  Operations& operations_;
  const TabulateOptions& options_;
};

bool begins_with(const std::vector<std::string>& path, const std::vector<std::string>& prefix) {
  return path.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), path.begin());
}

/// What a module takes and gives.
struct Interface {
  std::vector<std::string> inputs, outputs;
};

/// Of the operations below a path: what they read of others, and what others read of them.
/// @param once whether only the first run of operations in a row counts: that of a layer that is
/// called again.
template <class Recorded>
Interface interface_of(const Recorded& recorded, const std::vector<std::string>& path, bool once) {
  std::set<const TensorImpl*> made_inside, made_before, given;
  for (const Tensor& tensor : recorded.inputs) made_before.insert(tensor.impl());
  Interface out;
  const auto& operations = recorded.operations;
  std::vector<uint8_t> inside(operations.size());
  bool begun = false, ended = false;
  for (size_t i = 0; i < operations.size(); ++i) {
    inside[i] = !ended && begins_with(operations[i].path, path);
    ended = ended || (once && begun && !inside[i]);
    begun = begun || inside[i];
  }
  for (size_t i = 0; i < operations.size(); ++i) {
    for (const Tensor& input : operations[i].inputs) {
      // What no operation made is a variable or a constant.
      if (!inside[i] || !made_before.count(input.impl())) continue;
      if (given.insert(input.impl()).second) out.inputs.push_back(to_string(input.type()));
    }
    for (const Tensor& output : operations[i].outputs)
      (inside[i] ? made_inside : made_before).insert(output.impl());
  }
  std::set<const TensorImpl*> read;
  for (size_t i = 0; i < operations.size(); ++i) {
    if (inside[i]) continue;
    for (const Tensor& input : operations[i].inputs) read.insert(input.impl());
  }
  for (const Tensor& output : recorded.outputs) read.insert(output.impl());
  for (size_t i = 0; i < operations.size(); ++i) {
    for (const Tensor& output : operations[i].outputs) {
      if (inside[i] && read.count(output.impl())) out.outputs.push_back(to_string(output.type()));
    }
  }
  return out;
}

std::vector<std::string> types_of(const TensorList& tensors) {
  std::vector<std::string> out;
  for (const Tensor& tensor : tensors) out.push_back(to_string(tensor.type()));
  return out;
}

/// The operations of a module's layers.
template <class Recorded>
void count_operations(const Recorded& recorded, const std::vector<std::string>& path,
                      ModuleRow& row) {
  if (recorded.options.compute_flops) row.flops = 0;
  if (recorded.options.compute_vjp_flops) row.vjp_flops = 0;
  for (const auto& operation : recorded.operations) {
    if (!begins_with(operation.path, path)) continue;
    if (row.flops) *row.flops += operation.cost.flops;
    if (row.vjp_flops) *row.vjp_flops += operation.cost.vjp_flops;
  }
}

/// Keys and counts of random streams are one kind here.
std::string kind_of(const NodeLeaf& leaf) {
  if (!leaf.cell) return "Tensor";
  const VariableType& type = *static_cast<const VariableCell&>(*leaf.cell).type;
  return type.is(RngState::static_type()) ? RngState::static_type().name() : type.name();
}

bool is_below(const tree::Path& path, const tree::Path& above) {
  return path.size() >= above.size() && std::equal(above.begin(), above.end(), path.begin());
}

/// The modules in the order in which a reader goes down.
ModuleList outer_first(const ModuleList& modules) {
  ModuleList out;
  for (const auto& module : modules) {
    const auto first = std::find_if(out.begin(), out.end(), [&](const auto& other) {
      return is_below(other.first, module.first);
    });
    out.insert(first, module);
  }
  return out;
}

void add_leaf(const NodeLeaf& leaf, std::vector<ModuleRow>& rows) {
  const state::Value value = leaf.cell ? state::peek(leaf.cell) : state::Value(*leaf.tensor);
  ModuleRow::Count count;
  std::string types;
  for (const Tensor& tensor : value.tensors) {
    if (!tensor.defined()) continue;
    count.elements += tensor.size();
    count.bytes += tensor.size() * static_cast<int64_t>(size_of(tensor.dtype()));
    types += (types.empty() ? "" : ", ") + to_string(tensor.type());
  }
  const std::string kind = kind_of(leaf);
  ModuleRow* innermost = nullptr;
  for (ModuleRow& row : rows) {
    if (!is_below(leaf.path, row.path)) continue;
    row.counts[kind].elements += count.elements;
    row.counts[kind].bytes += count.bytes;
    if (!innermost || row.path.size() >= innermost->path.size()) innermost = &row;
  }
  if (!innermost || kind == RngState::static_type().name()) return;
  const tree::Path name(leaf.path.begin() + static_cast<std::ptrdiff_t>(innermost->path.size()),
                        leaf.path.end());
  innermost->variables[kind].push_back((name.empty() ? "" : tree::to_string(name) + ": ") + types);
}

}  // namespace

CallObserver::CallObserver(const TabulateOptions& options) : record_(std::make_unique<Record>()) {
  record_->options = options;
}
CallObserver::~CallObserver() = default;

void CallObserver::run(const TensorList& inputs, const std::function<TensorList()>& f) {
  record_->inputs = inputs;
  ObservingTrace trace(record_->operations, record_->options);
  const TraceScope scope(&trace);
  record_->outputs = f();
}

void name_by_path(const std::vector<NodeLeaf>& leaves) {
  for (const NodeLeaf& leaf : leaves) {
    if (leaf.cell) leaf.cell->label = tree::to_string(leaf.path);
  }
}

ModuleTable module_table(const ModuleList& modules, const std::vector<NodeLeaf>& leaves,
                         const CallObserver& observer) {
  ModuleTable table;
  const CallObserver::Record& recorded = *observer.record_;
  const TabulateOptions& options = recorded.options;
  for (const auto& [path, module] : outer_first(modules)) {
    if (path.empty()) table.model = module.type_name();
    if (options.depth && path.size() > *options.depth) continue;
    const bool has_others = std::any_of(modules.begin(), modules.end(), [&](const auto& other) {
      return other.first.size() > path.size() && is_below(other.first, path);
    });
    Interface interface = path.empty()
                              ? Interface{types_of(recorded.inputs), types_of(recorded.outputs)}
                              : interface_of(recorded, tree::names(path), !has_others);
    table.rows.push_back({.path = path,
                          .type = module.type_name(),
                          .inputs = std::move(interface.inputs),
                          .outputs = std::move(interface.outputs)});
    count_operations(recorded, tree::names(path), table.rows.back());
  }
  std::vector<const NodeLeaf*> sorted;
  for (const NodeLeaf& leaf : leaves) sorted.push_back(&leaf);
  std::sort(sorted.begin(), sorted.end(),
            [](const NodeLeaf* a, const NodeLeaf* b) { return a->path < b->path; });
  for (const NodeLeaf* leaf : sorted) add_leaf(*leaf, table.rows);
  return table;
}

}  // namespace detail

std::string to_string(const ModuleTable& table) {
  if (table.rows.empty()) return {};
  const ModuleRow& root = table.rows[0];
  std::vector<std::vector<TextCell>> rows{{{"path"}, {"type"}, {"inputs"}, {"outputs"}}};
  if (root.flops) rows[0].push_back({"flops"});
  if (root.vjp_flops) rows[0].push_back({"vjp_flops"});
  const size_t first_kind = rows[0].size();
  for (const auto& [kind, count] : root.counts) rows[0].push_back({kind});
  for (const ModuleRow& row : table.rows) {
    rows.push_back({{tree::to_string(row.path)}, {row.type}, row.inputs, row.outputs});
    if (row.flops) rows.back().push_back({grouped_number(*row.flops)});
    if (row.vjp_flops) rows.back().push_back({grouped_number(*row.vjp_flops)});
    for (const auto& [kind, all] : root.counts) {
      TextCell cell;
      const auto own = row.variables.find(kind);
      if (own != row.variables.end()) cell = own->second;
      const auto count = row.counts.find(kind);
      if (count != row.counts.end())
        cell.push_back(size_text(count->second.elements, count->second.bytes));
      rows.back().push_back(std::move(cell));
    }
  }
  rows.emplace_back(first_kind);
  rows.back().back() = {"Total"};
  ModuleRow::Count all;
  for (const auto& [kind, count] : root.counts) {
    rows.back().push_back({size_text(count.elements, count.bytes)});
    all.elements += count.elements;
    all.bytes += count.bytes;
  }
  return table.model + " Summary\n" + text_table(rows) +
         "Total Parameters: " + size_text(all.elements, all.bytes) + "\n";
}

}  // namespace linnet::nnx
