#include "kernels/cpu/attention/heads.h"

#include "kernels/cpu/elementwise/loop_table.h"
#include "kernels/cpu/elementwise/strided.h"
#include "kernels/cpu/elementwise/transpose.h"

namespace linnet::cpu {
namespace {

void convert(DType from_type, const void* from, DType to_type, void* to, int64_t count) {
  LoopCall call;
  call.in[0] = from;
  call.out = to;
  call.count = count;
  elementwise_table().get_cast(from_type, to_type)(call);
}

}  // namespace

void load_rows(DType dtype, const AttentionOperand& operand, int64_t batch, int64_t head,
               int64_t first, int64_t count, int64_t dim, float* to) {
  const auto& s = operand.strides;
  const int64_t size = static_cast<int64_t>(size_of(dtype));
  const char* from =
      static_cast<const char*>(operand.data) + (batch * s[0] + first * s[1] + head * s[2]) * size;
  for (int64_t i = 0; i < count; ++i, from += s[1] * size, to += dim) {
    if (s[3] == 1 || dim == 1) {
      convert(dtype, from, DType::kF32, to, dim);
      continue;
    }
    constexpr int64_t kPart = 256;
    alignas(8) char part[kPart * 4];
    for (int64_t c = 0; c < dim; c += kPart) {
      const int64_t width = std::min(kPart, dim - c);
      copy_from_strided(static_cast<size_t>(size), from + c * s[3] * size, s[3], part, width);
      convert(dtype, part, DType::kF32, to + c, width);
    }
  }
}

void store_rows(DType dtype, const float* from, int64_t count, int64_t dim, void* to,
                int64_t length, int64_t heads, int64_t batch, int64_t head, int64_t first) {
  const int64_t size = static_cast<int64_t>(size_of(dtype));
  char* out = static_cast<char*>(to) + ((batch * length + first) * heads + head) * dim * size;
  for (int64_t i = 0; i < count; ++i, from += dim, out += heads * dim * size)
    convert(DType::kF32, from, dtype, out, dim);
}

void turn_to_panels(const float* rows, int64_t count, int64_t dim, int64_t columns, float* panels) {
  for (int64_t j = 0; j < count; j += columns, rows += columns * dim, panels += columns * dim) {
    const int64_t width = std::min(columns, count - j);
    const int64_t shape[] = {dim, width}, from[] = {1, dim}, to[] = {columns, 1};
    if (copy_transposed(sizeof(float), shape, rows, from, panels, to)) continue;
    for (int64_t c = 0; c < width; ++c) {
      for (int64_t p = 0; p < dim; ++p) panels[p * columns + c] = rows[c * dim + p];
    }
  }
}

}  // namespace linnet::cpu
