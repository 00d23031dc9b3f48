// Which of the library's algorithms a product uses.
//
// The heuristics propose several. At the first run of a large product each is timed on the
// product's own operands, and the fastest is kept: in memory, and on disk for later processes.
// LINNET_CUDA_TUNING=heuristic (or 0), and the deterministic mode, take the first one that runs
// instead.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "kernels/cuda/cublas/product.h"

namespace linnet::cuda {

/// Workspace that algorithms may ask for; what the library's makers recommend on Hopper.
inline constexpr size_t kMostWorkspace = size_t{32} << 20;
/// Products of fewer multiplications are not timed: starting them takes longer than computing them.
inline constexpr double kLeastTunedWork = 1 << 20;

/// A product with the algorithms that may compute it. Safe to use from several threads.
class TunedProduct {
 public:
  /// Asks the library. None, and why, if it has no algorithm.
  static std::unique_ptr<TunedProduct> prepare(Product product, std::string& reason);

  size_t workspace_bytes() const { return workspace_bytes_; }

  /// Enqueues the product on the stream of a device, or on the one that is being captured. Times
  /// the algorithms first where that is still to be done and the stream is not captured.
  /// @throws DeviceError naming the product if no algorithm runs.
  void enqueue(CUstream stream, const Product::Operands& operands) const;

 private:
  explicit TunedProduct(Product product) : product_(std::move(product)) {}
  /// Puts first what was found before, by an equal product too, so that all of them give the same
  /// bits.
  void use_known(const Gpu& gpu, size_t workspace_bytes) const;
  /// Enqueues the first candidate that runs and forgets those before it. Locked.
  void enqueue_first(const Gpu& gpu, CUstream stream, const Product::Operands& operands) const;
  void tune(Gpu& gpu, const Product::Operands& operands) const;
  /// Milliseconds of one run, or none if the candidate does not run.
  std::optional<float> time(Gpu& gpu, const Product::Candidate& candidate,
                            const Product::Operands& operands) const;

  Product product_;
  size_t workspace_bytes_ = 0;
  mutable std::mutex mutex_;
  mutable std::vector<Product::Candidate> candidates_;  ///< best first
  mutable bool to_be_tuned_ = false;
};

}  // namespace linnet::cuda
