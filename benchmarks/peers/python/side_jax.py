"""JAX: jitted functions of trees with donated state, optax, and flax's recurrent layer."""

from functools import partial

import flax.linen
import jax
import jax.numpy as jnp
import optax
from jax import lax

import inputs
from protocol import case, checked_by, dropped, main, mean_abs, mean_square, repeat, training

sync = jax.block_until_ready


def arrays(tree):
    return jax.tree.map(jnp.asarray, tree)


def check(x):
    return mean_abs(x.astype(jnp.float32))


# What a call costs. A loop of dispatches is waited for once, at its end.
@case("small", "add8", "eager")
def _():
    a, b = arrays((inputs.eight(), inputs.tenths()))
    return repeat(lambda: a + b, check, sync, batched=True)


def ten_tanh(x):
    for _ in range(10):
        x = jnp.tanh(x)
    return x.sum()


def ten_tanh_gradient(f):
    x = jnp.asarray(inputs.tenths())
    return repeat(lambda: f(x), check, sync, batched=True)


case("small", "tanh10_grad_eager", "eager")(lambda: ten_tanh_gradient(jax.grad(ten_tanh)))
case("small", "tanh10_grad_jit", "jit")(lambda: ten_tanh_gradient(jax.jit(jax.grad(ten_tanh))))


def many(count):
    return [jnp.asarray(inputs.eight() + i) for i in range(count)]


def call_with_arguments(count):
    leaves = many(count)
    f = jax.jit(lambda v: v[0] + v[-1], keep_unused=True)
    return repeat(lambda: f(leaves), check, sync, batched=True)


case("small", "jit_args_20", "jit")(lambda: call_with_arguments(20))
case("small", "jit_args_100", "jit")(lambda: call_with_arguments(100))


@case("small", "jit_update_100", "jit")
def _():
    leaves = many(100)
    f = jax.jit(lambda v: [x * 0.999 for x in v], donate_argnums=0)

    def step():
        leaves[:] = f(leaves)
        return leaves[-1]
    return repeat(step, check, sync, batched=True)


# Training steps.
def train(params, loss_of, tx, gate, *data, aux=None):
    """loss_of(params, *data) gives the loss; with `aux` loss_of(params, aux, *data) gives it and the new aux."""
    state = [params, tx.init(params), aux]

    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def update(params, memory, aux, *data):
        if aux is None:
            loss, grads = jax.value_and_grad(loss_of)(params, *data)
        else:
            (loss, aux), grads = jax.value_and_grad(loss_of, has_aux=True)(params, aux, *data)
        updates, memory = tx.update(grads, memory, params)
        return optax.apply_updates(params, updates), memory, aux, loss

    def step():
        *state[:], loss = update(*state, *data)
        return loss
    return training(step, gate, float, sync)


def cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def sgd():
    return optax.sgd(0.01, momentum=0.9)


def adamw():
    return optax.adamw(1e-3, weight_decay=1e-2)


def linear(x, weight, bias, dtype=jnp.float32):
    return x.astype(dtype) @ weight.astype(dtype) + bias.astype(dtype)


def mlp(batch, tx, dtype=jnp.float32):
    def loss_of(params, x, y):
        for i, (weight, bias) in enumerate(params):
            x = linear(x, weight, bias, dtype)
            if i < 2:
                x = jax.nn.relu(x)
        return cross_entropy(x.astype(jnp.float32), y)
    gate = 20 if dtype == jnp.float32 else 5
    return train(arrays(inputs.mlp_weights()), loss_of, tx, gate, *arrays(inputs.mlp_batch(batch)))


case("mlp", "mlp64_sgd", "jit")(lambda: mlp(64, sgd()))
case("mlp", "mlp64_adamw", "jit")(lambda: mlp(64, adamw()))
case("mlp", "mlp1024_sgd", "jit")(lambda: mlp(1024, sgd()))
case("mlp", "mlp1024_adamw", "jit")(lambda: mlp(1024, adamw()))
case("mlp", "mlp1024_adamw_bf16", "jit")(lambda: mlp(1024, adamw(), jnp.bfloat16))


def conv(x, kernel, stride=1, padding=0):
    return lax.conv_general_dilated(x, kernel, (stride, stride), [(padding, padding)] * 2,
                                    dimension_numbers=("NHWC", "HWIO", "NHWC"))


def max_pool(x, size, stride, padding=0):
    around = [(0, 0), (padding, padding), (padding, padding), (0, 0)]
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1), around)


