// What tests of the core share: errors compared whole, a minimal variable, an allocator that fails.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <typeinfo>
#include <vector>

#include "linnet/core.h"
#include "linnet/error.h"
#include "linnet/trace.h"

namespace linnet::test {

/// `f` throws exactly E with exactly this text.
template <class E, class F>
void expect_error(const std::string& text, F&& f) {
  try {
    f();
    ADD_FAILURE() << "nothing was thrown, expected: " << text;
  } catch (const Error& error) {
    EXPECT_EQ(std::string(typeid(error).name()), typeid(E).name());
    EXPECT_EQ(std::string(error.what()), text);
  }
}

/// `f` throws exactly E with a text that begins so.
template <class E, class F>
void expect_error(F&& f, const std::string& beginning) {
  try {
    f();
    ADD_FAILURE() << "nothing was thrown, expected: " << beginning;
  } catch (const Error& error) {
    EXPECT_EQ(std::string(typeid(error).name()), typeid(E).name());
    EXPECT_EQ(std::string(error.what()).substr(0, beginning.size()), beginning);
  }
}

inline std::vector<float> values(const Tensor& t) { return t.to_vector<float>(); }
inline std::vector<float> floats(std::initializer_list<float> list) { return list; }
inline std::string type_text(const Tensor& t) { return to_string(t.type()); }

/// 0, 0.1, 0.2, … in the given shape.
inline Tensor ramp(const Shape& shape, DType dtype = DType::kF32) {
  return reshape(iota(dtype, {element_count(shape)}) * 0.1, shape);
}

/// A variable of the least kind: construction moves identity, copies are new, assignment writes.
class Box {
 public:
  explicit Box(Tensor value) : cell_(state::make_cell(state::Value(std::move(value)))) {}
  Box(const Box& other) : cell_(state::make_cell(state::read(other.cell_))) {}
  Box(Box&&) noexcept = default;
  Box& operator=(const Box& other) {
    state::write(cell_, state::read(other.cell_));
    return *this;
  }
  Box& operator=(const Tensor& value) {
    state::write(cell_, state::Value(value));
    return *this;
  }
  Tensor value() const { return state::read(cell_).tensors.at(0); }
  state::CellPtr& cell() { return cell_; }

 private:
  state::CellPtr cell_;
};

/// Passes on to the allocator it stands for, and fails at the chosen allocation.
class FailingAllocator final : public Allocator {
 public:
  FailingAllocator() : next_(allocator_of(kCpu)) { previous_ = set_allocator(kCpu, this); }
  ~FailingAllocator() override { set_allocator(kCpu, previous_); }

  void* allocate(size_t bytes) override {
    if (count_++ == fail_at_) throw DeviceError("cpu:0: cannot allocate: the test says so");
    void* block = next_.allocate(bytes);
    live_ += bytes;
    return block;
  }
  void deallocate(void* block, size_t bytes) noexcept override {
    next_.deallocate(block, bytes);
    live_ -= bytes;
  }
  MemoryStats stats() const override { return next_.stats(); }
  void reset_peak() override { next_.reset_peak(); }
  void trim() override { next_.trim(); }

  /// Starts counting again; the `at`-th allocation from now on fails, or none if negative.
  void arm(int64_t at) {
    count_ = 0;
    fail_at_ = at;
  }
  int64_t count() const { return count_; }
  int64_t live() const { return live_; }

 private:
  Allocator& next_;
  Allocator* previous_;
  std::atomic<int64_t> count_{0}, fail_at_{-1}, live_{0};
};

}  // namespace linnet::test

namespace linnet::tree {

template <>
struct Traits<test::Box> {
  static void visit(test::Box& box, Visitor& visitor) { visitor.cell(box.cell()); }
};

}  // namespace linnet::tree
