#include "modules/metrics/counts.h"

#include "linnet/detail/format.h"

namespace linnet::metrics {

void require_labels(const char* metric, const Tensor& labels) {
  if (!is_integer(labels.dtype())) {
    fail<DTypeError>("{}: expected integer labels, got {}", metric, to_string(labels.type()));
  }
}

void require_classes(const char* metric, const Tensor& logits, const Tensor& labels) {
  Shape batch = logits.shape();
  if (!batch.empty()) batch.pop_back();
  if (logits.rank() == 0 || batch != labels.shape()) {
    fail<ShapeError>("{}: logits {} need labels of shape {}, got {}", metric,
                     to_string(logits.type()), to_string(batch), to_string(labels.type()));
  }
}

}  // namespace linnet::metrics
