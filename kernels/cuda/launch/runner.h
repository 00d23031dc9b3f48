// Runs a program, or a part of one, from the records of its kernels.
#pragma once

#include <memory>

#include "kernels/cuda/launch/record.h"

namespace linnet::cuda {

/// Enqueues the records one after the other in every run.
class ListRunner final : public ProgramRunner {
 public:
  ListRunner(Gpu& gpu, std::span<const ProgramStep> steps);
  size_t scratch_words() const override { return scratch_words_; }
  void run(std::span<const uint64_t> bases, uint64_t* scratch) const override;
  const std::vector<Record>& records() const { return list_.records(); }

 private:
  Gpu& gpu_;
  RecordList list_;
  size_t scratch_words_ = 0;
};

std::unique_ptr<ProgramRunner> make_runner(Gpu& gpu, std::span<const ProgramStep> steps);

}  // namespace linnet::cuda
