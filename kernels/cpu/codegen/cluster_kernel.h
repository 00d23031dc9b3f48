// Private: a tile program as machine code, for operands whose layouts are known.
//
//   std::string reason;
//   const auto kernel = ClusterKernel::make(program, space, {}, reason);
//   if (kernel) kernel->run(space, operands, destinations);      // else the interpreter, and why
//
// The results are those of the interpreter, bit for bit (the bits of NaNs aside).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cpu/codegen/emitter.h"
#include "kernels/cpu/codegen/executable_memory.h"
#include "kernels/cpu/elementwise/strided.h"
#include "kernels/cpu/interpreter/tile_program.h"

namespace linnet::cpu::codegen {

class ClusterKernel {
 public:
  static constexpr size_t kMostArrays = 24;

  struct Options {
    /// Of the instruction sets of the process; tests ask for one that is not the widest.
    bool allows_avx512 = true;
    int vector_registers = 0;  ///< as in EmitOptions
    /// Also where the interpreter is faster, as each row is a call.
    bool takes_short_rows = false;
    /// Large results may be written past the caches.
    bool may_stream = true;
  };

  /// Per element: the sum of the costs of the functions, and one.
  static int64_t cost_of(const TileProgram& program);
  /// Whether `make` would take a program, as far as can be told without making anything: nothing,
  /// or why the interpreter is to run it.
  /// @param space of operands, then of destinations.
  static std::string why_not(const TileProgram& program, const StridedSpace& space,
                             const Options& options);
  /// @return null, and the reason, if the interpreter is to run the program.
  static std::unique_ptr<const ClusterKernel> make(const TileProgram& program,
                                                   const StridedSpace& space,
                                                   const Options& options, std::string& reason);

  /// Destinations may be operands' memory exactly. Allocates nothing.
  void run(const StridedSpace& space, const void* const* in, void* const* out) const;
  /// The elements [begin, end) of the space alone, by the calling thread. `out` is where a result
  /// would begin, of which only these elements need to be memory.
  void run_range(const StridedSpace& space, const void* const* in, const int64_t* out,
                 int64_t begin, int64_t end) const;

  /// Where the code is: the same for equal programs.
  const void* code() const { return code_->code(); }

 private:
  using Addresses = std::array<int64_t, kMostArrays + 1>;

  ClusterKernel() = default;
  bool may_stream(const void* const* in, void* const* out) const;
  void run_part(const StridedSpace& space, EmittedFunction function, const Addresses& arrays,
                int64_t begin, int64_t end) const;
  void run_row(EmittedFunction function, Addresses& arguments) const;
  void run_padded(EmittedFunction function, const Addresses& arguments, int64_t done,
                  int64_t count) const;

  Machine machine_;
  size_t inputs_ = 0;
  std::vector<int64_t> sizes_;     ///< bytes of an element of each array
  std::vector<bool> is_repeated_;  ///< of each operand, along a row
  int64_t grain_ = 1;
  std::shared_ptr<const ExecutableMemory> code_;
  /// Writes results past the caches; null unless they are large.
  std::shared_ptr<const ExecutableMemory> streaming_code_;
};

}  // namespace linnet::cpu::codegen
