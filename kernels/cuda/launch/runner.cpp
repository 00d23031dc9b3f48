#include "kernels/cuda/launch/runner.h"

#include <algorithm>

#include "kernels/cuda/runtime/gpu.h"

namespace linnet::cuda {

ListRunner::ListRunner(Gpu& gpu, std::span<const ProgramStep> steps) : gpu_(gpu) {
  gpu.make_current();
  for (const ProgramStep& step : steps)
    static_cast<const DeviceKernel&>(*step.kernel)
        .emit(list_, step.inputs, step.outputs, step.workspace);
  for (const Record& record : list_.records()) {
    scratch_words_ = std::max(scratch_words_, cuda::scratch_words(record));
    if (record.function) record.function->handle();  // so that nothing is left to fail
  }
}

void ListRunner::run(std::span<const uint64_t> bases, uint64_t* scratch) const {
  gpu_.make_current();
  const auto held = gpu_.lock();
  for (const Record& record : list_.records())
    enqueue(gpu_, gpu_.stream(), record, bases.data(), scratch);
}

std::unique_ptr<ProgramRunner> make_runner(Gpu& gpu, std::span<const ProgramStep> steps) {
  return std::make_unique<ListRunner>(gpu, steps);
}

}  // namespace linnet::cuda
