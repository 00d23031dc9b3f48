// One call of a function on objects, as every transformation of modules sees it: variables and
// tensors of the arguments by axes, what the function wrote, and its results. For people who write
// transformations.
//
//   detail::TypedCall<const F, A...> call(f, args...);
//   detail::ObjectCall objects("vmap", call.arguments(), options.in_axes);
//   state::Scope writes;                              // all of them, or none
//   TensorList out = engine(objects.inputs(), [&](const TensorList& traced) {
//     return objects.run(traced, call.body(), options.out_axes);
//   });
//   objects.finish(out, writes);                      // variables written, results in place
//   return call.result();
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/nnx/graph.h"
#include "linnet/nnx/transforms_axes.h"

#pragma GCC visibility push(default)

namespace linnet::nnx::detail {

using Visit = std::function<void(tree::Visitor&)>;
/// The leaves alone, without their paths.
std::vector<tree::LeafRef> leaves_of(const Visit& visit);
/// Calls the function on its arguments as they are; gives its result: `parts` elements of a tuple,
/// or the whole as one.
using Body = std::function<std::vector<Visit>(size_t parts)>;

/// What a transformation does with variables beyond the axes.
struct ObjectOptions {
  /// Metadata of axes that come and go; nothing happens without `partition_name`.
  Metadata metadata = {};
  /// A broadcast variable that is written is an error: each step would begin from the old value.
  /// Counts of random streams are kept for the step alone.
  bool broadcast_is_constant = false;
  /// Arguments keep their structure.
  bool fixed_structure = false;
  /// The carry: its tensors are given, and come back as a part of the result.
  std::optional<size_t> carry = {};
  /// A mapped leaf is one that is differentiated; there are no positions.
  bool differentiates = false;
};

/// Type-erased: arguments as leaves with axes. Mapped variables have inside the values that `run`
/// is given, and what is written to them is among its results; all other variables are left to the
/// transformation around, as captured ones are. Of plain tensors, carried ones are given and
/// returned too.
class ObjectCall {
 public:
  /// @param axes one entry for each argument; none means 0 for all.
  /// @throws ValueError for a variable that is reached with two different axes, or if there is not
  /// an entry for each argument.
  ObjectCall(const char* name, std::vector<Visit> arguments, const std::vector<AxesPrefix>& axes,
             ObjectOptions options = {});
  ~ObjectCall();
  ObjectCall(const ObjectCall&) = delete;
  ObjectCall& operator=(const ObjectCall&) = delete;

  /// Where an input or a result belongs.
  struct Place {
    LeafAxis axis;
    /// Of the tensor with the axis; never negative.
    int64_t position = 0;
    size_t argument = 0;  ///< or part of the result
    bool result = false;
    bool whole = false;  ///< the only part of the result
    tree::Path path = {};
    /// For errors: `'up/kernel' of argument 0`.
    std::string text() const;
  };
  const TensorList& inputs() const { return inputs_; }
  const std::vector<Place>& places() const { return places_; }
  /// The leaf of each input.
  const std::vector<NodeLeaf>& input_leaves() const { return input_leaves_; }

  /// Runs `body` with `traced` in place of the inputs: gives the tensors of the result, then the
  /// new values of what was changed.
  /// @param axes of the result: one for all, or one for each of its parts; none means 0.
  TensorList run(const TensorList& traced, const Body& body, const std::vector<AxesPrefix>& axes);
  /// Of the last run: where each of its tensors belongs.
  std::vector<Place> results() const;
  /// Writes the last run's results, with their final values, to where they belong, and commits
  /// `writes`, the present scope, which was opened before the run. If it throws nothing has
  /// changed.
  void finish(const TensorList& values, state::Scope& writes);

  /// A carried result must consist of the variables of argument `argument`.
  void require_same_variables(size_t argument, size_t part) const;
  /// Every leaf of the arguments, with its argument and axis; shared ones where first met.
  struct Leaf {
    NodeLeaf node;
    size_t argument;
    LeafAxis axis;
  };
  const std::vector<Leaf>& leaves() const { return leaves_; }

 private:
  class Scope;
  /// Variables that the function has made.
  struct Made;
  /// A value that leaves: of a tensor in place, or of a variable.
  struct Output {
    Place place;
    Tensor* tensor = nullptr;
    VariableCellPtr cell;
    bool made = false;  ///< the variable, inside
    size_t count = 1;   ///< tensors of the variable
    bool tuple = false;
  };
  /// A tensor that an argument holds directly.
  struct PlainTensor {
    size_t leaf;
    std::optional<size_t> input;
    Tensor before, placed;
  };

  void add_leaves(size_t argument);
  void add_inputs(const Leaf& leaf);
  std::string text_of(LeafAxis axis) const;
  void place_tensors(const TensorList& traced);
  std::vector<Tensor*> plain_now() const;
  void restore() noexcept;
  void enter_metadata();
  void leave_metadata();
  bool changes_metadata(LeafAxis axis) const;
  void collect_result(const Made& made, const std::vector<Visit>& parts,
                      const std::vector<AxesPrefix>& axes, TensorList& out);
  void collect_result_variable(const Made& made, const NodeLeaf& leaf, Place place,
                               TensorList& out);
  void collect_written(const Scope& scope, TensorList& out);
  void collect_plain(TensorList& out);
  void collect_made(const Made& made, TensorList& out);
  void add_made(const VariableCellPtr& cell, Place place, TensorList& out);
  void add_output(Output output, std::span<const Tensor> values, TensorList& out);

