#include "kernels/cpu/pool/pool.h"

#include <fmt/format.h>

#include "kernels/cpu/gemm/parallel.h"
#include "kernels/cpu/pool/geometry.h"

namespace linnet::cpu {
namespace pool {
namespace {

int64_t at_or(const Shape& values, size_t i, int64_t fallback) {
  return values.empty() ? fallback : values[i];
}

std::string reason_to_decline(const PoolSpec& spec) {
  const bool known =
      spec.dtype == DType::kF32 || spec.dtype == DType::kF64 || spec.dtype == DType::kBF16;
  if (!known) return fmt::format("dtype {}", name_of(spec.dtype));
  const size_t rank = spec.in_size.size();
  if (rank < 1 || rank > 3) return fmt::format("{} spatial dimensions", rank);
  if (spec.batch < 1 || spec.channels < 1) return "an empty operand";
  for (size_t i = 0; i < rank; ++i) {
    if (spec.in_size[i] < 1 || spec.window[i] < 1) return "an empty operand";
  }
  for (int64_t size : spec.out_size()) {
    if (size < 1) return "an empty result";
  }
  return {};
}

class Forward final : public Prepared {
 public:
  explicit Forward(const PoolSpec& spec)
      : geometry_(spec), dtype_(spec.dtype), threads_(available_threads()) {
    implementation_ = "own pool";
  }
  void execute(std::span<const void* const> inputs, std::span<void* const> outputs,
               void*) const override {
    forward(geometry_, dtype_, inputs[0], outputs[0], threads_);
  }

 private:
  Geometry geometry_;
  DType dtype_;
  int threads_;
};

class Backward final : public Prepared {
 public:
  explicit Backward(const PoolSpec& spec)
      : geometry_(spec), dtype_(spec.dtype), threads_(available_threads()) {
    implementation_ = "own pool gradient";
  }
  size_t workspace_bytes() const override {
    return backward_workspace_bytes(geometry_, dtype_, threads_);
  }
  void execute(std::span<const void* const> inputs, std::span<void* const> outputs,
               void* workspace) const override {
    const bool is_max = geometry_.kind == PoolKind::kMax;
    backward(geometry_, dtype_, is_max ? inputs[0] : nullptr, inputs[is_max ? 1 : 0], outputs[0],
             workspace, threads_);
  }

 private:
  Geometry geometry_;
  DType dtype_;
  int threads_;
};

template <class Kernel>
PrepareResult prepare(const PoolSpec& spec) {
  if (std::string reason = reason_to_decline(spec); !reason.empty())
    return {nullptr, std::move(reason)};
  return {std::make_unique<Kernel>(spec), {}};
}

}  // namespace

Geometry::Geometry(const PoolSpec& spec)
    : kind(spec.kind), batch(spec.batch), channels(spec.channels) {
  const Shape size = spec.out_size();
  const int shift = 3 - static_cast<int>(size.size());
  for (int i = 0; i < 3; ++i) {
    const bool given = i >= shift;
    const size_t from = static_cast<size_t>(given ? i - shift : 0);
    in[i] = given ? spec.in_size[from] : 1;
    out[i] = given ? size[from] : 1;
    window[i] = given ? spec.window[from] : 1;
    stride[i] = given ? at_or(spec.strides, from, 1) : 1;
    low[i] = given ? at_or(spec.padding_low, from, 0) : 0;
    dilation[i] = given ? at_or(spec.dilation, from, 1) : 1;
  }
}

bool Geometry::is_disjoint() const {
  for (int i = 0; i < 3; ++i) {
    if (out[i] > 1 && stride[i] < (window[i] - 1) * dilation[i] + 1) return false;
  }
  return true;
}

bool Geometry::is_tiling() const {
  for (int i = 0; i < 3; ++i) {
    const bool dense = dilation[i] == 1 || window[i] == 1;
    const bool adjacent = out[i] == 1 || stride[i] == window[i];
    if (!dense || !adjacent || low[i] != 0 || out[i] * window[i] != in[i]) return false;
  }
  return true;
}

}  // namespace pool

Shape PoolSpec::out_size() const {
  Shape size;
  for (size_t i = 0; i < in_size.size(); ++i) {
    const int64_t padded =
        in_size[i] + pool::at_or(padding_low, i, 0) + pool::at_or(padding_high, i, 0);
    const int64_t reach = pool::at_or(dilation, i, 1) * (window[i] - 1) + 1;
    size.push_back(padded < reach ? 0 : (padded - reach) / pool::at_or(strides, i, 1) + 1);
  }
  return size;
}

PrepareResult prepare_pool_forward(const PoolSpec& spec) {
  return pool::prepare<pool::Forward>(spec);
}

PrepareResult prepare_pool_backward(const PoolSpec& spec) {
  return pool::prepare<pool::Backward>(spec);
}

}  // namespace linnet::cpu
