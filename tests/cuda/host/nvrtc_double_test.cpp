// The double of NVRTC: what it compiles, and what it refuses.
#include <dlfcn.h>

#include "cuda/host/fake_driver.h"
#include "kernels/cuda/jit/nvrtc.h"
#include "linnet/error.h"

namespace linnet::testing::nvrtc_double_test {
namespace {

const cuda::Nvrtc& nvrtc() {
  static const cuda::Nvrtc* found = cuda::find_nvrtc();
  return *found;
}

std::string refused(const std::string& text) {
  try {
    cuda::compile(nvrtc(), "refused", text, "sm_90");
  } catch (const DeviceError& error) {
    return error.what();
  }
  return "";
}

constexpr const char* kText = R"(
#include "kernels/cuda/device/device.h"
struct ShiftArgs {
  static constexpr unsigned kPointers = 1;
  linnet::cuda::Global<float> x;
  float by;
};
LINNET_KERNEL(test_nvrtc_shift, ShiftArgs, 32) {
  args.x.get()[linnet::cuda::thread()] += args.by;
}
)";

class NvrtcDouble : public FakeDriverTest {};

TEST_F(NvrtcDouble, a_text_for_device_h_becomes_a_kernel_of_the_emulated_device) {
  ASSERT_NE(cuda::find_nvrtc(), nullptr) << cuda::nvrtc_reason();
  EXPECT_EQ(nvrtc().major, 13);
  const std::string image = cuda::compile(nvrtc(), "shift", kText, "sm_90");
  EXPECT_EQ(image.substr(0, sizeof fake_cuda::kEmulatedImage - 1), fake_cuda::kEmulatedImage);
  EXPECT_EQ(image, cuda::compile(nvrtc(), "shift", kText, "sm_90")) << "kept on disk";
  CUlibrary library = nullptr;
  CUkernel kernel = nullptr;
  EXPECT_DONE(cuLibraryLoadData(&library, image.data(), nullptr, nullptr, 0, nullptr, nullptr, 0));
  EXPECT_DONE(cuLibraryGetKernel(&kernel, library, "test_nvrtc_shift"));
  struct {
    CUdeviceptr x;
    float by;
  } args{allocate(32), 5};
  EXPECT_DONE(cuMemsetD32(args.x, 0, 32));
  void* parameters[] = {&args};
  EXPECT_DONE(cuLaunchKernel(reinterpret_cast<CUfunction>(kernel), 1, 1, 1, 32, 1, 1, 0, stream_,
                             parameters, nullptr));
  finish();
  EXPECT_EQ(read(args.x, 32), std::vector<float>(32, 5));
  EXPECT_DONE(cuMemFree(args.x));
  EXPECT_DONE(cuLibraryUnload(library));
}

TEST_F(NvrtcDouble, what_the_real_library_refuses_is_refused_though_g_plus_plus_takes_it) {
  const std::string why =
      refused("#include <vector>\n" + std::string(kText) + "std::vector<int> none;\n");
  EXPECT_NE(why.find("sm_80"), std::string::npos) << why;
}

TEST_F(NvrtcDouble, what_g_plus_plus_refuses_is_refused_though_the_real_library_takes_it) {
  const std::string why =
      refused(std::string(kText) + "__device__ int index() { return threadIdx.x; }\n");
  EXPECT_NE(why.find("g++ refuses"), std::string::npos) << why;
}

TEST_F(NvrtcDouble, texts_of_others_are_compiled_by_the_real_library_alone) {
  const std::string image =
      cuda::compile(nvrtc(), "other",
                    "extern \"C\" __global__ void other(int* x) { *x = threadIdx.x; }", "sm_90");
  EXPECT_EQ(image.substr(1, 3), "ELF");
  CUlibrary library = nullptr;
  CUkernel kernel = nullptr;
  EXPECT_DONE(cuLibraryLoadData(&library, image.data(), nullptr, nullptr, 0, nullptr, nullptr, 0));
  EXPECT_DONE(cuLibraryGetKernel(&kernel, library, "other"));
  EXPECT_EQ(cuLibraryGetKernel(&kernel, library, "another"), CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(cuLaunchKernel(reinterpret_cast<CUfunction>(kernel), 1, 1, 1, 32, 1, 1, 0, stream_,
                           nullptr, nullptr),
            CUDA_ERROR_INVALID_IMAGE)
      << "known, but not emulated";
}

}  // namespace
}  // namespace linnet::testing::nvrtc_double_test
