#include "kernels/cpu/reference/convolution.h"

#include <algorithm>
#include <string>

#include "kernels/cpu/reference/store_row.h"
#include "kernels/cpu/workspace.h"
#include "linnet/error.h"
#include "linnet/parallel.h"
#include "linnet/visit_dtype.h"

namespace linnet::cpu {
namespace {

void check(const ConvolutionGeometry& g) {
  const bool divisible = g.in_features % g.feature_groups == 0 &&
                         g.out_features % g.feature_groups == 0 && g.batch % g.batch_groups == 0 &&
                         g.out_features % g.batch_groups == 0;
  if (divisible && (g.feature_groups == 1 || g.batch_groups == 1)) return;
  throw ShapeError(
      "convolution: expected features and batch divisible by the groups, and groups of one kind "
      "only; got " +
      std::to_string(g.in_features) + " to " + std::to_string(g.out_features) +
      " features, batch " + std::to_string(g.batch) + ", " + std::to_string(g.feature_groups) +
      " feature groups, " + std::to_string(g.batch_groups) + " batch groups");
}

// Input position read by output position `out` and kernel tap `tap`, or -1.
int64_t input_position(const ConvolutionGeometry& g, int d, int64_t out, int64_t tap) {
  const size_t i = static_cast<size_t>(d);
  const int64_t dilated = out * g.stride[i] + tap * g.kernel_dilation[i] - g.pad_low[i];
  if (dilated < 0 || dilated % g.input_dilation[i] != 0) return -1;
  const int64_t position = dilated / g.input_dilation[i];
  return position < g.in_size[i] ? position : -1;
}

template <class T>
class Convolution {
  using A = ProductAccumulator<T>;

 public:
  /// @param w measures if it has no memory
  Convolution(const ConvolutionProblem& p, Workspace& w) : p_(p), g_(p.geometry) {
    groups_ = g_.feature_groups * g_.batch_groups;
    group_inputs_ = g_.in_features / g_.feature_groups;
    group_outputs_ = g_.out_features / groups_;
    out_batch_ = g_.batch / g_.batch_groups;
    for (int d = 0; d < kMaxSpatial; ++d) out_size_[static_cast<size_t>(d)] = g_.out_size(d);
    taps_ = g_.kernel_size[0] * g_.kernel_size[1] * g_.kernel_size[2];
    lines_ = out_batch_ * groups_ * out_size_[0] * out_size_[1];
    grain_ = 65536 / std::max<int64_t>(1, out_size_[2] * taps_ * group_inputs_ * group_outputs_);
    grain_ = std::max<int64_t>(1, grain_);
    packed_ = w.take<A>(taps_ * group_inputs_ * g_.out_features);
    sums_ = w.take<A>(parallel_slots(lines_, grain_) * group_outputs_);
  }

  void execute() {
    pack_kernel();
    parallel_for_slots(lines_, grain_, [&](int64_t begin, int64_t end, int64_t slot) {
      A* const sums = sums_ + slot * group_outputs_;
      for (int64_t line = begin; line < end; ++line) {
        int64_t rest = line;
        Spatial out{};
        out[1] = rest % out_size_[1], rest /= out_size_[1];
        out[0] = rest % out_size_[0], rest /= out_size_[0];
        for (out[2] = 0; out[2] < out_size_[2]; ++out[2])
          compute(rest / groups_, rest % groups_, out, sums);
      }
    });
  }

 private:
  // [group, tap, input feature, output feature], so that the inner loop runs over output features.
  void pack_kernel() {
    const T* kernel = static_cast<const T*>(p_.kernel);
    const ConvolutionStrides& s = p_.kernel_strides;
    parallel_for(groups_ * taps_, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t group = i / taps_;
        const Spatial t = tap_position(i % taps_);
        const T* from = kernel + t[0] * s.spatial[0] + t[1] * s.spatial[1] + t[2] * s.spatial[2] +
                        group * group_outputs_ * s.outer;
        A* to = packed_ + i * group_inputs_ * group_outputs_;
        for (int64_t c = 0; c < group_inputs_; ++c) {
          for (int64_t o = 0; o < group_outputs_; ++o)
            *to++ = lift_product(from[c * s.feature + o * s.outer]);
        }
      }
    });
  }

