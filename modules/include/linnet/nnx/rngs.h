// nnx::Rngs: named random streams with a key and a count, as state (docs/rng.md section 10).
//
//   nnx::Rngs rngs(0);                          // a stream `default`
//   nnx::Rngs two{{"params", 0}, {"dropout", 1}};
//   Key k = two.next("params");                 // fold_in(key, count), then count + 1
//   nnx::Linear up(2, 3, nnx::Rngs(0));         // a temporary serves where a layer is made
//   nnx::reseed(model, {{"dropout", 7}});
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "linnet/nnx/graph.h"
#include "linnet/random.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

/// One stream: key and count are variables tagged with the stream's name.
class RngStream {
 public:
  RngStream(const Key& key, std::string tag);
  /// fold_in(key, count); the count advances.
  Key operator()() { return next(); }
  Key next();
  /// A new stream whose key is this stream's next key; its count starts at 0.
  RngStream fork();
  const std::string& tag() const { return tag_; }
  Key key() const { return Key(key_.value()); }
  /// u32, zero-dimensional.
  Tensor count() const { return count_.value(); }
  void reset(const Key& key);

  LINNET_FIELDS(key_, count_, tag_)

 private:
  RngKey key_;
  RngCount count_;
  std::string tag_;
};

/// Streams by name; a name that is missing falls back to `default`.
class Rngs {
 public:
  Rngs() = default;
  Rngs(int64_t seed);    // NOLINT(runtime/explicit): Rngs(0) and a bare 0 mean the stream `default`
  Rngs(const Key& key);  // NOLINT(runtime/explicit)
  Rngs(std::initializer_list<std::pair<std::string, Key>> streams);
  explicit Rngs(const std::vector<std::pair<std::string, Key>>& streams);

  /// The stream of that name, or `default`. @throws ModuleError "No RngStream named" if neither
  /// exists.
  RngStream& stream(std::string_view name);
  RngStream& operator[](std::string_view name) { return stream(name); }
  /// The next key of a stream.
  Key next(std::string_view name) { return stream(name).next(); }
  Key params() { return next("params"); }
  Key dropout() { return next("dropout"); }
  /// The next key of `default`.
  Key operator()() { return next("default"); }

  /// True only for the exact name.
  bool contains(std::string_view name) const;
  bool empty() const { return streams_.empty(); }
  size_t size() const { return streams_.size(); }
  /// Names in the order in which they were given.
  std::vector<std::string> names() const;
  /// Every stream forked: uses up one key of each.
  Rngs fork();
  void add(std::string name, const Key& key);

  Tensor uniform(const Shape& shape, DType dtype = DType::kF32) {
    return random::uniform((*this)(), shape, dtype);
  }
  Tensor normal(const Shape& shape, DType dtype = DType::kF32) {
    return random::normal((*this)(), shape, dtype);
  }

  void visit(tree::Visitor& visitor);

 private:
  std::vector<std::pair<std::string, RngStream>> streams_;
};

/// Streams lent to a constructor or a call: those of a name, whose counts advance there, or of a
/// temporary. For parameters only.
///
///   struct Mlp {
///     Mlp(int64_t in, nnx::RngsRef rngs) : up(in, 256, rngs), down(256, 10, rngs) {}
///   };
///   Mlp model(784, nnx::Rngs(0));
class RngsRef {
 public:
  RngsRef(Rngs& rngs) : rngs_(&rngs) {}      // NOLINT(runtime/explicit)
  RngsRef(Rngs&& rngs) : rngs_(&rngs) {}     // NOLINT(runtime/explicit)
  operator Rngs&() const { return *rngs_; }  // NOLINT(runtime/explicit)
  Rngs& operator*() const { return *rngs_; }
  Rngs* operator->() const { return rngs_; }

 private:
  Rngs* rngs_;
};

namespace detail {
void reseed(const std::vector<NodeLeaf>& leaves,
            const std::vector<std::pair<std::string, Key>>& seeds);
}

/// Sets every stream in `module` whose tag is named: its key becomes the next key of a stream made
/// from the given seed, its count 0 (N-083).
template <class M>
void reseed(M& module, const std::vector<std::pair<std::string, Key>>& seeds) {
  detail::reseed(detail::walk(detail::visitor_of(module)), seeds);
}

}  // namespace linnet::nnx

namespace linnet::tree {
template <>
struct Traits<nnx::Rngs> {
  static void visit(nnx::Rngs& rngs, Visitor& visitor) { rngs.visit(visitor); }
};
}  // namespace linnet::tree

#pragma GCC visibility pop
