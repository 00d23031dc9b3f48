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
    Tensor key_before, count_before;
  };
  std::vector<Entry> entries;
};

/// Sets the streams back (N-082).
void restore_rngs(const RngBackups& backups);

/// Restores when it goes.
class RestoreRngs {
 public:
  explicit RestoreRngs(RngBackups backups) : backups_(std::move(backups)) {}
  ~RestoreRngs();
  RestoreRngs(const RestoreRngs&) = delete;
  RestoreRngs& operator=(const RestoreRngs&) = delete;

 private:
  RngBackups backups_;
};

/// For each filter, into how many keys its streams are split; none: one forked key. The first
/// filter that matches counts, and streams that none matches stay.
using ForkOptions = std::vector<std::pair<Filter, std::optional<Splits>>>;

namespace detail {
using Visits = std::vector<std::function<void(tree::Visitor&)>>;
RngBackups split_rngs(const Visits& nodes, const SplitOptions& options);
RngBackups fork_rngs(const Visits& nodes, const ForkOptions& options);
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

/// Every stream in `node` begins anew from its next key.
template <class M>
RngBackups fork_rngs(M& node, const ForkOptions& options = {{everything(), std::nullopt}}) {
  return detail::fork_rngs({detail::visitor_of(node)}, options);
}
/// f with the streams of all its arguments forked while it runs.
template <class F>
auto fork_rngs(ForkOptions options, F f) {
  return
      [f = std::move(f), options = std::move(options)]<class... A>(A&&... args) -> decltype(auto) {
        const RestoreRngs after(detail::fork_rngs({detail::visitor_of(args)...}, options));
        return f(std::forward<A>(args)...);
      };
}

}  // namespace linnet::nnx

#pragma GCC visibility pop
