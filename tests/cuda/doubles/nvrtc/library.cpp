// The functions of NVRTC.
#include <algorithm>
#include <cstring>
#include <memory>

#include "cuda/doubles/nvrtc/host_code.h"
#include "cuda/doubles/nvrtc/real.h"
#include "cuda/fake_driver/fake_driver.h"

using namespace linnet::fake_nvrtc;

/// A program of this library, with one of the real library for what it was compiled for.
struct _nvrtcProgram {
  Source source;
  nvrtcProgram real = nullptr;
  bool compiled = false;
  bool emulated = false;
  std::string image, log;

  _nvrtcProgram() = default;
  _nvrtcProgram(const _nvrtcProgram&) = delete;
  _nvrtcProgram& operator=(const _nvrtcProgram&) = delete;
  ~_nvrtcProgram() {
    if (real) LINNET_REAL_NVRTC(nvrtcDestroyProgram, &real);
  }
};

namespace {

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

nvrtcResult compile_really(_nvrtcProgram& program, int count, const char* const* options) {
  nvrtcResult result = NVRTC_SUCCESS;
  if (!program.real) program.real = make_real_program(program.source, &result);
  if (result != NVRTC_SUCCESS) return result;
  return LINNET_REAL_NVRTC(nvrtcCompileProgram, program.real, count, options);
}

nvrtcResult compile_for_emulator(_nvrtcProgram& program, int count, const char* const* options) {
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
  if (!program || !text || count < 0) return NVRTC_ERROR_INVALID_INPUT;
  auto made = std::make_unique<_nvrtcProgram>();
  made->source.text = text;
  made->source.name = name ? name : "default_program";
  made->source.includes.assign(includes, includes + count);
  for (int i = 0; i < count; ++i)
    made->source.include_names.emplace_back(include_names ? include_names[i] : "");
  made->emulated = is_for_device_header(made->source);
  *program = made.release();
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcDestroyProgram(nvrtcProgram* program) {
  if (!program || !*program) return NVRTC_ERROR_INVALID_PROGRAM;
  delete *program;
  *program = nullptr;
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcAddNameExpression(nvrtcProgram program, const char* expression) {
  if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
  if (program->compiled) return NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION;
  program->source.expressions.emplace_back(expression);
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int count, const char* const* options) {
  if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
  program->compiled = true;
  return program->emulated ? compile_for_emulator(*program, count, options)
                           : compile_really(*program, count, options);
}

nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t* bytes) {
  if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
  if (program->real) return LINNET_REAL_NVRTC(nvrtcGetProgramLogSize, program->real, bytes);
  *bytes = program->log.size() + 1;
  return NVRTC_SUCCESS;
}
nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char* log) {
  if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
  if (program->real) return LINNET_REAL_NVRTC(nvrtcGetProgramLog, program->real, log);
  return copy_out(program->log + '\0', log);
}

nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, size_t* bytes) {
  if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
  if (program->real) return LINNET_REAL_NVRTC(nvrtcGetCUBINSize, program->real, bytes);
  *bytes = program->image.size();
  return NVRTC_SUCCESS;
}
nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char* image) {
  if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
  if (program->real) return LINNET_REAL_NVRTC(nvrtcGetCUBIN, program->real, image);
  return copy_out(program->image, image);
}

// What a program for the emulated device has none of.
nvrtcResult nvrtcGetPTXSize(nvrtcProgram program, size_t* bytes) {
  if (!program || !program->real) return NVRTC_ERROR_INVALID_PROGRAM;
  return LINNET_REAL_NVRTC(nvrtcGetPTXSize, program->real, bytes);
}
nvrtcResult nvrtcGetPTX(nvrtcProgram program, char* text) {
  if (!program || !program->real) return NVRTC_ERROR_INVALID_PROGRAM;
  return LINNET_REAL_NVRTC(nvrtcGetPTX, program->real, text);
}
nvrtcResult nvrtcGetLoweredName(nvrtcProgram program, const char* expression, const char** name) {
  if (!program || !program->real) return NVRTC_ERROR_INVALID_PROGRAM;
  return LINNET_REAL_NVRTC(nvrtcGetLoweredName, program->real, expression, name);
}
nvrtcResult nvrtcGetLTOIRSize(nvrtcProgram program, size_t* bytes) {
  if (!program || !program->real) return NVRTC_ERROR_INVALID_PROGRAM;
  return LINNET_REAL_NVRTC(nvrtcGetLTOIRSize, program->real, bytes);
}
nvrtcResult nvrtcGetLTOIR(nvrtcProgram program, char* text) {
  if (!program || !program->real) return NVRTC_ERROR_INVALID_PROGRAM;
  return LINNET_REAL_NVRTC(nvrtcGetLTOIR, program->real, text);
}

}  // extern "C"
