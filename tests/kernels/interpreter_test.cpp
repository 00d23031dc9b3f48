// Tile programs: random ones must give exactly what their instructions give one by one.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "kernels/cpu/interpreter/small_program.h"
#include "kernels/cpu/interpreter/tile_program.h"
#include "linnet/error.h"
#include "linnet/kernel.h"
#include "linnet/parallel.h"
#include "tests/kernels/tile_program_data.h"

namespace linnet::cpu::interpreter_test {
namespace {

/// The values of all registers, by one call of elementwise() or cast() per instruction.
std::vector<View> run_unfused(const TileProgram& program, const Dims& shape,
                              const std::vector<View>& in) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  std::vector<View> registers;
  for (const DType dtype : program.registers)
    registers.push_back({Buffer(dtype, count), row_major(shape)});
  for (size_t i = 0; i < in.size(); ++i) registers[program.inputs[i]] = in[i];
  for (const TileProgram::Immediate& immediate : program.immediates) {
    View& view = registers[immediate.reg];
    if (is_floating(view.buffer.dtype)) {
      fill(view.buffer.dtype, immediate.real, shape, view.destination());
    } else {
      fill(view.buffer.dtype, immediate.integer, shape, view.destination());
    }
  }
  for (const TileInstruction& code : program.code) {
    View& result = registers[code.dst];
    if (code.is_cast) {
      cast(registers[code.src[0]].buffer.dtype, code.dtype, shape, registers[code.src[0]].operand(),
           result.destination());
      continue;
    }
    const ScalarOpInfo& info = scalar_op_info(code.op);
    std::vector<Operand> operands;
    for (int k = 0; k < info.arity; ++k) operands.push_back(registers[code.src[k]].operand());
    elementwise(code.op, code.dtype, {code.params, static_cast<size_t>(info.param_count)}, shape,
                operands, result.destination());
  }
  return registers;
}

/// The form for a few elements, if there is one, stores the same bits. @return whether there is.
bool check_small(const CompiledTileProgram& compiled, const Dims& shape, std::vector<View>& in,
                 const std::vector<View>& expected) {
  std::vector<const int64_t*> strides;
  std::vector<const void*> from;
  std::vector<void*> to;
  std::vector<View> out = expected;
  for (const View& view : in) strides.push_back(view.operand().strides);
  for (const View& view : in) from.push_back(view.operand().data);
  for (View& view : out) strides.push_back(view.destination().strides);
  const auto program = SmallTileProgram::make(compiled, StridedSpace(shape, strides));
  if (!program) return false;
  for (View& view : out) {
    view.buffer.bytes.assign(view.buffer.bytes.size(), 0);
    to.push_back(view.destination().data);
  }
  program->run(from.data(), to.data());
  for (size_t j = 0; j < out.size(); ++j) EXPECT_TRUE(same(out[j].buffer, expected[j].buffer)) << j;
  return true;
}

/// @return how many of the programs had a form for few elements.
int check_random(const std::vector<DType>& types, int programs, uint32_t seed) {
  int small = 0;
  const std::vector<Dims> shapes = {{}, {1}, {13}, {5000}, {7, 300}, {3, 5, 40}, {0, 4}};
  std::mt19937 random(seed);
  for (int p = 0; p < programs; ++p) {
    const TileProgram program = random_program(random, types);
    const CompiledTileProgram compiled(program);
    const Dims& shape = shapes[random() % shapes.size()];
    std::vector<View> in;
    std::vector<Operand> operands;
    for (const uint16_t reg : program.inputs)
      in.push_back(random_view(program.registers[reg], shape, random));
    for (const View& view : in) operands.push_back(view.operand());
    std::vector<View> registers = run_unfused(program, shape, in);
    std::vector<View> out;
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    for (const uint16_t reg : program.outputs)
      out.push_back({Buffer(program.registers[reg], count), row_major(shape)});
    std::vector<Destination> destinations;
    for (View& view : out) destinations.push_back(view.destination());
    compiled.run(shape, operands, destinations);
    for (size_t j = 0; j < out.size(); ++j) {
      // Operands keep their own strides; compare through a dense copy.
      View dense{Buffer(program.registers[program.outputs[j]], count), row_major(shape)};
      copy_strided(size_of(dense.buffer.dtype), shape, registers[program.outputs[j]].operand(),
                   dense.destination());
      EXPECT_TRUE(same(out[j].buffer, dense.buffer))
          << "program " << p << " output " << j << " type " << name_of(dense.buffer.dtype);
    }
    small += check_small(compiled, shape, in, out);
  }
  return small;
}

TEST(Interpreter, RandomProgramsMatchUnfused) {
  EXPECT_GT(check_random({DType::kF32, DType::kBool}, 120, 1), 5);
  EXPECT_EQ(check_random({DType::kBF16, DType::kF16}, 200, 2), 0);
  check_random({DType::kBF16, DType::kF32, DType::kBool, DType::kI32}, 200, 3);
  EXPECT_GT(check_random({DType::kF64, DType::kI64, DType::kU8, DType::kBool}, 120, 4), 5);
  check_random({DType::kI8, DType::kI16, DType::kU16, DType::kU32, DType::kU64, DType::kF16}, 120,
               5);
}

/// y = x * a + b in bf16 rounds twice.
TEST(Interpreter, HalvesRoundAfterEveryInstruction) {
  TileProgram program;
  const uint16_t x = program.add_input(DType::kBF16);
  const uint16_t a = program.add_immediate(DType::kBF16, 1.0078125);
  const uint16_t b = program.add_immediate(DType::kBF16, -1.0);
  program.add_output(program.apply(ScalarOp::kAdd, DType::kBF16,
                                   {program.apply(ScalarOp::kMul, DType::kBF16, {x, a}), b}));
  const CompiledTileProgram compiled(program);
  const bfloat16 in(1.0078125f);
  bfloat16 out;
  const Operand operands[] = {{&in, nullptr}};
  const Destination destinations[] = {{&out, nullptr}};
  compiled.run({}, operands, destinations);
  // 1.0078125^2 = 1.01568603515625 becomes 1.015625 in bf16.
  EXPECT_EQ(static_cast<float>(out), 0.015625f);
}

TEST(Interpreter, StridedDestinations) {
  TileProgram program;
  const uint16_t x = program.add_input(DType::kF16);
  program.add_output(program.apply(ScalarOp::kNeg, DType::kF16, {x}));
  program.add_output(program.convert(x, DType::kF64));
  const CompiledTileProgram compiled(program);
  const Dims shape{50, 60}, dense{60, 1}, columns{1, 50}, gaps{128, 2};
  View in{Buffer(DType::kF16, 3000), dense};
  std::mt19937 random(8);
  randomize(in.buffer, random);
  std::vector<float16> first(3000);
  std::vector<double> second(50 * 128, -5);
  const Operand operands[] = {in.operand()};
  const Destination destinations[] = {{first.data(), columns.data()}, {second.data(), gaps.data()}};
  compiled.run(shape, operands, destinations);
  for (int64_t i = 0; i < 50; ++i) {
    for (int64_t j = 0; j < 60; ++j) {
      const double x_ij = value_at(in.buffer, i * 60 + j);
      const double y = second[static_cast<size_t>(i * 128 + 2 * j)];
      EXPECT_TRUE(y == x_ij || (std::isnan(y) && std::isnan(x_ij)));
      const float n = static_cast<float>(first[static_cast<size_t>(i + 50 * j)]);
      EXPECT_TRUE(n == -x_ij || (std::isnan(n) && std::isnan(x_ij)));
      EXPECT_EQ(second[static_cast<size_t>(i * 128 + 2 * j + 1)], -5);
    }
  }
}

/// p, m = p - 0.1 m, 0.9 m + p in the memory of p and m; and two tensors that change places.
TEST(Interpreter, InPlace) {
  const Dims shape{5000}, one{1};
  std::vector<float> p(5000), m(5000);
  for (size_t i = 0; i < p.size(); ++i) {
    p[i] = static_cast<float>(i);
    m[i] = static_cast<float>(i % 10);
  }
  const std::vector<float> p0 = p, m0 = m;
  TileProgram program;
  const uint16_t pr = program.add_input(DType::kF32), mr = program.add_input(DType::kF32);
  const uint16_t c = program.add_immediate(DType::kF32, 0.5);
  program.add_output(program.apply(ScalarOp::kSub, DType::kF32,
                                   {pr, program.apply(ScalarOp::kMul, DType::kF32, {c, mr})}));
  program.add_output(program.apply(ScalarOp::kAdd, DType::kF32, {pr, mr}));
  const Operand operands[] = {{p.data(), one.data()}, {m.data(), one.data()}};
  const Destination destinations[] = {{p.data(), one.data()}, {m.data(), one.data()}};
  CompiledTileProgram(program).run(shape, operands, destinations);
  for (size_t i = 0; i < p.size(); ++i) {
    ASSERT_EQ(p[i], p0[i] - 0.5f * m0[i]);
    ASSERT_EQ(m[i], p0[i] + m0[i]);
  }
  TileProgram swap;
  const uint16_t a = swap.add_input(DType::kF32), b = swap.add_input(DType::kF32);
  swap.add_output(b);
  swap.add_output(a);
  const std::vector<float> p1 = p, m1 = m;
  CompiledTileProgram(swap).run(shape, operands, destinations);
  EXPECT_EQ(p, m1);
  EXPECT_EQ(m, p1);
}

// Results that do not fit the caches are written past them: of both formats, a copied operand and a
// number; one of them where it is not aligned.
TEST(Interpreter, LargeResults) {
  const int64_t count = (5 << 20) + 1037;
  TileProgram program;
  const uint16_t x = program.add_input(DType::kF32);
  const uint16_t half =
      program.apply(ScalarOp::kMul, DType::kF32, {x, program.add_immediate(DType::kF32, 0.5)});
  program.add_output(half);
  program.add_output(x);
  program.add_output(program.convert(half, DType::kBF16));
  program.add_output(program.add_immediate(DType::kF32, 3.0));
  const CompiledTileProgram compiled(program);
  std::vector<float> in(static_cast<size_t>(count)), doubled(in.size() + 32),
      copied(in.size() + 32), number(in.size() + 32);
  std::vector<bfloat16> narrow(in.size() + 64);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i % 1000);
  const auto aligned = [](auto& v) {
    auto* p = v.data();
    while (reinterpret_cast<uintptr_t>(p) % 64 != 0) ++p;
    return p;
  };
  const Dims shape{count}, one{1};
  const Operand operands[] = {{in.data(), one.data()}};
  const Destination destinations[] = {{aligned(doubled), one.data()},
                                      {aligned(copied) + 1, one.data()},
                                      {aligned(narrow), one.data()},
                                      {aligned(number), one.data()}};
  compiled.run(shape, operands, destinations);
  int64_t wrong = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float value = in[static_cast<size_t>(i)];
    wrong += aligned(doubled)[i] != value * 0.5f || aligned(copied)[i + 1] != value ||
             static_cast<float>(aligned(narrow)[i]) != static_cast<float>(bfloat16(value * 0.5f)) ||
             aligned(number)[i] != 3;
  }
  EXPECT_EQ(wrong, 0);
}