def norm(x, p, running):
    """flax's BatchNorm: fast variance, momentum 0.9."""
    mean = x.mean((0, 1, 2))
    variance = jnp.maximum((x * x).mean((0, 1, 2)) - mean * mean, 0)
    y = (x - mean) * (lax.rsqrt(variance + 1e-5) * p["scale"]) + p["bias"]
    return y, {"mean": 0.9 * running["mean"] + 0.1 * mean, "variance": 0.9 * running["variance"] + 0.1 * variance}


def flat(x):
    return x.reshape(x.shape[0], -1)


@case("cnn", "cnn64_sgd", "jit")
def _():
    zeros = inputs.zeros
    params = dict(inputs.cnn_weights(), b1=zeros(32), b2=zeros(64), bd=zeros(128), bh=zeros(10))

    def loss_of(p, x, y):
        x = max_pool(jax.nn.relu(conv(x, p["c1"], padding=1) + p["b1"]), 2, 2)
        x = max_pool(jax.nn.relu(conv(x, p["c2"], padding=1) + p["b2"]), 2, 2)
        x = jax.nn.relu(linear(flat(x), p["d"], p["bd"]))
        return cross_entropy(linear(x, p["h"], p["bh"]), y)
    return train(arrays(params), loss_of, sgd(), 5, *arrays(inputs.cnn_batch()))


def demo(rate):
    params = dict(inputs.demo_weights(), n1=inputs.norm_params(32), n2=inputs.norm_params(64), bd=inputs.zeros(128),
                  bh=inputs.zeros(10))
    aux = {"n1": inputs.norm_state(32), "n2": inputs.norm_state(64), "count": jnp.int32(0), "correct": jnp.int32(0)}

    def loss_of(p, s, pixels, y):
        x = (pixels.astype(jnp.float32) / 255 - 0.2860) / 0.3530
        new = {"count": s["count"] + 1}
        x, new["n1"] = norm(max_pool(conv(x, p["c1"], padding=1), 2, 2), p["n1"], s["n1"])
        x, new["n2"] = norm(max_pool(conv(jax.nn.relu(x), p["c2"], padding=1), 2, 2), p["n2"], s["n2"])
        x = jax.nn.relu(linear(flat(jax.nn.relu(x)), p["d"], p["bd"]))
        if rate:
            key = jax.random.fold_in(jax.random.key(1), s["count"])
            x = jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)
        logits = linear(x, p["h"], p["bh"])
        new["correct"] = (logits.argmax(-1) == y).sum()
        return cross_entropy(logits, y), new
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(3e-3, weight_decay=0.05))
    return train(arrays(params), loss_of, tx, 5, *arrays(inputs.demo_batch()), aux=arrays(aux))


case("cnn", "demo_cnn64", "jit")(lambda: checked_by(demo(0.0), demo(inputs.DROPOUT_RATE)))


def resnet(large):
    w = inputs.resnet_weights(large)
    strides = [stride for _, _, stride, _ in inputs.resnet_blocks()]
    params = {"stem": w["stem"], "norm": inputs.norm_params(64), "head": w["head"],
              "bh": inputs.zeros(w["head"].shape[1]), "blocks": []}
    aux = {"norm": inputs.norm_state(64), "blocks": []}
    for block in w["blocks"]:
        width = block["c1"].shape[3]
        names = ["n1", "n2"] + (["ns"] if "cs" in block else [])
        params["blocks"].append(dict(block, **{name: inputs.norm_params(width) for name in names}))
        aux["blocks"].append({name: inputs.norm_state(width) for name in names})

    def loss_of(p, s, x, y):
        new = {"blocks": []}
        stem = conv(x, p["stem"], 2, 3) if large else conv(x, p["stem"], 1, 1)
        x, new["norm"] = norm(stem, p["norm"], s["norm"])
        x = jax.nn.relu(x)
        if large:
            x = max_pool(x, 3, 2, 1)
        for b, t, stride in zip(p["blocks"], s["blocks"], strides):
            n = {}
            h, n["n1"] = norm(conv(x, b["c1"], stride, 1), b["n1"], t["n1"])
            h, n["n2"] = norm(conv(jax.nn.relu(h), b["c2"], 1, 1), b["n2"], t["n2"])
            if "cs" in b:
                x, n["ns"] = norm(conv(x, b["cs"], stride), b["ns"], t["ns"])
            x = jax.nn.relu(h + x)
            new["blocks"].append(n)
        return cross_entropy(linear(x.mean((1, 2)), p["head"], p["bh"]), y), new
    return train(arrays(params), loss_of, sgd(), 2, *arrays(inputs.resnet_batch(large)), aux=arrays(aux))


case("resnet_small", "resnet18_cifar", "jit")(lambda: resnet(False))
case("resnet_large", "resnet18_224", "jit")(lambda: resnet(True))


