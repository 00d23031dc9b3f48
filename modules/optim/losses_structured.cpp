// Losses of pairs, triplets and sequences.
#include <limits>
#include <tuple>

#include "linnet/control_flow.h"
#include "linnet/detail/format.h"
#include "linnet/nn.h"
#include "modules/optim/losses.h"

namespace linnet::loss {

Tensor triplet_margin_loss(const Tensor& anchors, const Tensor& positives, const Tensor& negatives,
                           const TripletOptions& o) {
  const Tensor a = as_floating(anchors);
  const auto distance = [&](const Tensor& other) {
    const Tensor difference = a - target_for(a, other);
    const Tensor powers = o.norm_degree == 2 ? square(difference) : pow(difference, o.norm_degree);
    const Tensor total = sum(powers, o.axis) + o.eps;
    return o.norm_degree == 2 ? sqrt(total) : pow(total, 1 / o.norm_degree);
  };
  return maximum(distance(positives) - distance(negatives) + o.margin, 0);
}

Tensor ntxent(const Tensor& embeddings, const Tensor& labels, double temperature) {
  const Tensor x = as_floating(embeddings);
  if (x.rank() != 2 || labels.shape() != Shape{x.shape(0)}) {
    fail<ShapeError>("ntxent: expected embeddings [batch, dim] and labels [batch], got {} and {}",
                     to_string(embeddings.type()), to_string(labels.type()));
  }
  const Tensor similarity =
      cosine_similarity(expand_dims(x, 0), expand_dims(x, 1), finfo(x.dtype()).eps) / temperature;
  const Tensor same = equal(expand_dims(labels, 1), expand_dims(labels, 0));
  const Tensor different = logical_not(same);
  const Tensor itself = astype(eye(x.shape(0)), DType::kBool);
  const Tensor match = logical_and(same, logical_not(itself));
  const Tensor none = scalar(-std::numeric_limits<double>::infinity(), x.dtype());
  const Tensor most = stop_gradient(max(where(itself, none, similarity), Axes{1}, true));
  const Tensor shifted = similarity - most;
  const Tensor others =
      sum(where(different, exp(where(different, shifted, 0.0)), 0.0), Axes{1}, true);
  const Tensor safe = where(match, shifted, 0.0);
  const Tensor log_share = safe - log(others + exp(safe));
  return -sum(where(match, log_share, 0.0)) / sum(astype(match, x.dtype()));
}

namespace {

void check_ctc(const Tensor& logits, const Tensor& logit_paddings, const Tensor& labels,
               const Tensor& label_paddings) {
  const bool fits = logits.rank() == 3 && labels.rank() == 2 &&
                    logit_paddings.shape() == Shape{logits.shape(0), logits.shape(1)} &&
                    labels.shape(0) == logits.shape(0) && label_paddings.shape() == labels.shape();
  if (fits) return;
  fail<ShapeError>(
      "ctc_loss: expected logits [batch, frames, classes], logit paddings [batch, frames], labels "
      "and label paddings [batch, labels], got {}, {}, {} and {}",
      to_string(logits.type()), to_string(logit_paddings.type()), to_string(labels.type()),
      to_string(label_paddings.type()));
}

/// Log-probabilities of all alignments so far that end behind label n in a blank, or in label n.
struct Alignments {
  Tensor blank;  ///< [batch, labels + 1]
  Tensor label;  ///< [batch, labels]
  LINNET_FIELDS(blank, label)
};

/// `blank` with `added` flowing in behind each label.
Tensor reached(const Tensor& blank, const Tensor& added) {
  return concatenate(
      {slice_axis(blank, 0, 1, 1), logaddexp(slice_axis(blank, 1, blank.shape(1), 1), added)}, 1);
}

}  // namespace

Tensor ctc_loss(const Tensor& logits, const Tensor& logit_paddings, const Tensor& labels,
                const Tensor& label_paddings, const CtcOptions& o) {
  check_ctc(logits, logit_paddings, labels, label_paddings);
  const Tensor x = as_floating(logits), log_p = log_softmax(x);
  const int64_t batch = labels.shape(0), count = labels.shape(1);
  // repeat[b, n] is 1 where label n + 1 is label n, which must not follow without a blank.
  Tensor repeat = zeros({batch, count}, x.dtype());
  if (count > 0) {
    repeat = astype(equal(slice_axis(labels, 0, count - 1, 1), slice_axis(labels, 1, count, 1)),
                    x.dtype());
    repeat = pad(repeat, {{}, {.high = 1}});
  }
  const Tensor hot = one_hot(labels, x.shape(2), x.dtype());
  const Tensor log_label = moveaxis(einsum("btk,bnk->btn", {log_p, hot}), 1, 0);
  const Tensor log_blank = moveaxis(slice_axis(log_p, o.blank, o.blank + 1, 2), 1, 0);
  const Tensor padding = expand_dims(moveaxis(astype(logit_paddings, x.dtype()), 1, 0), -1);

  const Tensor start = broadcast_to(iota(DType::kI32, {1, count + 1}, 1), {batch, count + 1});
  const Alignments init{
      where(equal(start, 0), scalar(0, x.dtype()), scalar(o.log_epsilon, x.dtype())),
      full({batch, count}, scalar(o.log_epsilon, x.dtype()))};
  const auto step = [&](const Alignments& before, const std::tuple<Tensor, Tensor, Tensor>& frame) {
    const auto& [label_now, blank_now, padded] = frame;
    // From a label on to the next without a blank, unless that is the same.
    const Tensor ready = reached(before.blank, before.label + o.log_epsilon * repeat);
    const Tensor label =
        logaddexp(slice_axis(ready, 0, count, 1) + label_now, before.label + label_now);
    const Tensor blank =
        reached(ready + blank_now, before.label + blank_now + o.log_epsilon * (1 - repeat));
    return std::pair(Alignments{padded * before.blank + (1 - padded) * blank,
                                padded * before.label + (1 - padded) * label},
                     std::tuple<>{});
  };
  const Alignments last = scan(step, init, std::tuple(log_label, log_blank, padding)).first;
  const Tensor lengths = count - astype(sum(label_paddings, 1), DType::kI32);
  return -sum(reached(last.blank, last.label) * one_hot(lengths, count + 1, x.dtype()), 1);
}

}  // namespace linnet::loss
