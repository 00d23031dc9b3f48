// Private: programs as the bodies of loops and branches, and what their rules do to them.
#pragma once

#include <functional>
#include <vector>

#include "core/trace/batch.h"
#include "core/trace/call.h"

namespace linnet {

using Flags = std::vector<uint8_t>;

/// `f` on operands of these types as a program, recorded away from whatever is being traced.
ProgramPtr record_program(const TypeList& types,
                          const std::function<TensorList(const TensorList&)>& f);

/// The one program that stands for all equal ones: same operations, parameters and numbers, module
/// paths aside. A body that is recorded again at every call has its derivatives and its code made
/// once. The table keeps the programs used last.
ProgramPtr shared_program(Graph graph);

/// A program with one node, to run a control primitive outside all transformations.
ProgramPtr single_node_program(const Primitive& primitive, ParamsRef params, Inputs inputs);

/// Which results may depend, by differentiable steps, on the operands that are marked.
Flags active_results(const Graph& graph, const Flags& active);

/// For bodies that run for elements of a batch that have not asked for it.
/// @throws TraceError naming `construct` if the body calls functions by `io_callback`.
void refuse_input_output(const char* construct, const Graph& body);

/// The batched form of a body as `trace` batches it, and a text that tells traces apart.
Program::Batched batched_body(const Program& body, const Flags& batched, const BatchTrace& trace);
std::string batch_key(const BatchTrace& trace);
/// Its program again, of which the marked results have the batch dimension in any case.
ProgramPtr batched_results(const Program::Batched& batch, const Flags& always, int64_t size);

/// Of a batch: `a` where `mask` says so, else `b`. The mask goes where they are, since what a loop
/// carries may be numbers of the host.
Tensor chosen_elements(const Tensor& mask, const Tensor& a, const Tensor& b);

/// first, first + 1, … : positions of so many operands or results.
std::vector<int64_t> range(int64_t first, size_t count);

template <class T>
std::vector<T> joined(std::initializer_list<std::span<const T>> parts) {
  std::vector<T> out;
  for (const std::span<const T> part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}
template <class T>
std::vector<T> chosen(std::span<const T> from, std::span<const uint8_t> flags) {
  std::vector<T> out;
  for (size_t i = 0; i < from.size(); ++i) {
    if (flags[i]) out.push_back(from[i]);
  }
  return out;
}
size_t count_of(std::span<const uint8_t> flags);
/// One character each, for keys.
std::string text_of(std::span<const uint8_t> flags);

/// Takes consecutive parts of a list.
class Reader {
 public:
  explicit Reader(Inputs all) : all_(all) {}
  Inputs take(size_t count) {
    const Inputs part = all_.subspan(0, count);
    all_ = all_.subspan(count);
    return part;
  }
  Inputs rest() const { return all_; }

 private:
  Inputs all_;
};

}  // namespace linnet
