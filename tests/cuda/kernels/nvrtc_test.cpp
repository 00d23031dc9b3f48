// The headers of device code compile under NVRTC, which knows no include path but the source's root
// and no standard header: fused clusters of programs are compiled so.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <nvrtc.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace {

void* nvrtc_library() {
  const std::filesystem::path bin = std::filesystem::path(LINNET_NVCC_PROGRAM).parent_path();
  for (const char* place :
       {"../lib64/libnvrtc.so", "../lib/libnvrtc.so.13", "../lib/libnvrtc.so.12"}) {
    if (void* library = dlopen((bin / place).c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  }
  return nullptr;
}

struct Compiler {
  void* library = nvrtc_library();
  template <class Function>
  Function* find(const char* name) const {
    return reinterpret_cast<Function*>(dlsym(library, name));
  }
  // What the compiler says, or "" if the source compiles.
  std::string errors(const std::string& source, const std::string& architecture) const {
    nvrtcProgram program = nullptr;
    find<decltype(nvrtcCreateProgram)>("nvrtcCreateProgram")(&program, source.c_str(), "test.cu", 0,
                                                             nullptr, nullptr);
    const std::string target = "--gpu-architecture=" + architecture;
    const char* options[] = {target.c_str(), "--std=c++20", "-I" LINNET_SOURCE_ROOT};
    const nvrtcResult result =
        find<decltype(nvrtcCompileProgram)>("nvrtcCompileProgram")(program, 3, options);
    size_t size = 0;
    find<decltype(nvrtcGetProgramLogSize)>("nvrtcGetProgramLogSize")(program, &size);
    std::string log(size, '\0');
    find<decltype(nvrtcGetProgramLog)>("nvrtcGetProgramLog")(program, log.data());
    find<decltype(nvrtcDestroyProgram)>("nvrtcDestroyProgram")(&program);
    return result == NVRTC_SUCCESS ? "" : "failed: " + log;
  }
};

// Of families whose kernels are all compiled ahead of time.
const std::set<std::string> kAhead{"kinds.h", "walk.h", "fold.h", "order_key.h", "scan.h"};

std::vector<std::string> device_headers() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(LINNET_SOURCE_ROOT "/kernels/cuda/device")) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".h") && !name.ends_with("_inl.h") && !kAhead.contains(name))
      names.push_back(name);
  }
  return names;
}

TEST(Nvrtc, CompilesTheHeadersOfDeviceCode) {
  const Compiler compiler;
  if (compiler.library == nullptr)
    GTEST_SKIP() << "there is no libnvrtc beside " LINNET_NVCC_PROGRAM;
  const std::vector<std::string> headers = device_headers();
  EXPECT_GE(headers.size(), 4u);
  for (const std::string& header : headers) {
    // What each of them needs is there when it is included alone.
    const std::string source =
        (header == "device_cuda.h" ? "" : "#include \"kernels/cuda/device/" + header + "\"\n") +
        "#include \"kernels/cuda/device/types.h\"\n"
        "using namespace linnet::cuda;\n"
        "struct Args { Global<const Bf16> x; Global<Half> y; };\n"
        "LINNET_KERNEL(test, Args, 64) {\n"
        "  const float x = to_float(args.x.get()[thread()]);\n"
        "  args.y.get()[thread()] = from_float<Half>(shuffle_xor(x, 1));\n"
        "}\n";
    for (const char* architecture : {"sm_80", "sm_90a"}) {
      EXPECT_EQ(compiler.errors(source, architecture), "") << header << " for " << architecture;
    }
  }
}

}  // namespace
