#include "rules.h"

#include <algorithm>
#include <cstdlib>
#include <initializer_list>

#include "cuda/fake_driver/fake_driver.h"

namespace linnet::fake_cublaslt {
namespace {

using Text = std::string;

Text number(int64_t value) { return std::to_string(value); }

/// Of the devices of the fake driver.
int capability() {
  const char* const text = std::getenv("LINNET_FAKE_CUDA_CAPABILITY");
  return text ? std::atoi(text) : 90;
}

bool is_fp8(uint32_t type) { return type == CUDA_R_8F_E4M3 || type == CUDA_R_8F_E5M2; }

Text layout_rule(const char* name, const Layout& x) {
  const Text of = Text(" of ") + name;
  if (x.mark != Layout::kMark) return Text("the layout") + of + " was not initialised";
  if (x.element_size() == 0) return "the type" + of + " is not known";
  if (x.rows == 0 || x.columns == 0) return "a size" + of + " is 0";
  if (x.order != CUBLASLT_ORDER_COL && x.order != CUBLASLT_ORDER_ROW)
    return "the order" + of + " is neither columns nor rows";
  const bool by_rows = x.order == CUBLASLT_ORDER_ROW;
  const auto least = static_cast<int64_t>(by_rows ? x.columns : x.rows);
  if (x.ld < least) {
    return "the leading dimension" + of + " is " + number(x.ld) + ", less than its " +
           number(least) + (by_rows ? " columns" : " rows");
  }
  if (x.batch_count < 1) return "the batch count" + of + " is less than 1";
  if (x.batch_mode != CUBLASLT_BATCH_MODE_STRIDED) return "the batch mode" + of + " is not strided";
  if (x.plane_offset != 0) return "a plane offset" + of + " needs complex numbers";
  return {};
}

Text size_rule(const Problem& p) {
  const bool ta = p.transposes_a(), tb = p.transposes_b();
  const uint64_t m = ta ? p.a.columns : p.a.rows, ka = ta ? p.a.rows : p.a.columns;
  const uint64_t n = tb ? p.b.rows : p.b.columns, kb = tb ? p.b.columns : p.b.rows;
  if (ka != kb)
    return "op(A) has " + std::to_string(ka) + " columns, op(B) " + std::to_string(kb) + " rows";
  if (m != p.d.rows)
    return "op(A) has " + std::to_string(m) + " rows, D " + std::to_string(p.d.rows);
  if (n != p.d.columns)
    return "op(B) has " + std::to_string(n) + " columns, D " + std::to_string(p.d.columns);
  if (p.c.rows != p.d.rows || p.c.columns != p.d.columns) return "C and D differ in shape";
  if (p.c.type != p.d.type) return "C and D differ in type";
  if (p.c.order != p.d.order) return "C and D differ in order";
  for (const Layout* x : {&p.b, &p.c, &p.d}) {
    if (x->batch_count != p.a.batch_count) return "the batch counts differ";
  }
  if (p.d.batch_count > 1 && std::abs(p.d.batch_offset) < p.d.extent())
    return "the matrices of the batch of D overlap";
  return {};
}

Text type_rule(const Problem& p) {
  const Operation& o = p.operation;
  const uint32_t a = p.a.type, b = p.b.type, d = p.d.type;
  const auto all = [&](uint32_t t) { return a == t && b == t; };
  const bool narrow = (all(CUDA_R_16BF) && (d == CUDA_R_16BF || d == CUDA_R_32F)) ||
                      (all(CUDA_R_16F) && (d == CUDA_R_16F || d == CUDA_R_32F));
  const bool eight = is_fp8(a) && is_fp8(b) && !all(CUDA_R_8F_E5M2) &&
                     (d == CUDA_R_16BF || d == CUDA_R_16F || d == CUDA_R_32F);
  const bool single = all(CUDA_R_32F) && d == CUDA_R_32F;
  const bool wide = all(CUDA_R_64F) && d == CUDA_R_64F;
  if (!narrow && !eight && !single && !wide) {
    return Text("the types ") + name_of_type(a) + ", " + name_of_type(b) + " -> " +
           name_of_type(d) + " are not among those of products";
  }
  const bool fast = o.compute == CUBLAS_COMPUTE_32F_FAST_TF32 && single;
  if (wide ? o.compute != CUBLAS_COMPUTE_64F : o.compute != CUBLAS_COMPUTE_32F && !fast)
    return Text("the compute type does not fit operands of ") + name_of_type(a);
  if (o.scale != (wide ? CUDA_R_64F : CUDA_R_32F))
    return "the scale type is not that of the computation";
  if (!eight) return o.scale_a || o.scale_b ? "only fp8 has scales of A and B" : "";
  if (capability() < 89) return "products of fp8 need compute capability 8.9";
  if (o.mode_a != CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F ||
      o.mode_b != CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F)
    return "only one scale of f32 for a matrix is offered";
  if (!p.transposes_a() || p.transposes_b()) return "products of fp8 want A transposed and B not";
  for (const int64_t size : {p.m(), p.n(), p.k(), p.a.ld, p.b.ld}) {
    if (size % 16 != 0) return "sizes of a product of fp8 are multiples of 16";
  }
  return {};
}

Text operation_rule(const Operation& o) {
  if (o.mark != Operation::kMark) return "the operation was not initialised";
  if (o.pointer_mode != CUBLASLT_POINTER_MODE_HOST) return "only scales in host memory are offered";
  for (const int32_t transpose : {o.transpose_a, o.transpose_b}) {
    if (transpose != CUBLAS_OP_N && transpose != CUBLAS_OP_T)
      return "a transpose is neither N nor T";
  }
  if (o.transpose_c != CUBLAS_OP_N) return "C cannot be transposed";
  if (o.fill != CUBLAS_FILL_MODE_FULL) return "the fill mode is not full";
  for (const void* scale : {o.scale_c, o.scale_d, o.largest_d, o.auxiliary_scale,
                            o.auxiliary_largest, o.scale_d_out, o.emulation}) {
    if (scale) return "scales of C, D and auxiliary operands and emulation are not offered";
  }
  return {};
}

Text epilogue_rule(const Problem& p) {
  const Operation& o = p.operation;
  const uint32_t e = o.epilogue;
  if (!epilogue_is_known(e)) return "there is no epilogue " + std::to_string(e);
  if (e != CUBLASLT_EPILOGUE_DEFAULT && p.d.type == CUDA_R_64F) return "f64 has no epilogue";
  if (has_bias(e) || writes_bias(e)) {
    if (o.bias_type != -1 && static_cast<uint32_t>(o.bias_type) != p.d.type)
      return "the bias is not of the type of D";
    if (o.bias_batch_stride != 0 && o.bias_batch_stride < p.m())
      return "the biases of the batch are shorter than D has rows";
  }
  if (!has_auxiliary(e)) return {};
  if (o.auxiliary_type != -1 && static_cast<uint32_t>(o.auxiliary_type) != p.d.type)
    return "the auxiliary operand is not of the type of D";
  if (o.auxiliary_ld < p.m()) return "the auxiliary leading dimension is less than D has rows";
  const int64_t multiple = has_mask(e) ? 128 : 8;
  if (o.auxiliary_ld % multiple != 0)
    return "the auxiliary leading dimension is no multiple of " + number(multiple);
  if (o.auxiliary_batch_stride % multiple != 0)
    return "the auxiliary batch stride is no multiple of " + number(multiple);
  return {};
}

bool is_multiple(const void* address, uint64_t of) {
  return reinterpret_cast<uintptr_t>(address) % of == 0;
}

Text alignment_rule(const char* name, const void* address, uint64_t alignment, const Layout& x) {
  if (!is_multiple(address, x.element_size()))
    return Text(name) + " is not aligned to its elements";
  if (!is_multiple(address, alignment)) {
    return Text(name) + " is less aligned than the " + std::to_string(alignment) +
           " bytes that the algorithm was chosen for";
  }
  if (is_fp8(x.type) && !is_multiple(address, 16))
    return Text(name) + " of fp8 is not aligned to 16";
  return {};
}

/// Bytes of an operand, first and behind the last.
struct Range {
  uintptr_t begin, end;
  bool overlaps(const Range& o) const { return begin < o.end && o.begin < end; }
};
Range range_of(const void* address, const Layout& x) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  const int64_t batches = (x.batch_count - 1) * x.batch_offset;
  const auto size = static_cast<int64_t>(x.element_size());
  return {at + static_cast<uintptr_t>(std::min<int64_t>(batches, 0) * size),
          at + static_cast<uintptr_t>((std::max<int64_t>(batches, 0) + x.extent()) * size)};
}

Text overlap_rule(const Problem& p, const Call& call) {
  const Range d = range_of(call.d, p.d);
  if (d.overlaps(range_of(call.a, p.a))) return "D overlaps A";
  if (d.overlaps(range_of(call.b, p.b))) return "D overlaps B";
  const bool in_place =
      call.c == call.d && p.c.ld == p.d.ld && p.c.batch_offset == p.d.batch_offset;
  if (call.c && !in_place && d.overlaps(range_of(call.c, p.c))) return "D overlaps C and is not C";
  if (call.workspace && call.workspace_bytes > 0) {
    const auto at = reinterpret_cast<uintptr_t>(call.workspace);
    const Range workspace{at, at + call.workspace_bytes};
    for (const Range& x : {d, range_of(call.a, p.a), range_of(call.b, p.b)}) {
      if (workspace.overlaps(x)) return "the workspace overlaps an operand";
    }
  }
  return {};
}

Text scale_rule(const char* name, const void* scale) {
  if (!scale) return {};
  if (!is_multiple(scale, sizeof(float)))
    return Text("the scale of ") + name + " is not aligned to f32";
  // Memory of the device has other addresses for the host, once it may be used.
  if (fake_cuda::functions().bytes(reinterpret_cast<uint64_t>(scale), sizeof(float)) == scale)
    return Text("the scale of ") + name + " is not in memory of the device";
  return {};
}

bool is_zero(const void* scale, const Operation& o) {
  return o.scale == CUDA_R_64F ? *static_cast<const double*>(scale) == 0
                               : *static_cast<const float*>(scale) == 0;
}

}  // namespace

