#include "evaluate.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "cuda/fake_driver/fake_driver.h"
#include "numbers.h"

namespace linnet::fake_cublaslt {
namespace {

using Doubles = std::vector<double>;
using fake_cuda::memory;

std::byte* matrix_at(uint64_t base, const Layout& x, int64_t batch) {
  const auto size = static_cast<int64_t>(x.element_size());
  const uint64_t at = base + static_cast<uint64_t>(batch * x.batch_offset * size);
  return memory<std::byte>(at, static_cast<size_t>(x.extent() * size));
}

/// [count, k]: rows of op(A), or columns of op(B).
Doubles lines(const std::byte* from, const Layout& x, bool rows_are_lines, bool tf32) {
  const Elements& elements = elements_of(x.type);
  const auto rows = static_cast<int64_t>(x.rows), columns = static_cast<int64_t>(x.columns);
  const int64_t count = rows_are_lines ? rows : columns, k = rows_are_lines ? columns : rows;
  Doubles out(static_cast<size_t>(count * k));
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t p = 0; p < k; ++p) {
      double value = elements.load(from, rows_are_lines ? x.offset_of(i, p) : x.offset_of(p, i));
      if (tf32) value = to_tf32(static_cast<float>(value));
      out[static_cast<size_t>(i * k + p)] = value;
    }
  }
  return out;
}

/// Four sums at a time: one waits for itself.
double dot(const double* x, const double* y, int64_t count) {
  double sums[4] = {};
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (int64_t j = 0; j < 4; ++j) sums[j] += x[i + j] * y[i + j];
  }
  for (; i < count; ++i) sums[0] += x[i] * y[i];
  return sums[0] + sums[1] + (sums[2] + sums[3]);
}

constexpr double kGeluScale = 0.79788456080286535588;  // sqrt(2 / pi)

double gelu(double x) { return 0.5 * x * (1 + std::tanh(kGeluScale * (x + 0.044715 * x * x * x))); }

double gelu_slope(double x) {
  const double t = std::tanh(kGeluScale * (x + 0.044715 * x * x * x));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * kGeluScale * (1 + 3 * 0.044715 * x * x);
}

/// What follows the sums, for one matrix of the batch.
class Epilogue {
 public:
  Epilogue(const Work& work, int64_t batch)
      : code_(work.operation.epilogue),
        m_(static_cast<int64_t>(work.d_layout.rows)),
        n_(static_cast<int64_t>(work.d_layout.columns)),
        elements_(elements_of(work.d_layout.type)),
        auxiliary_ld_(work.operation.auxiliary_ld) {
    const Operation& o = work.operation;
    const auto size = static_cast<int64_t>(work.d_layout.element_size());
    if (has_bias(code_) || writes_bias(code_)) {
      const int64_t length = code_ == CUBLASLT_EPILOGUE_BGRADB ? n_ : m_;
      bias_ = memory<std::byte>(reinterpret_cast<uint64_t>(o.bias) +
                                    static_cast<uint64_t>(batch * o.bias_batch_stride * size),
                                static_cast<size_t>(length * size));
    }
    if (has_auxiliary(code_)) {
      const int64_t elements = auxiliary_ld_ * (n_ - 1) + m_;
      const int64_t offset = batch * o.auxiliary_batch_stride;
      const int64_t bytes = has_mask(code_) ? (elements + 7) / 8 : elements * size;
      auxiliary_ =
          memory<std::byte>(reinterpret_cast<uint64_t>(o.auxiliary) +
                                static_cast<uint64_t>(has_mask(code_) ? offset / 8 : offset * size),
                            static_cast<size_t>(bytes));
    }
    sums_.resize(static_cast<size_t>(m_));
  }

