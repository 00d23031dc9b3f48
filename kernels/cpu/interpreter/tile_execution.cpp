// Running a compiled tile program.
#include <algorithm>
#include <cstdint>
#include <new>
#include <string>

#include "kernels/cpu/interpreter/tile_program.h"
#include "kernels/cpu/streaming.h"
#include "kernels/cpu/workspace.h"
#include "linnet/error.h"
#include "linnet/parallel.h"

namespace linnet::cpu {
namespace {

bool is_half(DType dtype) { return is_floating(dtype) && size_of(dtype) == 2; }

void call_unary(ElementwiseLoop kernel, const void* from, bool repeat, void* to, int64_t count) {
  LoopCall call;
  call.in[0] = from;
  call.repeat[0] = repeat;
  call.out = to;
  call.count = count;
  kernel(call);
}

}  // namespace

/// One run: where each operand is, and which of them need no copy.
class CompiledTileProgram::Execution {
 public:
  /// Where the value of a register comes from.
  struct Source {
    /// Memory of a dense operand or destination, or null.
    char* direct = nullptr;
    /// Operand to load, -1 if none.
    int operand = -1;
    bool is_scalar = false;
    alignas(8) char value[8] = {};
  };

  /// What a run works in: the sources, and for each range that is worked on at the same time the
  /// tiles of the registers and where they are.
  struct Memory {
    Memory(Workspace& w, const CompiledTileProgram& compiled, int64_t count)
        : tile_bytes(std::min(compiled.slot_bytes_, (count * compiled.widest_ + 63) / 64 * 64)),
          registers(static_cast<int64_t>(compiled.program_.registers.size())),
          slot_bytes(compiled.slot_count_ * tile_bytes +
                     (registers * static_cast<int64_t>(sizeof(char*)) + 63) / 64 * 64),
          sources(w.take<Source>(registers)),
          slots(w.take<char>(parallel_slots(count, compiled.grain_) * slot_bytes)) {}
    int64_t tile_bytes, registers, slot_bytes;
    Source* sources;
    char* slots;
  };

  Execution(const CompiledTileProgram& compiled, const StridedSpace& space,
            std::span<const Operand> in, std::span<const Destination> out, const Memory& memory)
      : compiled_(compiled),
        space_(space),
        in_(in),
        out_(out),
        table_(elementwise_table()),
        memory_(memory),
        sources_(memory.sources, static_cast<size_t>(memory.registers)) {
    for (Source& source : sources_) new (&source) Source;
    for (size_t i = 0; i < in.size(); ++i) add_input(i);
    for (const TileProgram::Immediate& immediate : compiled.program_.immediates) {
      add_immediate(immediate);
    }
    for (size_t j = 0; j < out.size(); ++j) {
      const uint16_t reg = compiled.program_.outputs[j];
      if (streams(j))
        is_streaming_ = true;
      else if (writes_directly(j, reg))
        sources_[reg].direct = static_cast<char*>(out[j].data);
    }
  }

  void operator()(int64_t begin, int64_t end, int64_t slot) const {
    char* const scratch = memory_.slots + slot * memory_.slot_bytes;
    Tile tile{scratch,
              reinterpret_cast<const char**>(scratch + compiled_.slot_count_ * memory_.tile_bytes),
              0, 0, end};
    for (; begin < end; begin += compiled_.tile_size_) {
      tile.begin = begin;
      tile.count = std::min(compiled_.tile_size_, end - begin);
      run_tile(tile);
    }
    if (is_streaming_) flush_streams();
  }

 private:
  struct Tile {
    char* slots;
    const char** registers;
    int64_t begin, count;
    int64_t end;  ///< of the range of tiles
  };

  DType dtype(uint16_t reg) const { return compiled_.program_.registers[reg]; }

  char* slot(const Tile& tile, uint16_t reg) const {
    return tile.slots + compiled_.slots_[reg] * memory_.tile_bytes;
  }

  void set_scalar(Source& source, DType held, const void* element) const {
    source.is_scalar = true;
    const DType to = is_half(held) ? DType::kF32 : held;
    call_unary(table_.get_cast(held, to), element, false, source.value, 1);
  }

  void add_input(size_t i) {
    const uint16_t reg = compiled_.program_.inputs[i];
    Source& source = sources_[reg];
    if (space_.is_scalar(i)) {
      set_scalar(source, dtype(reg), in_[i].data);
      return;
    }
    source.operand = static_cast<int>(i);
    if (space_.is_dense(i) && !is_half(dtype(reg)) && !is_overwritten_copy(i)) {
      source.direct = static_cast<char*>(const_cast<void*>(in_[i].data));
    }
  }

