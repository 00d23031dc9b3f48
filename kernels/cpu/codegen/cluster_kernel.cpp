#include "kernels/cpu/codegen/cluster_kernel.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "kernels/cpu/streaming.h"
#include "linnet/instruction_set.h"
#include "linnet/machine_code.h"
#include "linnet/parallel.h"

namespace linnet::cpu::codegen {
namespace {

using Code = std::shared_ptr<const ExecutableMemory>;

/// Code in use, by the text of its program. Equal clusters share it, and it goes with the last.
struct Cache {
  std::mutex mutex;
  std::unordered_map<std::string, std::weak_ptr<const ExecutableMemory>> entries;
  size_t purge_at = 256;

  void purge() {
    if (entries.size() < purge_at) return;
    std::erase_if(entries, [](const auto& entry) { return entry.second.expired(); });
    purge_at = std::max<size_t>(256, 2 * entries.size());
  }
};
Cache& cache() {
  static Cache* one = new Cache;  // never destroyed: programs may be dropped by exit handlers
  return *one;
}

Code compile(const VectorProgram& program, const EmitOptions& options, std::string& reason) {
  std::string key = program.text();
  key += static_cast<char>(options.machine.is_avx512);
  key += static_cast<char>(options.streams);
  key += static_cast<char>(options.vector_registers);
  Cache& known = cache();
  std::lock_guard lock(known.mutex);
  known.purge();
  std::weak_ptr<const ExecutableMemory>& entry = known.entries[key];
  if (Code code = entry.lock()) return code;
  const auto bytes = emit(program, options);
  if (!bytes) {
    reason = "the program is too long";
    return nullptr;
  }
  Code code = ExecutableMemory::make(*bytes);
  if (!code) reason = "the system refuses executable memory";
  entry = code;
  return code;
}

/// How the arrays lie along a row: dense, or operands also as one element.
bool rows_fit(const TileProgram& program, const StridedSpace& space, std::string& reason) {
  const size_t inputs = program.inputs.size();
  for (size_t a = 0; a < inputs + program.outputs.size(); ++a) {
    const int64_t stride = space.inner_stride(a);
    if (stride == 1 || space.inner_size() == 1 || (stride == 0 && a < inputs)) continue;
    reason = "an operand or result is neither dense nor repeated along rows";
    return false;
  }
  return true;
}

std::atomic<bool>& enabled() {
  static std::atomic<bool> one = [] {
    const char* text = std::getenv("LINNET_MACHINE_CODE");
    return !text || std::strcmp(text, "off") != 0;
  }();
  return one;
}

/// Why nothing is compiled; null if programs are.
const char* why_not() {
  if (!can_emit()) return "built without the assembler";
  if (!enabled()) return "machine code is switched off";
  if (instruction_set() == InstructionSet::kBaseline) return "no AVX2";
  return nullptr;
}

Machine machine_of(const ClusterKernel::Options& options) {
  return {instruction_set() == InstructionSet::kAvx512 && options.allows_avx512};
}

/// Rows that are worth a call each: measured. The rest of a row is dear with AVX2.
bool rows_are_long(const StridedSpace& space, const Machine& machine) {
  const bool has_dear_rest = !machine.is_avx512 && space.inner_size() % machine.lanes() != 0;
  return space.rank() <= 1 || space.inner_size() >= (has_dear_rest ? 256 : 64);
}

EmittedFunction function_of(const Code& code) {
  EmittedFunction function;
  const void* address = code->code();
  static_assert(sizeof function == sizeof address);
  std::memcpy(&function, &address, sizeof function);
  return function;
}

/// Results of 32 bits an element that do not fit the caches, in one piece.
bool is_large(const TileProgram& program, const StridedSpace& space) {
  return space.rank() == 1 &&
         std::all_of(program.outputs.begin(), program.outputs.end(), [&](uint16_t reg) {
           return size_of(program.registers[reg]) == 4 &&
                  4 * space.element_count() >= kStreamingBytes;
         });
}

}  // namespace

int64_t ClusterKernel::cost_of(const TileProgram& program) {
  int64_t cost = 1;
  for (const TileInstruction& instruction : program.code)
    cost += instruction.is_cast ? 1 : scalar_op_info(instruction.op).cost;
  return cost;
}

std::string ClusterKernel::why_not(const TileProgram& program, const StridedSpace& space,
                                   const Options& options) {
  if (const char* why = codegen::why_not()) return why;
  if (program.inputs.size() + program.outputs.size() > kMostArrays)
    return "too many operands and results";
  std::string reason;
  if (!rows_fit(program, space, reason)) return reason;
  const Machine machine = machine_of(options);
  if (!options.takes_short_rows && !rows_are_long(space, machine)) return "rows are short";
  if (!can_expand(program, machine)) return "an operation or a type has no instructions";
  return {};
}

std::unique_ptr<const ClusterKernel> ClusterKernel::make(const TileProgram& program,
                                                         const StridedSpace& space,
                                                         const Options& options,
                                                         std::string& reason) {
  reason = why_not(program, space, options);
  if (!reason.empty()) return nullptr;
  std::unique_ptr<ClusterKernel> kernel(new ClusterKernel);
  kernel->machine_ = machine_of(options);
  kernel->inputs_ = program.inputs.size();
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    kernel->sizes_.push_back(static_cast<int64_t>(size_of(program.registers[program.inputs[i]])));
    kernel->is_repeated_.push_back(space.inner_size() > 1 && space.inner_stride(i) == 0);
  }
  for (const uint16_t reg : program.outputs)
    kernel->sizes_.push_back(static_cast<int64_t>(size_of(program.registers[reg])));
  const auto vectors = expand(program, kernel->is_repeated_, kernel->machine_, reason);
  if (!vectors) return nullptr;
  kernel->grain_ = std::max<int64_t>(2048, (1 << 17) / cost_of(program));
  EmitOptions emitted{kernel->machine_, false, options.vector_registers};
  kernel->code_ = compile(*vectors, emitted, reason);
  if (!kernel->code_) return nullptr;
  emitted.streams = true;
  if (options.may_stream && is_large(program, space))
    kernel->streaming_code_ = compile(*vectors, emitted, reason);
  return kernel;
}

