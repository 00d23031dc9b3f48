// The kernels of clusters of elementwise operations: generated and compiled when a program is.
#include <algorithm>
#include <array>
#include <vector>

#include "core/graph/fused_elementwise.h"
#include "kernels/cuda/elementwise/packing.h"
#include "kernels/cuda/jit/cluster_args.h"
#include "kernels/cuda/jit/compiler.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/register/families.h"

namespace linnet::cuda {
namespace {

template <class Args>
struct Launch {
  Args args;
  std::vector<int64_t> offsets;  ///< of operands and results, in bytes
  uint32_t blocks;
};

template <class Args>
std::unique_ptr<Kernel> make_kernel(const Function& function, std::vector<Launch<Args>> launches) {
  return make_device_kernel([&function, launches = std::move(launches)](
                                LaunchSink& sink, Operands in, Operands out, Address) {
    for (const Launch<Args>& launch : launches) {
      Args args = launch.args;
      for (size_t k = 0; k < launch.offsets.size(); ++k) {
        const Address at = k < in.size() ? in[k] : out[k - in.size()];
        args.operands[k] = {at.word + static_cast<uint64_t>(launch.offsets[k])};
      }
      sink.launch(function, {launch.blocks}, args);
    }
  });
}

int64_t bytes_of(const KernelRequest& request, size_t k) {
  const size_t inputs = request.inputs.size();
  return static_cast<int64_t>(
      size_of(k < inputs ? request.inputs[k].dtype : request.outputs[k - inputs].dtype));
}

/// Fewer than 2^31 packs in each launch.
template <int kOperands>
std::unique_ptr<Kernel> make_flat(const Function& function, const KernelRequest& request,
                                  const ClusterLayout& layout) {
  constexpr int64_t kMost = (int64_t{1} << 31) - 1;
  const int64_t count = element_count(request.outputs[0].shape);
  const int64_t packs = (count + layout.elements - 1) / layout.elements;
  std::vector<Launch<FlatClusterArgs<kOperands>>> launches;
  for (int64_t first = 0; first < packs; first += kMost) {
    Launch<FlatClusterArgs<kOperands>> launch;
    launch.args.packs = static_cast<unsigned>(std::min(kMost, packs - first));
    for (size_t k = 0; k < request.inputs.size() + request.outputs.size(); ++k) {
      const bool repeated = k < request.inputs.size() && layout.repeated[k];
      launch.offsets.push_back(repeated ? 0 : first * layout.elements * bytes_of(request, k));
    }
    launch.blocks = blocks_for(launch.args.packs, kClusterThreads);
    launches.push_back(std::move(launch));
  }
  launches.back().args.tail = static_cast<int>(count % layout.elements);
  return make_kernel(function, std::move(launches));
}

template <int kOperands>
std::unique_ptr<Kernel> make_strided(const Function& function, const KernelRequest& request,
                                     const ClusterLayout& layout, const cpu::StridedSpace& space) {
  const size_t inputs = request.inputs.size();
  ByteWalk<kOperands> walk;
  for (size_t d = 0; d < space.rank(); ++d) {
    walk.sizes.push_back(space.size(d));
    walk.strides.emplace_back();
    for (size_t k = 0; k < inputs; ++k)
      walk.strides.back()[k] = space.stride(k, d) * bytes_of(request, k);
  }
  walk_in_packs(walk, layout.elements);
  std::vector<Launch<StridedClusterArgs<kOperands>>> launches;
  for (const WalkPart<kOperands>& part : parts_of(walk)) {
    Launch<StridedClusterArgs<kOperands>> launch;
    launch.args.space = part.space;
    for (size_t k = 0; k < inputs + request.outputs.size(); ++k) {
      launch.offsets.push_back(k < inputs ? part.offsets[k]
                                          : part.first * layout.elements * bytes_of(request, k));
    }
    launch.blocks = blocks_for(part.space.count, kClusterThreads);
    launches.push_back(std::move(launch));
  }
  return make_kernel(function, std::move(launches));
}

template <int kOperands>
std::unique_ptr<Kernel> make_cluster(const Function& function, const KernelRequest& request,
                                     const ClusterLayout& layout, const cpu::StridedSpace& space) {
  return layout.flat ? make_flat<kOperands>(function, request, layout)
                     : make_strided<kOperands>(function, request, layout, space);
}

ClusterLayout layout_of(const Graph& body, const KernelRequest& request,
                        const cpu::StridedSpace& space) {
  ClusterLayout layout;
  layout.elements = cluster_elements(body);
  if (!can_pack(request, space, layout.elements)) layout.elements = 1;
  layout.flat = space.rank() <= 1;
  for (size_t k = 0; k < request.inputs.size(); ++k) {
    const int64_t stride = space.rank() == 0 ? 0 : space.inner_stride(k);
    layout.repeated.push_back(stride == 0);
    layout.flat = layout.flat && (stride == 0 || stride == 1);
  }
  return layout;
}

std::unique_ptr<Kernel> prepare_cluster(const KernelRequest& request, std::string& reason) {
  const Graph& body = *request.params.as<FusedElementwiseParams>().body;
  reason = cluster_reason(body);
  if (!reason.empty()) return nullptr;
  if (element_count(request.outputs[0].shape) == 0)
    return make_device_kernel([](LaunchSink&, Operands, Operands, Address) {});
  std::vector<const int64_t*> strides;
  for (const OperandView& x : request.inputs) strides.push_back(x.strides.data());
  const cpu::StridedSpace space(request.outputs[0].shape, strides);
  if (space.rank() > kMostDimensions) {
    reason = "more than 8 dimensions that do not lie together";
    return nullptr;
  }
  const ClusterLayout layout = layout_of(body, request, space);
  const ClusterSource source = generate_cluster(body, layout);
  const Function* function = compiled_cluster(source, reason);
  if (function == nullptr) return nullptr;
  switch (source.operands) {
    case 4:
      return make_cluster<4>(*function, request, layout, space);
    case 8:
      return make_cluster<8>(*function, request, layout, space);
    case 16:
      return make_cluster<16>(*function, request, layout, space);
    default:
      return make_cluster<32>(*function, request, layout, space);
  }
}

}  // namespace

void register_clusters(KernelTable& table) {
  table.add(fused_elementwise_primitive(), {.name = "generated",
                                            .strided = true,
                                            .in_place = true,
                                            .prepare = prepare_cluster,
                                            .never_throws = true});
}

}  // namespace linnet::cuda
