// oneDNN's fused recurrent layers over a whole sequence, with everything a training step needs:
// weights come in plain layouts and are reordered at each run, as after an update.
#pragma once

#include <memory>
#include <vector>

namespace linnet::bench {

struct RecurrentSizes {
  int64_t time, batch, in, hidden;
};

/// Plain, row-major operands; gates side by side on the last axis.
struct RecurrentOperands {
  const float* x;          ///< [time, batch, in]
  const float* kernel;     ///< [in, gates, hidden]
  const float* recurrent;  ///< [hidden, gates, hidden]
  const float* bias;       ///< LSTM: [4, hidden]; GRU: [4, hidden], the last is that of W_hn h
};

enum class Fused { kLstm, kGru };

/// LSTM gates are i, f, g, o as in Linnet; GRU gates are z, r, n.
class FusedLayer {
 public:
  FusedLayer(Fused kind, const RecurrentSizes& sizes, bool training);
  ~FusedLayer();
  /// Outputs of all steps, [time, batch, hidden]; the first carry is zero.
  const float* forward(const RecurrentOperands& operands);
  /// After `forward`: gradients of sum(outputs * weights), [time, batch, hidden], with respect to
  /// the operands.
  struct Gradients {
    const float *x, *kernel, *recurrent, *bias;
  };
  Gradients backward(const float* weights);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace linnet::bench
