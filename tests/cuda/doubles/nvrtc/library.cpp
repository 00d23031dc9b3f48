// The functions of NVRTC.
#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "cuda/doubles/nvrtc/host_code.h"
#include "cuda/doubles/nvrtc/real.h"
#include "cuda/fake_driver/fake_driver.h"

using namespace linnet::fake_nvrtc;

/// What cuDNN calls besides the public functions: handed on as it is, whatever its parameters are.
extern "C" {
__attribute__((visibility("hidden"))) void* linnet_real_private = real_function("__nvrtcCPEx");
}
#if defined(__x86_64__)
asm(".globl __nvrtcCPEx\n"
    ".type __nvrtcCPEx, @function\n"
    "__nvrtcCPEx: jmp *linnet_real_private(%rip)\n");
#elif defined(__aarch64__)
asm(".globl __nvrtcCPEx\n"
    ".type __nvrtcCPEx, %function\n"
    "__nvrtcCPEx: adrp x16, linnet_real_private\n"
    "ldr x16, [x16, :lo12:linnet_real_private]\n"
    "br x16\n");
#endif

namespace {

/// Programs are those of the real library. Of the ones for the emulated device there is more.
struct Emulated {
  Source source;
  std::string image, log;
};

struct Programs {
  std::mutex mutex;
  std::unordered_map<nvrtcProgram, std::unique_ptr<Emulated>> emulated;
};
Programs& programs() {
  static Programs& all = *new Programs;
  return all;
}

/// Null for a program of somebody else.
Emulated* find(nvrtcProgram program) {
  const std::lock_guard lock(programs().mutex);
  const auto found = programs().emulated.find(program);
  return found == programs().emulated.end() ? nullptr : found->second.get();
}

constexpr const char* kArchitectures[] = {"sm_80", "sm_90a"};

std::string joined(int count, const char* const* options) {
  std::string text;
  for (int i = 0; i < count; ++i) text += std::string(options[i]) + "\n";
  return text;
}

bool chooses_architecture(const std::string& option) {
  return option.starts_with("--gpu-architecture") || option.starts_with("-arch");
}

/// Whether the real library takes a text for an architecture.
bool real_accepts(const Source& source, int count, const char* const* options,
                  const char* architecture, std::string& log) {
  const std::string chosen = std::string("--gpu-architecture=") + architecture;
  std::vector<const char*> all = {chosen.c_str()};
  for (int i = 0; i < count; ++i)
    if (!chooses_architecture(options[i])) all.push_back(options[i]);
  nvrtcResult result = NVRTC_SUCCESS;
  nvrtcProgram program = make_real_program(source, &result);
  if (result == NVRTC_SUCCESS)
    result =
        LINNET_REAL_NVRTC(nvrtcCompileProgram, program, static_cast<int>(all.size()), all.data());
  if (program) {
    if (result != NVRTC_SUCCESS) log += std::string(architecture) + ":\n" + log_of(program);
    LINNET_REAL_NVRTC(nvrtcDestroyProgram, &program);
  }
  return result == NVRTC_SUCCESS;
}

nvrtcResult compile_for_emulator(Emulated& program, int count, const char* const* options) {
  const auto accepts = [&](std::string& log) {
    return std::ranges::all_of(kArchitectures, [&](const char* architecture) {
      return real_accepts(program.source, count, options, architecture, log);
    });
  };
  const auto path = host_code(program.source, joined(count, options), program.log, accepts);
  if (!path) return NVRTC_ERROR_COMPILATION;
  program.image = linnet::fake_cuda::kEmulatedImage + *path;
  program.image.push_back('\0');
  return NVRTC_SUCCESS;
}

nvrtcResult copy_out(const std::string& from, char* to) {
  std::memcpy(to, from.data(), from.size());
  return NVRTC_SUCCESS;
}

}  // namespace

