#include "cuda/fake_driver/kernels.h"

#include <dlfcn.h>
#include <elf.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "cuda/fake_driver/call.h"
#include "cuda/fake_driver/context.h"
#include "cuda/fake_driver/memory.h"

namespace linnet::fake_cuda {
namespace {

constexpr int kUsualSharedBytes = 48 << 10;
constexpr size_t kMostParameterBytes = 32764;
constexpr uint32_t kFatBinary = 0xba55ed50, kFatBinaryWrapper = 0x466243b1;

std::vector<std::unique_ptr<Library>>& libraries() {
  static auto& all = *new std::vector<std::unique_ptr<Library>>;
  return all;
}

std::unordered_map<const void*, Kernel*>& kernels() {
  static auto& all = *new std::unordered_map<const void*, Kernel*>;
  return all;
}

/// The product's kernels as g++ compiled them, beside this library.
void* emulated_kernels() {
  static void* const object = []() -> void* {
    Dl_info here;
    if (!dladdr(reinterpret_cast<void*>(&most_shared_bytes), &here)) return nullptr;
    std::string path = here.dli_fname;
    path = path.substr(0, path.rfind('/') + 1) + "liblinnet_emulated_kernels.so";
    return dlopen(path.c_str(), RTLD_NOW);
  }();
  return object;
}

const cuda::emulator::KernelEntry* entry_of(void* object, const std::string& name) {
  void* symbol = object ? dlsym(object, ("linnet_kernel_" + name).c_str()) : nullptr;
  return static_cast<const cuda::emulator::KernelEntry*>(symbol);
}

/// Whether an ELF file of a device has a function.
bool elf_has(const void* image, const std::string& name) {
  const auto* bytes = static_cast<const char*>(image);
  const auto* header = static_cast<const Elf64_Ehdr*>(image);
  const auto* sections = reinterpret_cast<const Elf64_Shdr*>(bytes + header->e_shoff);
  for (int i = 0; i < header->e_shnum; ++i) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    const auto* symbols = reinterpret_cast<const Elf64_Sym*>(bytes + sections[i].sh_offset);
    const char* names = bytes + sections[sections[i].sh_link].sh_offset;
    const size_t count = sections[i].sh_size / sizeof(Elf64_Sym);
    const bool found = std::any_of(symbols, symbols + count, [&](const Elf64_Sym& symbol) {
      return ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && name == names + symbol.st_name;
    });
    if (found) return true;
  }
  return false;
}

thread_local int running_device = -1;
thread_local bool wrong_address = false;

/// Throws what the machine can attribute to a kernel.
void* translate(uint64_t address) {
  if (address == 0) return nullptr;  // an operand that is not there
  try {
    return checked_bytes(address, 0, running_device);
  } catch (const Failure& failure) {
    wrong_address = true;
    throw cuda::emulator::LaunchError(failure.text);
  }
}

std::string counts(const uint32_t (&extent)[3]) {
  return std::to_string(extent[0]) + " x " + std::to_string(extent[1]) + " x " +
         std::to_string(extent[2]);
}

void check_shape(const Kernel& kernel, const LaunchShape& shape, int device) {
  const auto& [grid, block, shared_bytes] = shape;
  const auto refuse = [&](const std::string& why) {
    fail(CUDA_ERROR_INVALID_VALUE, kernel.name + ": " + why);
  };
  if (!grid[0] || !grid[1] || !grid[2] || grid[0] > 0x7fffffffu || grid[1] > 0xffff ||
      grid[2] > 0xffff)
    refuse("a grid of " + counts(grid) + " blocks");
  if (block[1] != 1 || block[2] != 1) refuse("kernels have blocks of one dimension");
  if (!block[0] || block[0] > static_cast<uint32_t>(kernel.threads()))
    refuse("blocks of " + std::to_string(block[0]) + " threads, the most are " +
           std::to_string(kernel.threads()));
  if (shared_bytes > static_cast<uint32_t>(kernel.dynamic_shared[device]))
    refuse(std::to_string(shared_bytes) + " bytes of shared memory, allowed are " +
           std::to_string(kernel.dynamic_shared[device]));
}

std::vector<std::byte> copy_parameters(const Kernel& kernel, void** parameters, void** extra) {
  const size_t expected = kernel.entry->parameter_bytes;
  const void* from = parameters ? parameters[0] : nullptr;
  if (extra) {
    if (parameters) fail(CUDA_ERROR_INVALID_VALUE, kernel.name + ": parameters are given twice");
    size_t bytes = expected;
    for (void** at = extra; *at != CU_LAUNCH_PARAM_END; at += 2) {
      if (*at == CU_LAUNCH_PARAM_BUFFER_POINTER) from = at[1];
      if (*at == CU_LAUNCH_PARAM_BUFFER_SIZE) bytes = *static_cast<const size_t*>(at[1]);
    }
    if (bytes != expected)
      fail(CUDA_ERROR_INVALID_VALUE, kernel.name + ": " + std::to_string(bytes) +
                                         " bytes of parameters, expected " +
                                         std::to_string(expected));
  }
  if (!from) fail(CUDA_ERROR_INVALID_VALUE, kernel.name + ": no parameters");
  if (expected > kMostParameterBytes)
    fail(CUDA_ERROR_INVALID_VALUE, kernel.name + ": parameters of " + std::to_string(expected) +
                                       " bytes, the most are " +
                                       std::to_string(kMostParameterBytes));
  const auto* bytes = static_cast<const std::byte*>(from);
  return {bytes, bytes + expected};
}

}  // namespace

