// Machine code for tile programs gives the bits of the interpreter.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kernels/cpu/codegen/cluster_kernel.h"
#include "kernels/cpu/codegen/emitter.h"
#include "kernels/cpu/interpreter/tile_program.h"
#include "linnet/core.h"
#include "linnet/instruction_set.h"
#include "linnet/log.h"
#include "linnet/machine_code.h"
#include "linnet/parallel.h"
#include "tests/kernels/tile_program_data.h"

namespace linnet::cpu::machine_code_test {
namespace {

using codegen::ClusterKernel;

/// The sets to test: those of this processor.
std::vector<ClusterKernel::Options> machines(int vector_registers = 0) {
  std::vector<ClusterKernel::Options> out;
  if (!codegen::can_emit() || instruction_set() == InstructionSet::kBaseline) return out;
  out.push_back(
      {.allows_avx512 = false, .vector_registers = vector_registers, .takes_short_rows = true});
  if (instruction_set() == InstructionSet::kAvx512)
    out.push_back(
        {.allows_avx512 = true, .vector_registers = vector_registers, .takes_short_rows = true});
  return out;
}

/// An array that ends where memory ends: reading or writing behind it is fatal.
class GuardedArray {
 public:
  explicit GuardedArray(size_t bytes)
      : page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))),
        whole_((bytes + page_ - 1) / page_ * page_ + page_) {
    base_ = static_cast<char*>(
        mmap(nullptr, whole_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(base_ + whole_ - page_, page_, PROT_NONE);
    data_ = base_ + whole_ - page_ - bytes;
  }
  ~GuardedArray() { munmap(base_, whole_); }
  GuardedArray(const GuardedArray&) = delete;
  GuardedArray& operator=(const GuardedArray&) = delete;
  char* data() const { return data_; }

 private:
  size_t page_, whole_;
  char* base_;
  char* data_;
};

/// Runs a program both ways. @return how many machines had code for it.
int compare(const TileProgram& program, const Dims& shape, const std::vector<View>& in,
            int vector_registers, bool is_guarded, const std::string& what) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  std::vector<Operand> operands;
  std::vector<Destination> destinations;
  std::vector<View> out;
  std::vector<const int64_t*> strides;
  for (const View& view : in) operands.push_back(view.operand());
  for (const uint16_t reg : program.outputs)
    out.push_back({Buffer(program.registers[reg], count), row_major(shape)});
  for (View& view : out) destinations.push_back(view.destination());
  for (const Operand& operand : operands) strides.push_back(operand.strides);
  for (const Destination& destination : destinations) strides.push_back(destination.strides);
  CompiledTileProgram(program).run(shape, operands, destinations);
  const StridedSpace space(shape, strides);
  int compiled = 0;
  for (const ClusterKernel::Options& options : machines(vector_registers)) {
    std::string reason;
    const auto kernel = ClusterKernel::make(program, space, options, reason);
    if (!kernel) continue;
    ++compiled;
    std::vector<std::unique_ptr<GuardedArray>> arrays;
    std::vector<const void*> from;
    std::vector<void*> to;
    const auto guarded = [&](const Buffer& buffer) {
      arrays.push_back(std::make_unique<GuardedArray>(buffer.bytes.size()));
      std::copy(buffer.bytes.begin(), buffer.bytes.end(), arrays.back()->data());
      return arrays.back()->data();
    };
    std::vector<View> got = out;
    for (const View& view : in)
      from.push_back(is_guarded ? guarded(view.buffer) : view.buffer.bytes.data());
    for (View& view : got) {
      std::fill(view.buffer.bytes.begin(), view.buffer.bytes.end(), char{0x55});
      to.push_back(is_guarded ? guarded(view.buffer) : view.buffer.bytes.data());
    }
    kernel->run(space, from.data(), to.data());
    for (size_t j = 0; j < got.size(); ++j) {
      std::vector<char>& bytes = got[j].buffer.bytes;
      if (is_guarded) std::copy_n(static_cast<const char*>(to[j]), bytes.size(), bytes.begin());
      EXPECT_TRUE(same(got[j].buffer, out[j].buffer))
          << what << ", result " << j << ", type " << name_of(out[j].buffer.dtype)
          << (options.allows_avx512 ? ", AVX-512" : ", AVX2");
    }
  }
  return compiled;
}