  Spatial tap_position(int64_t tap) const {
    return {tap / (g_.kernel_size[1] * g_.kernel_size[2]),
            tap / g_.kernel_size[2] % g_.kernel_size[1], tap % g_.kernel_size[2]};
  }

  void compute(int64_t batch, int64_t group, const Spatial& out, A* sums) const {
    std::fill_n(sums, group_outputs_, A(0));
    const int64_t batch_group = g_.batch_groups > 1 ? group : 0,
                  feature_group = g_.batch_groups > 1 ? 0 : group;
    const ConvolutionStrides& s = p_.input_strides;
    const T* input = static_cast<const T*>(p_.input) +
                     (batch_group * out_batch_ + batch) * s.outer +
                     feature_group * group_inputs_ * s.feature;
    for (int64_t tap = 0; tap < taps_; ++tap) {
      const Spatial t = tap_position(tap);
      const int64_t at[3] = {input_position(g_, 0, out[0], t[0]),
                             input_position(g_, 1, out[1], t[1]),
                             input_position(g_, 2, out[2], t[2])};
      if (at[0] < 0 || at[1] < 0 || at[2] < 0) continue;
      const T* from = input + at[0] * s.spatial[0] + at[1] * s.spatial[1] + at[2] * s.spatial[2];
      add_tap(from, s.feature, packed_ + (group * taps_ + tap) * group_inputs_ * group_outputs_,
              sums);
    }
    const ConvolutionStrides& o = p_.out_strides;
    store_row<T>(p_.out_dtype, sums, group_outputs_, p_.out,
                 batch * o.outer + group * group_outputs_ * o.feature + out[0] * o.spatial[0] +
                     out[1] * o.spatial[1] + out[2] * o.spatial[2],
                 o.feature);
  }

  void add_tap(const T* from, int64_t stride, const A* __restrict kernel,
               A* __restrict sums) const {
    for (int64_t c = 0; c < group_inputs_; ++c) {
      const A value = lift_product(from[c * stride]);
      for (int64_t o = 0; o < group_outputs_; ++o) sums[o] += value * kernel[o];
      kernel += group_outputs_;
    }
  }

  const ConvolutionProblem& p_;
  const ConvolutionGeometry& g_;
  int64_t groups_, group_inputs_, group_outputs_, out_batch_, taps_, lines_, grain_;
  Spatial out_size_{};
  A *packed_, *sums_;
};

}  // namespace

int64_t ConvolutionGeometry::out_size(int dimension) const {
  const size_t d = static_cast<size_t>(dimension);
  const int64_t dilated = in_size[d] == 0 ? 0 : (in_size[d] - 1) * input_dilation[d] + 1;
  const int64_t window = (kernel_size[d] - 1) * kernel_dilation[d] + 1;
  const int64_t room = dilated + pad_low[d] + pad_high[d] - window;
  return room < 0 ? 0 : room / stride[d] + 1;
}

size_t reference_convolution_workspace(const ConvolutionProblem& problem) {
  check(problem.geometry);
  return visit_dtype(problem.dtype, [&](auto zero) {
    Workspace measured(nullptr);
    const Convolution<decltype(zero)> convolution(problem, measured);
    return measured.bytes();
  });
}

void reference_convolution(const ConvolutionProblem& problem, void* workspace) {
  check(problem.geometry);
  visit_dtype(problem.dtype, [&](auto zero) {
    Workspace w(workspace);
    Convolution<decltype(zero)>(problem, w).execute();
  });
}

}  // namespace linnet::cpu
