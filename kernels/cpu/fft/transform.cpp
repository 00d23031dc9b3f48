#include "kernels/cpu/fft/transform.h"

#include <algorithm>
#include <complex>
#include <type_traits>

#include "kernels/cpu/fft/numbers.h"
#include "kernels/cpu/fft/plan.h"
#include "kernels/cpu/workspace.h"
#include "linnet/parallel.h"

namespace linnet::cpu {
namespace {

/// Parts of the work that have scratch memory of their own.
constexpr int64_t kMostParts = 16;
/// Elements worth a part.
constexpr int64_t kPartElements = 4096;

/// Lines along one axis of an array that is read and one that is written: where each begins.
class Lines {
 public:
  Lines(const Shape& shape, const Strides& in, const Strides& out, size_t axis)
      : in_stride(in[axis]), out_stride(out[axis]) {
    for (size_t i = 0; i < shape.size(); ++i) {
      if (i == axis) continue;
      shape_.push_back(shape[i]);
      in_.push_back(in[i]);
      out_.push_back(out[i]);
    }
  }

  int64_t count() const { return element_count(shape_); }
  /// Offsets of a line, in elements of either array.
  std::pair<int64_t, int64_t> at(int64_t line) const {
    int64_t from = 0, to = 0;
    for (size_t i = shape_.size(); i-- > 0;) {
      from += line % shape_[i] * in_[i];
      to += line % shape_[i] * out_[i];
      line /= shape_[i];
    }
    return {from, to};
  }

  int64_t in_stride, out_stride;

 private:
  Shape shape_;
  Strides in_, out_;
};

/// The transform of one line of real numbers through a complex one of half its length, if it is
/// even, else of the same length.
template <class T>
class RealLine {
 public:
  using C = std::complex<T>;

  explicit RealLine(int64_t n) : n_(n), plan_(packed() ? n / 2 : n) {
    if (!packed()) return;
    for (int64_t k = 0; k <= n / 2; ++k) factors_.push_back(root_of<T>(k, n));
  }

  /// Elements of the line in between.
  int64_t line_size() const { return n_ / 2 + 1 > plan_.size() ? n_ / 2 + 1 : plan_.size(); }
  int64_t scratch_size() const { return plan_.scratch_size(); }

  /// Leaves the n / 2 + 1 elements of the half in `line`.
  void forward(const T* in, int64_t stride, C* line, C* scratch) const {
    if (!packed()) {
      for (int64_t i = 0; i < n_; ++i) line[i] = C(in[i * stride]);
      plan_.forward(line, scratch);
      return;
    }
    const int64_t m = n_ / 2;
    for (int64_t i = 0; i < m; ++i) line[i] = C(in[2 * i * stride], in[(2 * i + 1) * stride]);
    plan_.forward(line, scratch);
    line[m] = line[0];
    // Element k of the even and of the odd numbers, from those k and m - k of both together.
    for (int64_t k = 0; 2 * k <= m; ++k) {
      const C a = line[k], b = std::conj(line[m - k]);
      const C even = (a + b) * T(0.5), odd = turned((a - b) * T(0.5));
      const C w = factors_[static_cast<size_t>(k)];
      const C turned_odd = times(w, odd);
      line[k] = even + turned_odd;
      line[m - k] = std::conj(even - turned_odd);
    }
  }

  /// From the half in `line`, whose first and (of even n) last elements count as real.
  void inverse(C* line, T scale, T* out, int64_t stride, C* scratch) const {
    if (!packed()) {
      for (int64_t k = 1; 2 * k < n_; ++k) line[n_ - k] = std::conj(line[k]);
      plan_.inverse(line, scratch);
      for (int64_t i = 0; i < n_; ++i) out[i * stride] = line[i].real() * scale;
      return;
    }
    const int64_t m = n_ / 2;
    line[0] = C(line[0].real());
    line[m] = C(line[m].real());
    for (int64_t k = 0; 2 * k <= m; ++k) {
      const C a = line[k], b = std::conj(line[m - k]);
      const C even = a + b, odd = times(std::conj(factors_[static_cast<size_t>(k)]), a - b);
      const C first = even - turned(odd), second = std::conj(even + turned(odd));
      line[k] = first;
      if (k > 0) line[m - k] = second;
    }
    plan_.inverse(line, scratch);
    for (int64_t i = 0; i < m; ++i) {
      out[2 * i * stride] = line[i].real() * scale;
      out[(2 * i + 1) * stride] = line[i].imag() * scale;
    }
  }

