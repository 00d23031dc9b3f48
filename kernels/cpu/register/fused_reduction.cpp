// The kernel of a cluster and the reduction of one of its values, which is stored only if it is a
// result as well: pieces of it are computed into the cache and reduced there, in the order in which
// the reduction would read it from memory.
#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "core/graph/fused_elementwise.h"
#include "core/ops/reduce.h"
#include "kernels/cpu/reduce/reduce.h"
#include "kernels/cpu/register/axes_mask.h"
#include "kernels/cpu/register/cluster_program.h"
#include "kernels/cpu/workspace.h"

namespace linnet {
namespace {

using cpu::codegen::ClusterKernel;

/// The two parts of a body.
struct Parts {
  /// Its results are those of the node but the reduction's, and what is reduced if that is not one.
  Graph cluster;
  size_t reduced = 0;      ///< which of the cluster's results
  bool is_stored = false;  ///< whether it is one of the node's
  Graph::Node last;        ///< the reduction

  explicit Parts(const Graph& body) : cluster(body), last(body.nodes.back()) {
    cluster.nodes.pop_back();
    cluster.outputs.pop_back();
    const ValueId operand = last.inputs[0];
    const auto found = std::find(cluster.outputs.begin(), cluster.outputs.end(), operand);
    reduced = static_cast<size_t>(found - cluster.outputs.begin());
    is_stored = found != cluster.outputs.end();
    if (!is_stored) cluster.outputs.push_back(operand);
  }
  const TensorType& operand() const { return cluster.types[last.inputs[0]]; }
};

cpu::ReduceKind kind_of(const Primitive* p) {
  if (p == &reduce_sum_primitive()) return cpu::ReduceKind::kSum;
  if (p == &reduce_prod_primitive()) return cpu::ReduceKind::kProd;
  if (p == &reduce_max_primitive()) return cpu::ReduceKind::kMax;
  if (p == &reduce_min_primitive()) return cpu::ReduceKind::kMin;
  return p == &reduce_or_primitive() ? cpu::ReduceKind::kAny : cpu::ReduceKind::kAll;
}

cpu::StridedSpace space_of(const KernelRequest& request, const Parts& parts) {
  const Strides dense = dense_strides(parts.operand().shape);
  std::vector<const int64_t*> strides;
  for (const OperandView& x : request.inputs) strides.push_back(x.strides.data());
  strides.resize(strides.size() + parts.cluster.outputs.size(), dense.data());
  return {parts.operand().shape, strides};
}

/// What is reduced, as machine code computes it.
class Elements final : public cpu::ElementSource {
 public:
  Elements(const ClusterKernel& code, const cpu::StridedSpace& space, const void* const* in,
           void* const* out, const Parts& parts)
      : code_(code),
        space_(space),
        in_(in),
        reduced_(parts.reduced),
        is_stored_(parts.is_stored),
        size_(static_cast<int64_t>(size_of(parts.operand().dtype))) {
    const size_t results = parts.cluster.outputs.size();
    for (size_t k = 0; k < results; ++k) {
      if (k != reduced_ || is_stored_) out_[k] = reinterpret_cast<int64_t>(out[k]);
    }
  }

  bool has_memory() const override { return is_stored_; }
  const void* elements(int64_t begin, int64_t count, void* scratch) const override {
    if (is_stored_) {
      code_.run_range(space_, in_, out_.data(), begin, begin + count);
      return reinterpret_cast<const void*>(out_[reduced_] + begin * size_);
    }
    std::array<int64_t, ClusterKernel::kMostArrays> out = out_;
    out[reduced_] = reinterpret_cast<int64_t>(scratch) - begin * size_;
    code_.run_range(space_, in_, out.data(), begin, begin + count);
    return scratch;
  }

 private:
  const ClusterKernel& code_;
  const cpu::StridedSpace& space_;
  const void* const* in_;
  std::array<int64_t, ClusterKernel::kMostArrays> out_{};
  size_t reduced_;
  bool is_stored_;
  int64_t size_;
};

/// Results are written by pieces, and soon read again.
constexpr ClusterKernel::Options kOptions{.may_stream = false};

class FusedReduction final : public HostKernel {
 public:
  explicit FusedReduction(const KernelRequest& request)
      : parts_(*request.params.as<FusedReductionParams>().body),
        space_(space_of(request, parts_)),
        reduction_(kind_of(parts_.last.primitive), parts_.operand().dtype, parts_.operand().shape,
                   dense_strides(parts_.operand().shape),
                   axes_mask(parts_.last.params.as<ReduceParams>())) {}

