// Plans for graphs: cuDNN's heuristics choose among its engines, which are built for one device.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/cuda/cudnn/graph.h"

namespace linnet::cuda::cudnn {

struct Library;

/// For which device: either a cuDNN handle, whose device is there, or the properties of one, in the
/// text that cuDNN reads (tests/cuda/device_properties), so that plans can be made ahead of time.
struct Context {
  const Library* library = nullptr;
  void* handle = nullptr;
  std::string_view properties = {};
  int architecture = 0;  ///< 80, 90: compute capability times ten
};

/// A built plan. May be used from several threads at once, with a handle for each.
class Plan {
 public:
  virtual ~Plan() = default;
  virtual size_t workspace_bytes() const = 0;
  /// How many engines cuDNN offered, and the name of the one that was built.
  virtual int64_t offered() const = 0;
  virtual std::string name() const = 0;
  /// Starts the work on the handle's stream. `addresses` has one for each tensor of the graph, null
  /// for inner ones and numbers.
  /// @throws DeviceError with what cuDNN says.
  virtual void run(void* handle, std::span<void* const> addresses, void* workspace) const = 0;
};

struct BuildResult {
  std::unique_ptr<Plan> plan;  ///< null if cuDNN declines
  std::string declined;        ///< then the reason, in one line
};
BuildResult build(const Graph& graph, const Context& context);

/// `9.19.0, planned for through cudnn-frontend 1.32.0`.
std::string versions(const Library& library);

}  // namespace linnet::cuda::cudnn