/// Past the caches only where no line of a result is read.
bool ClusterKernel::may_stream(const void* const* in, void* const* out) const {
  if (!streaming_code_) return false;
  for (size_t j = 0; j < sizes_.size() - inputs_; ++j) {
    if (reinterpret_cast<uintptr_t>(out[j]) % kStreamingAlignment != 0) return false;
    if (std::find(in, in + inputs_, out[j]) != in + inputs_) return false;
  }
  return true;
}

void ClusterKernel::run(const StridedSpace& space, const void* const* in, void* const* out) const {
  Addresses arrays{};
  for (size_t a = 0; a < sizes_.size(); ++a)
    arrays[a + 1] = reinterpret_cast<int64_t>(a < inputs_ ? in[a] : out[a - inputs_]);
  const bool streams = may_stream(in, out);
  const EmittedFunction function = function_of(streams ? streaming_code_ : code_);
  parallel_for(space.element_count(), grain_, [&](int64_t begin, int64_t end) {
    run_part(space, function, arrays, begin, end);
    if (streams) flush_streams();
  });
}

void ClusterKernel::run_range(const StridedSpace& space, const void* const* in, const int64_t* out,
                              int64_t begin, int64_t end) const {
  Addresses arrays;
  for (size_t a = 0; a < sizes_.size(); ++a)
    arrays[a + 1] = a < inputs_ ? reinterpret_cast<int64_t>(in[a]) : out[a - inputs_];
  run_part(space, function_of(code_), arrays, begin, end);
}

void ClusterKernel::run_part(const StridedSpace& space, EmittedFunction function,
                             const Addresses& arrays, int64_t begin, int64_t end) const {
  StridedCursor cursor(space, begin);
  Addresses arguments;
  for (int64_t left = end - begin; left > 0;) {
    const int64_t count = std::min(left, cursor.left_in_row());
    arguments[0] = count;
    for (size_t a = 0; a < sizes_.size(); ++a)
      arguments[a + 1] = arrays[a + 1] + cursor.offset(a) * sizes_[a];
    run_row(function, arguments);
    left -= count;
    if (left > 0) cursor.advance(count);
  }
}

void ClusterKernel::run_row(EmittedFunction function, Addresses& arguments) const {
  if (machine_.is_avx512) return function(arguments.data());
  const int64_t count = arguments[0], rest = count % machine_.lanes();
  arguments[0] = count - rest;
  if (arguments[0] > 0) function(arguments.data());
  if (rest > 0) run_padded(function, arguments, arguments[0], rest);
}

/// The last elements of a row in a whole vector of their own.
void ClusterKernel::run_padded(EmittedFunction function, const Addresses& arguments, int64_t done,
                               int64_t count) const {
  constexpr size_t kBytes = 64;
  alignas(64) char padded[kMostArrays][kBytes];
  Addresses whole;
  whole[0] = machine_.lanes();
  const auto rest = [&](size_t a) {
    return reinterpret_cast<char*>(arguments[a + 1] + done * sizes_[a]);
  };
  for (size_t a = 0; a < sizes_.size(); ++a) {
    const bool is_repeated = a < inputs_ && is_repeated_[a];
    whole[a + 1] = is_repeated ? arguments[a + 1] : reinterpret_cast<int64_t>(padded[a]);
    if (a >= inputs_ || is_repeated) continue;
    std::memset(padded[a], 0, kBytes);
    std::memcpy(padded[a], rest(a), static_cast<size_t>(count * sizes_[a]));
  }
  function(whole.data());
  for (size_t a = inputs_; a < sizes_.size(); ++a)
    std::memcpy(rest(a), padded[a], static_cast<size_t>(count * sizes_[a]));
}

}  // namespace linnet::cpu::codegen

namespace linnet {

std::string machine_code_report() {
  if (const char* why = cpu::codegen::why_not()) return why;
  const unsigned char code[] = {0xC3};
  if (!cpu::codegen::ExecutableMemory::make(code)) return "the system refuses executable memory";
  return std::string(name_of(instruction_set()));
}

void set_machine_code(bool on) { cpu::codegen::enabled() = on; }

}  // namespace linnet