 private:
  bool packed() const { return n_ % 2 == 0; }

  int64_t n_;
  FftPlan<T> plan_;
  std::vector<C> factors_;  ///< [n / 2 + 1]: e^(-2πi k / n)
};

/// What a part of the work has to itself.
template <class T>
struct PartSpace {
  std::complex<T>*line, *scratch;
};

template <class T>
struct Scratch {
  Scratch(Workspace& w, int64_t parts, int64_t line, int64_t scratch, int64_t held) {
    for (int64_t i = 0; i < parts; ++i)
      each[i] = {w.take<std::complex<T>>(line), w.take<std::complex<T>>(scratch)};
    array = w.take<std::complex<T>>(held);
  }
  PartSpace<T> each[kMostParts];
  std::complex<T>* array;  ///< of the operand, where an inverse to real numbers works in
};

template <class T>
class Transform {
 public:
  using C = std::complex<T>;

  explicit Transform(FftProblem problem) : p_(std::move(problem)), first_(p_.shape.size()) {
    out_shape_ = half_shape_ = p_.shape;
    first_ -= p_.lengths.size();
    const size_t last = p_.shape.size() - 1;
    if (p_.real) {
      half_shape_[last] = p_.lengths.back() / 2 + 1;
      out_shape_[last] = forward() ? half_shape_[last] : p_.lengths.back();
      real_.emplace_back(p_.lengths.back());
    }
    double count = 1;
    for (size_t i = 0; i < p_.lengths.size(); ++i) {
      count *= static_cast<double>(p_.lengths[i]);
      const bool by_real_line = p_.real && i + 1 == p_.lengths.size();
      plans_.emplace_back(by_real_line ? 1 : p_.lengths[i]);
    }
    scale_ = forward() ? T(1) : static_cast<T>(1 / count);
    line_ = scratch_ = 1;
    for (const FftPlan<T>& plan : plans_) {
      line_ = std::max(line_, plan.size());
      scratch_ = std::max(scratch_, plan.scratch_size());
    }
    if (p_.real) {
      line_ = std::max(line_, real_[0].line_size());
      scratch_ = std::max(scratch_, real_[0].scratch_size());
    }
    const int64_t work = element_count(p_.shape);
    parts_ = std::clamp<int64_t>(work / kPartElements, 1, kMostParts);
  }

  size_t workspace_bytes() const {
    return cpu::workspace_bytes<Scratch<T>>(parts_, line_, scratch_, held());
  }

  void run(const void* in, void* out, void* workspace) const {
    if (element_count(out_shape_) == 0) return;
    Workspace memory(workspace);
    const Scratch<T> scratch(memory, parts_, line_, scratch_, held());
    const size_t last = p_.shape.size() - 1;
    const Strides dense = dense_strides(half_shape_);
    if (p_.real && !forward()) {
      const C* from = static_cast<const C*>(in);
      Strides strides = p_.strides;
      for (size_t axis = first_; axis < last; ++axis) {
        complex_axis(axis, from, strides, scratch.array, dense, T(1), scratch);
        from = scratch.array;
        strides = dense;
      }
      return to_real(from, strides, static_cast<T*>(out), scratch);
    }
    C* const to = static_cast<C*>(out);
    if (p_.real)
      from_real(static_cast<const T*>(in), to, scratch);
    else
      complex_axis(last, static_cast<const C*>(in), p_.strides, to, dense, scale_, scratch);
    for (size_t axis = last; axis-- > first_;)
      complex_axis(axis, to, dense, to, dense, T(1), scratch);
  }