  /// Whether the operand is stored somewhere as it is while its own memory is a destination, as
  /// when two tensors change places: then it must be copied before anything is stored.
  bool is_overwritten_copy(size_t i) const {
    const std::vector<uint16_t>& outputs = compiled_.program_.outputs;
    const bool is_output =
        std::find(outputs.begin(), outputs.end(), compiled_.program_.inputs[i]) != outputs.end();
    return is_output && std::any_of(out_.begin(), out_.end(), [&](const Destination& destination) {
             return destination.data == in_[i].data;
           });
  }

  void add_immediate(const TileProgram::Immediate& immediate) {
    const DType held = dtype(immediate.reg);
    alignas(8) char element[8];
    if (is_floating(held)) {
      call_unary(table_.get_cast(DType::kF64, held), &immediate.real, false, element, 1);
    } else {
      call_unary(table_.get_cast(DType::kI64, held), &immediate.integer, false, element, 1);
    }
    set_scalar(sources_[immediate.reg], held, element);
  }

  /// Whether the register can be computed in the destination's memory: dense, of the same format,
  /// and not memory that an operand is still to be read from.
  bool writes_directly(size_t j, uint16_t reg) const {
    const Source& source = sources_[reg];
    if (source.direct != nullptr || source.operand >= 0 || source.is_scalar) return false;
    if (is_half(dtype(reg)) || !space_.is_dense(in_.size() + j)) return false;
    return !is_operand(j);
  }

  bool is_operand(size_t j) const {
    return std::any_of(in_.begin(), in_.end(),
                       [&](const Operand& operand) { return operand.data == out_[j].data; });
  }

  /// Whether a destination is written past the caches: too large for them, and its lines are not
  /// there anyway because an operand was.
  bool streams(size_t j) const {
    const int64_t bytes = space_.element_count() *
                          static_cast<int64_t>(size_of(dtype(compiled_.program_.outputs[j])));
    return bytes >= kStreamingBytes && space_.is_dense(in_.size() + j) && !is_operand(j) &&
           reinterpret_cast<uintptr_t>(out_[j].data) % kStreamingAlignment == 0;
  }

  /// Asks for part `part` of `parts` of the next tile's operands: a tile is about a page, where the
  /// processor's own prefetching ends.
  void prefetch(const Tile& tile, size_t part, size_t parts) const {
    constexpr int64_t kLine = 64;
    const int64_t begin = tile.begin + tile.count;
    const int64_t count = std::min(compiled_.tile_size_, tile.end - begin);
    for (const Source& source : sources_) {
      if (source.operand < 0 || count <= 0) continue;
      const size_t operand = static_cast<size_t>(source.operand);
      if (!space_.is_dense(operand)) continue;
      const int64_t size = static_cast<int64_t>(size_of(dtype(compiled_.program_.inputs[operand])));
      const int64_t lines = (count * size + kLine - 1) / kLine;
      const char* first = static_cast<const char*>(in_[operand].data) + begin * size;
      const int64_t p = static_cast<int64_t>(part), n = static_cast<int64_t>(parts);
      for (int64_t line = lines * p / n; line < lines * (p + 1) / n; ++line)
        __builtin_prefetch(first + line * kLine, 0, 3);
    }
  }

  void load(const Tile& tile, uint16_t reg) const {
    const Source& source = sources_[reg];
    const size_t operand = static_cast<size_t>(source.operand);
    const DType held = dtype(reg);
    const int64_t size = static_cast<int64_t>(size_of(held));
    char* const to = slot(tile, reg);
    const bool is_dense = space_.is_dense(operand);
    const char* from = static_cast<const char*>(in_[operand].data) + tile.begin * size;
    if (!is_dense) {
      char* const gathered = is_half(held) ? spare(tile) : to;
      space_.gather(operand, in_[operand].data, size_of(held), tile.begin, tile.count, gathered);
      from = gathered;
    }
    if (is_half(held)) {
      call_unary(table_.get_cast(held, DType::kF32), from, false, to, tile.count);
    } else if (is_dense) {
      call_unary(table_.get_cast(held, held), from, false, to, tile.count);
    }
    tile.registers[reg] = to;
  }

  char* spare(const Tile& tile) const {
    return tile.slots + (compiled_.slot_count_ - 1) * memory_.tile_bytes;
  }

  const char* read(const Tile& tile, uint16_t reg) const {
    const Source& source = sources_[reg];
    if (source.is_scalar) return source.value;
    if (tile.registers[reg] == nullptr) load(tile, reg);
    return tile.registers[reg];
  }

