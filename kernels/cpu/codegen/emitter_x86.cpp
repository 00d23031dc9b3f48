// Code for AVX-512 and AVX2 with FMA. The only file that includes the assembler.
#include <algorithm>
#include <climits>
#include <cstring>
#include <map>
#include <utility>

#include "kernels/cpu/codegen/emitter.h"
#include "kernels/cpu/codegen/registers.h"
#include "kernels/cpu/codegen/schedule.h"

#if LINNET_WITH_XBYAK
// oneDNN contains another version of it; a name of our own keeps the two apart.
#define Xbyak linnet_xbyak
#include <xbyak/xbyak.h>

namespace linnet::cpu::codegen {
namespace {

using Xbyak::Address;
using Xbyak::Operand;
using Xbyak::Opmask;
using Xbyak::Xmm;
using Xbyak::Ymm;
using Xbyak::Zmm;

#include "kernels/cpu/codegen/x86_frame_inl.h"

/// The instructions of each node.
class Emitter final : public Frame {
 public:
  using Frame::Frame;

 private:
  // Loads and stores

  Xmm loaded(const Xmm& to) const { return masked_ ? to | k1 | T_z : to; }
  Address stored(const Address& to) const { return masked_ ? to | k1 : to; }
  /// The lower half of a register.
  Xmm half(const Xmm& x) const {
    return is_avx512_ ? static_cast<Xmm>(Ymm(x.getIdx())) : Xmm(x.getIdx());
  }

  void emit_input(const Step& step) {
    const int array = step.node.immediate;
    const VectorProgram::Input& input = program_.inputs()[static_cast<size_t>(array)];
    if (input.is_repeated) return emit_repeated_input(step, array, input.dtype);
    const Address from = element(array, step.copy, static_cast<int>(size_of(input.dtype)));
    switch (input.dtype) {
      case DType::kBF16: {
        const Xmm y = define(step);
        vpmovzxwd(loaded(y), from);
        return vpslld(y, y, 16);
      }
      case DType::kF16:
        return vcvtph2ps(loaded(define(step)), from);
      case DType::kBool:
        vpmovzxbd(loaded(scratch(0)), from);
        return words_to_mask(step);
      default:
        return vmovups(loaded(define(step)), from);
    }
  }

  void emit_repeated_input(const Step& step, int array, DType dtype) {
    const Address from = only_element(array);
    switch (dtype) {
      case DType::kBF16: {
        const Xmm y = define(step);
        vpbroadcastw(y, from);
        return vpslld(y, y, 16);
      }
      case DType::kF16:
        vpbroadcastw(half(scratch(0)), from);
        return vcvtph2ps(define(step), half(scratch(0)));
      case DType::kBool:
        vpbroadcastb(scratch(0), from);
        return words_to_mask(step);
      default:
        return vbroadcastss(define(step), from);
    }
  }

  /// From words whose last bit counts. A mask of AVX2 is the sign bit of each lane.
  void words_to_mask(const Step& step) {
    vpslld(scratch(0), scratch(0), 31);
    if (is_avx512_) return vpmovd2m(define_mask(step), scratch(0));
    vmovaps(define(step), scratch(0));
  }

  void emit_store(const Item& item) override {
    const VectorProgram::Output& output = program_.outputs()[static_cast<size_t>(item.output)];
    const int array = static_cast<int>(program_.inputs().size()) + item.output;
    if (output.dtype == DType::kBool) {
      store_mask(output.node, item.copy, array);
    } else {
      const Xmm x = in_register(source(output.node, item.copy), 0, false);
      const Address to = element(array, item.copy, static_cast<int>(size_of(output.dtype)));
      store(output.dtype, x, to);
    }
    if (!is_value(output.node)) return;
    const int value = value_of(output.node, item.copy);
    if (next_use(value) == INT_MAX) file_of(output.node).release(value);
  }