/// Zeros, subnormals, ones, large numbers, infinities and NaN of both signs, and random ones.
Buffer extremes(DType dtype, int64_t count, uint32_t seed) {
  const double numbers[] = {0.0,
                            1e-45,
                            1e-40,
                            1.17549435e-38,
                            1e-30,
                            0.5,
                            1.0,
                            1.5,
                            2.0,
                            3.0,
                            10.0,
                            88.7,
                            104.0,
                            1e4,
                            8388608,
                            1.7e9,
                            2147483648.0,
                            4294967296.0,
                            1e19,
                            3.4028234663852886e38,
                            std::numeric_limits<double>::infinity(),
                            std::nan("")};
  constexpr size_t kNumbers = std::size(numbers);
  std::mt19937 random(seed);
  std::vector<double> values(static_cast<size_t>(count));
  for (double& value : values) {
    const uint32_t pick = static_cast<uint32_t>(random());
    value =
        pick % 3 == 0 ? std::normal_distribution<double>(0, 3)(random) : numbers[pick % kNumbers];
    if (pick & 0x8000) value = -value;
    if (dtype == DType::kBool) value = pick & 1;
    if (is_integer(dtype))
      value = static_cast<double>(static_cast<int32_t>(random()) >> (pick % 32));
  }
  Buffer buffer(dtype, count);
  const int64_t one = 1;
  cast(DType::kF64, dtype, {&count, 1}, {values.data(), &one}, {buffer.bytes.data(), &one});
  return buffer;
}

TileProgram one_function(ScalarOp op, DType dtype, double param) {
  const ScalarOpInfo& info = scalar_op_info(op);
  TileProgram program;
  std::vector<uint16_t> x;
  for (int k = 0; k < info.arity; ++k) {
    const bool is_condition = info.kind == ScalarKind::kSelect && k == 0;
    x.push_back(program.add_input(is_condition ? DType::kBool : dtype));
  }
  if (info.arity == 1) program.apply(op, dtype, {x[0]}, param);
  if (info.arity == 2) program.apply(op, dtype, {x[0], x[1]}, param);
  if (info.arity == 3) program.apply(op, dtype, {x[0], x[1], x[2]}, param);
  program.add_output(program.code[0].dst);
  return program;
}

constexpr DType kTypes[] = {DType::kF32, DType::kBF16, DType::kF16,
                            DType::kI32, DType::kU32,  DType::kBool};

std::vector<View> dense_operands(const TileProgram& program, int64_t count, uint32_t seed) {
  std::vector<View> in;
  for (const uint16_t reg : program.inputs)
    in.push_back({extremes(program.registers[reg], count, seed++), {1}});
  return in;
}

TEST(MachineCode, EveryFunctionAtExtremes) {
  int compiled = 0;
  for (const DType dtype : kTypes) {
    for (int i = 0; i < kScalarOpCount; ++i) {
      const auto op = static_cast<ScalarOp>(i);
      if (!supports(op, dtype)) continue;
      const TileProgram program = one_function(op, dtype, 3.0);
      compiled += compare(program, {1021}, dense_operands(program, 1021, 7), 0, false,
                          std::string(name_of(op)) + " of " + std::string(name_of(dtype)));
    }
  }
  EXPECT_GE(compiled, 200 * static_cast<int>(machines().size()));
}

TEST(MachineCode, EveryConversionAtExtremes) {
  for (const DType from : kTypes) {
    for (const DType to : kTypes) {
      TileProgram program;
      program.add_output(program.convert(program.add_input(from), to));
      compare(program, {1021}, dense_operands(program, 1021, 3), 0, false,
              std::string(name_of(from)) + " to " + std::string(name_of(to)));
    }
  }
}

