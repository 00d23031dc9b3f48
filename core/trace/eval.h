// Eager evaluation: the meaning of primitives when no transformation is active.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

#include "linnet/back_end.h"
#include "linnet/kernel.h"
#include "linnet/primitive.h"

namespace linnet {

/// Runs `primitive` on concrete tensors: a view if there is one, else the first kernel that
/// accepts, else the decomposition.
/// @throws TraceError for traced operands, DeviceError if no kernel takes the operands.
TensorList evaluate(const Primitive& primitive, Inputs inputs, ParamsRef params);
/// The first result; most primitives have no other, and this way there is no list to allocate.
Tensor evaluate_one(const Primitive& primitive, Inputs inputs, ParamsRef params);

/// A kernel chosen for a request, ready to run, with what it wants done to its operands.
struct ChosenKernel {
  const KernelImplementation* implementation = nullptr;
  std::shared_ptr<const Kernel> prepared;  ///< null for stateless implementations

  /// Scratch memory for a request it was chosen for.
  size_t workspace_bytes(const KernelRequest& request) const {
    if (prepared) return prepared->workspace_bytes();
    return implementation->workspace_bytes ? implementation->workspace_bytes(request) : 0;
  }
};

/// The implementation list's choice; an empty implementation means that all declined, with the
/// reasons appended to `declined`. `inputs` strides are those of the caller; implementations that
/// want dense inputs are asked with dense strides.
ChosenKernel choose_kernel(const KernelRequest& request, Device device, std::string& declined);

/// A choice in the table of the calling thread, which keeps it while it has users.
struct RecentChoice {
  ChosenKernel chosen;
  int users = 0;
};

/// The choice of `choose_kernel`, for as long as an operation takes. One that the thread has made
/// before stays in its table: two atomic counts less than a copy, a tenth of a small operation.
class BorrowedKernel {
 public:
  /// `back_end` is that of `device`.
  BorrowedKernel(const KernelRequest& request, Device device, BackEnd& back_end,
                 std::string& declined);
  ~BorrowedKernel() {
    if (borrowed_) --borrowed_->users;
  }
  BorrowedKernel(const BorrowedKernel&) = delete;
  BorrowedKernel& operator=(const BorrowedKernel&) = delete;

  const ChosenKernel& operator*() const { return borrowed_ ? borrowed_->chosen : own_; }
  const ChosenKernel* operator->() const { return &**this; }

 private:
  RecentChoice* borrowed_ = nullptr;
  ChosenKernel own_;
};

/// The largest power of two up to `widest` that divides an address or offset.
constexpr size_t alignment_of(uint64_t address, size_t widest) {
  const uint64_t bit = address & (~address + 1);
  return bit == 0 || bit > widest ? widest : static_cast<size_t>(bit);
}

/// Owns the strides of the results of a request; shapes are those of the tensors and types it is
/// made of.
class RequestStorage {
 public:
  RequestStorage(Inputs inputs, const TypeList& outputs, const BackEnd& back_end);
  RequestStorage(const RequestStorage&) = delete;
  RequestStorage& operator=(const RequestStorage&) = delete;
  std::span<const OperandView> inputs() const { return {views_.data(), input_count_}; }
  std::span<const OperandView> outputs() const {
    return {views_.data() + input_count_, output_count_};
  }

 private:
  /// Values that are all written by whoever makes them: to fill the room before would cost more
  /// than they do.
  template <class T, size_t N>
  class Unfilled {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

   public:
    explicit Unfilled(size_t count)
        : many_(count > N ? new std::byte[count * sizeof(T)] : nullptr) {}
    T* data() { return reinterpret_cast<T*>(many_ ? many_.get() : few_); }
    const T* data() const { return reinterpret_cast<const T*>(many_ ? many_.get() : few_); }

   private:
    std::unique_ptr<std::byte[]> many_;
    alignas(T) std::byte few_[N * sizeof(T)];
  };

  size_t input_count_, output_count_;
  Unfilled<int64_t, 16> output_strides_;
  Unfilled<OperandView, 8> views_;
};

/// @throws UnknownAxisError for a collective; else DeviceError naming the primitive, the operand
/// types and why each implementation declined.
[[noreturn]] void fail_no_kernel(const Primitive& primitive, ParamsRef params, Inputs inputs,
                                 const std::string& declined);

}  // namespace linnet