bool epilogue_is_known(uint32_t epilogue) {
  switch (epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
    case CUBLASLT_EPILOGUE_RELU:
    case CUBLASLT_EPILOGUE_RELU_AUX:
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_RELU_BIAS:
    case CUBLASLT_EPILOGUE_RELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_DRELU:
    case CUBLASLT_EPILOGUE_DRELU_BGRAD:
    case CUBLASLT_EPILOGUE_GELU:
    case CUBLASLT_EPILOGUE_GELU_AUX:
    case CUBLASLT_EPILOGUE_GELU_BIAS:
    case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_DGELU:
    case CUBLASLT_EPILOGUE_DGELU_BGRAD:
    case CUBLASLT_EPILOGUE_BGRADA:
    case CUBLASLT_EPILOGUE_BGRADB:
      return true;
    default:
      return false;
  }
}
bool has_bias(uint32_t epilogue) { return (epilogue & kBiasBit) != 0; }
bool writes_bias(uint32_t epilogue) {
  return (epilogue & kBiasGradientBit) != 0 || epilogue == CUBLASLT_EPILOGUE_BGRADA ||
         epilogue == CUBLASLT_EPILOGUE_BGRADB;
}
bool has_auxiliary(uint32_t epilogue) { return (epilogue & kAuxiliaryBit) != 0; }
bool has_mask(uint32_t epilogue) {
  return has_auxiliary(epilogue) && (epilogue & (kReluBit | kReluGradientBit)) != 0;
}