  /// Whether the work can be divided among threads nearly as well as that of the cluster alone.
  std::string decline(const cpu::TileProgram& program) const {
    if (space_.element_count() == 0) return "no elements";
    if (!reduction_.takes_source()) return "rows are added in groups";
    const int64_t wanted = space_.element_count() * ClusterKernel::cost_of(program) >> 17;
    if (reduction_.parts() < 4 && wanted >= 2 * reduction_.parts())
      return "the reduction has few parts";
    return {};
  }

  /// @return whether there is, or will be, machine code; else why not.
  bool prepare_code(const cpu::TileProgram& program, std::string& reason) {
    if (needs_code_at_once(program, space_)) {
      code_ = ClusterKernel::make(program, space_, kOptions, reason);
      return code_ != nullptr;
    }
    reason = ClusterKernel::why_not(program, space_, kOptions);
    if (!reason.empty()) return false;
    late_code_.emplace();
    prepare_tiles(program);
    return true;
  }
  void prepare_tiles(const cpu::TileProgram& program) { tiles_.emplace(program, space_); }

  size_t workspace_bytes() const override { return cpu::workspace_bytes<Scratch>(*this); }

  void run(const void* const* in, void* const* out, void* workspace) const override {
    cpu::Workspace w(workspace);
    const Scratch scratch(w, *this);
    void* const result = out[parts_.cluster.outputs.size() - (parts_.is_stored ? 0 : 1)];
    const ClusterKernel* code = code_.get();
    if (late_code_) code = late_code_->of_this_run(*tiles_, kOptions);
    if (code)
      return reduction_.run(Elements(*code, space_, in, out, parts_), result, scratch.partial);
    std::array<void*, ClusterTiles::kMostOperands> to;
    std::copy_n(out, parts_.cluster.outputs.size(), to.begin());
    if (!parts_.is_stored) to[parts_.reduced] = scratch.operand;
    tiles_->run(in, to.data(), scratch.tiles);
    reduction_.run(to[parts_.reduced], result, scratch.partial);
  }

 private:
  /// The interpreter needs all of the operand.
  struct Scratch {
    std::byte *partial, *operand = nullptr, *tiles = nullptr;

    Scratch(cpu::Workspace& w, const FusedReduction& kernel)
        : partial(w.take<std::byte>(static_cast<int64_t>(kernel.reduction_.workspace_bytes()))) {
      if (!kernel.tiles_) return;
      const auto size = static_cast<int64_t>(size_of(kernel.parts_.operand().dtype));
      if (!kernel.parts_.is_stored)
        operand = w.take<std::byte>(kernel.space_.element_count() * size);
      tiles = w.take<std::byte>(static_cast<int64_t>(kernel.tiles_->workspace_bytes()));
    }
  };

  Parts parts_;
  cpu::StridedSpace space_;
  cpu::PlannedReduction reduction_;
  std::unique_ptr<const ClusterKernel> code_;
  std::optional<ClusterCode> late_code_;
  std::optional<ClusterTiles> tiles_;
};

template <bool kCode>
std::unique_ptr<Kernel> prepare(const KernelRequest& request, std::string& reason) {
  if (request.inputs.size() >= ClusterTiles::kMostOperands ||
      request.outputs.size() >= ClusterTiles::kMostOperands) {
    reason = "too many operands";
    return nullptr;
  }
  const Parts parts(*request.params.as<FusedReductionParams>().body);
  const auto program = tile_program_of(parts.cluster, reason);
  if (!program) return nullptr;
  auto kernel = std::make_unique<FusedReduction>(request);
  reason = kernel->decline(*program);
  if (!reason.empty()) return nullptr;
  if constexpr (kCode) {
    if (!kernel->prepare_code(*program, reason)) return nullptr;
  } else {
    kernel->prepare_tiles(*program);
  }
  return kernel;
}

}  // namespace

void register_fused_reduction(KernelTable& table) {
  const auto add = [&](const char* name, auto prepare) {
    table.add(fused_reduction_primitive(), {.name = name,
                                            .strided = true,
                                            .in_place = true,
                                            .prepare = prepare,
                                            .never_throws = true});
  };
  add("machine code", prepare<true>);
  add("tiles", prepare<false>);
}

}  // namespace linnet
