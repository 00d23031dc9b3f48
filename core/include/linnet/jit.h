// jit: traces a function once per structure and types of its arguments, and runs the compiled
// program.
//
//   auto step = jit([](Mlp& model, optim::Adam& opt, const Batch& batch) { ...; return loss; });
//   Tensor loss = step(model, opt, batch);     // model and opt are read, updated and donated
//   std::string program = step.lower(model, opt, batch).text();
//
// A `T&` parameter is state: what the function writes to it is seen by the caller. Everything else
// is input. Captured variables are state too; captured tensors are inputs fixed at tracing. A
// variable is either passed or captured, not both. Calling one jitted function from several threads
// is allowed if the state arguments differ.
//
// A C++ number, flag or string among the arguments belongs to the program: another value is another
// program. Pass what changes from call to call as a Tensor. `LINNET_LOG=jit` says what each program
// was traced for, and a leaf that causes trace after trace is named in a warning. A call that
// throws, for want of memory too, leaves the state arguments and captured variables as they were.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "linnet/traced_call.h"

#pragma GCC visibility push(default)

namespace linnet {

struct JitOptions {
  std::string name = {};    ///< in the log and in warnings
  size_t cache_size = 256;  ///< programs that are kept; then the oldest goes
  /// Most bytes of a program's arena (`Lowered::arena_bytes`), where its intermediate values lie;
  /// 0: no limit. While they need more, values that wait long for their last readers are computed
  /// again in front of those instead, cheap ones first. Results do not change. What cannot be made
  /// to fit is a DeviceError with the limit, what was reached and the largest owners, when the
  /// program is prepared: at the first call, and at the next one after the number of threads has
  /// changed. Inside another program, or under a transformation, that one's limit counts; without
  /// the plan of memory (`LINNET_COMPILE=-memory_plan`) there is none.
  size_t memory_limit = 0;
};

struct ProgramCost;

/// A traced program for inspection. Tracing needs types only: arguments may be abstract, as
/// `eval_shape` makes them.
class Lowered {
 public:
  explicit Lowered(std::shared_ptr<const void> program) : program_(std::move(program)) {}
  /// The graph as traced.
  std::string text() const;
  /// The graph after all passes.
  std::string optimized_text() const;
  /// Bytes of the arena for intermediate values.
  size_t arena_bytes() const;
  /// Launches, bytes, operations and memory of a run (linnet/program_cost.h). Nothing is run.
  ProgramCost cost() const;

 private:
  std::shared_ptr<const void> program_;
};

struct LeafDescription;

namespace detail {

/// One argument of a call, seen through its leaves.
struct JitArgument {
  std::vector<tree::LeafRef> leaves;
  std::string structure;
  bool state = false;
};

/// The arguments of one call and its key, in memory that the thread keeps from call to call.
class JitCall {
 public:
  JitCall();
  ~JitCall();
  JitCall(const JitCall&) = delete;
  JitCall& operator=(const JitCall&) = delete;
  template <class A>
  void add(A& object, bool state) {
    tree::visit(object, begin_argument());
    end_argument(state);
  }
  std::span<JitArgument> arguments() const;
  std::string& key() const;

 private:
  struct Memory;
  tree::Flattener& begin_argument();
  void end_argument(bool state);
  std::unique_ptr<Memory> memory_;
};

/// Template-free part of a jitted function: cache, tracing protocol and execution.
class JitCore {
 public:
  explicit JitCore(JitOptions options);
  ~JitCore();

  struct Entry;
  using EntryPtr = std::shared_ptr<Entry>;