# Transformers.
def layer_norm(x, scale, bias):
    """As flax: fast variance."""
    mean = x.mean(-1, keepdims=True)
    variance = jnp.maximum((x * x).mean(-1, keepdims=True) - mean * mean, 0)
    return (x - mean) * (lax.rsqrt(variance + 1e-5) * scale) + bias


def mlp_of_block(p, x, dtype=jnp.float32):
    return linear(jax.nn.gelu(linear(layer_norm(x, p["g2"], p["b2"]), p["w1"], p["c1"], dtype)), p["w2"], p["c2"], dtype)


def apply_block(p, x, heads, dtype=jnp.float32):
    n, t, c = x.shape
    parts = jnp.split(linear(layer_norm(x, p["g1"], p["b1"]), p["wqkv"], p["bqkv"], dtype), 3, -1)
    q, k, v = (a.reshape(n, t, heads, c // heads) for a in parts)
    y = jax.nn.dot_product_attention(q, k, v, is_causal=True)
    x = x + linear(y.reshape(n, t, c), p["wo"], p["bo"], dtype)
    return x + mlp_of_block(p, x, dtype)


def logits_of(p, x):
    return layer_norm(x, p["g"], p["b"]) @ p["wte"].T


def gpt(context, width, heads, layers, batch, gate):
    def loss_of(p, x, y):
        h = p["wte"][x] + p["wpe"][: x.shape[1]]
        for block in p["blocks"]:
            h = apply_block(block, h, heads)
        return cross_entropy(logits_of(p, h), y)
    return train(arrays(inputs.gpt_weights(context, width, layers)), loss_of, adamw(), gate,
                 *arrays(inputs.gpt_batch(batch, context)))


case("gpt_small", "nanogpt", "jit")(lambda: gpt(**inputs.GPT_SMALL))
case("gpt_large", "gpt384", "jit")(lambda: gpt(**inputs.GPT_LARGE))


def gpt2_block(dtype):
    p, x = arrays(inputs.gpt2_block_operands())
    f = jax.jit(jax.value_and_grad(
        lambda p, x: jnp.square(apply_block(p, x, 12, dtype).astype(jnp.float32)).mean(), argnums=(0, 1)))
    return repeat(lambda: f(p, x), lambda o: float(o[0]) + 768e3 * check(o[1][0]["wqkv"]) + 1e3 * check(o[1][1]), sync)


case("block", "gpt2_block", "jit")(lambda: gpt2_block(jnp.float32))
case("block", "gpt2_block_bf16", "jit")(lambda: gpt2_block(jnp.bfloat16))


@case("lstm", "lstm_64x32x256", "layer")
def _():
    kernel, recurrent, bias, x = inputs.lstm_operands()
    size, cell = inputs.LSTM_SIZE, {}
    for i, gate in enumerate("ifgo"):
        part = slice(i * size, (i + 1) * size)
        cell["i" + gate] = {"kernel": kernel[:, part]}
        cell["h" + gate] = {"kernel": recurrent[:, part], "bias": bias[part]}
    layer = flax.linen.RNN(flax.linen.OptimizedLSTMCell(size), time_major=True)
    params, x = arrays(({"params": {"cell": cell}}, x))
    f = jax.jit(jax.value_and_grad(lambda p: jnp.square(layer.apply(p, x)).mean()))

    def of(o):
        gradients = o[1]["params"]["cell"]
        return float(o[0]) + 1e3 * check(jnp.concatenate([gradients["h" + g]["kernel"] for g in "ifgo"], 1))
    return repeat(lambda: f(params), of, sync)


@case("lstm", "lstm_64x32x256", "scan")
def _():
    """The product with the inputs is taken out of the loop."""
    kernel, recurrent, bias, x = arrays(inputs.lstm_operands())

    def loss_of(p, x):
        kernel, recurrent, bias = p

        def turn(carry, of_x):
            cell, hidden = carry
            i, f, g, o = jnp.split(of_x + hidden @ recurrent, 4, -1)
            cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
            hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
            return (cell, hidden), hidden
        zero = jnp.zeros((inputs.LSTM_BATCH, inputs.LSTM_SIZE))
        return jnp.square(lax.scan(turn, (zero, zero), x @ kernel + bias)[1]).mean()
    f = jax.jit(jax.value_and_grad(loss_of))
    return repeat(lambda: f((kernel, recurrent, bias), x), lambda o: float(o[0]) + 1e3 * check(o[1][1]), sync)


# Decoding with a cache.
def next_token(p, cache, token, position):
    x = p["wte"][token] + p["wpe"][position]  # [1, width]
    mask = (jnp.arange(256) <= position).reshape(1, 1, 1, 256)
    new = []
    for b, (keys, values) in zip(p["blocks"], cache):
        parts = jnp.split(linear(layer_norm(x, b["g1"], b["b1"]), b["wqkv"], b["bqkv"]), 3, -1)
        q, k, v = (a.reshape(1, 1, 6, 64) for a in parts)
        keys = lax.dynamic_update_slice(keys, k, (0, position, 0, 0))
        values = lax.dynamic_update_slice(values, v, (0, position, 0, 0))
        new.append((keys, values))
        y = jax.nn.dot_product_attention(q, keys, values, mask=mask)
        x = x + linear(y.reshape(1, 384), b["wo"], b["bo"])
        x = x + mlp_of_block(b, x)
    return new, logits_of(p, x).argmax(-1)


def empty_cache():
    return [tuple(jnp.zeros((1, 256, 6, 64)) for _ in range(2)) for _ in range(6)]


@case("decode", "decode384_128tok", "call")
def _():
    p = arrays(inputs.decoder_weights())
    step = jax.jit(next_token, donate_argnums=1)

    def generate():
        cache, token, total = empty_cache(), jnp.array([1]), 0
        for i in range(128):
            cache, token = step(p, cache, token, i)
            total += int(token[0]) * (i + 1)
        return total
    return repeat(generate, float)


@case("decode", "decode384_128tok", "scan")
def _():
    p = arrays(inputs.decoder_weights())

    @jax.jit
    def generate(p):
        def turn(carry, i):
            cache, token = next_token(p, *carry, i)
            return (cache, token), token[0] * (i + 1)
        return lax.scan(turn, (empty_cache(), jnp.array([1], jnp.int32)), jnp.arange(128))[1].sum()
    return repeat(lambda: generate(p), float, sync)


# Single operations.
def add(group, work, operands, f, of=check):
    @case(group, work, "jit")
    def _():
        v, g = arrays(tuple(operands())), jax.jit(f)
        return repeat(lambda: g(*v), of, sync)


def add_numbers(group, work, shape, f, of=check):
    add(group, work, lambda: (inputs.numbers(*shape),), f, of)


def add_elementwise(size, tag):
    add_numbers("elementwise", "exp_" + tag, (size,), jnp.exp)
    add_numbers("elementwise", "tanh_" + tag, (size,), jnp.tanh)
    add_numbers("elementwise", "gelu_" + tag, (size,), jax.nn.gelu)
    add("elementwise", "chain_" + tag, lambda: (inputs.numbers(size), inputs.uniform(5001, (size,), 1)),
        lambda x, y: jnp.tanh(x * 2 + 1) * y)
    add_numbers("elementwise", "sum_" + tag, (size,), jnp.sum)


add_elementwise(inputs.SMALL, "256k")
add_elementwise(inputs.LARGE, "16m")
add("rows", "layer_norm_1024x768", inputs.layer_norm_operands, layer_norm)
add_numbers("rows", "softmax_1024x768", (1024, 768), jax.nn.softmax, mean_square)
add_numbers("rows", "softmax_256x50304", (256, 50304), jax.nn.softmax, mean_square)
add("rows", "xent_grad_256x50304", inputs.cross_entropy_operands, jax.grad(cross_entropy))
add_numbers("memory", "transpose_2048", (2048, 2048), jnp.transpose)
add_numbers("memory", "cumsum_256k", (inputs.SMALL,), jnp.cumsum)
add_numbers("memory", "cumsum_4096x4096", (4096, 4096), partial(jnp.cumsum, axis=1))
add_numbers("memory", "sort_1m", (1048576,), jnp.sort, lambda x: float(x[1000]) + float(x[1000000]))
add("memory", "embed_50304x768_fwd", inputs.embedding_operands, lambda table, index, g: table[index])
add("memory", "embed_50304x768_bwd", inputs.embedding_operands,
    lambda table, index, g: jax.grad(lambda t: (t[index] * g).sum())(table))
add_numbers("memory", "dropout_4m", (4194304,),
            lambda x: jnp.where(jax.random.bernoulli(jax.random.key(1), 0.9, x.shape), x / 0.9, 0), dropped)


@case("memory", "adamw_16m", "jit")
def _():
    param, gradient = arrays(inputs.adamw_operands())
    tx = adamw()
    state = [param, tx.init(param)]

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(param, memory, gradient):
        updates, memory = tx.update(gradient, memory, param)
        return optax.apply_updates(param, updates), memory

    def step():
        state[:] = update(*state, gradient)
        return state[0]
    return repeat(step, check, sync, gate=2, batched=True)


if __name__ == "__main__":
    main()