 private:
  bool forward() const { return p_.direction == FftDirection::kForward; }
  int64_t held() const {
    return p_.real && !forward() && p_.lengths.size() > 1 ? element_count(p_.shape) : 0;
  }

  /// Calls `f(offset in, offset out, space)` for every line.
  template <class F>
  void each_line(const Lines& lines, const Scratch<T>& scratch, const F& f) const {
    const int64_t count = lines.count(), parts = std::min(parts_, count);
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        for (int64_t i = count * part / parts; i < count * (part + 1) / parts; ++i) {
          const auto [from, to] = lines.at(i);
          f(from, to, scratch.each[part]);
        }
      }
    });
  }

  void complex_axis(size_t axis, const C* in, const Strides& in_strides, C* out,
                    const Strides& out_strides, T scale, const Scratch<T>& scratch) const {
    const FftPlan<T>& plan = plans_[axis - first_];
    const Lines lines(half_shape_, in_strides, out_strides, axis);
    each_line(lines, scratch, [&](int64_t from, int64_t to, const PartSpace<T>& space) {
      for (int64_t i = 0; i < plan.size(); ++i) space.line[i] = in[from + i * lines.in_stride];
      if (forward())
        plan.forward(space.line, space.scratch);
      else
        plan.inverse(space.line, space.scratch);
      for (int64_t i = 0; i < plan.size(); ++i)
        out[to + i * lines.out_stride] = space.line[i] * scale;
    });
  }

  void from_real(const T* in, C* out, const Scratch<T>& scratch) const {
    const size_t last = p_.shape.size() - 1;
    const Lines lines(half_shape_, p_.strides, dense_strides(half_shape_), last);
    each_line(lines, scratch, [&](int64_t from, int64_t to, const PartSpace<T>& space) {
      real_[0].forward(in + from, lines.in_stride, space.line, space.scratch);
      std::copy_n(space.line, half_shape_[last], out + to);
    });
  }

  void to_real(const C* in, const Strides& strides, T* out, const Scratch<T>& scratch) const {
    const size_t last = p_.shape.size() - 1;
    const Lines lines(half_shape_, strides, dense_strides(out_shape_), last);
    each_line(lines, scratch, [&](int64_t from, int64_t to, const PartSpace<T>& space) {
      for (int64_t i = 0; i < half_shape_[last]; ++i)
        space.line[i] = in[from + i * lines.in_stride];
      real_[0].inverse(space.line, scale_, out + to, lines.out_stride, space.scratch);
    });
  }

  FftProblem p_;
  Shape out_shape_, half_shape_;   ///< `half_shape_` of complex arrays
  size_t first_;                   ///< axis
  std::vector<FftPlan<T>> plans_;  ///< of each axis; nothing to do for that of `real_`
  std::vector<RealLine<T>> real_;  ///< of the last axis, if one side is real
  T scale_;
  int64_t line_, scratch_, parts_;
};

}  // namespace

struct PlannedFft::Parts {
  virtual ~Parts() = default;
  virtual size_t workspace_bytes() const = 0;
  virtual void run(const void* in, void* out, void* workspace) const = 0;

  template <class T>
  struct Of;
};

template <class T>
struct PlannedFft::Parts::Of final : Parts {
  explicit Of(FftProblem problem) : transform(std::move(problem)) {}
  size_t workspace_bytes() const override { return transform.workspace_bytes(); }
  void run(const void* in, void* out, void* workspace) const override {
    transform.run(in, out, workspace);
  }
  Transform<T> transform;
};

PlannedFft::PlannedFft(FftProblem problem)
    : parts_(problem.dtype == DType::kF32
                 ? std::unique_ptr<const Parts>(new Parts::Of<float>(std::move(problem)))
                 : std::unique_ptr<const Parts>(new Parts::Of<double>(std::move(problem)))) {}
PlannedFft::~PlannedFft() = default;

size_t PlannedFft::workspace_bytes() const { return parts_->workspace_bytes(); }
void PlannedFft::run(const void* in, void* out, void* workspace) const {
  parts_->run(in, out, workspace);
}

}  // namespace linnet::cpu
