#include "kernels/cpu/codegen/schedule.h"

#include <algorithm>

namespace linnet::cpu::codegen {
namespace {

bool is_commutative(VectorOp op) {
  switch (op) {
    case VectorOp::kAdd:
    case VectorOp::kMul:
    case VectorOp::kAnd:
    case VectorOp::kOr:
    case VectorOp::kXor:
    case VectorOp::kWordAdd:
    case VectorOp::kWordMul:
      return true;
    default:
      return false;
  }
}

void add_stores(const VectorProgram& program, int copy, std::vector<Item>& body) {
  for (size_t j = 0; j < program.outputs().size(); ++j)
    body.push_back({-1, static_cast<int>(j), copy});
}

}  // namespace

std::vector<Item> schedule_body(const VectorProgram& program, int copies, bool interleaved) {
  std::vector<Item> body;
  const int count = static_cast<int>(program.nodes().size());
  const int outer = interleaved ? 1 : copies, inner = interleaved ? copies : 1;
  for (int o = 0; o < outer; ++o) {
    for (int i = 0; i < count; ++i) {
      if (program.node(i).is_invariant) continue;
      for (int c = 0; c < inner; ++c) body.push_back({i, -1, o + c});
    }
    for (int c = 0; c < inner; ++c) add_stores(program, o + c, body);
  }
  return body;
}

std::vector<Item> schedule_invariants(const VectorProgram& program) {
  std::vector<Item> items;
  for (size_t i = 0; i < program.nodes().size(); ++i) {
    const VectorNode& node = program.nodes()[i];
    if (node.is_invariant && node.op != VectorOp::kConstant) items.push_back({static_cast<int>(i)});
  }
  return items;
}

int most_live(const VectorProgram& program, const std::vector<Item>& body, bool masks_apart) {
  const size_t nodes = program.nodes().size();
  const auto id = [&](int node, int copy) {
    return static_cast<size_t>(copy) * nodes + static_cast<size_t>(node);
  };
  std::vector<bool> is_live;
  int live = 0, most = 0;
  const auto set = [&](size_t value, int node, bool to) {
    if (value >= is_live.size()) is_live.resize(value + nodes, false);
    if (is_live[value] == to || (masks_apart && program.node(node).is_mask)) return;
    is_live[value] = to;
    live += to ? 1 : -1;
  };
  for (size_t i = body.size(); i-- > 0;) {
    const Item& item = body[i];
    if (item.node >= 0) set(id(item.node, item.copy), item.node, false);
    const auto read = [&](int node) {
      if (node >= 0 && !program.node(node).is_invariant) set(id(node, item.copy), node, true);
    };
    if (item.node < 0) read(program.outputs()[static_cast<size_t>(item.output)].node);
    if (item.node >= 0) {
      for (const int src : program.node(item.node).src) read(src);
    }
    most = std::max(most, live);
  }
  return most;
}

std::vector<int> invariant_uses(const VectorProgram& program) {
  constexpr int kMustBeInRegister = 3;
  std::vector<int> uses(program.nodes().size(), 0);
  for (const VectorNode& node : program.nodes()) {
    if (node.is_invariant) continue;
    for (size_t k = 0; k < 3; ++k) {
      if (node.src[k] < 0 || !program.node(node.src[k]).is_invariant) continue;
      const bool may_be_memory = node.op == VectorOp::kFma || k > 0 || is_commutative(node.op);
      uses[static_cast<size_t>(node.src[k])] += may_be_memory ? 1 : kMustBeInRegister;
    }
  }
  return uses;
}

}  // namespace linnet::cpu::codegen
