// Convolutions and their gradients: three sums over the same products x w y.
#include "cuda/doubles/cudnn/operation.h"

namespace linnet::fake_cudnn {
namespace {

/// Names of the attributes of one kind.
struct Names {
  int conv, x, w, y, alpha, beta;
};

Names names_of(cudnnBackendDescriptorType_t type) {
  switch (type) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
      return {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
      return {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
    default:
      return {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
  }
}

int64_t spatial_count(const TensorInfo& t) { return t.count() / (t.shape[0] * t.shape[1]); }

/// For each spatial place of y and of w that of x, or -1 in the padding.
std::vector<int64_t> input_places(const Snapshot& conv, const TensorInfo& x, const TensorInfo& w,
                                  const TensorInfo& y) {
  const auto low = conv.values<int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
  const auto stride = conv.values<int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
  const auto dilation = conv.values<int64_t>(CUDNN_ATTR_CONVOLUTION_DILATIONS);
  const bool is_flipped =
      conv.value_or(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION) == CUDNN_CONVOLUTION;
  std::vector<int64_t> out;
  for (int64_t o = 0; o < spatial_count(y); ++o) {
    for (int64_t r = 0; r < spatial_count(w); ++r) {
      int64_t place = 0, o_left = o, r_left = r, run = 1;
      for (size_t d = low.size(); d-- > 0 && place >= 0;) {
        int64_t tap = r_left % w.shape[d + 2];
        if (is_flipped) tap = w.shape[d + 2] - 1 - tap;
        const int64_t at = o_left % y.shape[d + 2] * stride[d] + tap * dilation[d] - low[d];
        place = at < 0 || at >= x.shape[d + 2] ? -1 : place + at * run;
        run *= x.shape[d + 2];
        o_left /= y.shape[d + 2];
        r_left /= w.shape[d + 2];
      }
      out.push_back(place);
    }
  }
  return out;
}

/// Calls f(x, w, y) with the indices of the factors of every product.
template <class F>
void for_each_product(const Snapshot& conv, const TensorInfo& x, const TensorInfo& w,
                      const TensorInfo& y, const F& f) {
  const std::vector<int64_t> inputs = input_places(conv, x, w, y);
  const int64_t xs = spatial_count(x), ws = spatial_count(w), ys = spatial_count(y);
  const int64_t channels = w.shape[1], outs = y.shape[1], groups = x.shape[1] / channels;
  for (int64_t n = 0; n < y.shape[0]; ++n) {
    for (int64_t k = 0; k < outs; ++k) {
      const int64_t first = k / (outs / groups) * channels;
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t x_row = (n * x.shape[1] + first + c) * xs, w_row = (k * channels + c) * ws;
        const int64_t y_row = (n * outs + k) * ys;
        for (int64_t o = 0; o < ys; ++o) {
          for (int64_t r = 0; r < ws; ++r) {
            const int64_t at = inputs[static_cast<size_t>(o * ws + r)];
            if (at >= 0) f(x_row + at, w_row + r, y_row + o);
          }
        }
      }
    }
  }
}

double factor(const Snapshot& operation, int name, double otherwise) {
  const Attribute* const found = operation.find(name);
  if (!found) return otherwise;
  return found->type == CUDNN_TYPE_DOUBLE ? operation.value<double>(name)
                                          : operation.value<float>(name);
}

}  // namespace

void run_convolution(const Snapshot& operation, Values& values) {
  const Names names = names_of(operation.type);
  if (factor(operation, names.alpha, 1) != 1 || factor(operation, names.beta, 0) != 0)
    throw std::runtime_error("convolutions are evaluated with alpha 1 and beta 0 only");
  const Snapshot& conv = operation.child(names.conv);
  const TensorInfo x(operation.child(names.x)), w(operation.child(names.w)),
      y(operation.child(names.y));
  const auto read = [&](const TensorInfo& t) {
    Elements out = values.read(t);
    if (values.rounds_operands() && t.type == CUDNN_DATA_FLOAT) round_operand(out);
    return out;
  };
  const auto at = [](auto& elements, int64_t i) -> auto& {
    return elements[static_cast<size_t>(i)];
  };
  const auto zeros = [](const TensorInfo& t) {
    return Elements(static_cast<size_t>(t.count()), 0);
  };
  if (operation.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR) {
    const Elements xs = read(x), ws = read(w);
    Elements out = zeros(y);
    for_each_product(conv, x, w, y,
                     [&](int64_t i, int64_t j, int64_t o) { at(out, o) += at(xs, i) * at(ws, j); });
    return values.write(y, std::move(out));
  }
  const Elements ys = read(y);
  if (operation.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR) {
    const Elements ws = read(w);
    Elements out = zeros(x);
    for_each_product(conv, x, w, y,
                     [&](int64_t i, int64_t j, int64_t o) { at(out, i) += at(ws, j) * at(ys, o); });
    return values.write(x, std::move(out));
  }
  const Elements xs = read(x);
  Elements out = zeros(w);
  for_each_product(conv, x, w, y,
                   [&](int64_t i, int64_t j, int64_t o) { at(out, j) += at(xs, i) * at(ys, o); });
  values.write(w, std::move(out));
}

}  // namespace linnet::fake_cudnn