uint64_t Problem::kind() const {
  uint64_t hash = 0;
  for (const uint64_t word :
       {uint64_t{a.type}, uint64_t{b.type}, uint64_t{d.type}, static_cast<uint64_t>(a.order),
        static_cast<uint64_t>(b.order), static_cast<uint64_t>(d.order),
        static_cast<uint64_t>(operation.transpose_a), static_cast<uint64_t>(operation.transpose_b),
        static_cast<uint64_t>(operation.compute), uint64_t{operation.epilogue}}) {
    hash = (hash ^ word) * 0x9E3779B97F4A7C15ull;
    hash ^= hash >> 29;
  }
  return hash;
}

std::string broken_rule(const Problem& p) {
  if (Text text = operation_rule(p.operation); !text.empty()) return text;
  const struct {
    const char* name;
    const Layout& layout;
  } operands[] = {{"A", p.a}, {"B", p.b}, {"C", p.c}, {"D", p.d}};
  for (const auto& x : operands) {
    if (Text text = layout_rule(x.name, x.layout); !text.empty()) return text;
  }
  for (const auto rule : {size_rule, type_rule, epilogue_rule}) {
    if (Text text = rule(p); !text.empty()) return text;
  }
  return {};
}

std::string broken_rule(const Problem& p, const Call& call, const Algorithm& algorithm) {
  if (!call.alpha || !call.beta) return "a scale has no address";
  if (!call.a || !call.b || !call.d) return "an operand has no address";
  if (!call.c && !is_zero(call.beta, p.operation)) return "C has no address and its scale is not 0";
  const Operation& o = p.operation;
  if ((has_bias(o.epilogue) || writes_bias(o.epilogue)) && !o.bias)
    return "the bias has no address";
  if (has_auxiliary(o.epilogue) && !o.auxiliary) return "the auxiliary operand has no address";
  if (algorithm.mark != Algorithm::kMark) return "the algorithm was not made by this library";
  if (algorithm.kind != p.kind()) return "the algorithm was chosen for another kind of product";
  const struct {
    const char* name;
    const void* address;
    uint64_t alignment;
    const Layout& layout;
  } operands[] = {{"A", call.a, algorithm.alignment_a, p.a},
                  {"B", call.b, algorithm.alignment_b, p.b},
                  {"C", call.c, algorithm.alignment_c, p.c},
                  {"D", call.d, algorithm.alignment_d, p.d}};
  for (const auto& x : operands) {
    if (!x.address) continue;
    Text text = alignment_rule(x.name, x.address, x.alignment, x.layout);
    if (!text.empty()) return text;
  }
  if (has_bias(o.epilogue)) {
    Text text = alignment_rule("the bias", o.bias, algorithm.alignment_bias, p.d);
    if (!text.empty()) return text;
  }
  if (Text text = scale_rule("A", o.scale_a); !text.empty()) return text;
  if (Text text = scale_rule("B", o.scale_b); !text.empty()) return text;
  if (call.workspace_bytes < algorithm.workspace_bytes ||
      (algorithm.workspace_bytes && !call.workspace))
    return "the workspace is smaller than the algorithm needs";
  if (call.workspace && !is_multiple(call.workspace, 256))
    return "the workspace is not aligned to 256";
  return overlap_rule(p, call);
}

}  // namespace linnet::fake_cublaslt
