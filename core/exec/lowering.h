// Private: from an optimised graph to kernels over values whose layouts are known: views disappear,
// and operands that a kernel does not take as they are get a copy.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/exec/control_step.h"
#include "core/graph/graph.h"
#include "core/trace/eval.h"

namespace linnet {

/// Where a value lies: somewhere in the memory of a root, which is an input of the program, a
/// constant, or the result of a step.
struct Place {
  int32_t root = -1;
  DType dtype = DType::kF32;
  Shape shape;
  Strides strides;     ///< in elements
  int64_t offset = 0;  ///< in bytes
};

struct Root {
  enum class Kind : uint8_t { kInput, kConstant, kComputed };
  Kind kind = Kind::kComputed;
  int32_t index = 0;  ///< among inputs or constants
  size_t bytes = 0;
  int32_t first = 0;  ///< step that makes it
  int32_t last = -1;  ///< last step that reads it
};

/// Types and layouts of one kernel's operands and results, at fixed addresses.
class StepRequest {
 public:
  /// @param widest alignment of roots, as far as kernels are told of it.
  StepRequest(const Primitive& primitive, ParamsRef params, const std::vector<Place>& inputs,
              const std::vector<Place>& outputs, size_t widest);
  StepRequest(const StepRequest&) = delete;
  StepRequest& operator=(const StepRequest&) = delete;
  const KernelRequest& request() const { return request_; }

 private:
  std::vector<Place> places_;
  std::vector<OperandView> views_;
  KernelRequest request_;
};

/// One kernel, or one primitive that is evaluated as a whole on tensors.
struct LoweredStep {
  const Primitive* primitive = nullptr;
  Params params = {};
  std::string path = {};     ///< module path under which it was emitted
  ChosenKernel kernel = {};  ///< empty: evaluated on tensors
  std::shared_ptr<const StepRequest> request = {};
  std::shared_ptr<const ControlStep> control = {};  ///< of a node that holds programs
  std::vector<Place> inputs = {};
  std::vector<Place> outputs = {};  ///< dense, each the whole of its root
};

/// Everything lies on one device. Inputs and results that belong elsewhere are moved where the
/// program begins and ends.
struct LoweredProgram {
  Device device;
  std::vector<Root> roots;
  std::vector<LoweredStep> steps;
  std::vector<Place> outputs;  ///< of the program
  TensorList constants;        ///< dense, on the device
};

/// Whether running a step may fail: one that is evaluated on tensors, or whose kernel says so.
bool may_throw(const LoweredStep& step);
/// Whether a place is the whole memory of its root in row-major order.
bool is_whole(const Place& place, const Root& root);
bool is_dense(const Place& place);

struct LoweringOptions {
  /// Without one, that on which most of the program is.
  std::optional<Device> device = {};
  /// Of inputs and results, as far as kernels are told; 0: the widest.
  size_t alignment = 0;
  /// Every result has memory of its own, even if it is an input, a constant or another result.
  bool own_results = false;
  bool reuse_memory = true;  ///< in programs that nodes hold
};

/// Inputs are taken to be dense.
/// @throws DeviceError naming a primitive for which there is neither a kernel nor a decomposition.
LoweredProgram lower(const Graph& graph, const LoweringOptions& options = {});

}  // namespace linnet
