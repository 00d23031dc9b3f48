// Entering the driver: every function of the interface is one call, which is counted, may be told
// to fail, and is refused after an error that stays.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <mutex>
#include <string>

namespace linnet::fake_cuda {

/// What a function returns, and why in words.
struct Failure {
  CUresult status;
  std::string text;
};
[[noreturn]] void fail(CUresult status, std::string text);
/// For mistakes that a device finds later than the call: this and every later call report it.
[[noreturn]] void fail_device(CUresult status, std::string text);

/// Guards all state of the driver. Functions of the host run without it.
std::recursive_mutex& state_mutex();

enum class Needs : uint8_t { kNothing, kInitialized, kContext };

/// One function of the interface.
class Function {
 public:
  explicit Function(const char* name, Needs needs = Needs::kContext);

  /// Runs the body of a call.
  template <class Body>
  CUresult operator*(Body&& body) {
    const std::lock_guard lock(state_mutex());
    if (const CUresult refused = begin()) return refused;
    try {
      return body();
    } catch (const Failure& failure) {
      return end(failure);
    }
  }

 private:
  friend struct Calls;
  CUresult begin();
  static CUresult end(const Failure& failure);

  const char* name_;
  Needs needs_;
  uint64_t calls_ = 0;
};

uint64_t calls_of(const std::string& name);
void reset_calls();
/// Whether an error stays.
bool has_failed();
bool plan_fault(const std::string& fault);
/// What went wrong last.
const std::string& last_message();
void set_message(std::string text);
void set_initialized();
/// Set on a thread while it runs a function of the host, which must not call the driver.
bool& in_host_function();

}  // namespace linnet::fake_cuda

/// The body of a function of the interface follows.
#define LINNET_FAKE_CUDA_CALL(name, ...)                                         \
  static ::linnet::fake_cuda::Function called(#name __VA_OPT__(, ) __VA_ARGS__); \
  return called* [&]() -> CUresult
