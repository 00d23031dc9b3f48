#include "cuda/fake_driver/call.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "cuda/fake_driver/context.h"

namespace linnet::fake_cuda {

/// All functions that have been called, and what is planned to go wrong.
struct Calls {
  struct Fault {
    std::string function;  // "*": any
    uint64_t remaining = 0;
    bool lost = false;  // and every call after it
  };

  std::vector<Function*> functions;
  uint64_t total = 0;
  Fault fault;
  CUresult sticky = CUDA_SUCCESS;
  bool initialized = false;
  std::string message;

  bool plan(const std::string& text) {
    const size_t colon = text.rfind(':');
    if (text.empty()) {
      fault = {};
      return true;
    }
    if (colon == std::string::npos) return false;
    fault = {text.substr(0, colon), std::strtoull(text.c_str() + colon + 1, nullptr, 10), false};
    if (fault.function == "lost") fault = {"*", fault.remaining, true};
    return fault.remaining > 0;
  }

  static Calls& get() {
    static Calls& calls = *[] {
      auto* made = new Calls;
      if (const char* fault = std::getenv("LINNET_FAKE_CUDA_FAULT"); fault && !made->plan(fault))
        std::fprintf(stderr, "fake driver: LINNET_FAKE_CUDA_FAULT=%s is not understood\n", fault);
      return made;
    }();
    return calls;
  }

  CUresult begin(Function& function) {
    ++function.calls_;
    ++total;
    if (fault.remaining && (fault.function == "*" || fault.function == function.name_)) {
      if (--fault.remaining == 0) return planned(function);
    }
    if (in_host_function()) {
      message = std::string(function.name_) + " inside a function of the host";
      return CUDA_ERROR_NOT_PERMITTED;
    }
    if (sticky != CUDA_SUCCESS) return sticky;
    if (function.needs_ != Needs::kNothing && !initialized) return CUDA_ERROR_NOT_INITIALIZED;
    if (function.needs_ == Needs::kContext && !current_context()) {
      message = std::string(function.name_) + " without a current context on this thread";
      return CUDA_ERROR_INVALID_CONTEXT;
    }
    return CUDA_SUCCESS;
  }

  uint64_t count(const std::string& name) const {
    if (name == "*") return total;
    uint64_t sum = 0;
    for (const Function* function : functions)
      if (function->name_ == name) sum += function->calls_;
    return sum;
  }

  void reset() {
    for (Function* function : functions) function->calls_ = 0;
    total = 0;
    fault = {};
    sticky = CUDA_SUCCESS;
    message.clear();
  }

  CUresult planned(const Function& function) {
    const std::string name = function.name_;
    message = name + " was told to fail";
    if (fault.lost) return sticky = CUDA_ERROR_DEVICE_UNAVAILABLE;
    const bool allocates = name.find("Alloc") != std::string::npos;
    return allocates ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_UNKNOWN;
  }
};

void fail(CUresult status, std::string text) { throw Failure{status, std::move(text)}; }

void fail_device(CUresult status, std::string text) {
  std::fprintf(stderr, "fake driver: %s\n", text.c_str());
  Calls::get().sticky = status;
  throw Failure{status, std::move(text)};
}

std::recursive_mutex& state_mutex() {
  static auto& mutex = *new std::recursive_mutex;
  return mutex;
}

bool& in_host_function() {
  static thread_local bool inside = false;
  return inside;
}

Function::Function(const char* name, Needs needs) : name_(name), needs_(needs) {
  const std::lock_guard lock(state_mutex());
  Calls::get().functions.push_back(this);
}

CUresult Function::begin() { return Calls::get().begin(*this); }

CUresult Function::end(const Failure& failure) {
  static const bool verbose = std::getenv("LINNET_FAKE_CUDA_VERBOSE") != nullptr;
  if (verbose) std::fprintf(stderr, "fake driver: %s\n", failure.text.c_str());
  set_message(failure.text);
  return failure.status;
}

uint64_t calls_of(const std::string& name) {
  const std::lock_guard lock(state_mutex());
  return Calls::get().count(name);
}

bool has_failed() { return Calls::get().sticky != CUDA_SUCCESS; }
void reset_calls() { Calls::get().reset(); }
bool plan_fault(const std::string& fault) { return Calls::get().plan(fault); }
const std::string& last_message() { return Calls::get().message; }
void set_message(std::string text) { Calls::get().message = std::move(text); }
void set_initialized() { Calls::get().initialized = true; }

}  // namespace linnet::fake_cuda
