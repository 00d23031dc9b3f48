// Data sets: a number of examples, and a function that makes a batch of any of them.
//
//   struct Batch { Tensor image, label; };
//   auto train = data::in_memory(Batch{images, labels});            // f32[60000,28,28], i32[60000]
//   Batch two = train.gather(std::array<int64_t, 2>{7, 3});         // f32[2,28,28], i32[2]
//   auto scaled = data::mapped(train, [](Batch b) { b.image /= 255; return b; });
//   data::Loader loader(scaled, {.batch_size = 128, .shuffle = Key(0), .workers = 2});
//
// A type of one's own is a data set if it has what the concept `DataSet` asks for.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet::data {

/// `gather(rows)` makes one batch, a tree of tensors with the leading axis `rows.size()`, of the
/// examples with these numbers, each in [0, size()). A loader with workers calls it from several
/// threads at once, so it must not change the data set. What it gives must depend on the rows only.
template <class D>
concept DataSet = requires(const D& set, std::span<const int64_t> rows) {
  typename D::Batch;
  { set.size() } -> std::convertible_to<int64_t>;
  { set.gather(rows) } -> std::same_as<typename D::Batch>;
};

namespace detail {
/// The rows of one array [examples,...] on the host: [rows,...].
/// @throws ValueError if a row is not in [0, examples).
Tensor gather_rows(const Tensor& array, std::span<const int64_t> rows);
/// Dense copies on the host. @throws ShapeError naming the leaf that has no leading axis, or
/// another one than the first leaf; TreeError if there is no leaf; TraceError if one is traced.
TensorList host_arrays(const std::vector<std::pair<std::string, Tensor>>& leaves);
/// @throws ValueError if a row is not in [0, size).
void check_rows(std::span<const int64_t> rows, int64_t size, const char* operation);
/// Which of the rows of a padded batch are examples: bool[rows.size()].
Tensor padding_mask(std::span<const int64_t> rows);
/// Negative rows, which stand for padding, as the last row before them.
std::vector<int64_t> padded_rows(std::span<const int64_t> rows);
}  // namespace detail

/// A tree of tensors [examples,...] with a common leading axis, kept in host memory.
template <class Tree>
class InMemory {
 public:
  using Batch = Tree;

  /// @throws ShapeError naming the leaves whose leading axes differ; TreeError without a tensor.
  explicit InMemory(const Tree& tree)
      : tree_(tree::unflatten(tree, detail::host_arrays(tree::leaves_with_path(tree)))),
        size_(tree::leaves(tree_).front().shape(0)) {}

  int64_t size() const { return size_; }
  const Tree& all() const { return tree_; }
  Batch gather(std::span<const int64_t> rows) const {
    return tree::map(tree_, [rows](const Tensor& t) { return detail::gather_rows(t, rows); });
  }

 private:
  Tree tree_;
  int64_t size_;
};

/// The same without naming the type, also as an argument of a constructor.
template <class Tree>
InMemory<Tree> in_memory(const Tree& tree) {
  return InMemory<Tree>(tree);
}

/// `f(batch)` of every batch of another set; with workers it runs on their threads.
template <DataSet D, class F>
class Mapped {
 public:
  using Batch = std::decay_t<std::invoke_result_t<const F&, typename D::Batch>>;

  Mapped(D set, F f) : set_(std::move(set)), f_(std::move(f)) {}
  int64_t size() const { return set_.size(); }
  Batch gather(std::span<const int64_t> rows) const { return f_(set_.gather(rows)); }

 private:
  D set_;
  F f_;
};

template <DataSet D, class F>
Mapped<D, F> mapped(D set, F f) {
  return Mapped<D, F>(std::move(set), std::move(f));
}

/// Some examples of another set, in the order given.
template <DataSet D>
class Subset {
 public:
  using Batch = typename D::Batch;

  /// @throws ValueError if a row is not in [0, set.size()).
  Subset(D set, std::vector<int64_t> rows) : set_(std::move(set)), rows_(std::move(rows)) {
    detail::check_rows(rows_, set_.size(), "data::Subset");
  }
  int64_t size() const { return static_cast<int64_t>(rows_.size()); }
  Batch gather(std::span<const int64_t> rows) const {
    detail::check_rows(rows, size(), "data::Subset");
    std::vector<int64_t> inner;
    for (int64_t row : rows) inner.push_back(rows_[static_cast<size_t>(row)]);
    return set_.gather(inner);
  }

 private:
  D set_;
  std::vector<int64_t> rows_;
};

/// A batch of constant size: at the end of an epoch the last example is repeated.
template <class Tree>
struct Padded {
  Tree data;
  Tensor mask;  ///< bool[batch], true for examples, false for what fills up the last batch
  LINNET_FIELDS(data, mask)
};

/// A set whose loaders fill up the last batch. A program compiled for one batch then serves all of
/// them; the mask says what counts.
///
///   data::Loader test(data::padded(set), {.batch_size = 256});
///   for (auto& [batch, mask] : test) correct += sum(hits(model, batch) & mask).item<int>();
template <DataSet D>
class PaddedSet {
 public:
  using Batch = Padded<typename D::Batch>;
  static constexpr bool kFillsLastBatch = true;

  explicit PaddedSet(D set) : set_(std::move(set)) {}
  int64_t size() const { return set_.size(); }
  /// A negative row stands for padding. @throws ValueError if there is no row to repeat.
  Batch gather(std::span<const int64_t> rows) const {
    return Batch{set_.gather(detail::padded_rows(rows)), detail::padding_mask(rows)};
  }

 private:
  D set_;
};

template <DataSet D>
PaddedSet<D> padded(D set) {
  return PaddedSet<D>(std::move(set));
}

}  // namespace linnet::data

#pragma GCC visibility pop
