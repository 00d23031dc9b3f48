// Random tile programs and operands, for tests that compare two ways of running them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/cpu/interpreter/tile_program.h"

namespace linnet::cpu {

using Dims = std::vector<int64_t>;

inline Dims row_major(const Dims& shape) {
  Dims strides(shape.size());
  int64_t step = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    strides[d] = step;
    step *= shape[d];
  }
  return strides;
}

struct Buffer {
  DType dtype;
  std::vector<char> bytes;

  Buffer(DType type, int64_t count)
      : dtype(type), bytes(size_of(type) * static_cast<size_t>(count)) {}
};

inline double value_at(const Buffer& buffer, int64_t i) {
  double value = 0;
  const int64_t zero = 0;
  cast(buffer.dtype, DType::kF64, {},
       {buffer.bytes.data() + static_cast<size_t>(i) * size_of(buffer.dtype), &zero},
       {&value, &zero});
  return value;
}

/// The same bytes, where NaNs may differ in theirs.
inline bool same(const Buffer& a, const Buffer& b) {
  if (a.bytes == b.bytes) return true;
  if (!is_floating(a.dtype)) return false;
  const int64_t count = static_cast<int64_t>(a.bytes.size() / size_of(a.dtype));
  for (int64_t i = 0; i < count; ++i) {
    const size_t at = static_cast<size_t>(i) * size_of(a.dtype);
    if (std::memcmp(&a.bytes[at], &b.bytes[at], size_of(a.dtype)) == 0) continue;
    if (!std::isnan(value_at(a, i)) || !std::isnan(value_at(b, i))) return false;
  }
  return true;
}

inline void randomize(Buffer& buffer, std::mt19937& random) {
  const int64_t count = static_cast<int64_t>(buffer.bytes.size() / size_of(buffer.dtype));
  std::vector<double> values(static_cast<size_t>(count));
  std::normal_distribution<double> normal(0, 2);
  for (double& v : values) {
    v = normal(random);
    if (random() % 97 == 0) v = std::numeric_limits<double>::infinity();
    if (random() % 101 == 0) v = std::nan("");
    if (random() % 89 == 0) v = -0.0;
    if (buffer.dtype == DType::kBool) v = random() % 2;
    if (is_integer(buffer.dtype)) v = static_cast<double>(static_cast<int>(random() % 50) - 10);
  }
  const int64_t one = 1;
  cast(DType::kF64, buffer.dtype, {&count, 1}, {values.data(), &one}, {buffer.bytes.data(), &one});
}

/// An operand or a destination over its buffer.
struct View {
  Buffer buffer;
  Dims strides;

  Operand operand() const { return {buffer.bytes.data(), strides.data()}; }
  Destination destination() { return {buffer.bytes.data(), strides.data()}; }
};

/// Random strides for reading: dense, broadcast along some dimensions, or permuted.
inline View random_view(DType dtype, const Dims& shape, std::mt19937& random) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  View view{Buffer(dtype, count), row_major(shape)};
  const auto kind = random() % 5;
  if (kind == 1) std::fill(view.strides.begin(), view.strides.end(), 0);
  if (kind == 2 && !shape.empty()) view.strides[random() % shape.size()] = 0;
  if (kind == 3) {  // the other order of dimensions
    int64_t step = 1;
    for (size_t d = 0; d < shape.size(); ++d) {
      view.strides[d] = step;
      step *= shape[d];
    }
  }
  randomize(view.buffer, random);
  return view;
}

/// A random register of that type, converting one if there is none.
inline uint16_t pick(TileProgram& program, DType dtype, std::mt19937& random) {
  std::vector<uint16_t> candidates;
  for (size_t reg = 0; reg < program.registers.size(); ++reg) {
    if (program.registers[reg] == dtype) candidates.push_back(static_cast<uint16_t>(reg));
  }
  if (!candidates.empty() && random() % 8 != 0) return candidates[random() % candidates.size()];
  const auto from = static_cast<uint16_t>(random() % program.registers.size());
  return program.convert(from, dtype);
}

inline TileProgram random_program(std::mt19937& random, const std::vector<DType>& types) {
  TileProgram program;
  const size_t inputs = 1 + random() % 4;
  for (size_t i = 0; i < inputs; ++i) program.add_input(types[random() % types.size()]);
  program.add_immediate(types[random() % types.size()], 1.25);
  program.add_immediate(types[random() % types.size()], int64_t{3});
  const size_t length = 1 + random() % 20;
  for (size_t i = 0; i < length; ++i) {
    const DType dtype = types[random() % types.size()];
    ScalarOp op;
    do {
      op = static_cast<ScalarOp>(random() % static_cast<unsigned>(kScalarOpCount));
    } while (!supports(op, dtype));
    const ScalarOpInfo& info = scalar_op_info(op);
    uint16_t operands[3] = {};
    for (int k = 0; k < info.arity; ++k) {
      const bool is_condition = info.kind == ScalarKind::kSelect && k == 0;
      operands[k] = pick(program, is_condition ? DType::kBool : dtype, random);
    }
    if (info.arity == 1) program.apply(op, dtype, {operands[0]}, 2.0);
    if (info.arity == 2) program.apply(op, dtype, {operands[0], operands[1]});
    if (info.arity == 3) program.apply(op, dtype, {operands[0], operands[1], operands[2]});
  }
  const size_t outputs = 1 + random() % 3;
  program.add_output(static_cast<uint16_t>(program.registers.size() - 1));
  for (size_t j = 1; j < outputs; ++j)
    program.add_output(static_cast<uint16_t>(random() % program.registers.size()));
  return program;
}

}  // namespace linnet::cpu
