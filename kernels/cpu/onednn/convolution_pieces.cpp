#include "kernels/cpu/onednn/convolution_pieces.h"

#include <algorithm>
#include <optional>

#include "kernels/cpu/onednn/parts.h"

namespace linnet::cpu::onednn {
namespace {

int64_t at_or(const Shape& values, size_t i, int64_t fallback) {
  return values.empty() ? fallback : values[i];
}

int64_t divide_up(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }

/// The first spatial dimension of a convolution.
struct FirstAxis {
  explicit FirstAxis(const ConvSpec& s)
      : in(s.in_size[0]),
        out(s.out_size()[0]),
        stride(at_or(s.strides, 0, 1)),
        padding_low(at_or(s.padding_low, 0, 0)),
        reach(at_or(s.dilation, 0, 1) * (s.kernel_size[0] - 1) + 1) {}
  int64_t in, out, stride, padding_low, reach;
};

struct RowsOfPiece {
  PartRange x, y;
  int64_t padding_low, padding_high;
};

RowsOfPiece for_rows_of_y(const FirstAxis& a, PartRange y) {
  const int64_t first = y.first * a.stride - a.padding_low;
  const int64_t last = (y.last - 1) * a.stride - a.padding_low + a.reach;
  return {{std::max<int64_t>(0, first), std::min(a.in, last)},
          y,
          std::max<int64_t>(0, -first),
          std::max<int64_t>(0, last - a.in)};
}

/// Rows of y that a row of x contributes to: y * stride - padding_low <= x < that + reach.
RowsOfPiece for_rows_of_x(const FirstAxis& a, PartRange x) {
  const int64_t first = divide_up(x.first + a.padding_low - a.reach + 1, a.stride);
  const int64_t last = (x.last - 1 + a.padding_low) / a.stride + 1;
  const PartRange y{std::max<int64_t>(0, first), std::min(a.out, last)};
  const int64_t low = a.padding_low + x.first - y.first * a.stride;
  const int64_t high = (y.size() - 1) * a.stride + a.reach - x.size() - low;
  return {x, y, low, std::max<int64_t>(0, high)};
}

int64_t row_size(const Shape& size, int64_t channels) {
  for (size_t i = 1; i < size.size(); ++i) channels *= size[i];
  return channels;
}

/// Image `image`, these rows. Nothing if they make no convolution of their own.
std::optional<ConvPiece> piece_of(const ConvSpec& s, int64_t image, const RowsOfPiece& rows) {
  if (rows.x.size() < 1 || rows.y.size() < 1 || rows.padding_low < 0) return std::nullopt;
  ConvPiece piece{s};
  const auto set_first = [&](Shape& values, int64_t value) {
    if (values.empty()) values = Shape(s.in_size.size(), 0);
    values[0] = value;
  };
  piece.spec.batch = 1;
  piece.spec.in_size[0] = rows.x.size();
  set_first(piece.spec.padding_low, rows.padding_low);
  set_first(piece.spec.padding_high, rows.padding_high);
  if (piece.spec.out_size()[0] != rows.y.size()) return std::nullopt;
  const Shape out = s.out_size();
  piece.x_offset = (image * s.in_size[0] + rows.x.first) * row_size(s.in_size, s.in_channels);
  piece.y_offset = (image * out[0] + rows.y.first) * row_size(out, s.out_channels);
  return piece;
}

std::vector<ConvPiece> divide_images(const ConvSpec& s, int64_t pieces, ConvRows rows) {
  const FirstAxis axis(s);
  const int64_t total = rows == ConvRows::kOfY ? axis.out : axis.in;
  std::vector<ConvPiece> result;
  for (int64_t image = 0; image < s.batch; ++image) {
    for (int64_t i = 0; i < pieces; ++i) {
      const PartRange range = part_range(total, pieces, i);
      auto piece = piece_of(
          s, image,
          rows == ConvRows::kOfY ? for_rows_of_y(axis, range) : for_rows_of_x(axis, range));
      if (!piece) return {};
      result.push_back(std::move(*piece));
    }
  }
  return result;
}

std::vector<ConvPiece> divide_batch(const ConvSpec& s, int64_t pieces) {
  const Shape out = s.out_size();
  std::vector<ConvPiece> result;
  for (int64_t i = 0; i < pieces; ++i) {
    const PartRange images = part_range(s.batch, pieces, i);
    ConvPiece piece{s};
    piece.spec.batch = images.size();
    piece.x_offset = images.first * s.in_size[0] * row_size(s.in_size, s.in_channels);
    piece.y_offset = images.first * out[0] * row_size(out, s.out_channels);
    result.push_back(std::move(piece));
  }
  return result;
}

}  // namespace

std::vector<ConvPiece> divide(const ConvSpec& s, int64_t most, ConvRows rows) {
  // Fewer rows do not pay for those that neighbours read too.
  constexpr int64_t kLeastRows = 4;
  const int64_t total = rows == ConvRows::kOfY ? s.out_size()[0] : s.in_size[0];
  const int64_t pieces = std::min(most / s.batch, total / kLeastRows);
  if (pieces > 1) {
    if (auto result = divide_images(s, pieces, rows); !result.empty()) return result;
  }
  return divide_batch(s, std::min(most, s.batch));
}

}  // namespace linnet::cpu::onednn
