#include "kernels/cpu/register/staging.h"

#include <array>
#include <cstring>

#include "kernels/cpu/elementwise/elementwise.h"

namespace linnet::cpu {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kMostOperands = 4;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

void copy(const Staging& s, const void* from, void* to) {
  const size_t to_size = size_of(s.to);
  if (s.cleared_size) std::memset(to, 0, static_cast<size_t>(s.cleared_size) * to_size);
  const Operand source{
      static_cast<const std::byte*>(from) + s.from_offset * static_cast<int64_t>(size_of(s.from)),
      s.from_strides.data()};
  const Destination target{
      static_cast<std::byte*>(to) + s.to_offset * static_cast<int64_t>(to_size),
      s.to_strides.data()};
  if (s.from == s.to)
    copy_strided(to_size, s.shape, source, target);
  else
    cast(s.from, s.to, s.shape, source, target);
}

}  // namespace

Staging conversion(DType from, DType to, const Shape& shape) {
  const Strides dense = dense_strides(shape);
  return {.from = from,
          .to = to,
          .shape = shape,
          .from_strides = dense,
          .to_strides = dense,
          .temporary_size = element_count(shape)};
}

StagedKernel::StagedKernel(std::unique_ptr<onednn::Prepared> kernel,
                           std::vector<StagedOperand> operands, std::optional<Staging> result)
    : kernel_(std::move(kernel)), operands_(std::move(operands)), result_(std::move(result)) {
  workspace_bytes_ = aligned(kernel_->workspace_bytes());
  const auto reserve = [this](int64_t elements, DType dtype) {
    offsets_.push_back(workspace_bytes_);
    workspace_bytes_ += aligned(static_cast<size_t>(elements) * size_of(dtype));
  };
  for (const StagedOperand& operand : operands_) {
    if (operand.staging) reserve(operand.staging->temporary_size, operand.staging->to);
  }
  if (result_) reserve(result_->temporary_size, result_->from);
}

void StagedKernel::run(const void* const* inputs, void* const* outputs, void* workspace) const {
  std::byte* memory = static_cast<std::byte*>(workspace);
  std::array<const void*, kMostOperands> in{};
  size_t next = 0;
  for (size_t i = 0; i < operands_.size(); ++i) {
    in[i] = inputs[operands_[i].index];
    if (!operands_[i].staging) continue;
    std::byte* temporary = memory + offsets_[next++];
    copy(*operands_[i].staging, in[i], temporary);
    in[i] = temporary;
  }
  void* out = result_ ? memory + offsets_[next] : outputs[0];
  kernel_->execute(std::span(in.data(), operands_.size()), std::span(&out, 1), workspace);
  if (result_) copy(*result_, out, outputs[0]);
}

void ZeroKernel::run(const void* const*, void* const* outputs, void*) const {
  if (bytes_ > 0) std::memset(outputs[0], 0, bytes_);  // without elements there may be no memory
}

}  // namespace linnet::cpu
