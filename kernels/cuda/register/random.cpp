// Random bits, keys, uniform and normal numbers, dropout. Gamma and Poisson numbers and matrix
// factors stay with the processor.
#include "core/ops/random.h"

#include <algorithm>

#include "kernels/cpu/random/sampler_range.h"
#include "kernels/cuda/launch/typed_kernel.h"
#include "kernels/cuda/random/random_args.h"
#include "kernels/cuda/random/threshold.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/register/families.h"
#include "linnet/visit_dtype.h"

namespace linnet::cuda {
namespace {

struct SizedKernel {
  Function function;
  size_t bytes;
};
#define SIZED(name, bytes, T) {Function(#name, kRandomThreads), bytes},
#define TYPED(name, dtype, T) {Function(#name, kRandomThreads), DType::dtype},
const SizedKernel kBits[] = {LINNET_RANDOM_BITS_KERNELS(SIZED)};
const SizedKernel kSplit[] = {LINNET_RANDOM_SPLIT_KERNELS(SIZED)};
const TypedKernel kUniform[] = {LINNET_RANDOM_UNIFORM_KERNELS(TYPED)};
const TypedKernel kNormal[] = {LINNET_RANDOM_NORMAL_KERNELS(TYPED)};
const TypedKernel kDropout[] = {LINNET_DROPOUT_KERNELS(TYPED)};
#undef SIZED
#undef TYPED
const Function kFoldIn("random_fold_in", kRandomThreads);

constexpr int64_t kPerBlock = int64_t{kRandomThreads} * kRandomPerThread;

int64_t key_count(const KernelRequest& request) {
  return element_count(request.inputs[0].shape) / 2;
}

std::string decline_layout(random::Layout layout) {
  return layout == random::Layout::kPartitionable ? "" : "the older layout of bits";
}
template <class P>
std::string decline(const KernelRequest& request) {
  return decline_layout(request.params.as<P>().layout);
}

/// `count` elements from each key.
std::unique_ptr<Kernel> make_bits(const Function& function, int64_t keys, int64_t count) {
  return make_device_kernel([=, &function](LaunchSink& sink, Operands in, Operands out, Address) {
    if (keys * count == 0) return;
    sink.launch(function, {blocks_for(keys * count, kPerBlock)},
                RandomBitsArgs{global<const unsigned>(in[0]), global<void>(out[0]), keys, count});
  });
}

std::unique_ptr<Kernel> prepare_bits(const KernelRequest& request, std::string&) {
  const RandomParams& p = request.params.as<RandomParams>();
  const auto kernel = std::ranges::find(kBits, size_of(p.dtype), &SizedKernel::bytes);
  return make_bits(kernel->function, key_count(request), element_count(p.shape));
}

std::unique_ptr<Kernel> prepare_split(const KernelRequest& request, std::string&) {
  const RandomParams& p = request.params.as<RandomParams>();
  return make_bits(kSplit[0].function, key_count(request), element_count(p.shape));
}

std::unique_ptr<Kernel> prepare_fold_in(const KernelRequest& request, std::string&) {
  const int64_t keys = key_count(request);
  return make_device_kernel([=](LaunchSink& sink, Operands in, Operands out, Address) {
    if (keys == 0) return;
    sink.launch(kFoldIn, {blocks_for(keys, kRandomThreads)},
                FoldInArgs{global<const unsigned>(in[0]), global<const unsigned>(in[1]),
                           global<unsigned>(out[0]), keys});
  });
}

std::unique_ptr<Kernel> make_sampler(const Function& function, const KernelRequest& request,
                                     const cpu::SamplerRange& range, int64_t count) {
  const int64_t keys = key_count(request);
  return make_device_kernel([=, &function](LaunchSink& sink, Operands in, Operands out, Address) {
    if (keys * count == 0) return;
    sink.launch(function, {blocks_for(keys * count, kPerBlock)},
                SamplerArgs{global<const unsigned>(in[0]), global<void>(out[0]), keys, count,
                            range.low, range.span, range.least, range.most});
  });
}

std::unique_ptr<Kernel> prepare_uniform(const KernelRequest& request, std::string&) {
  const RandomRangeParams& p = request.params.as<RandomRangeParams>();
  return make_sampler(function_for(kUniform, p.dtype), request,
                      cpu::uniform_range(p.dtype, p.low, p.high), element_count(p.shape));
}

std::unique_ptr<Kernel> prepare_normal(const KernelRequest& request, std::string&) {
  const RandomParams& p = request.params.as<RandomParams>();
  return make_sampler(function_for(kNormal, p.dtype), request, cpu::normal_range(p.dtype),
                      element_count(p.shape));
}

std::unique_ptr<Kernel> prepare_truncated_normal(const KernelRequest& request, std::string&) {
  const RandomRangeParams& p = request.params.as<RandomRangeParams>();
  return make_sampler(function_for(kNormal, p.dtype), request,
                      cpu::truncated_normal_range(p.dtype, p.low, p.high), element_count(p.shape));
}

std::string decline_dropout(const KernelRequest& request) {
  const DropoutParams& p = request.params.as<DropoutParams>();
  const std::span<const int64_t> shape = request.inputs[0].shape;
  if (!std::equal(shape.begin(), shape.end(), p.mask_shape.begin(), p.mask_shape.end()))
    return "a broadcast mask";
  return decline_layout(p.layout);
}

std::unique_ptr<Kernel> prepare_dropout(const KernelRequest& request, std::string&) {
  const DropoutParams& p = request.params.as<DropoutParams>();
  const OperandView& x = request.inputs[0];
  DropoutArgs args{};
  args.count = element_count(x.shape);
  visit_dtype(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (cpu::kIsFloating<T>)
      args.keep = static_cast<double>(cpu::widen(cpu::narrow<T>(1 - p.rate)));
  });
  args.threshold = dropout_threshold(p.rate);
  args.aligned = x.alignment >= std::min<size_t>(16, size_of(x.dtype) * kRandomPerThread);
  const Function& function = function_for(kDropout, x.dtype);
  return make_device_kernel([=, &function](LaunchSink& sink, Operands in, Operands out, Address) {
    if (args.count == 0) return;
    DropoutArgs now = args;
    now.x = global<const void>(in[0]);
    now.key = global<const unsigned>(in[1]);
    now.y = global<void>(out[0]);
    now.mask = global<unsigned char>(out[1]);
    sink.launch(function, {blocks_for(args.count, kPerBlock)}, now);
  });
}

}  // namespace

void register_random(KernelTable& table) {
  const auto add = [&](const Primitive& primitive, const char* name, auto decline, auto prepare) {
    table.add(primitive,
              {.name = name, .decline = decline, .prepare = prepare, .never_throws = true});
  };
  add(random_bits_primitive(), "threefry", decline<RandomParams>, prepare_bits);
  add(random_split_primitive(), "threefry", decline<RandomParams>, prepare_split);
  add(random_fold_in_primitive(), "threefry", nullptr, prepare_fold_in);
  add(random_uniform_primitive(), "threefry", decline<RandomRangeParams>, prepare_uniform);
  add(random_normal_primitive(), "threefry", decline<RandomParams>, prepare_normal);
  add(random_truncated_normal_primitive(), "threefry", decline<RandomRangeParams>,
      prepare_truncated_normal);
  add(dropout_primitive(), "fused", decline_dropout, prepare_dropout);
}

}  // namespace linnet::cuda