TEST(Interpreter, LongChainsReuseTiles) {
  TileProgram program;
  uint16_t x = program.add_input(DType::kF32);
  for (int i = 0; i < 500; ++i) x = program.apply(ScalarOp::kNeg, DType::kF32, {x});
  program.add_output(x);
  const CompiledTileProgram compiled(program);
  EXPECT_LE(compiled.scratch_bytes(), 24 * 1024);
  EXPECT_GE(compiled.tile_size(), 1024);
}

TEST(Interpreter, MalformedProgramsAreRefused) {
  TileProgram unset;
  const uint16_t reg = unset.add_register(DType::kF32);
  unset.add_output(unset.apply(ScalarOp::kNeg, DType::kF32, {reg}));
  EXPECT_THROW(CompiledTileProgram{unset}, ValueError);

  TileProgram unknown;
  unknown.add_output(7);
  EXPECT_THROW(CompiledTileProgram{unknown}, ValueError);

  TileProgram twice;
  const uint16_t x = twice.add_input(DType::kF32);
  twice.inputs.push_back(x);
  EXPECT_THROW(CompiledTileProgram{twice}, ValueError);

  TileProgram mixed;
  const uint16_t i = mixed.add_input(DType::kI32), f = mixed.add_input(DType::kF32);
  mixed.apply(ScalarOp::kAdd, DType::kF32, {i, f});
  EXPECT_THROW(CompiledTileProgram{mixed}, DTypeError);

  TileProgram unsupported;
  unsupported.apply(ScalarOp::kExp, DType::kI32, {unsupported.add_input(DType::kI32)});
  EXPECT_THROW(CompiledTileProgram{unsupported}, DTypeError);
  EXPECT_THROW(unsupported.apply(ScalarOp::kAdd, DType::kI32, {0}), ValueError);

  TileProgram fine;
  fine.add_output(fine.add_input(DType::kF32));
  EXPECT_THROW(CompiledTileProgram(fine).run({}, {}, {}), ValueError);
}

