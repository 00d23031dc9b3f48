// The tests of ../conformance through the back end: on the emulated driver, or on a card.
#include <deque>

#include "cuda/conformance/run.h"
#include "kernels/cuda/conformance/conformance_args.h"
#include "kernels/cuda/launch/function.h"
#include "kernels/cuda/register/device_kernel.h"
#include "linnet/back_end.h"

namespace linnet::cuda {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};

/// Memory of the device.
class DeviceWords {
 public:
  explicit DeviceWords(size_t count)
      : bytes_(count * sizeof(uint32_t)), at_(allocator_of(kGpu).allocate(bytes_)) {}
  ~DeviceWords() { allocator_of(kGpu).deallocate(at_, bytes_); }
  DeviceWords(const DeviceWords&) = delete;
  DeviceWords& operator=(const DeviceWords&) = delete;

  void* at() const { return at_; }
  void set(const std::vector<uint32_t>& words) {
    back_end_of(kGpu).upload(kGpu, at_, words.data(), bytes_);
  }
  std::vector<uint32_t> get() const {
    std::vector<uint32_t> words(bytes_ / sizeof(uint32_t));
    back_end_of(kGpu).download(words.data(), kGpu, at_, bytes_);
    return words;
  }

 private:
  size_t bytes_;
  void* at_;
};

}  // namespace

std::vector<uint32_t> run_conformance(const ConformanceLaunch& launch,
                                      const std::vector<uint32_t>& in, size_t words) {
  static std::deque<Function> functions;  // are never moved
  const Function& function = functions.emplace_back(launch.kernel, launch.threads);
  const auto kernel =
      make_device_kernel([&](LaunchSink& sink, Operands from, Operands to, Address) {
        const ConformanceArgs args{global<const unsigned>(from[0]), global<unsigned>(to[0]),
                                   launch.count, 0};
        const Blocks& blocks = launch.blocks;
        sink.launch(function, {blocks.x, blocks.y, blocks.z}, args, launch.shared_bytes);
      });
  DeviceWords given(in.size()), result(words);
  given.set(in);
  result.set(std::vector<uint32_t>(words));
  const void* const inputs[] = {given.at()};
  void* const outputs[] = {result.at()};
  back_end_of(kGpu).run_eager(kGpu, *kernel, inputs, outputs, nullptr);
  return result.get();
}

// A card has an order of its own.
std::vector<std::string> conformance_orders() { return {"on_the_device"}; }
void use_order(size_t) {}

}  // namespace linnet::cuda