extern "C" {

const char* nvrtcGetErrorString(nvrtcResult result) {
  static void* const found = real_function("nvrtcGetErrorString");
  return found ? reinterpret_cast<decltype(&::nvrtcGetErrorString)>(found)(result)
               : "the toolkit's NVRTC was not found";
}

nvrtcResult nvrtcVersion(int* major, int* minor) {
  return LINNET_REAL_NVRTC(nvrtcVersion, major, minor);
}
nvrtcResult nvrtcGetNumSupportedArchs(int* count) {
  return LINNET_REAL_NVRTC(nvrtcGetNumSupportedArchs, count);
}
nvrtcResult nvrtcGetSupportedArchs(int* architectures) {
  return LINNET_REAL_NVRTC(nvrtcGetSupportedArchs, architectures);
}

nvrtcResult nvrtcCreateProgram(nvrtcProgram* program, const char* text, const char* name, int count,
                               const char* const* includes, const char* const* include_names) {
  const nvrtcResult result =
      LINNET_REAL_NVRTC(nvrtcCreateProgram, program, text, name, count, includes, include_names);
  if (result != NVRTC_SUCCESS) return result;
  auto made = std::make_unique<Emulated>();
  made->source.text = text;
  made->source.name = name ? name : "default_program";
  made->source.includes.assign(includes, includes + count);
  for (int i = 0; i < count; ++i)
    made->source.include_names.emplace_back(include_names ? include_names[i] : "");
  if (!is_for_device_header(made->source)) return result;
  const std::lock_guard lock(programs().mutex);
  programs().emulated[*program] = std::move(made);
  return result;
}

nvrtcResult nvrtcDestroyProgram(nvrtcProgram* program) {
  if (program) {
    const std::lock_guard lock(programs().mutex);
    programs().emulated.erase(*program);
  }
  return LINNET_REAL_NVRTC(nvrtcDestroyProgram, program);
}

nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int count, const char* const* options) {
  Emulated* const emulated = find(program);
  return emulated ? compile_for_emulator(*emulated, count, options)
                  : LINNET_REAL_NVRTC(nvrtcCompileProgram, program, count, options);
}

nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t* bytes) {
  const Emulated* const emulated = find(program);
  if (!emulated) return LINNET_REAL_NVRTC(nvrtcGetProgramLogSize, program, bytes);
  *bytes = emulated->log.size() + 1;
  return NVRTC_SUCCESS;
}
nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char* log) {
  const Emulated* const emulated = find(program);
  return emulated ? copy_out(emulated->log + '\0', log)
                  : LINNET_REAL_NVRTC(nvrtcGetProgramLog, program, log);
}

nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, size_t* bytes) {
  const Emulated* const emulated = find(program);
  if (!emulated) return LINNET_REAL_NVRTC(nvrtcGetCUBINSize, program, bytes);
  *bytes = emulated->image.size();
  return NVRTC_SUCCESS;
}
nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char* image) {
  const Emulated* const emulated = find(program);
  return emulated ? copy_out(emulated->image, image)
                  : LINNET_REAL_NVRTC(nvrtcGetCUBIN, program, image);
}

// For programs of others alone: the real library has compiled none of ours.
#define LINNET_HAND_ON(name, Parameters, ...) \
  nvrtcResult name Parameters { return LINNET_REAL_NVRTC(name, __VA_ARGS__); }
LINNET_HAND_ON(nvrtcAddNameExpression, (nvrtcProgram p, const char* name), p, name)
LINNET_HAND_ON(nvrtcGetLoweredName, (nvrtcProgram p, const char* name, const char** lowered), p,
               name, lowered)
LINNET_HAND_ON(nvrtcGetPTXSize, (nvrtcProgram p, size_t* bytes), p, bytes)
LINNET_HAND_ON(nvrtcGetPTX, (nvrtcProgram p, char* text), p, text)
LINNET_HAND_ON(nvrtcGetLTOIRSize, (nvrtcProgram p, size_t* bytes), p, bytes)
LINNET_HAND_ON(nvrtcGetLTOIR, (nvrtcProgram p, char* text), p, text)
LINNET_HAND_ON(nvrtcGetOptiXIRSize, (nvrtcProgram p, size_t* bytes), p, bytes)
LINNET_HAND_ON(nvrtcGetOptiXIR, (nvrtcProgram p, char* text), p, text)
LINNET_HAND_ON(nvrtcGetPCHCreateStatus, (nvrtcProgram p), p)
LINNET_HAND_ON(nvrtcGetPCHHeapSizeRequired, (nvrtcProgram p, size_t* bytes), p, bytes)
LINNET_HAND_ON(nvrtcGetPCHHeapSize, (size_t * bytes), bytes)
LINNET_HAND_ON(nvrtcSetPCHHeapSize, (size_t bytes), bytes)
LINNET_HAND_ON(nvrtcSetFlowCallback, (nvrtcProgram p, int (*callback)(void*, void*), void* payload),
               p, callback, payload)
#undef LINNET_HAND_ON

}  // extern "C"
