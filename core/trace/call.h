// `call`: a program as a primitive, with rules that transform its graph.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "core/graph/graph.h"
#include "core/trace/named_axes.h"

namespace linnet {

class Executable;

/// A graph with what is derived from it on demand: the executable and the programs of its
/// derivatives and batched form. Shared, thread-safe.
class Program {
 public:
  /// @param memory_limit of the arena of its executable in bytes; 0: none.
  explicit Program(Graph graph, size_t memory_limit = 0);
  const Graph& graph() const { return graph_; }
  /// A number that no other program has or will have.
  uint64_t serial() const { return serial_; }

  /// Compiled at first use.
  const Executable& executable() const;
  /// Runs it on concrete tensors. Both are defined by the executor, which depends on traces and not
  /// the other way round.
  TensorList run(Inputs inputs) const;

  /// Results followed by tangents, for operands [inputs..., tangents of those marked active...].
  struct Jvp {
    std::shared_ptr<const Program> program;
    std::vector<uint8_t> results;  ///< which have a tangent; that of the others is zero
  };
  /// @param always marks results that have one in any case, if they are floating.
  Jvp jvp(const std::vector<uint8_t>& active, const std::vector<uint8_t>& always) const;
  /// The same with tangents of all floating results.
  std::shared_ptr<const Program> jvp(const std::vector<uint8_t>& active) const;
  /// Forward: results followed by residuals. Backward: (residuals, cotangents of floating results)
  /// to cotangents of the active inputs.
  struct Vjp {
    std::shared_ptr<const Program> forward, backward;
    size_t residuals = 0;
  };
  Vjp vjp(const std::vector<uint8_t>& active) const;
  /// For operands of which those marked have a batch dimension in front.
  struct Batched {
    std::shared_ptr<const Program> program;
    std::vector<uint8_t> results;  ///< which of them have it too
  };
  /// @param axis size of the batch, and the name by which collectives inside call it.
  /// @param always the first results that have it in any case; others do if they need it.
  Batched batch(const std::vector<uint8_t>& batched, const NamedAxis& axis,
                size_t always = 0) const;

  /// Something that is made of this program once and kept with it. `make` may use the program; what
  /// it makes must not hold it, nor a program that may hold it.
  template <class T>
  std::shared_ptr<const T> derived(const std::string& key,
                                   const std::function<std::shared_ptr<const T>()>& make) const {
    return std::static_pointer_cast<const T>(derived_erased(key, make));
  }

 private:
  std::shared_ptr<const void> derived_erased(
      const std::string& key, const std::function<std::shared_ptr<const void>()>& make) const;

  Graph graph_;
  size_t memory_limit_;
  uint64_t serial_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Executable> executable_;
  // Keys are the flags, one character each.
  mutable std::map<std::pair<std::string, std::string>, Jvp> jvps_;
  mutable std::map<std::string, Vjp> vjps_;
  mutable std::map<std::tuple<std::string, std::string, int64_t, size_t>, Batched> batches_;
  mutable std::map<std::string, std::shared_ptr<const void>> derived_;
};

using ProgramPtr = std::shared_ptr<const Program>;

struct CallParams {
  ProgramPtr program;
  LINNET_FIELDS(program)
};

const Primitive& call_primitive();
const Graph& called_graph(ParamsRef params);
std::vector<const Graph*> called_graphs(ParamsRef params);
/// Emits `call`.
TensorList call(const ProgramPtr& program, Inputs inputs);

}  // namespace linnet
