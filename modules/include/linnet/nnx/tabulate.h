// nnx::tabulate: a model as a table of its modules, with what they take and give and their
// variables by kind.
//
//   std::cout << nnx::tabulate(model, ones({1, 32}));
//   // Foo Summary
//   //   path            type    inputs     outputs     Param                RngState
//   //                   Foo     f32[1,32]  f32[1,10]   5,790 (23.2 KB)      2 (12 B)
//   //   block1          Block   f32[1,32]  f32[1,128]  4,480 (17.9 KB)      2 (12 B)
//   //   block1/linear   Linear  f32[1,32]  f32[1,128]  bias: f32[128]
//   //                                                  kernel: f32[32,128]
//   //                                                  4,224 (16.9 KB)
//   //   ...
//   //                                      Total       5,790 (23.2 KB)      2 (12 B)
//   // Total Parameters: 5,792 (23.2 KB)
//
// Nothing is computed and the model is not changed. What a module takes and gives is read off the
// operations of the layers in it, so that it is blank for a module that has none. Shared modules
// and variables count once.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "linnet/nnx/nodes.h"
#include "linnet/transforms.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

struct TabulateOptions {
  /// How many steps of a path deep; what is below counts to the last row above it. By default all.
  std::optional<size_t> depth = {};
  bool compute_flops = false;      ///< as of count_flops.h
  bool compute_vjp_flops = false;  ///< of values and of the cotangents of all they are made of
};

/// One module.
struct ModuleRow {
  tree::Path path;
  std::string type;
  std::vector<std::string> inputs = {}, outputs = {};  ///< types of tensors
  struct Count {
    int64_t elements = 0, bytes = 0;
    bool operator==(const Count&) const = default;
  };
  std::map<std::string, Count> counts = {};  ///< by kind, with submodules
  /// Of the module itself: name and type of each variable, by kind.
  std::map<std::string, std::vector<std::string>> variables = {};
  /// Floating-point operations of its layers, if they were asked for.
  std::optional<int64_t> flops = {}, vjp_flops = {};
};
struct ModuleTable {
  std::string model;
  std::vector<ModuleRow> rows;  ///< a module before those in it
};
/// The rows as text, with totals.
std::string to_string(const ModuleTable& table);

namespace detail {

/// Sees the operations of a run, with the layers that did them.
class CallObserver {
 public:
  explicit CallObserver(const TabulateOptions& options);
  ~CallObserver();
  CallObserver(const CallObserver&) = delete;
  CallObserver& operator=(const CallObserver&) = delete;
  /// Runs `f` of tensors that stand for `inputs` and are its arguments.
  void run(const TensorList& inputs, const std::function<TensorList()>& f);

 private:
  friend ModuleTable module_table(const ModuleList&, const std::vector<NodeLeaf>&,
                                  const CallObserver&);
  struct Record;
  std::unique_ptr<Record> record_;
};

/// Names variables by their paths in this model, whatever larger one it is from.
void name_by_path(const std::vector<NodeLeaf>& leaves);
ModuleTable module_table(const ModuleList& modules, const std::vector<NodeLeaf>& leaves,
                         const CallObserver& observer);

}  // namespace detail

/// The table of a model for a call `f(model, args...)` (N-147). Arguments are trees of tensors or
/// of abstract ones.
template <class M, class F, class... A>
ModuleTable module_table(const TabulateOptions& options, const M& model, const F& f,
                         const A&... args) {
  detail::CallObserver observer(options);
  eval_shape(
      [&](const M& given, const std::decay_t<const A&>&... now) {
        M own = tree::copy(given);
        detail::name_by_path(detail::walk(detail::visitor_of(own)));
        TensorList inputs;
        [[maybe_unused]] const auto add = [&inputs](const TensorList& list) {
          inputs.insert(inputs.end(), list.begin(), list.end());
        };
        (add(tree::leaves(now)), ...);
        observer.run(inputs, [&] { return tree::leaves(f(own, now...)); });
        return Tensor(0.f);
      },
      model, args...);
  M& shown = const_cast<M&>(model);
  return detail::module_table(iter_modules(shown), detail::walk(detail::visitor_of(shown)),
                              observer);
}

template <class M, class... A>
std::string tabulate_with(const TabulateOptions& options, const M& model, const A&... args) {
  if constexpr (sizeof...(A) == 0) {
    return to_string(module_table(options, model, [](M&) { return TensorList(); }));
  } else {
    return to_string(module_table(
        options, model, [](M& m, const auto&... now) { return m(now...); }, args...));
  }
}
/// Of the model's operator(); without arguments of its variables alone.
template <class M, class... A>
std::string tabulate(const M& model, const A&... args) {
  return tabulate_with({}, model, args...);
}

}  // namespace linnet::nnx

#pragma GCC visibility pop