// Every length up to two unrolled steps and a rest, with nothing behind the arrays.
TEST(MachineCode, R_023_EveryLengthStaysInside) {
  for (const DType dtype : kTypes) {
    TileProgram program;
    const uint16_t x = program.add_input(dtype), y = program.add_input(dtype);
    const uint16_t sum = program.apply(ScalarOp::kAdd, dtype, {x, y});
    program.add_output(program.apply(ScalarOp::kMul, dtype, {sum, y}));
    program.add_output(program.apply(ScalarOp::kLt, dtype, {sum, x}));
    for (int64_t count = 1; count <= 67; ++count) {
      compare(program, {count}, dense_operands(program, count, static_cast<uint32_t>(count)), 0,
              true, std::to_string(count) + " of " + std::string(name_of(dtype)));
    }
  }
}

/// @param vector_registers few of them make values go to the stack.
int check_random(const std::vector<DType>& types, int programs, uint32_t seed,
                 int vector_registers) {
  const std::vector<Dims> shapes = {{}, {1}, {13}, {531}, {5, 60}, {3, 5, 40}, {17, 19}, {0, 4}};
  std::mt19937 random(seed);
  int compiled = 0;
  for (int p = 0; p < programs; ++p) {
    const TileProgram program = random_program(random, types);
    const Dims& shape = shapes[random() % shapes.size()];
    std::vector<View> in;
    for (const uint16_t reg : program.inputs)
      in.push_back(random_view(program.registers[reg], shape, random));
    compiled += compare(program, shape, in, vector_registers, p % 2 == 0,
                        "program " + std::to_string(p) + " of seed " + std::to_string(seed));
  }
  return compiled;
}

TEST(MachineCode, RandomProgramsMatchTheInterpreter) {
  const int least = machines().empty() ? 0 : 20;
  EXPECT_GE(check_random({DType::kF32, DType::kBool}, 100, 1, 0), least);
  EXPECT_GE(check_random({DType::kBF16, DType::kF16, DType::kF32}, 100, 2, 0), least);
  EXPECT_GE(check_random({DType::kF32, DType::kI32, DType::kU32, DType::kBool}, 150, 3, 0), least);
}

TEST(MachineCode, RandomProgramsWithFewRegisters) {
  const int least = machines().empty() ? 0 : 20;
  EXPECT_GE(check_random({DType::kF32, DType::kBool}, 100, 4, 5), least);
  EXPECT_GE(check_random({DType::kBF16, DType::kF32, DType::kI32, DType::kBool}, 100, 5, 5), least);
}

// gelu(x scale[row] + bias[column]) y, with y one number, in rows with and without a rest.
TEST(MachineCode, RowsColumnsAndScalars) {
  std::mt19937 random(11);
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    TileProgram program;
    const uint16_t x = program.add_input(dtype), scale = program.add_input(dtype),
                   bias = program.add_input(dtype), y = program.add_input(dtype);
    const uint16_t product = program.apply(ScalarOp::kMul, dtype, {x, scale});
    const uint16_t sum = program.apply(ScalarOp::kAdd, dtype, {product, bias});
    const uint16_t gelu = program.apply(ScalarOp::kGeluTanh, dtype, {sum});
    program.add_output(program.apply(ScalarOp::kMul, dtype, {gelu, y}));
    for (const Dims& shape : {Dims{64, 96}, Dims{40, 17}, Dims{3, 101}}) {
      std::vector<View> in{{Buffer(dtype, shape[0] * shape[1]), {shape[1], 1}},
                           {Buffer(dtype, shape[0]), {1, 0}},
                           {Buffer(dtype, shape[1]), {0, 1}},
                           {Buffer(dtype, 1), {0, 0}}};
      for (View& view : in) randomize(view.buffer, random);
      const int compiled = compare(program, shape, in, 0, true, std::to_string(shape[1]));
      EXPECT_EQ(compiled, static_cast<int>(machines().size()));
    }
  }
}

