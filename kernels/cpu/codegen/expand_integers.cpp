#include "kernels/cpu/codegen/expand_integers.h"

#include "kernels/cpu/codegen/recorded.h"

namespace linnet::cpu::codegen {
namespace {

class Words {
 public:
  Words(VectorProgram& program, bool is_signed) : program_(program), is_signed_(is_signed) {}

  int number(int32_t value) { return program_.constant(static_cast<uint32_t>(value)); }
  int apply(VectorOp op, int a, int b) { return program_.append({.op = op, .src = {a, b, -1}}); }
  int compare(WordPredicate predicate, int a, int b) {
    return program_.append(
        {.op = VectorOp::kWordCompare,
         .is_mask = true,
         .immediate = static_cast<uint8_t>(static_cast<int>(predicate) + (is_signed_ ? 0 : 8)),
         .src = {a, b, -1}});
  }
  int select(int mask, int yes, int no) {
    return program_.append({.op = VectorOp::kSelect, .src = {mask, yes, no}});
  }
  int extreme(VectorOp op, int a, int b) {
    return program_.append(
        {.op = op, .immediate = static_cast<uint8_t>(is_signed_ ? 0 : 1), .src = {a, b, -1}});
  }
  int negative(int a) { return apply(VectorOp::kWordSub, number(0), a); }
  int sign(int a) {
    const int positive = select(compare(WordPredicate::kGt, a, number(0)), number(1), number(0));
    return is_signed_ ? select(compare(WordPredicate::kLt, a, number(0)), number(-1), positive)
                      : positive;
  }
  int absolute(int a) {
    return is_signed_ ? select(compare(WordPredicate::kLt, a, number(0)), negative(a), a) : a;
  }

 private:
  VectorProgram& program_;
  bool is_signed_;
};

int expand_comparison(Words& w, ScalarOp op, int a, int b) {
  switch (op) {
    case ScalarOp::kEq:
      return w.compare(WordPredicate::kEq, a, b);
    case ScalarOp::kNe:
      return w.compare(WordPredicate::kNe, a, b);
    case ScalarOp::kLt:
      return w.compare(WordPredicate::kLt, a, b);
    case ScalarOp::kLe:
      return w.compare(WordPredicate::kLe, a, b);
    case ScalarOp::kGt:
      return w.compare(WordPredicate::kGt, a, b);
    case ScalarOp::kGe:
      return w.compare(WordPredicate::kGe, a, b);
    default:
      throw NotRecordable{};
  }
}

int expand_bits(Words& w, ScalarOp op, const int* x) {
  switch (op) {
    case ScalarOp::kNot:
      return w.apply(VectorOp::kXor, x[0], w.number(-1));
    case ScalarOp::kAnd:
      return w.apply(VectorOp::kAnd, x[0], x[1]);
    case ScalarOp::kOr:
      return w.apply(VectorOp::kOr, x[0], x[1]);
    case ScalarOp::kXor:
      return w.apply(VectorOp::kXor, x[0], x[1]);
    // The instructions, too, shift everything out from 32 bits on, counting without sign.
    case ScalarOp::kShiftLeft:
      return w.apply(VectorOp::kShiftLeftBy, x[0], x[1]);
    case ScalarOp::kShiftRightLogical:
      return w.apply(VectorOp::kShiftRightBy, x[0], x[1]);
    case ScalarOp::kShiftRightArithmetic:
      return w.apply(VectorOp::kShiftRightSignedBy, x[0], x[1]);
    default:
      return expand_comparison(w, op, x[0], x[1]);
  }
}

}  // namespace

int expand_word_function(VectorProgram& program, ScalarOp op, bool is_signed, const int* x) {
  Words w(program, is_signed);
  switch (op) {
    case ScalarOp::kNeg:
      return w.negative(x[0]);
    case ScalarOp::kAbs:
      return w.absolute(x[0]);
    case ScalarOp::kSign:
      return w.sign(x[0]);
    case ScalarOp::kSquare:
      return w.apply(VectorOp::kWordMul, x[0], x[0]);
    case ScalarOp::kAdd:
      return w.apply(VectorOp::kWordAdd, x[0], x[1]);
    case ScalarOp::kSub:
      return w.apply(VectorOp::kWordSub, x[0], x[1]);
    case ScalarOp::kMul:
      return w.apply(VectorOp::kWordMul, x[0], x[1]);
    case ScalarOp::kMax:
      return w.extreme(VectorOp::kWordMax, x[0], x[1]);
    case ScalarOp::kMin:
      return w.extreme(VectorOp::kWordMin, x[0], x[1]);
    case ScalarOp::kClamp:
      return w.extreme(VectorOp::kWordMin, w.extreme(VectorOp::kWordMax, x[1], x[0]), x[2]);
    case ScalarOp::kRelu:
      return w.extreme(VectorOp::kWordMax, x[0], w.number(0));
    case ScalarOp::kRelu6:
      return w.extreme(VectorOp::kWordMin, w.extreme(VectorOp::kWordMax, x[0], w.number(0)),
                       w.number(6));
    case ScalarOp::kReluGrad:
      return w.select(w.compare(WordPredicate::kGt, x[0], w.number(0)), x[1], w.number(0));
    case ScalarOp::kSelect:
      return w.select(x[0], x[1], x[2]);
    default:
      return expand_bits(w, op, x);
  }
}

int expand_mask_function(VectorProgram&, ScalarOp op, const int* x) {
  using recorded::Flag;
  const Flag a{x[0]}, b{x[1]};
  switch (op) {
    case ScalarOp::kNot:
      return (!a).id;
    case ScalarOp::kAdd:
    case ScalarOp::kOr:
    case ScalarOp::kMax:
      return (a | b).id;
    case ScalarOp::kMul:
    case ScalarOp::kAnd:
    case ScalarOp::kMin:
      return (a & b).id;
    case ScalarOp::kXor:
    case ScalarOp::kNe:
      return (a ^ b).id;
    case ScalarOp::kEq:
      return (!(a ^ b)).id;
    case ScalarOp::kLt:
      return ((!a) & b).id;
    case ScalarOp::kGt:
      return (a & !b).id;
    case ScalarOp::kLe:
      return ((!a) | b).id;
    case ScalarOp::kGe:
      return (a | !b).id;
    case ScalarOp::kSelect:
      return select(a, b, Flag{x[2]}).id;
    default:
      throw NotRecordable{};
  }
}

}  // namespace linnet::cpu::codegen
