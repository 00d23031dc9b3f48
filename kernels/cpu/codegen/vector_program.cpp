#include "kernels/cpu/codegen/vector_program.h"

#include <algorithm>

namespace linnet::cpu::codegen {
namespace {

/// What tells nodes apart, in words.
struct Key {
  uint64_t words[3];

  explicit Key(const VectorNode& node)
      : words{static_cast<uint64_t>(node.op) | static_cast<uint64_t>(node.wide) << 8 |
                  static_cast<uint64_t>(node.is_mask) << 9 |
                  static_cast<uint64_t>(node.immediate) << 16 |
                  static_cast<uint64_t>(static_cast<uint32_t>(node.src[0])) << 32,
              static_cast<uint64_t>(static_cast<uint32_t>(node.src[1])) |
                  static_cast<uint64_t>(static_cast<uint32_t>(node.src[2])) << 32,
              node.bits} {}
  bool operator==(const Key&) const = default;
  size_t hash() const {
    uint64_t h = 0;
    for (const uint64_t word : words) h = (h ^ word) * 0x9E3779B97F4A7C15u, h ^= h >> 32;
    return static_cast<size_t>(h);
  }
};

template <class T>
void append_bytes(std::string& text, const T& value) {
  text.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

int VectorProgram::input(DType dtype, bool is_repeated) {
  VectorNode node{.op = VectorOp::kInput, .is_mask = dtype == DType::kBool};
  node.immediate = static_cast<uint8_t>(inputs_.size());
  node.is_invariant = is_repeated;
  inputs_.push_back({dtype, is_repeated});
  nodes_.push_back(node);
  return static_cast<int>(nodes_.size()) - 1;
}

int VectorProgram::constant(uint64_t bits, bool wide) {
  return append({.op = VectorOp::kConstant, .wide = wide, .bits = bits});
}

/// The result on constants, or -1: what the texts of the functions compute from bits of constants.
int VectorProgram::folded(const VectorNode& node) {
  const auto is_constant = [&](int i) {
    return nodes_[static_cast<size_t>(i)].op == VectorOp::kConstant;
  };
  const auto value = [&](int i) { return nodes_[static_cast<size_t>(i)].bits; };
  if (node.src[0] < 0) return -1;
  const uint64_t one = node.wide ? 0x3FF0000000000000u : 0x3F800000u;
  if (node.op == VectorOp::kMul && is_constant(node.src[0]) && value(node.src[0]) == one)
    return node.src[1];
  if (!is_constant(node.src[0]) || (node.src[1] >= 0 && !is_constant(node.src[1]))) return -1;
  const uint64_t a = value(node.src[0]), b = node.src[1] >= 0 ? value(node.src[1]) : 0;
  const uint64_t keep = node.wide ? ~uint64_t{0} : 0xFFFFFFFFu;
  switch (node.op) {
    case VectorOp::kAnd:
      return constant(a & b, node.wide);
    case VectorOp::kOr:
      return constant(a | b, node.wide);
    case VectorOp::kXor:
      return constant(a ^ b, node.wide);
    case VectorOp::kWordAdd:
      return constant((a + b) & keep, node.wide);
    case VectorOp::kWordSub:
      return constant((a - b) & keep, node.wide);
    case VectorOp::kShiftLeft:
      return constant((a << node.immediate) & keep, node.wide);
    case VectorOp::kShiftRight:
      return constant(a >> node.immediate, node.wide);
    default:
      return -1;
  }
}

size_t VectorProgram::place_of(const VectorNode& node) const {
  const Key key(node);
  size_t place = key.hash() & (numbers_.size() - 1);
  while (numbers_[place] >= 0 && !(Key(this->node(numbers_[place])) == key))
    place = (place + 1) & (numbers_.size() - 1);
  return place;
}

void VectorProgram::grow() {
  const std::vector<int> old = std::move(numbers_);
  numbers_.assign(std::max<size_t>(128, 2 * old.size()), -1);
  for (const int number : old) {
    if (number >= 0) numbers_[place_of(node(number))] = number;
  }
}

int VectorProgram::append(VectorNode node) {
  if (const int known = folded(node); known >= 0) return known;
  if (2 * numbered_ >= numbers_.size()) grow();
  int& number = numbers_[place_of(node)];
  if (number >= 0) return number;
  ++numbered_;
  number = static_cast<int>(nodes_.size());
  node.is_invariant = true;
  for (const int src : node.src) {
    if (src >= 0 && !nodes_[static_cast<size_t>(src)].is_invariant) node.is_invariant = false;
  }
  nodes_.push_back(node);
  return number;
}

VectorProgram VectorProgram::pruned() const {
  std::vector<bool> is_needed(nodes_.size(), false);
  for (const Output& output : outputs_) is_needed[static_cast<size_t>(output.node)] = true;
  for (size_t i = nodes_.size(); i-- > 0;) {
    if (!is_needed[i]) continue;
    for (const int src : nodes_[i].src) {
      if (src >= 0) is_needed[static_cast<size_t>(src)] = true;
    }
  }
  VectorProgram out;
  out.inputs_ = inputs_;
  std::vector<int> moved(nodes_.size(), -1);
  const auto move = [&](int i) {
    int& to = moved[static_cast<size_t>(i)];
    if (to >= 0) return to;
    VectorNode node = this->node(i);
    for (int& src : node.src) {
      if (src >= 0) src = moved[static_cast<size_t>(src)];
    }
    to = static_cast<int>(out.nodes_.size());
    out.nodes_.push_back(node);
    return to;
  };
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!is_needed[i] || nodes_[i].op == VectorOp::kInput) continue;
    for (const int src : nodes_[i].src) {
      if (src >= 0) move(src);
    }
    move(static_cast<int>(i));
  }
  for (const Output& output : outputs_) out.outputs_.push_back({output.dtype, move(output.node)});
  return out;
}

std::string VectorProgram::text() const {
  std::string text;
  for (const Input& input : inputs_) {
    text += static_cast<char>(input.dtype);
    text += static_cast<char>(input.is_repeated);
  }
  text += '|';
  text.reserve(text.size() + nodes_.size() * sizeof(Key) + outputs_.size() * 8 + 8);
  for (const VectorNode& node : nodes_) append_bytes(text, Key(node));
  text += '|';
  for (const Output& output : outputs_) {
    text += static_cast<char>(output.dtype);
    append_bytes(text, output.node);
  }
  return text;
}

}  // namespace linnet::cpu::codegen