// Two arrays change places and a third is updated where it lies.
TEST(MachineCode, InPlace) {
  for (const ClusterKernel::Options& options : machines()) {
    std::vector<float> a(1000), b(1000), c(1000);
    for (size_t i = 0; i < a.size(); ++i) {
      a[i] = static_cast<float>(i);
      b[i] = static_cast<float>(i % 7);
      c[i] = 1;
    }
    const std::vector<float> a0 = a, b0 = b;
    TileProgram program;
    const uint16_t x = program.add_input(DType::kF32), y = program.add_input(DType::kF32),
                   z = program.add_input(DType::kF32);
    program.add_output(y);
    program.add_output(x);
    program.add_output(program.apply(ScalarOp::kFma, DType::kF32, {x, y, z}));
    const Dims shape{1000}, one{1};
    const std::vector<const int64_t*> strides(6, one.data());
    const StridedSpace space(shape, strides);
    std::string reason;
    const auto kernel = ClusterKernel::make(program, space, options, reason);
    ASSERT_TRUE(kernel) << reason;
    const void* in[] = {a.data(), b.data(), c.data()};
    void* out[] = {a.data(), b.data(), c.data()};
    kernel->run(space, in, out);
    EXPECT_EQ(a, b0);
    EXPECT_EQ(b, a0);
    for (size_t i = 0; i < c.size(); ++i) ASSERT_EQ(c[i], a0[i] * b0[i] + 1);
  }
}

// Past the caches where results are large, lie at cache lines, and are no operand.
TEST(MachineCode, LargeResults) {
  const int64_t count = (2 << 20) + 1037;
  TileProgram program;
  const uint16_t x = program.add_input(DType::kF32);
  program.add_output(
      program.apply(ScalarOp::kMul, DType::kF32, {x, program.add_immediate(DType::kF32, 0.5)}));
  const Dims shape{count}, one{1};
  const std::vector<const int64_t*> strides(2, one.data());
  const StridedSpace space(shape, strides);
  std::vector<float> in(static_cast<size_t>(count)), out(in.size() + 32);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i % 1000);
  float* aligned = out.data();
  while (reinterpret_cast<uintptr_t>(aligned) % 64 != 0) ++aligned;
  for (const ClusterKernel::Options& options : machines()) {
    std::string reason;
    const auto kernel = ClusterKernel::make(program, space, options, reason);
    ASSERT_TRUE(kernel) << reason;
    for (float* to : {aligned, aligned + 1, in.data()}) {
      const std::vector<float> before = in;
      const void* from[] = {in.data()};
      void* into[] = {to};
      kernel->run(space, from, into);
      int64_t wrong = 0;
      for (int64_t i = 0; i < count; ++i) wrong += to[i] != before[static_cast<size_t>(i)] * 0.5f;
      EXPECT_EQ(wrong, 0);
      in = before;
    }
  }
}

/// y = tanh(a x) of `count` elements.
std::unique_ptr<const ClusterKernel> scaled_tanh(double a, int64_t count, std::string& reason) {
  TileProgram program;
  const uint16_t x = program.add_input(DType::kF32);
  const uint16_t scaled =
      program.apply(ScalarOp::kMul, DType::kF32, {x, program.add_immediate(DType::kF32, a)});
  program.add_output(program.apply(ScalarOp::kTanh, DType::kF32, {scaled}));
  const Dims shape{count}, one{1};
  const std::vector<const int64_t*> strides(2, one.data());
  return ClusterKernel::make(program, StridedSpace(shape, strides), {}, reason);
}

TEST(MachineCode, EqualProgramsShareCode) {
  if (machines().empty()) GTEST_SKIP() << machine_code_report();
  std::string reason;
  const auto first = scaled_tanh(0.3, 100, reason), second = scaled_tanh(0.3, 7, reason),
             other = scaled_tanh(0.4, 100, reason);
  ASSERT_TRUE(first && second && other) << reason;
  EXPECT_EQ(first->code(), second->code());
  EXPECT_NE(first->code(), other->code());
}