  /// What the typed side does while tracing.
  struct Hooks {
    /// Copies the arguments, before anything is traced.
    std::function<void()> save;
    /// Calls the function. `inputs[i]` are the traced leaves of argument i; gives the leaves of the
    /// result.
    std::function<TensorList(const std::vector<TensorList>& inputs)> run;
    /// State argument i as it is now.
    std::function<tree::Flattened(size_t i)> flatten;
    /// Keeps a copy of state argument i, whose structure the function changed.
    std::function<void(size_t i)> keep;
    /// Assigns the saved copy to state argument i; throws only if moving the argument does.
    std::function<void(size_t i)> restore;
    /// The leaves of the copy that stands for input argument i.
    std::function<const std::vector<tree::LeafRef>&(size_t i)> copied;
    /// Shows argument i to a visitor.
    std::function<void(size_t i, tree::Visitor&)> visit;
    /// Where the typed side keeps the result and what `keep` copied; lives as long as the entry.
    std::shared_ptr<const void> prototypes;
  };

  /// The entry for these arguments, or null; `key` is needed to trace one.
  /// @throws ValueError if an argument holds an undefined tensor.
  EntryPtr find(std::span<const JitArgument> arguments, std::string& key) const;
  /// Traces the function and keeps the entry. Of several threads that want the same one, one traces
  /// and the others wait.
  EntryPtr trace(std::span<JitArgument> arguments, const std::string& key, const Hooks& hooks);
  /// The results of a call: their memory and types, which are there before their values.
  class Results {
   public:
    Results(const Entry& entry, const TensorList& all) : entry_(entry), all_(all) {}
    std::span<const Tensor> of_function() const;
    /// New leaves of a state argument whose structure the function changed.
    std::span<const Tensor> of_state(size_t argument) const;

   private:
    const Entry& entry_;
    const TensorList& all_;
  };
  /// Builds what the caller gets from the results.
  using Fill = std::function<void(const Results&)>;

  /// One call of a program. `fill` comes before the first write: if it, or anything else, throws,
  /// all state is as before. Then state arguments whose structure did not change and captured
  /// variables have their new values, and what `fill` has built has values.
  static void run(const EntryPtr& entry, std::span<JitArgument> arguments, const Fill& fill);

  static std::shared_ptr<const void> program_of(const EntryPtr& entry);
  static const void* prototypes(const EntryPtr& entry);

  size_t trace_count() const;
  void clear();

 private:
  struct Cache;
  void log_trace(const Entry& entry, std::vector<LeafDescription> leaves);
  std::unique_ptr<Cache> cache_;
};

template <class F>
struct Signature : Signature<decltype(&F::operator())> {};
template <class R, class... P, bool kNoexcept>
struct Signature<R (*)(P...) noexcept(kNoexcept)> {
  using Result = R;
  using Parameters = std::tuple<P...>;
};
template <class C, class R, class... P, bool kNoexcept>
struct Signature<R (C::*)(P...) noexcept(kNoexcept)> : Signature<R (*)(P...)> {};
template <class C, class R, class... P, bool kNoexcept>
struct Signature<R (C::*)(P...) const noexcept(kNoexcept)> : Signature<R (*)(P...)> {};
template <class R, class... P>
struct Signature<std::function<R(P...)>> : Signature<R (*)(P...)> {};

template <class F>
concept HasSignature = std::is_pointer_v<F> || requires { &F::operator(); };

template <class F, class Parameters>
inline constexpr bool is_callable_with = false;
template <class F, class... P>
inline constexpr bool is_callable_with<F, std::tuple<P...>> = std::is_invocable_v<F&, P...>;
template <class F>
inline constexpr bool is_const_callable =
    is_callable_with<const F, typename Signature<F>::Parameters>;

template <class P>
inline constexpr bool is_state_parameter =
    std::is_lvalue_reference_v<P> && !std::is_const_v<std::remove_reference_t<P>>;

/// The type says nothing of the function, so that all functions of a signature share the code;
/// copies share the function as they share its programs.
template <class R, class... P>
class Jitted {
 public:
  Jitted(std::function<R(P...)> f, JitOptions options)
      : f_(std::move(f)), core_(std::make_shared<JitCore>(std::move(options))) {}

  std::decay_t<R> operator()(P... args) const {
    return call(std::index_sequence_for<P...>{}, args...);
  }
  /// Traces without running.
  Lowered lower(P... args) const {
    JitCall call;
    (call.add(args, is_state_parameter<P>), ...);
    return Lowered(JitCore::program_of(entry_for(std::index_sequence_for<P...>{}, call, args...)));
  }
  /// How often the function has been traced.
  size_t trace_count() const { return core_->trace_count(); }
  /// Forgets all programs; the next call traces again.
  void clear() const { core_->clear(); }

