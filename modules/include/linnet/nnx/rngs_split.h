// Random streams for transformations: streams inside modules split into arrays of keys or forked,
// for as long as it takes.
//
//   auto make = nnx::split_rngs({.splits = 5}, nnx::vmap([](nnx::Rngs& r) { return Mlp(r); }));
//   Mlp models = make(rngs);                            // five sets of parameters, stacked
//   {
//     const nnx::RestoreRngs after(nnx::split_rngs(model, {.splits = 8, .only =
//     nnx::with_tag("dropout")}));
//     ...                                               // `dropout` streams are arrays of 8 keys
//   }
#pragma once

#include <exception>
#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

#include "linnet/nnx/rngs.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

/// How many keys a stream becomes: a number or a shape.
class Splits {
 public:
  Splits(int64_t count) : shape_{count} {}                         // NOLINT(runtime/explicit)
  Splits(std::initializer_list<int64_t> shape) : shape_(shape) {}  // NOLINT(runtime/explicit)
  const Shape& shape() const { return shape_; }

 private:
  Shape shape_;
};

struct SplitOptions {
  Splits splits;
  /// Streams of which both key and count match.
  Filter only = everything();
  /// One key without a dimension of size 1; only with `splits = 1`.
  bool squeeze = false;
};

/// What streams were before they were split or forked: each one has given one key since.
class RngBackups {
 public:
  struct Entry {
    VariableCellPtr key, count;
    state::Value key_before, count_before;
    state::Value first_count;  ///< before that key was given
  };
  std::vector<Entry> entries;
};

/// Sets the streams back (N-082).
void restore_rngs(const RngBackups& backups);

/// Restores when it goes; if an exception goes through it, as if no key had been given.
class RestoreRngs {
 public:
  explicit RestoreRngs(RngBackups backups)
      : backups_(std::move(backups)), exceptions_(std::uncaught_exceptions()) {}
  ~RestoreRngs();
  RestoreRngs(const RestoreRngs&) = delete;
  RestoreRngs& operator=(const RestoreRngs&) = delete;

 private:
  RngBackups backups_;
  int exceptions_;
};

/// For each filter, what its streams are split into. The first filter that matches counts, and
/// streams that none matches stay.
using SplitRules = std::vector<std::pair<Filter, std::optional<Splits>>>;

/// What the streams of a copy are; a stream that two rules with filters other than everything()
/// match is an error.
struct RngRules {
  SplitRules split = {};      ///< an array of keys split from the next one; none: as it is
  SplitRules broadcast = {};  ///< the next key, repeated; none: as it is
  std::vector<Filter> fork = {};
  Filter only = everything();
};

namespace detail {
using Visits = std::vector<std::function<void(tree::Visitor&)>>;
RngBackups split_rngs(const Visits& nodes, const SplitOptions& options);
RngBackups fork_rngs(const Visits& nodes, const SplitRules& rules);
/// The node's state with other streams.
State with_rngs(const std::function<void(tree::Visitor&)>& node, const RngRules& rules);
}  // namespace detail

/// Splits every matching stream in `node` in place: its key becomes an array of keys split from its
/// next key, its count an array of zeros (N-081).
/// @throws ValueError for `squeeze` with several splits, and for a stream that is an array already.
template <class M>
RngBackups split_rngs(M& node, const SplitOptions& options) {
  return detail::split_rngs({detail::visitor_of(node)}, options);
}
/// f with the streams of all its arguments split while it runs.
template <class F>
auto split_rngs(SplitOptions options, F f) {
  return
      [f = std::move(f), options = std::move(options)]<class... A>(A&&... args) -> decltype(auto) {
        const RestoreRngs after(detail::split_rngs({detail::visitor_of(args)...}, options));
        return f(std::forward<A>(args)...);
      };
}

/// Streams in `node` begin anew from their next key, or as an array of keys split from it (N-082).
template <class M>
RngBackups fork_rngs(M& node, const SplitRules& rules = {{everything(), std::nullopt}}) {
  return detail::fork_rngs({detail::visitor_of(node)}, rules);
}
/// f with the streams of all its arguments forked while it runs.
template <class F>
auto fork_rngs(SplitRules rules, F f) {
  return [f = std::move(f), rules = std::move(rules)]<class... A>(A&&... args) -> decltype(auto) {
    const RestoreRngs after(detail::fork_rngs({detail::visitor_of(args)...}, rules));
    return f(std::forward<A>(args)...);
  };
}

/// A second object on the variables of `node` with streams of its own (N-080, N-082): each that a
/// rule changes uses up one key of the original.
///
///     nnx::Rngs keys = nnx::with_rngs(rngs, {.split = {{nnx::with_tag("params"), 5}}});
/// @throws ValueError for a stream that several rules match, or that is an array already.
template <class M>
M with_rngs(M& node, const RngRules& rules) {
  const State variables = detail::with_rngs(detail::visitor_of(node), rules);
  const RawCopyScope raw;
  const state::PrototypeScope local;
  M out = tree::copy(node);
  detail::adopt(detail::visitor_of(out), variables);
  return out;
}

}  // namespace linnet::nnx

#pragma GCC visibility pop
