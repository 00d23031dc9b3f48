#include "kernels/cuda/cublas/tuning.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "kernels/cuda/cublas/tuning_cache.h"
#include "kernels/cuda/runtime/gpu.h"
#include "linnet/detail/format.h"
#include "linnet/detail/log.h"
#include "linnet/deterministic.h"

namespace linnet::cuda {
namespace {

bool tuning_is_on() {
  if (is_deterministic()) return false;
  const char* text = std::getenv("LINNET_CUDA_TUNING");
  const std::string_view choice = text ? text : "1";
  if (choice == "0" || choice == "heuristic") return false;
  if (choice != "1" && !choice.empty()) {
    log_warning(fmt::format(
        "LINNET_CUDA_TUNING is '{}': expected 0, heuristic or 1; algorithms are timed", choice));
  }
  return true;
}

int id_of(const Product::Candidate& candidate) {
  int32_t id = -1;
  size_t written = 0;
  cublaslt().cublasLtMatmulAlgoConfigGetAttribute(&candidate.algorithm, CUBLASLT_ALGO_CONFIG_ID,
                                                  &id, sizeof id, &written);
  return id;
}

/// Whether the library may take another algorithm instead: it has enqueued nothing.
bool can_be_survived(cublasStatus_t status) {
  return status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_ARCH_MISMATCH ||
         status == CUBLAS_STATUS_INVALID_VALUE || status == CUBLAS_STATUS_ALLOC_FAILED;
}

class Event {
 public:
  Event() { check(driver().cuEventCreate(&event_, CU_EVENT_DEFAULT), "making an event"); }
  ~Event() { driver().cuEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  CUevent get() const { return event_; }
  void record(CUstream stream) const {
    check(driver().cuEventRecord(event_, stream), "timing a product");
  }

 private:
  CUevent event_ = nullptr;
};

/// Waits for both.
float milliseconds_between(const Event& begin, const Event& end) {
  check(driver().cuEventSynchronize(end.get()), "timing a product");
  float milliseconds = 0;
  check(driver().cuEventElapsedTime(&milliseconds, begin.get(), end.get()), "timing a product");
  return milliseconds;
}

}  // namespace

std::unique_ptr<TunedProduct> TunedProduct::prepare(Product product, std::string& reason) {
  const Gpu& gpu = Gpu::at(0);
  gpu.make_current();
  cublasLtHandle_t handle = handle_of(gpu);
  std::unique_ptr<TunedProduct> out(new TunedProduct(std::move(product)));
  const Product& described = out->product_;
  out->candidates_ = described.candidates(handle, kMostWorkspace, reason);
  if (out->candidates_.empty()) return nullptr;
  out->to_be_tuned_ = tuning_is_on() && described.work() >= kLeastTunedWork;
  out->use_known(gpu, kMostWorkspace);
  for (const Product::Candidate& candidate : out->candidates_)
    out->workspace_bytes_ = std::max(out->workspace_bytes_, candidate.workspace_bytes);
  return out;
}

void TunedProduct::enqueue(CUstream stream, const Product::Operands& operands) const {
  Gpu& gpu = Gpu::of_stream(stream);
  const std::lock_guard lock(mutex_);
  use_known(gpu, workspace_bytes_);
  if (to_be_tuned_ && stream == gpu.stream()) tune(gpu, operands);
  enqueue_first(gpu, stream, operands);
}

void TunedProduct::use_known(const Gpu& gpu, size_t workspace_bytes) const {
  if (!to_be_tuned_) return;
  const auto known = find_tuned(gpu.properties(), product_.text());
  const auto usable = known ? product_.checked(handle_of(gpu), *known) : std::nullopt;
  if (!usable || usable->workspace_bytes > workspace_bytes) return;
  candidates_.insert(candidates_.begin(), *usable);
  to_be_tuned_ = false;
}

void TunedProduct::enqueue_first(const Gpu& gpu, CUstream stream,
                                 const Product::Operands& operands) const {
  cublasStatus_t status = CUBLAS_STATUS_NOT_SUPPORTED;
  while (!candidates_.empty()) {
    const Product::Candidate& candidate = candidates_.front();
    status = product_.run(handle_of(gpu), stream, candidate, operands);
    if (status == CUBLAS_STATUS_SUCCESS) return;
    if (log_enabled("cuda")) {
      log_line("cuda", fmt::format("algorithm {} does not run ({}): {}", id_of(candidate),
                                   text_of(status), product_.text()));
    }
    // The last one stays, so that a later call fails in the same words.
    if (!can_be_survived(status) || candidates_.size() == 1) break;
    candidates_.erase(candidates_.begin());
  }
  fail<DeviceError>("{}: cuBLASLt: {}: {}", to_string(gpu.device()), text_of(status),
                    product_.text());
}

std::optional<float> TunedProduct::time(Gpu& gpu, const Product::Candidate& candidate,
                                        const Product::Operands& operands) const {
  constexpr int kRuns = 3;
  CUstream stream = gpu.stream();
  cublasLtHandle_t handle = handle_of(gpu);
  // The first run loads the kernel.
  const cublasStatus_t status = product_.run(handle, stream, candidate, operands);
  if (can_be_survived(status)) return std::nullopt;
  check(status, "timing a product");
  const Event begin, end;
  begin.record(stream);
  for (int i = 0; i < kRuns; ++i)
    check(product_.run(handle, stream, candidate, operands), "timing a product");
  end.record(stream);
  return milliseconds_between(begin, end) / kRuns;
}

void TunedProduct::tune(Gpu& gpu, const Product::Operands& operands) const {
  struct Timed {
    Product::Candidate candidate;
    float milliseconds;
  };
  std::vector<Timed> timed;
  for (const Product::Candidate& candidate : candidates_) {
    if (const auto milliseconds = time(gpu, candidate, operands))
      timed.push_back({candidate, *milliseconds});
  }
  to_be_tuned_ = false;
  if (timed.empty()) return;
  std::stable_sort(timed.begin(), timed.end(),
                   [](const Timed& a, const Timed& b) { return a.milliseconds < b.milliseconds; });
  const size_t asked = candidates_.size();
  candidates_.clear();
  for (const Timed& t : timed) candidates_.push_back(t.candidate);
  keep_tuned(gpu.properties(), product_.text(), candidates_.front().algorithm);
  if (log_enabled("cuda")) {
    log_line("cuda",
             fmt::format("algorithm {} is the fastest of {}, {} us; {} of {} run: {}",
                         id_of(candidates_.front()), asked, timed.front().milliseconds * 1000,
                         timed.size(), asked, product_.text()));
  }
}

}  // namespace linnet::cuda
