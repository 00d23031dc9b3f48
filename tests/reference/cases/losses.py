"""Losses of Optax on small inputs: values and gradients of their sum."""

import jax
import jax.numpy as jnp
import optax
from jax import random

from golden_file import GoldenFile


def _loss(g, name, note, f, *inputs, argnums=(0,), **kept):
  out = f(*inputs)
  grads = jax.grad(lambda *x: f(*x).sum(), argnums=argnums)(*inputs)
  g.case(name, note + "; grad of the sum with respect to input " +
         ", ".join(str(i) for i in argnums), **{"in": list(inputs)}, out=out, grad=list(grads),
         **kept)


def make():
  g = GoldenFile("losses")
  logits = 3 * random.normal(random.key(0), (5, 4))
  other = random.normal(random.key(1), (5, 4))
  classes = jnp.array([0, 3, 1, 1, 2])
  hot = jax.nn.one_hot(classes, 4)
  soft = jax.nn.softmax(other)
  _loss(g, "softmax_cross_entropy", "softmax_cross_entropy(logits, soft labels)",
        optax.softmax_cross_entropy, logits, soft, argnums=(0, 1))
  _loss(g, "softmax_cross_entropy_masked",
        "softmax_cross_entropy(logits, labels, where = [1, 1, 0, 1] in every row)",
        lambda a, b: optax.softmax_cross_entropy(
            a, b, where=jnp.ones((5, 1), bool) & jnp.array([1, 1, 0, 1], bool)),
        logits, soft)
  _loss(g, "softmax_cross_entropy_axis0", "softmax_cross_entropy(logits, labels, axis=0)",
        lambda a, b: optax.softmax_cross_entropy(a, b, axis=0), logits, soft)
  _loss(g, "integer_labels", "softmax_cross_entropy_with_integer_labels(logits, classes)",
        optax.softmax_cross_entropy_with_integer_labels, logits, classes)
  g.case("integer_labels_out_of_range", "same, labels [4, -1, 5, 0, -5]",
         labels=jnp.array([4, -1, 5, 0, -5]),
         out=optax.softmax_cross_entropy_with_integer_labels(
             logits, jnp.array([4, -1, 5, 0, -5])))
  _loss(g, "sigmoid_binary", "sigmoid_binary_cross_entropy(logits, labels)",
        optax.sigmoid_binary_cross_entropy, logits, hot)
  _loss(g, "squared_error", "squared_error(a, b)", optax.squared_error, logits, other,
        argnums=(0, 1))
  _loss(g, "l2", "l2_loss(a, b)", optax.l2_loss, logits, other, argnums=(0, 1))
  _loss(g, "huber", "huber_loss(a, b, 1)", optax.huber_loss, logits, other, argnums=(0, 1))
  _loss(g, "huber_delta", "huber_loss(a, b, 2.5)", lambda a, b: optax.huber_loss(a, b, delta=2.5),
        logits, other)
  _loss(g, "log_cosh", "log_cosh(a, b)", optax.log_cosh, logits, other)
  _loss(g, "hinge", "hinge_loss(a, sign(b))", optax.hinge_loss, logits, jnp.sign(other))
  _loss(g, "cosine_similarity", "cosine_similarity(a, b)", optax.cosine_similarity, logits, other,
        argnums=(0, 1))
  _loss(g, "cosine_distance", "cosine_distance(a, b)", optax.cosine_distance, logits, other)
  _loss(g, "smooth_labels", "smooth_labels(one hot, 0.1)",
        lambda a: optax.smooth_labels(a, alpha=0.1),
        hot)
  logp = jax.nn.log_softmax(logits)
  _loss(g, "kl", "kl_divergence(log p, targets)", optax.kl_divergence, logp, soft)
  _loss(g, "kl_zero", "kl_divergence(log p, one hot)", optax.kl_divergence, logp, hot)
  _loss(g, "kl_log_targets", "losses.kl_divergence_with_log_targets(log p, log q)",
        optax.losses.kl_divergence_with_log_targets, logp, jnp.log(soft))
  _loss(g, "convex_kl", "convex_kl_divergence(log p, targets)", optax.convex_kl_divergence, logp,
        soft)
  _loss(g, "focal", "sigmoid_focal_loss(logits, labels, alpha=0.25, gamma=2)",
        lambda a, b: optax.sigmoid_focal_loss(a, b, alpha=0.25, gamma=2.0), logits, hot)
  _loss(g, "poly", "losses.poly_loss_cross_entropy(logits, labels, 2)",
        lambda a, b: optax.losses.poly_loss_cross_entropy(a, b, epsilon=2.0), logits, hot)
  _loss(g, "ntxent", "ntxent(embeddings, labels [0, 0, 1, 1, 0], 0.07)",
        lambda a: optax.ntxent(a, jnp.array([0, 0, 1, 1, 0]), temperature=0.07), logits)
  _loss(g, "triplet", "losses.triplet_margin_loss(a, b, a - b)",
        lambda a, b, c: optax.losses.triplet_margin_loss(a, b, c), logits, other, logits[::-1],
        argnums=(0, 1, 2))
  frames = random.normal(random.key(2), (2, 6, 4))
  frame_padding = jnp.array([[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]], jnp.float32)
  labels = jnp.array([[1, 2, 2], [3, 1, 0]])
  label_padding = jnp.array([[0, 0, 0], [0, 0, 1]], jnp.float32)
  _loss(g, "ctc", "ctc_loss(logits, logit paddings, labels, label paddings)",
        optax.ctc_loss, frames, frame_padding, labels, label_padding)
  return g