  double operator()(double value, int64_t i, int64_t j) {
    if (has_bias(code_)) value += elements_.load(bias_, i);
    const int64_t at = i + j * auxiliary_ld_;
    if (code_ & kReluBit) {
      if (has_auxiliary(code_)) set_bit(at, value > 0);
      value = value < 0 ? 0 : value;
    }
    if (code_ & kGeluBit) {
      if (has_auxiliary(code_)) elements_.store(auxiliary_, at, value);
      value = gelu(value);
    }
    if (code_ & kReluGradientBit) value = bit(at) ? value : 0;
    if (code_ & kGeluGradientBit) value *= gelu_slope(elements_.load(auxiliary_, at));
    sums_[static_cast<size_t>(i)] += value;
    return value;
  }

  /// Writes gradients of the bias. `rows` and `columns` are [m, k] and [n, k].
  void finish(const Doubles& rows, const Doubles& columns, int64_t k) {
    if (code_ & kBiasGradientBit) {
      for (int64_t i = 0; i < m_; ++i) elements_.store(bias_, i, sums_[static_cast<size_t>(i)]);
    }
    const auto sum_lines = [&](const Doubles& x, int64_t count) {
      for (int64_t i = 0; i < count; ++i) {
        double sum = 0;
        for (int64_t p = 0; p < k; ++p) sum += x[static_cast<size_t>(i * k + p)];
        elements_.store(bias_, i, sum);
      }
    };
    if (code_ == CUBLASLT_EPILOGUE_BGRADA) sum_lines(rows, m_);
    if (code_ == CUBLASLT_EPILOGUE_BGRADB) sum_lines(columns, n_);
  }

 private:
  void set_bit(int64_t at, bool value) {
    const std::byte mask{static_cast<uint8_t>(1u << (at % 8))};
    std::byte& byte = auxiliary_[at / 8];
    byte = value ? byte | mask : byte & ~mask;
  }
  bool bit(int64_t at) const {
    return (auxiliary_[at / 8] & std::byte{static_cast<uint8_t>(1u << (at % 8))}) != std::byte{};
  }

  uint32_t code_;
  int64_t m_, n_;
  const Elements& elements_;
  int64_t auxiliary_ld_;
  std::byte *bias_ = nullptr, *auxiliary_ = nullptr;
  Doubles sums_;
};

/// The factor of fp8 operands, one f32 on the device.
double factor_at(const void* scale) {
  return scale ? *memory<float>(reinterpret_cast<uint64_t>(scale), 1) : 1.0;
}

void evaluate_one(const Work& work, int64_t batch, double alpha) {
  const Operation& o = work.operation;
  const bool tf32 = o.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  const Layout &al = work.a_layout, &bl = work.b_layout, &dl = work.d_layout;
  const Doubles rows = lines(matrix_at(work.a, al, batch), al, o.transpose_a == CUBLAS_OP_N, tf32);
  const Doubles columns =
      lines(matrix_at(work.b, bl, batch), bl, o.transpose_b != CUBLAS_OP_N, tf32);
  const auto m = static_cast<int64_t>(dl.rows), n = static_cast<int64_t>(dl.columns);
  const int64_t k = static_cast<int64_t>(rows.size()) / m;
  const Elements& out = elements_of(dl.type);
  std::byte* const d = matrix_at(work.d, dl, batch);
  const std::byte* const c = work.beta != 0 ? matrix_at(work.c, work.c_layout, batch) : nullptr;
  Epilogue epilogue(work, batch);
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = 0; i < m; ++i) {
      double value =
          alpha * dot(&rows[static_cast<size_t>(i * k)], &columns[static_cast<size_t>(j * k)], k);
      if (c) value += work.beta * out.load(c, work.c_layout.offset_of(i, j));
      out.store(d, dl.offset_of(i, j), epilogue(value, i, j));
    }
  }
  epilogue.finish(rows, columns, k);
}

}  // namespace

void evaluate(const Work& work) {
  if (work.workspace_bytes > 0)
    std::memset(memory<std::byte>(work.workspace, work.workspace_bytes), 0xFF,
                work.workspace_bytes);
  const double alpha =
      work.alpha * factor_at(work.operation.scale_a) * factor_at(work.operation.scale_b);
  for (int64_t b = 0; b < work.d_layout.batch_count; ++b) evaluate_one(work, b, alpha);
}

}  // namespace linnet::fake_cublaslt
