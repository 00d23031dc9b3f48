// linen::tabulate: a model as a table of its modules, with shapes, variables, their sizes in bytes
// and floating-point operations.
//
//   std::cout << linen::tabulate(Foo{}, Key(0), abstract({DType::kF32, {16, 9}}));
//   // Foo Summary
//   //   path     module  inputs     outputs    params
//   //            Foo     f32[16,9]  f32[16,2]
//   //   Dense_0  Dense   f32[16,9]  f32[16,4]  bias: f32[4]
//   //                                          kernel: f32[9,4]
//   //                                          40 (160 B)
//   ...
//   //                               Total      50 (200 B)
//   // Total Parameters: 50 (200 B)
//
// Nothing is computed: arguments count by their types.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "linnet/linen/scope.h"
#include "linnet/transforms.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

struct TabulateOptions {
  /// How many submodules deep; what is below counts to its last row. By default all.
  std::optional<int64_t> depth = {};
  bool show_repeated = false;  ///< a row for each call of a module that is called again
  bool compute_flops = false;  ///< as of count_flops.h
  bool compute_vjp_flops = false;
  CollectionFilter mutate = detail::default_init_filter();  ///< collections that are made
};

/// One call of a module.
struct TableRow {
  std::vector<std::string> path;
  std::string class_name, method;
  std::vector<std::string> inputs;  ///< types of tensors, texts of other arguments
  std::string outputs;
  Variables variables;  ///< of the module itself, without those of submodules
  Variables counted;    ///< those and, in a last row, the ones of submodules
  std::optional<int64_t> flops = {}, vjp_flops = {};

  /// Elements and bytes of a collection that count to this row.
  std::pair<int64_t, int64_t> size_and_bytes(const std::string& collection) const;
};

struct ModuleTable {
  std::string module;
  std::vector<std::string> collections;
  std::vector<TableRow> rows;  ///< in the order in which calls begin
};

/// The rows as text, with totals.
std::string to_string(const ModuleTable& table);

namespace detail {

/// Notes what happens in a run of init, and one of apply if operations are counted.
class Tabulation {
 public:
  explicit Tabulation(const TabulateOptions& options);
  ~Tabulation();
  CallLog* of_init();
  CallLog* of_apply();
  ModuleTable table(std::string module, const Variables& variables) const;

 private:
  struct Logs;
  TabulateOptions options_;
  std::unique_ptr<Logs> logs_;
};

}  // namespace detail

/// The table of a module that is called with `args`, which are trees of tensors or of abstract ones
/// (L-164). Submodules that are called again count once.
template <class Module, class... A>
ModuleTable module_table(const TabulateOptions& options, const Module& module,
                         const RngStreams& rngs, const A&... args) {
  detail::Tabulation work(options);
  const auto run = [&](const Variables& given, bool init, detail::CallLog* log,
                       const auto&... now) {
    detail::RootCall call(given, rngs, options.mutate, init);
    call.note_calls(log);
    call.run(module, now...);
    return call.updates();
  };
  const Variables variables = eval_shape(
      [&](const std::decay_t<const A&>&... now) { return run({}, true, work.of_init(), now...); },
      args...);
  if (options.compute_flops || options.compute_vjp_flops) {
    eval_shape(
        [&](const Variables& given, const std::decay_t<const A&>&... now) {
          return run(given, false, work.of_apply(), now...);
        },
        variables, args...);
  }
  return work.table(class_name_of(module), variables);
}

/// The class of the module at each path, from a run on types (L-058).
template <class Module, class... A>
std::map<std::vector<std::string>, std::string> module_paths(const Module& module,
                                                             const RngStreams& rngs,
                                                             const A&... args) {
  std::map<std::vector<std::string>, std::string> out;
  for (const TableRow& row : module_table({}, module, rngs, args...).rows)
    out.emplace(row.path, row.class_name);
  return out;
}

template <class Module, class... A>
std::string tabulate_with(const TabulateOptions& options, const Module& module,
                          const RngStreams& rngs, const A&... args) {
  return to_string(module_table(options, module, rngs, args...));
}
template <class Module, class... A>
std::string tabulate(const Module& module, const RngStreams& rngs, const A&... args) {
  return tabulate_with({}, module, rngs, args...);
}

}  // namespace linnet::linen

#pragma GCC visibility pop
