#include <dlfcn.h>

#include <iterator>
#include <stdexcept>

#include "cuda/conformance/run.h"
#include "cuda/kernels/kernel.h"
#include "kernels/cuda/conformance/conformance_args.h"

namespace linnet::cuda {

const emulator::KernelEntry& kernel_named(const std::string& name) {
  static void* const library =
      dlopen(LINNET_FAKE_CUDA "/liblinnet_emulated_kernels.so", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(dlerror());
  const void* entry = dlsym(library, ("linnet_kernel_" + name).c_str());
  if (entry == nullptr) throw std::runtime_error("no kernel " + name);
  return *static_cast<const emulator::KernelEntry*>(entry);
}

std::vector<uint32_t> run_conformance(const ConformanceLaunch& launch,
                                      const std::vector<uint32_t>& in, size_t words) {
  std::vector<uint32_t> out(words);
  const ConformanceArgs args{device_pointer<Global<const unsigned>>(in.data()),
                             device_pointer<Global<unsigned>>(out.data()), launch.count, 0};
  const emulator::KernelEntry& kernel = kernel_named(launch.kernel);
  if (kernel.threads != launch.threads) throw std::runtime_error("another size of blocks");
  const Blocks& blocks = launch.blocks;
  emulator::launch(kernel, {blocks.x, blocks.y, blocks.z}, args, launch.shared_bytes);
  return out;
}

std::vector<std::string> conformance_orders() {
  std::vector<std::string> names;
  for (emulator::Schedule schedule : emulator::kTestedSchedules) names.push_back(name_of(schedule));
  return names;
}

void use_order(size_t index) { emulator::set_schedule(emulator::kTestedSchedules[index], index); }

}  // namespace linnet::cuda
