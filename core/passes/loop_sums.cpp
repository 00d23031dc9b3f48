// Sums over the turns of a loop: a carry that only grows by a product, or by the sum of something
// that is stacked anyway, is one product or sum over all turns behind the loop. The cotangents of
// weights are of this form.
#include <algorithm>

#include "core/ops/arithmetic.h"
#include "core/ops/dot.h"
#include "core/ops/reduce.h"
#include "core/ops/shape_ops.h"
#include "core/passes/loops.h"
#include "core/passes/open_scan.h"

namespace linnet {
namespace {

/// One summand of what a carry grows by: a product or a sum, and what rearranges it.
struct Term {
  ValueId value;                               ///< in the body
  const Graph::Node* made = nullptr;           ///< product or sum
  std::vector<const Graph::Node*> rearranged;  ///< from the inside out
  bool movable = false;
};

class Sums {
 public:
  explicit Sums(OpenScan& scan)
      : scan_(scan),
        follows_(scan.follows()),
        made_by_(producers(scan.body())),
        uses_(use_counts(scan.body())),
        recomputes_(scan.recomputes()) {}

  void run() {
    for (size_t k = 0; k < scan_.carries(); ++k) find(k);
    // What products need stacked, sums get for nothing.
    for (const bool products : {true, false}) {
      for (Growing& carry : growing_) {
        for (Term& term : carry.terms) decide(term, products);
      }
    }
    for (const Growing& carry : growing_) move(carry);
    scan_.body().nodes.insert(scan_.body().nodes.end(), fresh_.begin(), fresh_.end());
  }

 private:
  struct Growing {
    size_t k;
    std::vector<Term> terms;
  };

  const Graph::Node* producer(ValueId id) const {
    return made_by_[id] < 0 ? nullptr : &scan_.body().nodes[made_by_[id]];
  }

  void find(size_t k) {
    const ValueId out = scan_.body().outputs[k], in = scan_.carry_in(k);
    const Graph::Node* node = producer(out);
    if (!node || node->primitive != &add_primitive() || uses_[out] != 1 || uses_[in] != 1) return;
    if (!is_inexact(scan_.body().types[out].dtype)) return;
    const bool first = node->inputs[0] == in;
    if (!first && node->inputs[1] != in) return;
    Growing carry{k, {}};
    append_terms(node->inputs[first ? 1 : 0], carry.terms);
    growing_.push_back(std::move(carry));
  }

  void append_terms(ValueId value, std::vector<Term>& out) const {
    const Graph::Node* node = producer(value);
    if (node && node->primitive == &add_primitive() && uses_[value] == 1) {
      for (ValueId id : node->inputs) append_terms(id, out);
      return;
    }
    Term term{value, nullptr, {}, false};
    while (node && uses_[node->outputs[0]] == 1 &&
           (node->primitive == &transpose_primitive() || node->primitive == &reshape_primitive())) {
      term.rearranged.insert(term.rearranged.begin(), node);
      node = producer(node->inputs[0]);
    }
    if (node && uses_[node->outputs[0]] == 1) term.made = node;
    out.push_back(std::move(term));
  }

  bool varies(ValueId id) const { return follows_[id] != 0; }

  void decide(Term& term, bool products) {
    if (!term.made) return;
    const Graph::Node& node = *term.made;
    if (products && node.primitive == &dot_general_primitive()) {
      const Graph& body = scan_.body();
      const int64_t operands = element_count(body.types[node.inputs[0]].shape) +
                               element_count(body.types[node.inputs[1]].shape);
      const int64_t result = element_count(body.types[node.outputs[0]].shape);
      term.movable = varies(node.inputs[0]) && varies(node.inputs[1]) && operands <= 4 * result;
      if (recomputes_) {
        for (ValueId id : node.inputs) term.movable &= scan_.is_stacked(id);
      }
      if (!term.movable) return;
      for (ValueId id : node.inputs) wanted_.push_back(id);
    } else if (!products && node.primitive == &reduce_sum_primitive()) {
      const ValueId x = node.inputs[0];
      term.movable = varies(x) && (scan_.is_stacked(x) ||
                                   std::find(wanted_.begin(), wanted_.end(), x) != wanted_.end());
    }
  }

  void move(const Growing& carry) {
    std::vector<ValueId> moved;
    ValueId rest = -1;
    for (const Term& term : carry.terms) {
      if (term.movable)
        moved.push_back(over_all_turns(term));
      else
        rest = rest < 0 ? term.value : add_inside(rest, term.value);
    }
    if (moved.empty()) return;
    Graph& body = scan_.body();
    const ValueId in = scan_.carry_in(carry.k);
    body.outputs[carry.k] = rest < 0 ? in : add_inside(in, rest);
    Graph& outer = scan_.outer();
    const ValueId result = scan_.rename_carry(carry.k);
    // Named anew by now: it is the value after the turns, without what has moved.
    ValueId total = scan_.carry_result(carry.k);
    for (size_t i = 0; i < moved.size(); ++i) {
      const bool last = i + 1 == moved.size();
      const ValueId sum = last ? result : outer.add_value(outer.types[result]);
      scan_.after().push_back({&add_primitive(), Params(), {total, moved[i]}, {sum}, scan_.path()});
      total = sum;
    }
  }

  ValueId add_inside(ValueId a, ValueId b) {
    Graph& body = scan_.body();
    const ValueId sum = body.add_value(body.types[a]);
    fresh_.push_back({&add_primitive(), Params(), {a, b}, {sum}, scan_.path()});
    return sum;
  }

  /// The sum of a term over all turns, outside.
  ValueId over_all_turns(const Term& term) {
    const Graph& body = scan_.body();
    Graph::Node node = *term.made;
    std::vector<ValueId> operands;
    for (ValueId id : node.inputs) operands.push_back(scan_.stacked(id));
    if (node.primitive == &dot_general_primitive()) {
      DotParams params = node.params.as<DotParams>();
      for (Axes* axes :
           {&params.lhs_contract, &params.rhs_contract, &params.lhs_batch, &params.rhs_batch}) {
        for (int64_t& axis : *axes) ++axis;
      }
      params.lhs_contract.insert(0, 0);
      params.rhs_contract.insert(0, 0);
      node.params = Params(params);
    } else {
      ReduceParams params = node.params.as<ReduceParams>();
      for (int64_t& axis : params.axes) ++axis;
      params.axes.insert(0, 0);
      node.params = Params(params);
    }
    ValueId value = place(node, operands, body.types[node.outputs[0]]);
    for (const Graph::Node* step : term.rearranged)
      value = place(*step, {value}, body.types[step->outputs[0]]);
    return value;
  }

  ValueId place(Graph::Node node, std::vector<ValueId> operands, const TensorType& type) {
    node.inputs = std::move(operands);
    node.outputs = {scan_.outer().add_value(type)};
    scan_.after().push_back(node);
    return node.outputs[0];
  }

  OpenScan& scan_;
  std::vector<uint8_t> follows_;
  std::vector<int32_t> made_by_, uses_;
  bool recomputes_;
  std::vector<Growing> growing_;
  std::vector<ValueId> wanted_;
  std::vector<Graph::Node> fresh_;
};

}  // namespace

void sum_behind(OpenScan& scan) { Sums(scan).run(); }

}  // namespace linnet
