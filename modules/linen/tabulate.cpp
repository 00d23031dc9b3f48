#include "linnet/linen/tabulate.h"

#include <algorithm>
#include <set>

#include "linnet/detail/format.h"
#include "modules/linen/call_log.h"
#include "modules/text_table.h"

namespace linnet::linen {
namespace {

using Path = std::vector<std::string>;
using Lines = TextCell;

/// All collections at and below a path.
Variables variables_below(const Variables& variables, const Path& path) {
  Variables out;
  for (const auto& [collection, tree] : variables.children()) {
    if (const Variables* below = tree.find_path(path)) out.children().emplace(collection, *below);
  }
  return out;
}

/// The same without what lies in submodules, which have rows of their own.
Variables own_variables(const Variables& variables, const Path& path, const std::set<Path>& paths) {
  Variables out = variables_below(variables, path);
  for (auto& [collection, tree] : out.children()) {
    for (const std::string& name : tree.keys()) {
      Path below = path;
      below.push_back(name);
      if (paths.count(below)) tree.children().erase(name);
    }
  }
  return out;
}

std::string size_text(std::pair<int64_t, int64_t> size) {
  return linnet::size_text(size.first, size.second);
}

Lines variable_lines(const TableRow& row, const std::string& collection) {
  Lines out;
  if (row.variables.contains(collection)) {
    for (const auto& [path, leaf] : flat_leaves(row.variables[collection])) {
      std::string types;
      if (!leaf->fixed()) {
        for (const Tensor& tensor : leaf->leaf().tensors)
          types += (types.empty() ? "" : ", ") + linnet::to_string(tensor.type());
      }
      if (leaf->box()) types += " " + leaf->box()->kind + linnet::to_string(leaf->box()->metadata);
      out.push_back(tree::to_string(path) + ": " + types);
    }
  }
  const std::string total = size_text(row.size_and_bytes(collection));
  if (!total.empty()) out.push_back(total);
  return out;
}

using Cells = std::vector<TextCell>;

Cells row_cells(const ModuleTable& table, const TableRow& row, bool flops, bool vjp_flops) {
  const bool plain = row.method == "__call__";
  Cells out{{tree::to_string(row.path)},
            {row.class_name + (plain ? "" : " (" + row.method + ")")},
            row.inputs,
            {row.outputs}};
  if (flops) out.push_back({grouped_number(row.flops.value_or(0))});
  if (vjp_flops) out.push_back({grouped_number(row.vjp_flops.value_or(0))});
  for (const std::string& collection : table.collections)
    out.push_back(variable_lines(row, collection));
  return out;
}

}  // namespace

std::pair<int64_t, int64_t> TableRow::size_and_bytes(const std::string& collection) const {
  int64_t size = 0, bytes = 0;
  if (!counted.contains(collection)) return {0, 0};
  for (const auto& [path, leaf] : flat_leaves(counted[collection])) {
    if (leaf->fixed()) continue;
    for (const Tensor& tensor : leaf->leaf().tensors) {
      size += tensor.size();
      bytes += tensor.size() * static_cast<int64_t>(size_of(tensor.dtype()));
    }
  }
  return {size, bytes};
}

std::string to_string(const ModuleTable& table) {
  const auto any_row = [&](auto member) {
    return std::any_of(table.rows.begin(), table.rows.end(),
                       [&](const TableRow& row) { return (row.*member).has_value(); });
  };
  const bool flops = any_row(&TableRow::flops), vjp_flops = any_row(&TableRow::vjp_flops);
  Cells head{{"path"}, {"module"}, {"inputs"}, {"outputs"}};
  if (flops) head.push_back({"flops"});
  if (vjp_flops) head.push_back({"vjp_flops"});
  Cells foot(head.size());
  foot.back() = {"Total"};
  std::pair<int64_t, int64_t> all;
  for (const std::string& collection : table.collections) {
    head.push_back({collection});
    std::pair<int64_t, int64_t> total;
    for (const TableRow& row : table.rows) {
      const auto [size, bytes] = row.size_and_bytes(collection);
      total.first += size;
      total.second += bytes;
    }
    all.first += total.first;
    all.second += total.second;
    foot.push_back({size_text(total)});
  }
  std::vector<Cells> rows{head};
  for (const TableRow& row : table.rows) rows.push_back(row_cells(table, row, flops, vjp_flops));
  rows.push_back(foot);
  const std::string total = size_text(all);
  return table.module + " Summary\n" + text_table(rows) +
         "Total Parameters: " + (total.empty() ? "0" : total) + '\n';
}

namespace detail {

struct Tabulation::Logs {
  CallLog init, apply;
};

Tabulation::Tabulation(const TabulateOptions& options)
    : options_(options),
      logs_(new Logs{{false, false}, {options.compute_flops, options.compute_vjp_flops}}) {}
Tabulation::~Tabulation() = default;
CallLog* Tabulation::of_init() { return &logs_->init; }
CallLog* Tabulation::of_apply() { return &logs_->apply; }

ModuleTable Tabulation::table(std::string module, const Variables& variables) const {
  ModuleTable out{std::move(module), variables.keys(), {}};
  std::set<Path> paths, visited;
  std::map<Path, std::vector<const CallLog::Record*>> applied;
  for (const CallLog::Record& record : logs_->init.records()) paths.insert(record.call.path);
  for (const CallLog::Record& record : logs_->apply.records())
    applied[record.call.path].push_back(&record);
  std::map<Path, size_t> calls;
  for (const CallLog::Record& record : logs_->init.records()) {
    const Path& path = record.call.path;
    const size_t call = calls[path]++;
    const bool again = !visited.insert(path).second;
    const int64_t depth = static_cast<int64_t>(path.size());
    if ((again && !options_.show_repeated) || (options_.depth && depth > *options_.depth)) continue;
    TableRow row{
        path, record.call.class_name, record.call.method, record.inputs, record.output, {}, {}, {},
        {}};
    if (!again) {
      row.variables = own_variables(variables, path, paths);
      row.counted = options_.depth && depth == *options_.depth ? variables_below(variables, path)
                                                               : row.variables;
    }
    if (call < applied[path].size()) {
      const linnet::detail::RecordedCost& cost = applied[path][call]->cost;
      if (options_.compute_flops) row.flops = cost.flops;
      if (options_.compute_vjp_flops) row.vjp_flops = cost.vjp_flops;
    }
    out.rows.push_back(std::move(row));
  }
  return out;
}

}  // namespace detail
}  // namespace linnet::linen