  void store(DType dtype, const Xmm& x, const Address& to) {
    if (dtype == DType::kBF16) {
      vpsrld(scratch(0), x, 16);
      if (is_avx512_) return vpmovdw(stored(to), scratch(0));
      vextracti128(Xmm(15), Ymm(14), 1);
      vpackusdw(Xmm(14), Xmm(14), Xmm(15));
      return vmovdqu(to, Xmm(14));
    }
    if (dtype == DType::kF16) return vcvtps2ph(stored(to), x, 0);
    if (streams_ && !masked_) return vmovntps(to, x);
    vmovups(stored(to), x);
  }

  void store_mask(int node, int copy, int array) {
    if (is_avx512_) {
      const Opmask k = mask(node, copy, 0);
      const Source one = constant(1, false);
      vpbroadcastd(scratch(0) | k | T_z, ptr[one.memory.getRegExp()]);
      return vpmovdb(stored(element(array, copy, 1)), scratch(0));
    }
    const Xmm x = in_register(source(node, copy), 0, false);
    const Address to = element(array, copy, 1);
    vpsrld(scratch(0), x, 31);
    vextracti128(Xmm(15), Ymm(14), 1);
    vpackssdw(Xmm(14), Xmm(14), Xmm(15));
    vpacksswb(Xmm(14), Xmm(14), Xmm(14));
    vmovq(to, Xmm(14));
  }

  // Nodes

  template <class F>
  void binary(const Step& step, bool is_commutative, F instruction) {
    int a = 0, b = 1;
    if (is_commutative && !source(step, 0).in_register) std::swap(a, b);
    const Xmm x = in_register(step, a, 0);
    const Source y = source(step, b);
    instruction(define(step), x, y.operand());
  }
  template <class F>
  void unary(const Step& step, F instruction) {
    const Xmm x = in_register(step, 0, 0);
    instruction(define(step), x);
  }

#define LINNET_BINARY(op, is_commutative, of_words_64, of_words_32)                         \
  case VectorOp::op:                                                                        \
    return binary(step, is_commutative, [&](const Xmm& y, const Xmm& a, const Operand& b) { \
      step.node.wide ? of_words_64(y, a, b) : of_words_32(y, a, b);                         \
    });

  void emit_node(const Step& step) override {
    switch (step.node.op) {
      case VectorOp::kInput:
        return emit_input(step);
        LINNET_BINARY(kAdd, true, vaddpd, vaddps)
        LINNET_BINARY(kSub, false, vsubpd, vsubps)
        LINNET_BINARY(kMul, true, vmulpd, vmulps)
        LINNET_BINARY(kDiv, false, vdivpd, vdivps)
        LINNET_BINARY(kMin, false, vminpd, vminps)
        LINNET_BINARY(kMax, false, vmaxpd, vmaxps)
        LINNET_BINARY(kScale, false, vscalefpd, vscalefps)
      case VectorOp::kSqrt:
        return unary(step, [&](const Xmm& y, const Xmm& x) {
          step.node.wide ? vsqrtpd(y, x) : vsqrtps(y, x);
        });
      case VectorOp::kRound:
        return unary(step, [&](const Xmm& y, const Xmm& x) { round(step, y, x); });
      case VectorOp::kFma:
        return emit_fma(step);
      case VectorOp::kSelect:
        return emit_select(step);
      default:
        return step.node.is_mask ? emit_mask(step) : emit_word(step);
    }
  }

  void round(const Step& step, const Xmm& y, const Xmm& x) {
    const auto mode = static_cast<uint8_t>(step.node.immediate | 8);  // inexact is no exception
    if (is_avx512_) return step.node.wide ? vrndscalepd(y, x, mode) : vrndscaleps(y, x, mode);
    step.node.wide ? vroundpd(y, x, mode) : vroundps(y, x, mode);
  }

