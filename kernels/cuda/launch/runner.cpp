#include "kernels/cuda/launch/runner.h"

#include <algorithm>

#include "kernels/cuda/launch/graph.h"
#include "kernels/cuda/runtime/gpu.h"
#include "linnet/detail/format.h"

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
  size_t done = 0;
  try {
    for (const Record& record : list_.records()) {
      enqueue(gpu_, gpu_.stream(), record, bases.data(), scratch);
      ++done;
    }
  } catch (const Error& error) {
    if (done == 0) throw;
    // What comes before may have written over inputs that were given up.
    fail<DeviceError>(
        "{}\n  {} of {} pieces of work of the program had been started: what it "
        "changes in place is lost",
        error.what(), done, list_.records().size());
  }
}

std::unique_ptr<ProgramRunner> make_runner(Gpu& gpu, std::span<const ProgramStep> steps) {
  if (graphs_wanted()) return std::make_unique<GraphRunner>(gpu, steps);
  return std::make_unique<ListRunner>(gpu, steps);
}

}  // namespace linnet::cuda
