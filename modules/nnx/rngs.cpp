#include "linnet/nnx/rngs.h"

#include "linnet/detail/format.h"

namespace linnet::nnx {

RngStream::RngStream(const Key& key, std::string tag)
    : key_(key.data(), Metadata{{"tag", tag}}),
      count_(scalar_integer(0, DType::kU32).to(key_.value().device()), Metadata{{"tag", tag}}),
      tag_(std::move(tag)) {}

Key RngStream::next() {
  const Tensor count = count_.value();
  Key out = random::fold_in(Key(key_.value()), count);
  count_.set_value(count + scalar_integer(1, DType::kU32));
  return out;
}

RngStream RngStream::fork() { return RngStream(next(), tag_); }

void RngStream::reset(const Key& key) {
  key_.set_value(key.data());
  count_.set_value(scalar_integer(0, DType::kU32).to(key_.value().device()));
}

Rngs::Rngs(int64_t seed) { add("default", Key(seed)); }
Rngs::Rngs(const Key& key) { add("default", key); }
Rngs::Rngs(std::initializer_list<std::pair<std::string, Key>> streams) {
  for (const auto& [name, key] : streams) add(name, key);
}
Rngs::Rngs(const std::vector<std::pair<std::string, Key>>& streams) {
  for (const auto& [name, key] : streams) add(name, key);
}

void Rngs::add(std::string name, const Key& key) {
  RngStream stream(key, name);
  streams_.emplace_back(std::move(name), std::move(stream));
}

RngStream& Rngs::stream(std::string_view name) {
  for (auto& [known, stream] : streams_) {
    if (known == name) return stream;
  }
  for (auto& [known, stream] : streams_) {
    if (known == "default") return stream;
  }
  fail<ModuleError>(
      "rngs: No RngStream named '{}' and no 'default'; there is {}\n"
      "  hint: Rngs(seed) has a stream 'default' for every name",
      name, streams_.empty() ? std::string("none") : fmt::format("{}", fmt::join(names(), ", ")));
}

bool Rngs::contains(std::string_view name) const {
  for (const auto& [known, stream] : streams_) {
    if (known == name) return true;
  }
  return false;
}

std::vector<std::string> Rngs::names() const {
  std::vector<std::string> out;
  for (const auto& [name, stream] : streams_) out.push_back(name);
  return out;
}

Rngs Rngs::fork() {
  Rngs out;
  for (auto& [name, stream] : streams_) {
    RngStream forked = stream.fork();
    out.streams_.emplace_back(name, std::move(forked));
  }
  return out;
}

void Rngs::visit(tree::Visitor& visitor) {
  visitor.enter(typeid(Rngs), streams_.size());
  for (auto& [name, stream] : streams_) {
    visitor.child(std::string_view(name));
    tree::visit(stream, visitor);
  }
  visitor.leave();
}

namespace detail {

void reseed(const std::vector<NodeLeaf>& leaves,
            const std::vector<std::pair<std::string, Key>>& seeds) {
  for (const auto& [name, seed] : seeds) {
    RngStream fresh(seed, name);
    for (const NodeLeaf& leaf : leaves) {
      if (!leaf.cell) continue;
      const auto& cell = static_cast<const VariableCell&>(*leaf.cell);
      const std::string* tag = cell.metadata.get<std::string>("tag");
      if (!tag || *tag != name) continue;
      if (cell.type->is(RngCount::static_type())) {
        state::write(leaf.cell, state::Value(scalar_integer(0, DType::kU32)));
      } else if (cell.type->is(RngKey::static_type())) {
        const Tensor old = Variable(std::static_pointer_cast<VariableCell>(leaf.cell)).value();
        if (old.rank() != 1) {
          fail<ModuleError>("reseed: stream '{}' at {} holds an array of keys, {}", name,
                            tree::to_string(leaf.path), linnet::to_string(old.type()));
        }
        state::write(leaf.cell, state::Value(fresh.next().data()));
      }
    }
  }
}

}  // namespace detail
}  // namespace linnet::nnx
