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

/// Sizes of a convolution. Images are taken as [batch, place, group, channel of the group] and
/// filters as [place, group, …], so that the innermost loops run over neighbours.
struct Geometry {
  std::vector<int64_t> inputs;
  int64_t batch, xs, ws, ys;       // images; places of x, w and y
  int64_t groups, channels, outs;  // of which each group has so many

  Geometry(const Snapshot& conv, const TensorInfo& x, const TensorInfo& w, const TensorInfo& y)
      : inputs(input_places(conv, x, w, y)),
        batch(y.shape[0]),
        xs(spatial_count(x)),
        ws(spatial_count(w)),
        ys(spatial_count(y)),
        groups(x.shape[1] / w.shape[1]),
        channels(w.shape[1]),
        outs(y.shape[1] / groups) {}

  /// Calls f(x, w, y) with the places of the first elements that meet: so many channels of x, so
  /// many of y, and a matrix of w.
  template <class F>
  void for_each_meeting(const F& f) const {
    for (int64_t n = 0; n < batch; ++n) {
      for (int64_t o = 0; o < ys; ++o) {
        for (int64_t r = 0; r < ws; ++r) {
          const int64_t at = inputs[static_cast<size_t>(o * ws + r)];
          for (int64_t g = 0; at >= 0 && g < groups; ++g) {
            f(((n * xs + at) * groups + g) * channels, (r * groups + g) * channels * outs,
              ((n * ys + o) * groups + g) * outs);
          }
        }
      }
    }
  }

  Elements image_of_x(const Elements& x) const { return swapped(x, batch, groups * channels, xs); }
  Elements image_of_y(const Elements& y) const { return swapped(y, batch, groups * outs, ys); }
  /// [place, group, out, channel]
  Elements filter(const Elements& w) const { return swapped(w, 1, groups * outs * channels, ws); }

  /// Matrices [rows, columns], each transposed.
  static Elements swapped(const Elements& from, int64_t matrices, int64_t rows, int64_t columns) {
    Elements to(from.size());
    size_t next = 0;
    for (int64_t m = 0; m < matrices; ++m) {
      for (int64_t j = 0; j < columns; ++j) {
        for (int64_t i = 0; i < rows; ++i)
          to[next++] = from[static_cast<size_t>((m * rows + i) * columns + j)];
      }
    }
    return to;
  }
};

/// to[j] += sum over i of left[i] matrix[i, j].
void add_product(const double* left, int64_t rows, const double* matrix, int64_t columns,
                 double* to) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) to[j] += left[i] * matrix[i * columns + j];
  }
}

Elements forward(const Geometry& g, const Elements& x, const Elements& w) {
  const Elements image = g.image_of_x(x),
                 filter = Geometry::swapped(g.filter(w), g.ws * g.groups, g.outs, g.channels);
  Elements out(static_cast<size_t>(g.batch * g.ys * g.groups * g.outs), 0);
  g.for_each_meeting([&](int64_t i, int64_t j, int64_t o) {
    add_product(image.data() + i, g.channels, filter.data() + j, g.outs, out.data() + o);
  });
  return Geometry::swapped(out, g.batch, g.ys, g.groups * g.outs);
}

Elements backward_data(const Geometry& g, const Elements& w, const Elements& y) {
  const Elements image = g.image_of_y(y), filter = g.filter(w);
  Elements out(static_cast<size_t>(g.batch * g.xs * g.groups * g.channels), 0);
  g.for_each_meeting([&](int64_t i, int64_t j, int64_t o) {
    add_product(image.data() + o, g.outs, filter.data() + j, g.channels, out.data() + i);
  });
  return Geometry::swapped(out, g.batch, g.xs, g.groups * g.channels);
}

Elements backward_weights(const Geometry& g, const Elements& x, const Elements& y) {
  const Elements of_x = g.image_of_x(x), of_y = g.image_of_y(y);
  Elements out(static_cast<size_t>(g.ws * g.groups * g.outs * g.channels), 0);
  g.for_each_meeting([&](int64_t i, int64_t j, int64_t o) {
    for (int64_t k = 0; k < g.outs; ++k)
      add_product(of_y.data() + o + k, 1, of_x.data() + i, g.channels,
                  out.data() + j + k * g.channels);
  });
  return Geometry::swapped(out, 1, g.ws, g.groups * g.outs * g.channels);
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
  const Geometry geometry(conv, x, w, y);
  if (operation.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
    return values.write(y, forward(geometry, read(x), read(w)));
  if (operation.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
    return values.write(x, backward_data(geometry, read(w), read(y)));
  values.write(w, backward_weights(geometry, read(x), read(y)));
}

}  // namespace linnet::fake_cudnn
