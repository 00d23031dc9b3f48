// Kernels of cumulative operations.
#include <algorithm>
#include <cstdlib>

#include "core/ops/reduce.h"
#include "kernels/cuda/launch/function.h"
#include "kernels/cuda/reduce/plan.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/register/dimensions.h"
#include "kernels/cuda/register/families.h"
#include "kernels/cuda/scan/scan_args.h"

namespace linnet::cuda {
namespace {

/// Lines that neighbouring threads can have each, so that no thread waits for another: enough of
/// them to fill a device, or short.
constexpr int64_t kManyLines = 8192, kShortLine = 16;
/// Segments are not shorter, and a launch has no more blocks than this makes.
constexpr int64_t kSegment = 16384, kBlocks = 1024;

#define LINNET_SCAN(name, T) Function("scan_" #name, kScanThreads),
const Function kScan[] = {LINNET_SCAN_KERNELS(LINNET_SCAN)};

const Function& function_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return kScan[0];
    case DType::kBF16:
      return kScan[1];
    case DType::kF16:
      return kScan[2];
    case DType::kF64:
      return kScan[3];
    case DType::kBool:
      return function_of(DType::kU8);
    default:
      return kScan[3 + static_cast<size_t>(dtype)];  // from i8 on, as DType is ordered
  }
}

int64_t items_of(DType dtype) {
  return std::min<int64_t>(16 / static_cast<int64_t>(size_of(dtype)), kScanMostItems);
}

void choose_threads(const OperandView& x, const Dimensions<2>& lines, ScanArgs& args) {
  const int64_t items = items_of(x.dtype);
  const int64_t neighbour = lines.empty() ? 0 : std::abs(lines.back().stride[0]);
  const bool by_columns =
      neighbour != 0 && neighbour < std::abs(args.stride) && args.count >= kManyLines;
  args.lanes = by_columns || args.length <= kShortLine ? 1
               : args.length <= 32 * kScanMostItems    ? 32
                                                       : kScanThreads;
  const bool aligned = x.alignment >= static_cast<size_t>(items) * size_of(x.dtype);
  args.packed = aligned && args.stride == 1 && args.out_stride == 1 && args.length % items == 0 &&
                keeps_packs(lines, 0, items, true) && keeps_packs(lines, 1, items, true);
  args.segment = args.length;
  args.segments = 1;
  if (args.lanes != kScanThreads || args.count == 0 || args.count >= kBlocks) return;
  const int64_t segments = std::min(kBlocks / args.count, args.length / kSegment);
  if (segments <= 1) return;
  const int64_t chunk = kScanThreads * items;
  const int64_t each = (args.length + segments - 1) / segments;
  args.segment = (each + chunk - 1) / chunk * chunk;
  args.segments = static_cast<int32_t>((args.length + args.segment - 1) / args.segment);
}

/// The scan of what segments amount to, in place.
ScanArgs scan_of_partial(const ScanArgs& of) {
  ScanArgs args = of;
  const Dimensions<2> lines = {{of.count, {of.segments, of.segments}}};
  args.lines = *walk_of(merged(lines));
  args.length = args.segment = of.segments;
  args.segments = 1;
  args.stride = args.out_stride = 1;
  args.lanes = 32;
  args.step = ScanStep::kScan;
  args.reverse = args.packed = false;
  return args;
}

template <Fold kKind>
std::unique_ptr<Kernel> prepare(const KernelRequest& request, std::string& reason) {
  const OperandView &x = request.inputs[0], &y = request.outputs[0];
  const CumulativeParams& p = request.params.as<CumulativeParams>();
  const size_t axis = static_cast<size_t>(static_cast<int64_t>(p.axis));
  Dimensions<2> lines;
  for (size_t i = 0; i < x.shape.size(); ++i) {
    if (i != axis) lines.push_back({x.shape[i], {x.strides[i], y.strides[i]}});
  }
  lines = merged(lines);
  const auto walk = walk_of(lines);
  if (!walk) {
    reason = kTooManyDimensions;
    return nullptr;
  }
  ScanArgs args = {};
  args.lines = *walk;
  args.count = count_of(lines);
  args.length = x.shape[axis];
  args.stride = x.strides[axis];
  args.out_stride = y.strides[axis];
  args.kind = fold_of(x.dtype, kKind);
  args.reverse = p.reverse;
  choose_threads(x, lines, args);
  const uint32_t blocks = args.length == 0 ? 0 : blocks_for(args.count, kScanThreads / args.lanes);
  const Function& scan = function_of(x.dtype);
  const DType partial_dtype = accumulator_dtype(x.dtype);
  const Function& scan_partial = function_of(partial_dtype);
  const auto emit = [=, &scan, &scan_partial](LaunchSink& sink, Operands in, Operands out,
                                              Address workspace) {
    if (blocks == 0) return;
    ScanArgs launched = args;
    launched.x = global<const void>(in[0]);
    launched.y = global<void>(out[0]);
    launched.partial = global<void>(workspace);
    const Extent grid = {blocks, static_cast<uint32_t>(args.segments)};
    if (args.segments > 1) {
      launched.step = ScanStep::kTotals;
      sink.launch(scan, grid, launched);
      ScanArgs partial = scan_of_partial(args);
      partial.x = global<const void>(workspace);
      partial.y = partial.partial = global<void>(workspace);
      sink.launch(scan_partial, {blocks_for(args.count, kScanThreads / partial.lanes)}, partial);
    }
    launched.step = ScanStep::kScan;
    sink.launch(scan, grid, launched);
  };
  const size_t partials =
      args.segments > 1 ? static_cast<size_t>(args.count * args.segments) : size_t{0};
  return make_device_kernel(emit, partials * size_of(partial_dtype));
}

}  // namespace

void register_scan(KernelTable& table) {
  const auto add = [&](const Primitive& primitive, auto make) {
    table.add(primitive, {.name = "lines", .strided = true, .prepare = make, .never_throws = true});
  };
  add(cumsum_primitive(), prepare<Fold::kSum>);
  add(cumprod_primitive(), prepare<Fold::kProd>);
  add(cummax_primitive(), prepare<Fold::kMax>);
}

}  // namespace linnet::cuda