  void run_step(const Step& step, const Tile& tile) const {
    LoopCall call;
    for (int k = 0; k < step.arity; ++k) {
      call.in[k] = read(tile, step.src[k]);
      call.repeat[k] = sources_[step.src[k]].is_scalar;
    }
    const Source& result = sources_[step.dst];
    const int64_t size = static_cast<int64_t>(size_of(dtype(step.dst)));
    char* const to =
        result.direct != nullptr ? result.direct + tile.begin * size : slot(tile, step.dst);
    call.out = step.widens ? spare(tile) : to;
    call.count = tile.count;
    call.params = step.params;
    step.kernel(call);
    if (step.finish != nullptr) call_unary(step.finish, call.out, false, to, tile.count);
    tile.registers[step.dst] = to;
  }

  void store(const Tile& tile, size_t j) const {
    const uint16_t reg = compiled_.program_.outputs[j];
    const Source& source = sources_[reg];
    if (source.direct == out_[j].data && source.operand < 0) return;
    const DType held = dtype(reg);
    const int64_t size = static_cast<int64_t>(size_of(held));
    const size_t array = in_.size() + j;
    const char* const from = read(tile, reg);
    const DType in_register = is_half(held) ? DType::kF32 : held;
    const ElementwiseLoop kernel = table_.get_cast(in_register, held);
    if (space_.is_dense(array)) {
      char* const to = static_cast<char*>(out_[j].data) + tile.begin * size;
      if (is_streaming_ && streams(j)) {
        if (in_register != held || source.is_scalar) {
          call_unary(kernel, from, source.is_scalar, spare(tile), tile.count);
          stream_copy(spare(tile), to, static_cast<size_t>(tile.count * size));
        } else {
          stream_copy(from, to, static_cast<size_t>(tile.count * size));
        }
        return;
      }
      if (to != from) call_unary(kernel, from, source.is_scalar, to, tile.count);
      return;
    }
    call_unary(kernel, from, source.is_scalar, spare(tile), tile.count);
    space_.scatter(array, out_[j].data, size_of(held), tile.begin, tile.count, spare(tile));
  }

  void run_tile(const Tile& tile) const {
    for (size_t reg = 0; reg < sources_.size(); ++reg) {
      const Source& source = sources_[reg];
      const bool is_memory = source.direct != nullptr && source.operand >= 0;
      const int64_t size = static_cast<int64_t>(size_of(compiled_.program_.registers[reg]));
      tile.registers[reg] = is_memory ? source.direct + tile.begin * size : nullptr;
    }
    const std::vector<Step>& steps = compiled_.steps_;
    for (size_t i = 0; i < steps.size(); ++i) {
      if (is_large_) prefetch(tile, i, steps.size());
      run_step(steps[i], tile);
    }
    // All operands of the tile that are stored as they are must be read before anything is written.
    for (const uint16_t reg : compiled_.program_.outputs) read(tile, reg);
    for (size_t j = 0; j < out_.size(); ++j) store(tile, j);
  }

  const CompiledTileProgram& compiled_;
  const StridedSpace& space_;
  std::span<const Operand> in_;
  std::span<const Destination> out_;
  const ElementwiseTable& table_;
  const Memory& memory_;
  std::span<Source> sources_;
  /// Whether operands may not be in the cache.
  const bool is_large_ = space_.element_count() >= int64_t{1} << 22;
  bool is_streaming_ = false;
};

size_t CompiledTileProgram::workspace_bytes(int64_t element_count) const {
  return cpu::workspace_bytes<Execution::Memory>(*this, element_count);
}

void CompiledTileProgram::run(const StridedSpace& space, std::span<const Operand> in,
                              std::span<const Destination> out, void* workspace) const {
  if (space.element_count() == 0) return;
  Workspace w(workspace);
  const Execution::Memory memory(w, *this, space.element_count());
  const Execution execution(*this, space, in, out, memory);
  parallel_for_slots(space.element_count(), grain_, execution);
}

void CompiledTileProgram::run(std::span<const int64_t> shape, std::span<const Operand> in,
                              std::span<const Destination> out) const {
  if (in.size() != program_.inputs.size() || out.size() != program_.outputs.size()) {
    throw ValueError("tile program: expected " + std::to_string(program_.inputs.size()) +
                     " operands and " + std::to_string(program_.outputs.size()) +
                     " destinations, got " + std::to_string(in.size()) + " and " +
                     std::to_string(out.size()));
  }
  std::vector<const int64_t*> strides;
  for (const Operand& operand : in) strides.push_back(operand.strides);
  for (const Destination& destination : out) strides.push_back(destination.strides);
  const StridedSpace space(shape, strides);
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> workspace((workspace_bytes(space.element_count()) + 63) / 64);
  run(space, in, out, workspace.data());
}

}  // namespace linnet::cpu
