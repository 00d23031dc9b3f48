#include "kernels/cuda/elementwise/pointwise.h"

#include <algorithm>
#include <array>
#include <vector>

#include "kernels/cuda/elementwise/packing.h"
#include "kernels/cuda/elementwise/pointwise_list.h"
#include "kernels/cuda/launch/function.h"
#include "kernels/cuda/register/device_kernel.h"
#include "linnet/detail/format.h"

namespace linnet::cuda {
namespace {

/// A kernel of packs, if there is one, and its twin, whose threads have `strided_elements`.
struct Functions {
  const Function* packed;
  const Function* strided;
  int strided_elements;
};
struct ListedFunctions {
  Arithmetic arithmetic;
  FunctionSet set;
  Functions functions;
};

#define LINNET_DEFINE_TWINS(name, arithmetic, set, arity) \
  const Function name##_packed(#name, kPointwiseThreads); \
  const Function name##_strided(#name "_strided", kPointwiseThreads);
#define LINNET_DEFINE_ONE(name, arithmetic, set, arity) \
  const Function name##_strided(#name "_strided", kPointwiseThreads);
LINNET_POINTWISE_FLOAT(LINNET_DEFINE_TWINS)
LINNET_POINTWISE_DOUBLE(LINNET_DEFINE_TWINS)
LINNET_POINTWISE_INTEGER(LINNET_DEFINE_TWINS)
LINNET_POINTWISE_COMPARE(LINNET_DEFINE_TWINS)
LINNET_POINTWISE_RARE(LINNET_DEFINE_ONE)
#undef LINNET_DEFINE_TWINS
#undef LINNET_DEFINE_ONE

#define LINNET_LIST_TWINS(name, arithmetic, set, arity) \
  {Arithmetic::k##arithmetic, FunctionSet::k##set, {&name##_packed, &name##_strided, 2}},
#define LINNET_LIST_ONE(name, arithmetic, set, arity) \
  {Arithmetic::k##arithmetic, FunctionSet::k##set, {nullptr, &name##_strided, 1}},
constexpr ListedFunctions kListed[] = {
    LINNET_POINTWISE_FLOAT(LINNET_LIST_TWINS) LINNET_POINTWISE_DOUBLE(LINNET_LIST_TWINS)
        LINNET_POINTWISE_INTEGER(LINNET_LIST_TWINS) LINNET_POINTWISE_COMPARE(LINNET_LIST_TWINS)
            LINNET_POINTWISE_RARE(LINNET_LIST_ONE)};
#undef LINNET_LIST_TWINS
#undef LINNET_LIST_ONE

const Functions* functions_of(Arithmetic arithmetic, FunctionSet set) {
  for (const ListedFunctions& listed : kListed)
    if (listed.arithmetic == arithmetic && listed.set == set) return &listed.functions;
  return nullptr;
}

Arithmetic arithmetic_of(DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return Arithmetic::kBool;
    case DType::kI8:
    case DType::kI16:
    case DType::kI32:
      return Arithmetic::kI32;
    case DType::kU8:
    case DType::kU16:
    case DType::kU32:
      return Arithmetic::kU32;
    case DType::kI64:
      return Arithmetic::kI64;
    case DType::kU64:
      return Arithmetic::kU64;
    case DType::kF64:
      return Arithmetic::kDouble;
    default:
      return Arithmetic::kFloat;
  }
}

/// Elements of a pack, as operations.cuh has them.
int pack_elements(DType dtype) { return size_of(dtype) == 8 ? 4 : 8; }

template <int kArity>
struct Launch {
  PointwiseArgs<kArity> args;
  std::array<int64_t, kArity> offsets;  ///< bytes
  int64_t result_offset;
  uint32_t blocks;
};

template <int kArity>
std::unique_ptr<Kernel> make_kernel(const Functions& functions, int elements,
                                    const KernelRequest& request, PointwiseArgs<kArity> args,
                                    std::string& reason) {
  const OperandView& y = request.outputs[0];
  std::array<const int64_t*, kArity> strides;
  std::array<int64_t, kArity> bytes;
  for (size_t k = 0; k < kArity; ++k) {
    strides[k] = request.inputs[k].strides.data();
    bytes[k] = static_cast<int64_t>(size_of(request.inputs[k].dtype));
  }
  if (element_count(y.shape) == 0)
    return make_device_kernel([](LaunchSink&, Operands, Operands, Address) {});
  const cpu::StridedSpace space(y.shape, strides);
  if (space.rank() > kMostDimensions) {
    reason = "more than 8 dimensions that do not lie together";
    return nullptr;
  }
  ByteWalk<kArity> walk = walk_of<kArity>(space, bytes);
  const bool packed = functions.packed != nullptr && can_pack(request, space, elements);
  int64_t per_block = int64_t{kPointwiseThreads} * functions.strided_elements;
  int tail = 0;
  if (packed) {
    for (size_t k = 0; k < kArity; ++k) {
      if (space.rank() == 0 || space.inner_stride(k) == 0) args.repeated |= 1u << k;
    }
    tail = static_cast<int>(space.inner_size() % elements);
    walk_in_packs(walk, elements);
    per_block = kPointwiseThreads;
  }
  const int64_t result_bytes = static_cast<int64_t>(size_of(y.dtype)) * (packed ? elements : 1);
  std::vector<Launch<kArity>> launches;
  for (const WalkPart<kArity>& part : parts_of(walk)) {
    args.space = part.space;
    launches.push_back(
        {args, part.offsets, part.first * result_bytes, blocks_for(part.space.count, per_block)});
  }
  launches.back().args.tail = tail;
  const Function* function = packed ? functions.packed : functions.strided;
  return make_device_kernel([function, launches = std::move(launches)](
                                LaunchSink& sink, Operands in, Operands out, Address) {
    for (const Launch<kArity>& launch : launches) {
      PointwiseArgs<kArity> filled = launch.args;
      for (size_t k = 0; k < kArity; ++k)
        filled.x[k] = {in[k].word + static_cast<uint64_t>(launch.offsets[k])};
      filled.y = {out[0].word + static_cast<uint64_t>(launch.result_offset)};
      sink.launch(*function, {launch.blocks}, filled);
    }
  });
}

template <int kArity>
PointwiseArgs<kArity> pointwise_args(ScalarOp op, DType storage, double parameter) {
  PointwiseArgs<kArity> args;
  args.op = static_cast<int>(op);
  args.storage = static_cast<int>(storage);
  args.parameter = parameter;
  return args;
}

#define LINNET_TWINS(name)                                            \
  {                                                                   \
    {name, kPointwiseThreads}, { name "_strided", kPointwiseThreads } \
  }

std::unique_ptr<Kernel> make_select(const KernelRequest& request, std::string& reason) {
  static const Function kSelect[4][2] = {LINNET_TWINS("select_1"), LINNET_TWINS("select_2"),
                                         LINNET_TWINS("select_4"), LINNET_TWINS("select_8")};
  const DType dtype = request.outputs[0].dtype;
  const size_t size = size_of(dtype);
  const Function* twins = kSelect[size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3];
  return make_kernel<3>({&twins[0], &twins[1], 2}, pack_elements(dtype), request,
                        pointwise_args<3>(ScalarOp::kSelect, dtype, 0), reason);
}

}  // namespace

std::unique_ptr<Kernel> make_pointwise(ScalarOp op, double parameter, const KernelRequest& request,
                                       std::string& reason) {
  if (op == ScalarOp::kSelect) return make_select(request, reason);
  const DType dtype = request.inputs.back().dtype;
  const FunctionSet set = function_set(op, is_floating(dtype), dtype == DType::kF64);
  Arithmetic arithmetic = arithmetic_of(dtype);
  if (arithmetic == Arithmetic::kBool && set == FunctionSet::kCompare)
    arithmetic = Arithmetic::kU32;
  const Functions* functions = functions_of(arithmetic, set);
  if (functions == nullptr) {
    reason = fmt::format("no kernel of {} for {}", name_of(op), name_of(dtype));
    return nullptr;
  }
  const int elements = pack_elements(dtype);
  switch (request.inputs.size()) {
    case 1:
      return make_kernel<1>(*functions, elements, request, pointwise_args<1>(op, dtype, parameter),
                            reason);
    case 2:
      return make_kernel<2>(*functions, elements, request, pointwise_args<2>(op, dtype, parameter),
                            reason);
    default:
      return make_kernel<3>(*functions, elements, request, pointwise_args<3>(op, dtype, parameter),
                            reason);
  }
}

std::unique_ptr<Kernel> make_cast(const KernelRequest& request, std::string& reason) {
  // In the order of Arithmetic; bool is computed as what it is stored in.
  static const Function kCast[][2] = {LINNET_TWINS("cast_float"), LINNET_TWINS("cast_double"),
                                      LINNET_TWINS("cast_i32"),   LINNET_TWINS("cast_u32"),
                                      LINNET_TWINS("cast_i64"),   LINNET_TWINS("cast_u64"),
                                      LINNET_TWINS("cast_u32")};
  const DType from = request.inputs[0].dtype;
  PointwiseArgs<1> args = pointwise_args<1>(ScalarOp{}, from, 0);
  args.to = static_cast<int>(request.outputs[0].dtype);
  const Function* twins = kCast[static_cast<int>(arithmetic_of(from))];
  return make_kernel<1>({&twins[0], &twins[1], 2}, pack_elements(from), request, args, reason);
}

}  // namespace linnet::cuda