// A process that may not make memory executable goes on with the interpreter.
TEST(MachineCode, RefusedMemoryIsSaid) {
  if (machines().empty()) GTEST_SKIP() << machine_code_report();
  constexpr int kSetMemoryDenyWriteExecute = 65;
  const pid_t child = fork();
  if (child == 0) {
    if (prctl(kSetMemoryDenyWriteExecute, 1, 0, 0, 0) != 0) _exit(2);
    std::string reason;
    const bool declined = !scaled_tanh(0.123, 100, reason);
    const std::string expected = "the system refuses executable memory";
    _exit(declined && reason == expected && machine_code_report() == expected ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 2) GTEST_SKIP() << "this system cannot forbid it";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

/// Compiles and runs a cluster. @return its values and who was chosen.
std::pair<std::vector<float>, std::string> run_jitted(const Tensor& x) {
  std::string lines;
  set_log_sink([&](std::string_view, std::string_view text) { lines += std::string(text) + "\n"; });
  set_log_topics("kernels");
  const Tensor y = jit([](const Tensor& v) { return tanh(v * 2.0f + 1.0f) * v; })(x);
  set_log_topics("");
  set_log_sink({});
  return {y.to_vector<float>(), lines};
}

TEST(MachineCode, CompiledProgramsRunIt) {
  const Tensor x = linspace(-3.0, 3.0, 1001);
  const auto [values, lines] = run_jitted(x);
  EXPECT_EQ(lines.find("machine code") != std::string::npos, !machines().empty()) << lines;
  set_machine_code(false);
  const auto [interpreted, other_lines] = run_jitted(x);
  set_machine_code(true);
  EXPECT_NE(other_lines.find("machine code is switched off"), std::string::npos) << other_lines;
  EXPECT_EQ(values, interpreted);
}

// A program that is run once pays for no code; where one run is dear enough it is made at once.
TEST(MachineCode, IsMadeAtTheSecondRun) {
  if (machines().empty()) GTEST_SKIP() << machine_code_report();
  std::string lines;
  set_log_sink([&](std::string_view, std::string_view text) { lines += std::string(text) + "\n"; });
  set_log_topics("kernels");
  const auto f = jit([](const Tensor& v) { return tanh(v * 2.5f + 1.25f) * v; });
  const std::string made = "a cluster of 4 operations has machine code from its second run on";
  const Tensor x = linspace(-3.0, 3.0, 3001), large = linspace(-3.0, 3.0, 400003);
  const std::vector<float> first = f(x).to_vector<float>();
  EXPECT_EQ(lines.find(made), std::string::npos) << lines;
  const std::vector<float> second = f(x).to_vector<float>();
  EXPECT_NE(lines.find(made), std::string::npos) << lines;
  EXPECT_EQ(first, second);
  EXPECT_EQ(first, f(x).to_vector<float>());
  lines.clear();
  f(large);
  f(large);
  EXPECT_NE(lines.find("machine code"), std::string::npos) << lines;
  EXPECT_EQ(lines.find(made), std::string::npos) << lines;
  set_log_topics("");
  set_log_sink({});
}

TEST(MachineCode, IsMadeOnceByThreadsThatRunTogether) {
  const auto f = jit([](const Tensor& v) { return tanh(v * 1.75f) * v - 0.375f; });
  const Tensor x = linspace(-3.0, 3.0, 2003);
  const std::vector<float> wanted = f(x).to_vector<float>();
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) wrong += f(x).to_vector<float>() != wanted;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(MachineCode, SaysWhyItDeclines) {
  if (machines().empty()) GTEST_SKIP() << machine_code_report();
  const Dims shape{100}, one{1}, two{2};
  const auto reason_for = [&](DType dtype, ScalarOp op, const Dims& operand) {
    TileProgram program;
    program.add_output(program.apply(op, dtype, {program.add_input(dtype)}));
    const std::vector<const int64_t*> strides{operand.data(), one.data()};
    std::string reason;
    EXPECT_FALSE(ClusterKernel::make(program, StridedSpace(shape, strides), {}, reason));
    return reason;
  };
  EXPECT_EQ(reason_for(DType::kF64, ScalarOp::kNeg, one),
            "an operation or a type has no instructions");
  EXPECT_EQ(reason_for(DType::kF32, ScalarOp::kLgamma, one),
            "an operation or a type has no instructions");
  EXPECT_EQ(reason_for(DType::kF32, ScalarOp::kNeg, two),
            "an operand or result is neither dense nor repeated along rows");
  set_machine_code(false);
  EXPECT_EQ(reason_for(DType::kF32, ScalarOp::kNeg, one), "machine code is switched off");
  EXPECT_EQ(machine_code_report(), "machine code is switched off");
  set_machine_code(true);
}

}  // namespace
}  // namespace linnet::cpu::machine_code_test
