// Private: a kernel made of oneDNN primitives that run one after the other, reading and writing the
// caller's buffers and regions of the caller's workspace.
//
//   PipelineBuilder b;
//   int x = b.input(0, x_desc), w = b.input(1, w_desc), y = b.output(0, y_desc);
//   w = b.converted(w, pd.weights_desc());                        // a reorder, if one is needed
//   b.step(dnnl::matmul(pd), pd.scratchpad_desc(), {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w},
//   {DNNL_ARG_DST, y}}); return b.finish("brg:avx512_core");
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cpu/onednn/compat.h"
#include "kernels/cpu/onednn/prepared.h"

namespace linnet::cpu::onednn {

/// Where the data of a memory object lies during one call.
struct Place {
  enum class Kind : uint8_t { kInput, kOutput, kWorkspace } kind;
  size_t position;  // index of the input or output, or offset in the workspace in bytes
};

/// What all calls share: primitives, and which memory object is which of their arguments.
struct PipelinePlan {
  struct Step {
    dnnl::primitive primitive;
    std::vector<std::pair<int, int>> arguments;  // argument number of oneDNN, memory object
  };
  std::vector<Step> steps;
  std::vector<Desc> descs;
  std::vector<Place> places;
  size_t workspace_bytes = 0;
};

class PipelineBuilder {
 public:
  using Arguments = std::vector<std::pair<int, int>>;

  /// Each returns the number of a memory object.
  int input(size_t index, const Desc& desc) { return add(desc, {Place::Kind::kInput, index}); }
  int output(size_t index, const Desc& desc) { return add(desc, {Place::Kind::kOutput, index}); }
  int temporary(const Desc& desc);

  /// The object itself if it already is laid out as `desc`, else a copy made by a step.
  int converted(int memory, const Desc& desc);
  /// An object laid out as `desc` for a step to write: `memory` itself or a temporary. In the
  /// second case call `copy_back` after that step.
  int writable_as(int memory, const Desc& desc);
  void copy_back(int from, int to);

  void step(dnnl::primitive primitive, const Desc& scratchpad, Arguments arguments);
  std::unique_ptr<Prepared> finish(std::string implementation);

 private:
  int add(const Desc& desc, Place place);
  size_t reserve(size_t bytes);

  PipelinePlan plan_;
  std::vector<int> scratchpads_;
  size_t scratch_bytes_ = 0;
};

}  // namespace linnet::cpu::onednn