 private:
  using Result = std::conditional_t<std::is_void_v<R>, std::tuple<>, std::decay_t<R>>;
  using Copies = std::tuple<std::optional<std::decay_t<P>>...>;
  /// What a state argument was before tracing is for `restore` alone; the function gets the copies
  /// of inputs.
  template <class Q>
  using Saved = std::conditional_t<is_state_parameter<Q>, tree::PrivateCopy<std::decay_t<Q>>,
                                   std::decay_t<Q>>;
  using SavedArguments = std::tuple<std::optional<Saved<P>>...>;
  using Leaves = std::array<std::vector<tree::LeafRef>, sizeof...(P)>;
  /// Kept with an entry: the result, and those state arguments whose structure the function
  /// changed.
  struct Prototypes {
    std::optional<Result> result;
    Copies state;
  };

  /// State arguments are traced in place, inputs as copies with traced leaves.
  template <class Q, size_t I, class A>
  static decltype(auto) traced_argument(A& object, SavedArguments& copies, const Leaves& copied,
                                        const TensorList& traced) {
    if constexpr (is_state_parameter<Q>) {
      return (object);
    } else {
      tree::write_raw(copied[I], traced);
      // A parameter that is a value takes over the copy with its variables, so that writing to them
      // is seen.
      if constexpr (std::is_reference_v<Q>)
        return static_cast<const std::decay_t<Q>&>(*std::get<I>(copies));
      else
        return std::move(*std::get<I>(copies));
    }
  }

  /// The leaves are listed before the transformation begins, which would take what it sees for
  /// captured.
  template <class Q, size_t I, class A>
  static void copy_argument(const A& object, SavedArguments& copies, Leaves& copied) {
    if constexpr (is_state_parameter<Q>)
      std::get<I>(copies).emplace(object);
    else
      copied[I] = tree::flatten(std::get<I>(copies).emplace(tree::copy(object))).leaves;
  }

  template <size_t... I>
  JitCore::EntryPtr entry_for(std::index_sequence<I...> indices, const JitCall& call,
                              std::add_lvalue_reference_t<P>... args) const {
    JitCore::EntryPtr entry = core_->find(call.arguments(), call.key());
    return entry ? entry : trace(indices, call, args...);
  }

  template <size_t... I>
  JitCore::EntryPtr trace(std::index_sequence<I...>, const JitCall& call,
                          std::add_lvalue_reference_t<P>... args) const {
    auto prototypes = std::make_shared<Prototypes>();
    SavedArguments copies;
    Leaves copied;
    JitCore::Hooks hooks;
    hooks.prototypes = prototypes;
    hooks.save = [&] { (copy_argument<P, I>(args, copies, copied), ...); };
    hooks.run = [&](const std::vector<TensorList>& inputs) {
      if constexpr (std::is_void_v<R>) {
        f_(traced_argument<P, I>(args, copies, copied, inputs[I])...);
        prototypes->result.emplace();
        return TensorList();
      } else {
        const Result result = f_(traced_argument<P, I>(args, copies, copied, inputs[I])...);
        prototypes->result.emplace(blank(result));
        return tree::leaves(result);
      }
    };
    hooks.flatten = [&](size_t which) {
      tree::Flattened flat;
      ((I == which ? void(flat = flatten_state<P>(args)) : void()), ...);
      return flat;
    };
    hooks.keep = [&](size_t which) {
      ((I == which ? assign<P, I>(prototypes->state, args) : void()), ...);
    };
    hooks.restore = [&](size_t which) {
      ((I == which ? restore_state<P, I>(copies, args) : void()), ...);
    };
    hooks.copied = [&](size_t which) -> const std::vector<tree::LeafRef>& { return copied[which]; };
    hooks.visit = [&](size_t which, tree::Visitor& visitor) {
      ((I == which ? tree::visit(args, visitor) : void()), ...);
    };
    return core_->trace(call.arguments(), call.key(), hooks);
  }