TEST(Interpreter, ManyThreads) {
  const int before = num_threads();
  set_num_threads(3);
  TileProgram program;
  const uint16_t x = program.add_input(DType::kF32);
  program.add_output(program.apply(ScalarOp::kAdd, DType::kF32,
                                   {program.apply(ScalarOp::kTanh, DType::kF32, {x}), x}));
  const CompiledTileProgram compiled(program);
  std::vector<float> in(200'000);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i) * 1e-4f - 10;
  const Dims shape{200'000}, one{1};
  std::vector<std::vector<float>> out(3, std::vector<float>(in.size()));
  std::vector<std::thread> callers;
  for (std::vector<float>& result : out) {
    callers.emplace_back([&] {
      const Operand operands[] = {{in.data(), one.data()}};
      const Destination destinations[] = {{result.data(), one.data()}};
      for (int i = 0; i < 3; ++i) compiled.run(shape, operands, destinations);
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(out[0], out[1]);
  EXPECT_EQ(out[0], out[2]);
  EXPECT_NEAR(out[0][150'000], std::tanh(5.0) + 5, 1e-5);
  set_num_threads(before);
}

// The headers of the loops declare no second `Kernel`: inside linnet::cpu it is that of kernel.h,
// whichever header comes first.
TEST(Interpreter, KernelIsOneClassWhateverIsIncludedBefore) {
  EXPECT_TRUE((std::is_same_v<Kernel, linnet::Kernel>));
  EXPECT_TRUE((std::is_same_v<KernelTable, linnet::KernelTable>));
}

}  // namespace
}  // namespace linnet::cpu::interpreter_test
