#include "kernels/cpu/onednn/parts.h"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include "kernels/cpu/thread_pool.h"

namespace linnet::cpu::onednn {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kMostOperands = 4;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

template <class Pointer>
void shift(std::span<const Pointer> from, std::span<const int64_t> offsets, Pointer* to) {
  using Byte = std::conditional_t<std::is_same_v<Pointer, void*>, char, const char>;
  for (size_t i = 0; i < from.size(); ++i) to[i] = static_cast<Byte*>(from[i]) + offsets[i];
}

class Parts : public Prepared {
 public:
  explicit Parts(std::vector<Part> parts) : parts_(std::move(parts)) {
    implementation_ = parts_[0].kernel->implementation();
    for (const Part& part : parts_)
      each_bytes_ = std::max(each_bytes_, aligned(part.kernel->workspace_bytes()));
  }

  size_t workspace_bytes() const override { return each_bytes_ * parts_.size(); }

  void execute(std::span<const void* const> inputs, std::span<void* const> outputs,
               void* workspace) const override {
    run_parts(static_cast<int>(parts_.size()), [&](int index) {
      void* of_part[kMostOperands];
      shift<void*>(outputs, parts_[index].outputs, of_part);
      run_part(index, inputs, {of_part, outputs.size()}, workspace);
    });
  }

 protected:
  void run_part(int index, std::span<const void* const> inputs, std::span<void* const> outputs,
                void* workspace) const {
    const Part& part = parts_[index];
    const void* of_part[kMostOperands];
    shift<const void*>(inputs, part.inputs, of_part);
    part.kernel->execute({of_part, inputs.size()}, outputs,
                         static_cast<char*>(workspace) + each_bytes_ * index);
  }

  std::vector<Part> parts_;

 private:
  size_t each_bytes_ = 0;
};

/// result[i] = the sum over the terms of terms[t][i]. The result may be the first of them.
void add_up(std::span<const float* const> terms, int64_t count, float* result) {
  constexpr int64_t kBlock = 1024;
  parallel_for(count, 16 * kBlock, [&](int64_t begin, int64_t end) {
    std::array<float, kBlock> sums;
    for (int64_t i = begin; i < end; i += kBlock) {
      const int64_t size = std::min(kBlock, end - i);
      for (int64_t j = 0; j < size; ++j) sums[j] = terms[0][i + j];
      for (const float* term : terms.subspan(1)) {
        for (int64_t j = 0; j < size; ++j) sums[j] += term[i + j];
      }
      for (int64_t j = 0; j < size; ++j) result[i + j] = sums[j];
    }
  });
}

class SummedParts final : public Parts {
 public:
  SummedParts(std::vector<Part> parts, std::vector<SummedOutput> outputs)
      : Parts(std::move(parts)), outputs_(std::move(outputs)) {
    for (const SummedOutput& output : outputs_) {
      offsets_.push_back(term_bytes_);
      term_bytes_ += aligned(static_cast<size_t>(output.count) * sizeof(float));
      if (output.conversion)
        least_bytes_ = std::max(least_bytes_, output.conversion->workspace_bytes());
    }
  }

  size_t workspace_bytes() const override {
    return std::max(Parts::workspace_bytes() + term_bytes_ * parts_.size(), least_bytes_);
  }

  void execute(std::span<const void* const> inputs, std::span<void* const> outputs,
               void* workspace) const override {
    char* const terms = static_cast<char*>(workspace) + Parts::workspace_bytes();
    // The first term of an output that needs no conversion is made in place, and so are the sums.
    const auto term = [&](size_t output, size_t part) {
      return part == 0 && !outputs_[output].conversion
                 ? outputs[output]
                 : terms + term_bytes_ * part + offsets_[output];
    };
    run_parts(static_cast<int>(parts_.size()), [&](int index) {
      void* of_part[kMostOperands];
      for (size_t i = 0; i < outputs.size(); ++i) of_part[i] = term(i, static_cast<size_t>(index));
      run_part(index, inputs, {of_part, outputs.size()}, workspace);
    });
    for (size_t i = 0; i < outputs.size(); ++i) {
      std::array<const float*, static_cast<size_t>(kMostSummedParts)> of_output;
      for (size_t p = 0; p < parts_.size(); ++p)
        of_output[p] = static_cast<const float*>(term(i, p));
      void* const sums = term(i, 0);
      add_up({of_output.data(), parts_.size()}, outputs_[i].count, static_cast<float*>(sums));
      const void* const converted = sums;
      if (outputs_[i].conversion)
        outputs_[i].conversion->execute({&converted, 1}, outputs.subspan(i, 1), workspace);
    }
  }

 private:
  std::vector<SummedOutput> outputs_;
  std::vector<size_t> offsets_;
  size_t term_bytes_ = 0, least_bytes_ = 0;
};

class WithConvertedInput final : public Prepared {
 public:
  WithConvertedInput(std::unique_ptr<Prepared> kernel, size_t index,
                     std::unique_ptr<Prepared> conversion, size_t bytes)
      : kernel_(std::move(kernel)),
        conversion_(std::move(conversion)),
        index_(index),
        bytes_(aligned(bytes)) {
    implementation_ = kernel_->implementation();
  }
  size_t workspace_bytes() const override {
    return bytes_ + std::max(kernel_->workspace_bytes(), conversion_->workspace_bytes());
  }
  void execute(std::span<const void* const> inputs, std::span<void* const> outputs,
               void* workspace) const override {
    char* const rest = static_cast<char*>(workspace) + bytes_;
    conversion_->execute(inputs.subspan(index_, 1), {&workspace, 1}, rest);
    const void* all[kMostOperands];
    std::copy(inputs.begin(), inputs.end(), all);
    all[index_] = workspace;
    kernel_->execute({all, inputs.size()}, outputs, rest);
  }

 private:
  std::unique_ptr<Prepared> kernel_, conversion_;
  size_t index_, bytes_;
};

}  // namespace

std::unique_ptr<Prepared> in_parts(std::vector<Part> parts) {
  if (parts.size() == 1) return std::move(parts[0].kernel);
  return std::make_unique<Parts>(std::move(parts));
}

std::unique_ptr<Prepared> in_summed_parts(std::vector<Part> parts,
                                          std::vector<SummedOutput> outputs) {
  return std::make_unique<SummedParts>(std::move(parts), std::move(outputs));
}

std::unique_ptr<Prepared> with_converted_input(std::unique_ptr<Prepared> kernel, size_t index,
                                               std::unique_ptr<Prepared> conversion, size_t bytes) {
  return std::make_unique<WithConvertedInput>(std::move(kernel), index, std::move(conversion),
                                              bytes);
}

PartRange part_range(int64_t total, int64_t parts, int64_t index, int64_t granule) {
  const int64_t granules = (total + granule - 1) / granule;
  const auto border = [&](int64_t i) { return std::min(total, granules * i / parts * granule); };
  return {border(index), border(index + 1)};
}

}  // namespace linnet::cpu::onednn