  template <class Q, class A>
  static tree::Flattened flatten_state(A& object) {
    if constexpr (is_state_parameter<Q>)
      return tree::flatten(object);
    else
      return {};
  }
  template <class Q, size_t I, class A>
  static void assign(Copies& to, const A& object) {
    if constexpr (is_state_parameter<Q>) std::get<I>(to).emplace(blank(object));
  }
  /// Without memory for an assignment the copy itself takes the object's place.
  template <class Q, size_t I, class A>
  static void restore_state(SavedArguments& copies, A& object) {
    if constexpr (is_state_parameter<Q>) {
      A& copy = std::get<I>(copies)->share();
      try {
        object = std::as_const(copy);
      } catch (...) {
        object = std::move(copy);
      }
    }
  }

  /// The new value of a state argument whose structure the function changed.
  template <class Q, size_t I>
  static void prepare_changed(const JitCore::Results& results, const Prototypes& prototypes,
                              Copies& changed) {
    if constexpr (is_state_parameter<Q>) {
      if (std::get<I>(prototypes.state)) {
        std::get<I>(changed).emplace(
            tree::unflatten(*std::get<I>(prototypes.state), results.of_state(I)));
      }
    }
  }
  template <class Q, size_t I, class A>
  static void assign_changed(A& object, Copies& changed) {
    if constexpr (is_state_parameter<Q>) {
      if (std::get<I>(changed)) object = std::move(*std::get<I>(changed));
    }
  }

  template <size_t... I>
  std::decay_t<R> call(std::index_sequence<I...> indices,
                       std::add_lvalue_reference_t<P>... args) const {
    JitCall call;
    (call.add(args, is_state_parameter<P>), ...);
    const JitCore::EntryPtr entry = entry_for(indices, call, args...);
    const Prototypes& prototypes = *static_cast<const Prototypes*>(JitCore::prototypes(entry));
    std::optional<Result> result;
    Copies changed;
    const auto fill = [&](const JitCore::Results& results) {
      (prepare_changed<P, I>(results, prototypes, changed), ...);
      if constexpr (std::is_same_v<Result, Tensor>)
        result.emplace(results.of_function()[0]);
      else if constexpr (!std::is_void_v<R>)
        result.emplace(tree::unflatten(*prototypes.result, results.of_function()));
    };
    JitCore::run(entry, call.arguments(), std::ref(fill));
    (assign_changed<P, I>(args, changed), ...);
    if constexpr (!std::is_void_v<R>) return std::move(*result);
  }

  std::function<R(P...)> f_;
  std::shared_ptr<JitCore> core_;
};

template <class F, class R, class... P>
Jitted<R, P...> jitted(F f, JitOptions options, std::type_identity<std::tuple<P...>>) {
  // f need not be copyable.
  auto kept = std::make_shared<const F>(std::move(f));
  return {[kept](P... args) -> R { return (*kept)(std::forward<P>(args)...); }, std::move(options)};
}

}  // namespace detail

/// Compiles `f`. Its parameter types must be spelled out: they say what is state and what is input.
template <class F>
auto jit(F f, JitOptions options = {}) {
  static_assert(detail::HasSignature<F>,
                "jit needs a function whose parameter types are spelled out: write (Model& m, "
                "const Tensor& x), not auto. They say which arguments are state (T&) and which are "
                "inputs");
  if constexpr (detail::HasSignature<F>) {
    using S = detail::Signature<F>;
    static_assert(detail::is_const_callable<F>,
                  "jit needs a function whose operator() is const: declare it const, or drop "
                  "`mutable` from the lambda; what it shall change is a T& parameter or captured "
                  "by reference");
    if constexpr (detail::is_const_callable<F>) {
      return detail::jitted<F, typename S::Result>(std::move(f), std::move(options),
                                                   std::type_identity<typename S::Parameters>{});
    }
  }
}

}  // namespace linnet

#pragma GCC visibility pop