  /// An operand that ends here gives its register to the result.
  void adopt(const Step& step, int k) {
    vectors_->replace(value_of(step.node.src[static_cast<size_t>(k)], step.copy), step.value);
    release_operands(step);
  }

#define LINNET_FMA(form, y, a, b) \
  (step.node.wide ? vfmadd##form##pd(y, a, b) : vfmadd##form##ps(y, a, b))

  void emit_fma(const Step& step) {
    const bool wide = step.node.wide;
    Source s[3] = {source(step, 0), source(step, 1), source(step, 2)};
    const auto ends_here = [&](int k) {
      const int node = step.node.src[static_cast<size_t>(k)];
      return s[k].in_register && is_value(node) && next_use(value_of(node, step.copy)) == INT_MAX;
    };
    if (!ends_here(2) && (ends_here(0) || ends_here(1))) {
      const int factor = ends_here(0) ? 0 : 1;
      const Source& other = s[1 - factor];
      if (!other.in_register && s[2].in_register) {
        LINNET_FMA(132, s[factor].reg, s[2].reg, other.operand());
      } else {
        const Xmm x = in_register(other, 0, wide);
        LINNET_FMA(213, s[factor].reg, x, s[2].operand());
      }
      return adopt(step, factor);
    }
    const int a = s[0].in_register ? 0 : 1;
    const Xmm x = in_register(s[a], 0, wide);
    if (ends_here(2)) {
      LINNET_FMA(231, s[2].reg, x, s[1 - a].operand());
      return adopt(step, 2);
    }
    const Xmm y = define(step);  // apart from the operands, as none ends here
    load_into(y, s[2], wide);
    LINNET_FMA(231, y, x, s[1 - a].operand());
  }

  void emit_select(const Step& step) {
    const bool wide = step.node.wide;
    const Xmm no = in_register(step, 2, 0);
    if (is_avx512_) {
      const Opmask k = mask(step, 0, 0);
      const Source yes = source(step, 1);
      const Xmm y = define(step) | k;
      return wide ? vblendmpd(y, no, yes.operand()) : vblendmps(y, no, yes.operand());
    }
    const Xmm condition = in_register(step, 0, 1);
    const Source yes = source(step, 1);
    const Xmm y = define(step);
    wide ? vblendvpd(y, no, yes.operand(), condition) : vblendvps(y, no, yes.operand(), condition);
  }

  // Masks

  void emit_mask(const Step& step) {
    switch (step.node.op) {
      case VectorOp::kCompare:
        return emit_compare(step);
      case VectorOp::kWordCompare:
        return is_avx512_ ? emit_word_compare(step) : emit_word_compare_avx2(step);
      case VectorOp::kSignMask: {
        const Xmm x = in_register(step, 0, 0);
        if (!is_avx512_) return vmovaps(define(step), x);
        return step.node.wide ? vpmovq2m(define_mask(step), x) : vpmovd2m(define_mask(step), x);
      }
      default:
        return is_avx512_ ? emit_mask_logic(step) : emit_mask_logic_avx2(step);
    }
  }

  void emit_compare(const Step& step) {
    const Xmm a = in_register(step, 0, 0);
    const Source b = source(step, 1);
    const uint8_t predicate = step.node.immediate;
    if (is_avx512_) {
      const Opmask k = define_mask(step);
      return step.node.wide ? vcmppd(k, a, b.operand(), predicate)
                            : vcmpps(k, a, b.operand(), predicate);
    }
    const Xmm y = define(step);
    step.node.wide ? vcmppd(y, a, b.operand(), predicate) : vcmpps(y, a, b.operand(), predicate);
  }

  void emit_word_compare(const Step& step) {
    const Xmm a = in_register(step, 0, 0);
    const Source b = source(step, 1);
    const Opmask k = define_mask(step);
    const auto predicate = static_cast<uint8_t>(step.node.immediate & 7);
    const bool is_unsigned = (step.node.immediate & 8) != 0;
    if (step.node.wide) {
      return is_unsigned ? vpcmpuq(k, a, b.operand(), predicate)
                         : vpcmpq(k, a, b.operand(), predicate);
    }
    is_unsigned ? vpcmpud(k, a, b.operand(), predicate) : vpcmpd(k, a, b.operand(), predicate);
  }

  /// From equality and signed order; words without sign are ordered with their top bit flipped.
  void emit_word_compare_avx2(const Step& step) {
    const bool wide = step.node.wide;
    Xmm a = in_register(step, 0, 0), b = in_register(step, 1, 1);
    const auto predicate = static_cast<WordPredicate>(step.node.immediate & 7);
    const bool is_equality = predicate == WordPredicate::kEq || predicate == WordPredicate::kNe;
    if ((step.node.immediate & 8) != 0 && !is_equality) {
      const Source top = constant(wide ? uint64_t{1} << 63 : 0x80000000u, wide);
      vpxor(scratch(0), a, top.operand());
      vpxor(scratch(1), b, top.operand());
      a = scratch(0);
      b = scratch(1);
    }
    if (predicate == WordPredicate::kLt || predicate == WordPredicate::kGe) std::swap(a, b);
    const Xmm y = define(step);
    if (is_equality) wide ? vpcmpeqq(y, a, b) : vpcmpeqd(y, a, b);
    if (!is_equality) wide ? vpcmpgtq(y, a, b) : vpcmpgtd(y, a, b);
    if (predicate == WordPredicate::kEq || predicate == WordPredicate::kLt ||
        predicate == WordPredicate::kGt)
      return;
    vpxor(y, y, constant(0xFFFFFFFFu, false).operand());
  }

  void emit_mask_logic(const Step& step) {
    const Opmask a = mask(step, 0, 0);
    if (step.node.op == VectorOp::kMaskNot) return knotw(define_mask(step), a);
    const Opmask b = mask(step, 1, 1);
    const Opmask k = define_mask(step);
    if (step.node.op == VectorOp::kMaskAnd) return kandw(k, a, b);
    if (step.node.op == VectorOp::kMaskOr) return korw(k, a, b);
    kxorw(k, a, b);
  }

  void emit_mask_logic_avx2(const Step& step) {
    const Xmm a = in_register(step, 0, 0);
    const Source b =
        step.node.op == VectorOp::kMaskNot ? constant(0xFFFFFFFFu, false) : source(step, 1);
    const Xmm y = define(step);
    if (step.node.op == VectorOp::kMaskAnd) return vpand(y, a, b.operand());
    if (step.node.op == VectorOp::kMaskOr) return vpor(y, a, b.operand());
    vpxor(y, a, b.operand());
  }

  // Words and conversions

#define LINNET_LOGIC(op, instruction)                                             \
  case VectorOp::op:                                                              \
    return binary(step, true, [&](const Xmm& y, const Xmm& a, const Operand& b) { \
      if (!is_avx512_) return instruction(y, a, b);                               \
      step.node.wide ? instruction##q(y, a, b) : instruction##d(y, a, b);         \
    });
#define LINNET_WORDS(op, is_commutative, instruction) \
  case VectorOp::op:                                  \
    return binary(step, is_commutative,               \
                  [&](const Xmm& y, const Xmm& a, const Operand& b) { instruction(y, a, b); });
#define LINNET_SIGNED_OR_NOT(op, of_signed, of_unsigned)                           \
  case VectorOp::op:                                                               \
    return binary(step, false, [&](const Xmm& y, const Xmm& a, const Operand& b) { \
      step.node.immediate == 0 ? of_signed(y, a, b) : of_unsigned(y, a, b);        \
    });

  void emit_word(const Step& step) {
    switch (step.node.op) {
      LINNET_LOGIC(kAnd, vpand)
      LINNET_LOGIC(kOr, vpor)
      LINNET_LOGIC(kXor, vpxor)
      LINNET_BINARY(kWordAdd, true, vpaddq, vpaddd)
      LINNET_BINARY(kWordSub, false, vpsubq, vpsubd)
      LINNET_WORDS(kWordMul, true, vpmulld)
      LINNET_WORDS(kShiftLeftBy, false, vpsllvd)
      LINNET_WORDS(kShiftRightBy, false, vpsrlvd)
      LINNET_WORDS(kShiftRightSignedBy, false, vpsravd)
      LINNET_SIGNED_OR_NOT(kWordMin, vpminsd, vpminud)
      LINNET_SIGNED_OR_NOT(kWordMax, vpmaxsd, vpmaxud)
      case VectorOp::kShiftLeft:
      case VectorOp::kShiftRight:
      case VectorOp::kShiftRightSigned:
        return unary(step, [&](const Xmm& y, const Xmm& x) { shift(step, y, x); });
      case VectorOp::kNarrow:
        return narrow(step);
      default:
        return unary(step, [&](const Xmm& y, const Xmm& x) { convert(step, y, x); });
    }
  }

  void shift(const Step& step, const Xmm& y, const Xmm& x) {
    const uint8_t count = step.node.immediate;
    const bool wide = step.node.wide;
    if (step.node.op == VectorOp::kShiftLeft)
      return wide ? vpsllq(y, x, count) : vpslld(y, x, count);
    if (step.node.op == VectorOp::kShiftRight)
      return wide ? vpsrlq(y, x, count) : vpsrld(y, x, count);
    if (!wide) return vpsrad(y, x, count);
    if (is_avx512_) return vpsraq(y, x, count);
    // AVX2 has it for words of 32 bits only: the upper one shifted so, and what comes below it.
    const Xmm upper = scratch(0), lower = scratch(1);
    if (count < 32) {
      vpsrlq(lower, x, count);
      vpsrad(upper, x, count);
    } else {
      vpsrad(lower, x, static_cast<uint8_t>(count - 32));
      vpshufd(lower, lower, 0xF5);
      vpsrad(upper, x, 31);
    }
    vpblendd(y, lower, upper, 0xAA);
  }

  void narrow(const Step& step) {
    const Xmm low = in_register(step, 0, 0);
    vcvtpd2ps(half(scratch(0)), low);
    const Xmm high = in_register(step, 1, 1);
    vcvtpd2ps(half(scratch(1)), high);
    const Xmm y = define(step);
    if (is_avx512_) return vinsertf64x4(Zmm(y.getIdx()), Zmm(30), Ymm(31), 1);
    vinsertf128(Ymm(y.getIdx()), Ymm(14), Xmm(15), 1);
  }

  void convert(const Step& step, const Xmm& y, const Xmm& x) {
    switch (step.node.op) {
      case VectorOp::kWiden:
        if (step.node.immediate == 0) return vcvtps2pd(y, half(x));
        if (is_avx512_) vextractf64x4(Ymm(30), Zmm(x.getIdx()), 1);
        if (!is_avx512_) vextractf128(Xmm(14), Ymm(x.getIdx()), 1);
        return vcvtps2pd(y, half(scratch(0)));
      case VectorOp::kRoundToHalf:
        vcvtps2ph(half(scratch(0)), x, 0);
        return vcvtph2ps(y, half(scratch(0)));
      case VectorOp::kToInteger:
        return vcvttps2dq(y, x);
      case VectorOp::kToUnsigned:
        return vcvttps2udq(y, x);
      case VectorOp::kFromInteger:
        return vcvtdq2ps(y, x);
      case VectorOp::kFromUnsigned:
        return vcvtudq2ps(y, x);
      default:
        throw Xbyak::Error(Xbyak::ERR_INTERNAL);
    }
  }

#undef LINNET_BINARY
#undef LINNET_FMA
#undef LINNET_LOGIC
#undef LINNET_WORDS
#undef LINNET_SIGNED_OR_NOT
};

}  // namespace

bool can_emit() { return true; }

std::optional<std::vector<unsigned char>> emit(const VectorProgram& program,
                                               const EmitOptions& options) {
  constexpr size_t kMostNodes = 600;
  if (program.nodes().size() > kMostNodes) return std::nullopt;
  std::vector<unsigned char> buffer((program.nodes().size() + 64) * 512);
  Emitter emitter(program, options, buffer.data(), buffer.size());
  try {
    emitter.run();
    emitter.ready();
  } catch (const Xbyak::Error&) {
    return std::nullopt;
  }
  buffer.resize(emitter.getSize());
  return buffer;
}

}  // namespace linnet::cpu::codegen
#else
namespace linnet::cpu::codegen {

bool can_emit() { return false; }

std::optional<std::vector<unsigned char>> emit(const VectorProgram&, const EmitOptions&) {
  return std::nullopt;
}

}  // namespace linnet::cpu::codegen
#endif