Kernel::Kernel() { std::ranges::fill(dynamic_shared, kUsualSharedBytes); }

int most_shared_bytes() { return capability() >= 90 ? 232448 : 166912; }

Library& load_library(const void* image) {
  if (!image) fail(CUDA_ERROR_INVALID_VALUE, "no image");
  auto library = std::make_unique<Library>();
  uint32_t magic;
  std::memcpy(&magic, image, sizeof magic);
  const auto* text = static_cast<const char*>(image);
  if (std::strncmp(text, kEmulatedImage, sizeof kEmulatedImage - 1) == 0) {
    const std::string path = text + sizeof kEmulatedImage - 1;
    library->object = dlopen(path.empty() ? nullptr : path.c_str(), RTLD_NOW);
    if (!library->object) fail(CUDA_ERROR_INVALID_IMAGE, dlerror());
  } else if (std::memcmp(image, ELFMAG, SELFMAG) == 0) {
    const auto* header = static_cast<const Elf64_Ehdr*>(image);
    library->image.assign(text, text + header->e_shoff + header->e_shnum * header->e_shentsize);
  } else if (magic != kFatBinary && magic != kFatBinaryWrapper &&
             !std::strstr(std::string(text, strnlen(text, 4096)).c_str(), ".version")) {
    fail(CUDA_ERROR_INVALID_IMAGE, "the image is neither a fat binary nor an ELF file nor PTX");
  }
  if (!library->object) library->object = emulated_kernels();
  libraries().push_back(std::move(library));
  return *libraries().back();
}

Library& checked_library(CUlibrary handle) {
  for (const auto& library : libraries())
    if (reinterpret_cast<CUlibrary>(library.get()) == handle && !library->unloaded) return *library;
  fail(CUDA_ERROR_INVALID_HANDLE, "this is no library, or one that has been unloaded");
}

Kernel& kernel_of(Library& library, const std::string& name) {
  const auto known = library.kernels.find(name);
  if (known != library.kernels.end()) return *known->second;
  const auto* entry = entry_of(library.object, name);
  const bool elf = !library.image.empty();
  if (elf ? !elf_has(library.image.data(), name) : !entry)
    fail(CUDA_ERROR_NOT_FOUND, "no kernel is called " + name);
  auto kernel = std::make_unique<Kernel>();
  kernel->library = &library;
  kernel->name = name;
  kernel->entry = entry;
  kernels()[kernel.get()] = kernel.get();
  return *(library.kernels[name] = std::move(kernel));
}

Kernel& checked_kernel(const void* handle) {
  const auto found = kernels().find(handle);
  if (found == kernels().end() || found->second->library->unloaded)
    fail(CUDA_ERROR_INVALID_HANDLE, "this is no kernel, or one whose library has been unloaded");
  return *found->second;
}

KernelAction make_launch(const Kernel& kernel, const LaunchShape& shape, void** parameters,
                         void** extra, int device) {
  if (!kernel.entry)
    fail(CUDA_ERROR_INVALID_IMAGE, kernel.name + " is no kernel that the emulated device can run");
  check_shape(kernel, shape, device);
  KernelAction action;
  action.kernel = &kernel;
  std::ranges::copy(shape.grid, action.grid);
  action.threads = shape.block[0];
  action.shared_bytes = shape.shared_bytes;
  action.parameters = copy_parameters(kernel, parameters, extra);
  return action;
}

void run_kernel(const KernelAction& action, int device) {
  static const bool translates = (cuda::emulator::set_translation(translate), true);
  (void)translates;
  const Kernel& kernel = *action.kernel;
  if (kernel.library->unloaded)
    fail(CUDA_ERROR_INVALID_HANDLE, kernel.name + ": its library was unloaded before it ran");
  running_device = device;
  wrong_address = false;
  try {
    cuda::emulator::launch(*kernel.entry, {action.grid[0], action.grid[1], action.grid[2]},
                           action.threads, action.parameters.data(), action.shared_bytes);
  } catch (const cuda::emulator::LaunchError& error) {
    running_device = -1;
    fail(wrong_address ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_ERROR_LAUNCH_FAILED, error.what());
  }
  running_device = -1;
}

}  // namespace linnet::fake_cuda