  const char* name_;
  std::vector<Visit> arguments_;
  std::vector<AxesPrefix> axes_;
  ObjectOptions options_;
  std::vector<Leaf> leaves_;
  std::map<const state::Cell*, size_t> by_cell_;
  TensorList inputs_;
  std::vector<Place> places_;
  std::vector<NodeLeaf> input_leaves_;
  std::vector<PlainTensor> plain_;
  std::vector<std::string> structures_;
  std::vector<std::pair<VariableCellPtr, Metadata>> metadata_before_;
  std::vector<Output> outputs_;
  std::map<const state::Cell*, size_t> by_made_;  ///< output of each variable made inside
  std::vector<std::vector<state::CellPtr>> part_variables_;
};

/// An argument as the function sees it: the object itself, or a copy if its tensors must not be
/// exchanged (values without variables, and constant objects that hold plain tensors).
/// @tparam A as deduced for a forwarding reference.
template <class A>
class Held {
 public:
  using Object = std::remove_reference_t<A>;
  using Value = std::remove_const_t<Object>;

  explicit Held(Object& given) : object_(&given) {
    if constexpr (std::is_lvalue_reference_v<A> && std::is_copy_constructible_v<Value>) {
      if (!needs_copy()) return;
      const state::PrototypeScope local;
      copy_.emplace(given);
      object_ = &*copy_;
    }
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  Object& get() const { return *object_; }
  Visit visit() const {
    return [object = const_cast<Value*>(object_)](tree::Visitor& v) { tree::visit(*object, v); };
  }

 private:
  bool needs_copy() const {
    if constexpr (std::is_same_v<Value, Tensor>) {
      return true;
    } else {
      bool tensors = false, variables = false;
      for (const tree::LeafRef& leaf : leaves_of(visit())) (leaf.cell ? variables : tensors) = true;
      const bool module = variables || HasFields<Value>;
      return tensors && (std::is_const_v<Object> || !module);
    }
  }
  Object* object_;
  std::optional<Value> copy_;
};

/// A function's result, in place: nothing, an object, or a reference to one.
template <class R>
class HeldResult {
 public:
  template <class F>
  void run(F&& f) {
    if constexpr (std::is_void_v<R>) {
      f();
    } else if constexpr (kReference) {
      object_ = &f();
    } else {
      object_.reset();
      object_.emplace(f());
    }
  }
  std::vector<Visit> parts(size_t count) {
    std::vector<Visit> out;
    if constexpr (!std::is_void_v<R>) {
      if constexpr (tree::detail::is_tuple<std::decay_t<R>>) {
        if (count > 1) {
          std::apply([&](auto&... part) { (out.push_back(visit_of(part)), ...); }, *object_);
          return out;
        }
      }
      out.push_back(visit_of(*object_));
    }
    return out;
  }
  /// @pre not void
  auto& get() { return *object_; }
  R take() {
    if constexpr (kReference)
      return *object_;
    else if constexpr (!std::is_void_v<R>)
      return std::move(*object_);
  }

 private:
  template <class T>
  static Visit visit_of(T& object) {
    return [&object](tree::Visitor& v) { tree::visit(object, v); };
  }
  static constexpr bool kReference = std::is_lvalue_reference_v<R>;
  struct Nothing {};
  std::conditional_t<
      std::is_void_v<R>, Nothing,
      std::conditional_t<kReference, std::remove_reference_t<R>*, std::optional<std::decay_t<R>>>>
      object_{};
};

/// What a function gives: a reference to something that may be written stays one.
template <class R>
using kept_result =
    std::conditional_t<std::is_void_v<R> || (std::is_lvalue_reference_v<R> &&
                                             !std::is_const_v<std::remove_reference_t<R>>),
                       R, std::decay_t<R>>;

template <class F, class... A>
constexpr bool check_object_call() {
  constexpr bool callable = std::is_invocable_v<F&, A...>;
  static_assert(callable,
                "the function cannot be called with these arguments: their number or types do not "
                "fit its parameters, or its operator() is not const");
  return callable;
}

/// A function and its arguments.
template <class F, class... A>
class TypedCall {
  static_assert(check_object_call<F, std::remove_reference_t<A>&...>());

 public:
  using Result = kept_result<std::invoke_result_t<F&, std::remove_reference_t<A>&...>>;

  explicit TypedCall(F& f, std::remove_reference_t<A>&... args) : f_(f), arguments_(args...) {}

  std::vector<Visit> arguments() const {
    return std::apply([](const auto&... held) { return std::vector<Visit>{held.visit()...}; },
                      arguments_);
  }
  Body body() {
    return [this](size_t parts) {
      held_.run([this]() -> decltype(auto) {
        return std::apply(
            [this](const auto&... held) -> decltype(auto) {
              return std::invoke(f_, held.get()...);
            },
            arguments_);
      });
      return held_.parts(parts);
    };
  }
  HeldResult<Result>& held() { return held_; }
  Result result() { return held_.take(); }
  template <size_t I>
  auto& argument() const {
    return std::get<I>(arguments_).get();
  }

 private:
  F& f_;
  std::tuple<Held<A>...> arguments_;
  HeldResult<Result> held_;
};

}  // namespace linnet::nnx::detail

#pragma GCC visibility pop
