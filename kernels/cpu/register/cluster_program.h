// Clusters as programs: translation of a body, and who runs it. Shared by the kernels of clusters
// and of clusters with a reduction.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "core/graph/graph.h"
#include "kernels/cpu/codegen/cluster_kernel.h"
#include "kernels/cpu/interpreter/small_program.h"
#include "kernels/cpu/interpreter/tile_program.h"
#include "linnet/kernel.h"

namespace linnet {

/// The body of a cluster for the interpreter and for machine code.
/// @return nothing, and the reason, if an operation has no translation.
std::optional<cpu::TileProgram> tile_program_of(const Graph& body, std::string& reason);

/// A program in the interpreter, for operands and results of known layouts.
class ClusterTiles {
 public:
  static constexpr size_t kMostOperands = 64;

  /// @param space of operands, then of results; at most kMostOperands of each.
  ClusterTiles(cpu::TileProgram program, cpu::StridedSpace space);

  size_t workspace_bytes() const;
  void run(const void* const* inputs, void* const* outputs, void* workspace) const;

  const cpu::TileProgram& program() const { return program_.program(); }
  const cpu::StridedSpace& space() const { return space_; }

 private:
  cpu::CompiledTileProgram program_;
  cpu::StridedSpace space_;
  std::optional<cpu::SmallTileProgram> small_;
};

/// Machine code that is made at the second run: a program that is run once does not pay for code,
/// and a loop has it from its second turn.
class ClusterCode {
 public:
  using Kernel = cpu::codegen::ClusterKernel;

  ClusterCode() = default;
  ~ClusterCode() { delete code_.load(std::memory_order_relaxed); }
  ClusterCode(const ClusterCode&) = delete;
  ClusterCode& operator=(const ClusterCode&) = delete;

  /// Null: the interpreter is to do this run. Never throws.
  const Kernel* of_this_run(const ClusterTiles& tiles, const Kernel::Options& options) const {
    if (const Kernel* code = code_.load(std::memory_order_acquire)) return code;
    return runs_.load(std::memory_order_relaxed) > 1 ? nullptr : count_run(tiles, options);
  }

 private:
  const Kernel* count_run(const ClusterTiles& tiles, const Kernel::Options& options) const;

  mutable std::atomic<int> runs_{0};
  mutable std::atomic<const Kernel*> code_{nullptr};
};

/// Whether one interpreted run would lose more than making code takes.
bool needs_code_at_once(const cpu::TileProgram& program, const cpu::StridedSpace& space);

/// Clusters with a reduction; called with those of clusters.
void register_fused_reduction(KernelTable& table);

}  // namespace linnet
