#include "kernels/cpu/codegen/vector_program.h"

#include <cstring>

namespace linnet::cpu::codegen {
namespace {

std::string key_of(const VectorNode& node) {
  std::string key(4 + 3 * sizeof(int) + sizeof(uint64_t), '\0');
  key[0] = static_cast<char>(node.op);
  key[1] = static_cast<char>(node.wide);
  key[2] = static_cast<char>(node.is_mask);
  key[3] = static_cast<char>(node.immediate);
  std::memcpy(&key[4], node.src.data(), sizeof node.src);
  std::memcpy(&key[4 + sizeof node.src], &node.bits, sizeof node.bits);
  return key;
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

int VectorProgram::append(VectorNode node) {
  if (const int known = folded(node); known >= 0) return known;
  const auto [at, is_new] = numbers_.try_emplace(key_of(node), static_cast<int>(nodes_.size()));
  if (!is_new) return at->second;
  node.is_invariant = true;
  for (const int src : node.src) {
    if (src >= 0 && !nodes_[static_cast<size_t>(src)].is_invariant) node.is_invariant = false;
  }
  nodes_.push_back(node);
  return static_cast<int>(nodes_.size()) - 1;
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
  for (const VectorNode& node : nodes_) text += key_of(node);
  text += '|';
  for (const Output& output : outputs_) {
    text += static_cast<char>(output.dtype);
    text += std::to_string(output.node) + ',';
  }
  return text;
}

}  // namespace linnet::cpu::codegen
