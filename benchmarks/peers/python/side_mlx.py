"""MLX on the CPU: lazily evaluated, called eager here, and mx.compile.

Its wheel brings the reference BLAS: ../driver.py preloads the distribution's OpenBLAS where there is one.
"""

from functools import partial

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np
from mlx import nn
from mlx.utils import tree_map

import inputs
from protocol import Work, case, checked_by, dropped, main, mean_abs, mean_square, repeat, training

arrays = partial(tree_map, mx.array)
sync = mx.eval
MODES = ("eager", "compile")


def in_mode(mode, f, **state):
    return mx.compile(f, **state) if mode == "compile" else f


def value(x):
    return float(x.item())


def check(x):
    return mean_abs(np.array(x.astype(mx.float32)))


# What a call costs.
@case("small", "add8", "eager")
def _():
    """200 nodes built and evaluated together, by node: the cheapest way to run many small operations."""
    a, b = mx.array(inputs.eight()), mx.array(inputs.tenths())
    mx.eval(a + b)

    def run(n):
        while n > 0:
            mx.eval([a + b for _ in range(min(n, 200))])
            n -= 200
    return Work(run, check(a + b))


def ten_tanh(x):
    for _ in range(10):
        x = mx.tanh(x)
    return x.sum()


def ten_tanh_gradient(mode):
    x, f = mx.array(inputs.tenths()), in_mode(mode, mx.grad(ten_tanh))
    return repeat(lambda: f(x), check, sync)


case("small", "tanh10_grad_eager", "eager")(lambda: ten_tanh_gradient("eager"))
case("small", "tanh10_grad_jit", "compile")(lambda: ten_tanh_gradient("compile"))


def many(count):
    return [mx.array(inputs.eight() + i) for i in range(count)]


def call_with_arguments(count):
    leaves, f = many(count), mx.compile(lambda v: v[0] + v[-1])
    return repeat(lambda: f(leaves), check, sync)


case("small", "jit_args_20", "compile")(lambda: call_with_arguments(20))
case("small", "jit_args_100", "compile")(lambda: call_with_arguments(100))


@case("small", "jit_update_100", "compile")
def _():
    leaves = many(100)
    f = mx.compile(lambda v: [x * 0.999 for x in v])

    def step():
        leaves[:] = f(leaves)
        return leaves
    return repeat(step, lambda v: check(v[-1]), sync)


# Training steps.
def sgd():
    return optim.SGD(0.01, momentum=0.9)


def adamw(rate=1e-3, decay=1e-2):
    return optim.AdamW(rate, weight_decay=decay, bias_correction=True)


def train(mode, params, loss_of, opt, gate, *data, aux=None, clip=None):
    """loss_of(params, *data) gives the loss; with `aux` loss_of(params, aux, *data) gives it and the new aux."""
    model = {"params": params} if aux is None else {"params": params, "aux": aux}
    opt.init(params)
    value_and_grad = mx.value_and_grad(loss_of)

    def update(*data):
        if aux is None:
            loss, grads = value_and_grad(model["params"], *data)
        else:
            (loss, model["aux"]), grads = value_and_grad(model["params"], model["aux"], *data)
        if clip:
            grads, _ = optim.clip_grad_norm(grads, clip)
        model["params"] = opt.apply_gradients(grads, model["params"])
        return loss
    state = [model, opt.state, mx.random.state]
    f = in_mode(mode, update, inputs=state, outputs=state) if mode == "compile" else update

    def step():
        loss = f(*data)
        mx.eval(loss, state)
        return loss
    return training(step, gate, value)


def cross_entropy(logits, labels):
    return nn.losses.cross_entropy(logits, labels, reduction="mean")


def linear(x, weight, bias, dtype=mx.float32):
    return mx.addmm(bias.astype(dtype), x.astype(dtype), weight.astype(dtype))


def mlp(mode, batch, opt, dtype=mx.float32):
    def loss_of(params, x, y):
        for i, layer in enumerate(params["layers"]):
            x = linear(x, layer["weight"], layer["bias"], dtype)
            if i < 2:
                x = nn.relu(x)
        return cross_entropy(x.astype(mx.float32), y)
    params = {"layers": [{"weight": w, "bias": b} for w, b in inputs.mlp_weights()]}
    gate = 20 if dtype == mx.float32 else 5
    return train(mode, arrays(params), loss_of, opt, gate, *map(mx.array, inputs.mlp_batch(batch)))


def conv(x, kernel, stride=1, padding=0):
    return mx.conv2d(x, kernel, stride, padding)


def out_first(kernel):
    return np.ascontiguousarray(kernel.transpose(3, 0, 1, 2))


def max_pool(x, size, stride, padding=0):
    return nn.MaxPool2d(size, stride, padding)(x)


def norm(x, p, running):
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    y = (x - mean) * (mx.rsqrt(variance + 1e-5) * p["scale"]) + p["bias"]
    mean, variance = mx.stop_gradient(mean), mx.stop_gradient(variance)
    return y, {"mean": 0.9 * running["mean"] + 0.1 * mean, "variance": 0.9 * running["variance"] + 0.1 * variance}


def flat(x):
    return x.reshape(x.shape[0], -1)


def cnn(mode):
    w, zeros = inputs.cnn_weights(), inputs.zeros
    params = dict(w, c1=out_first(w["c1"]), c2=out_first(w["c2"]), b1=zeros(32), b2=zeros(64), bd=zeros(128),
                  bh=zeros(10))

    def loss_of(p, x, y):
        x = max_pool(nn.relu(conv(x, p["c1"], padding=1) + p["b1"]), 2, 2)
        x = max_pool(nn.relu(conv(x, p["c2"], padding=1) + p["b2"]), 2, 2)
        x = nn.relu(linear(flat(x), p["d"], p["bd"]))
        return cross_entropy(linear(x, p["h"], p["bh"]), y)
    return train(mode, arrays(params), loss_of, sgd(), 5, *map(mx.array, inputs.cnn_batch()))


def demo(mode, rate):
    w = inputs.demo_weights()
    params = dict(w, c1=out_first(w["c1"]), c2=out_first(w["c2"]), n1=inputs.norm_params(32), n2=inputs.norm_params(64),
                  bd=inputs.zeros(128), bh=inputs.zeros(10))

    def loss_of(p, s, pixels, y):
        x = (pixels.astype(mx.float32) / 255 - 0.2860) / 0.3530
        new = {}
        x, new["n1"] = norm(max_pool(conv(x, p["c1"], padding=1), 2, 2), p["n1"], s["n1"])
        x, new["n2"] = norm(max_pool(conv(nn.relu(x), p["c2"], padding=1), 2, 2), p["n2"], s["n2"])
        x = nn.relu(linear(flat(nn.relu(x)), p["d"], p["bd"]))
        if rate:
            x = mx.where(mx.random.bernoulli(1 - rate, x.shape), x / (1 - rate), 0)
        logits = linear(x, p["h"], p["bh"])
        new["correct"] = (logits.argmax(-1) == y).sum()
        return cross_entropy(logits, y), new
    aux = {"n1": inputs.norm_state(32), "n2": inputs.norm_state(64), "correct": np.zeros((), np.int32)}
    return train(mode, arrays(params), loss_of, adamw(3e-3, 0.05), 5, *map(mx.array, inputs.demo_batch()),
                 aux=arrays(aux), clip=1.0)


def resnet(large):
    w = inputs.resnet_weights(large)
    strides = [stride for _, _, stride, _ in inputs.resnet_blocks()]
    params = {"stem": out_first(w["stem"]), "norm": inputs.norm_params(64), "head": w["head"],
              "bh": inputs.zeros(w["head"].shape[1]), "blocks": []}
    aux = {"norm": inputs.norm_state(64), "blocks": []}
    for block in w["blocks"]:
        width = block["c1"].shape[3]
        names = ["n1", "n2"] + (["ns"] if "cs" in block else [])
        kernels = {name: out_first(kernel) for name, kernel in block.items()}
        params["blocks"].append(dict(kernels, **{name: inputs.norm_params(width) for name in names}))
        aux["blocks"].append({name: inputs.norm_state(width) for name in names})

    def loss_of(p, s, x, y):
        new = {"blocks": []}
        stem = conv(x, p["stem"], 2, 3) if large else conv(x, p["stem"], 1, 1)
        x, new["norm"] = norm(stem, p["norm"], s["norm"])
        x = nn.relu(x)
        if large:
            x = max_pool(x, 3, 2, 1)
        for b, t, stride in zip(p["blocks"], s["blocks"], strides):
            n = {}
            h, n["n1"] = norm(conv(x, b["c1"], stride, 1), b["n1"], t["n1"])
            h, n["n2"] = norm(conv(nn.relu(h), b["c2"], 1, 1), b["n2"], t["n2"])
            if "cs" in b:
                x, n["ns"] = norm(conv(x, b["cs"], stride), b["ns"], t["ns"])
            x = nn.relu(h + x)
            new["blocks"].append(n)
        return cross_entropy(linear(x.mean((1, 2)), p["head"], p["bh"]), y), new
    return train("eager", arrays(params), loss_of, sgd(), 2, *map(mx.array, inputs.resnet_batch(large)),
                 aux=arrays(aux))


# Transformers.
def layer_norm(x, scale, bias):
    return mx.fast.layer_norm(x, scale, bias, 1e-5)


def product(x, weight, bias, dtype=mx.float32):
    return x.astype(dtype) @ weight.astype(dtype) + bias.astype(dtype)


def attention(q, k, v, mask):
    return mx.fast.scaled_dot_product_attention(q, k, v, scale=q.shape[-1] ** -0.5, mask=mask)


def mlp_of_block(p, x, dtype=mx.float32):
    h = nn.gelu_approx(product(layer_norm(x, p["g2"], p["b2"]), p["w1"], p["c1"], dtype))
    return product(h, p["w2"], p["c2"], dtype)


def apply_block(p, x, heads, dtype=mx.float32):
    n, t, c = x.shape
    qkv = product(layer_norm(x, p["g1"], p["b1"]), p["wqkv"], p["bqkv"], dtype)
    q, k, v = (a.reshape(n, t, heads, c // heads).transpose(0, 2, 1, 3) for a in mx.split(qkv, 3, -1))
    y = attention(q, k, v, "causal").transpose(0, 2, 1, 3).reshape(n, t, c)
    x = x + product(y, p["wo"], p["bo"], dtype)
    return x + mlp_of_block(p, x, dtype)


def logits_of(p, x):
    return layer_norm(x, p["g"], p["b"]) @ p["wte"].T


def gpt(mode, context, width, heads, layers, batch, gate):
    def loss_of(p, x, y):
        h = p["wte"][x] + p["wpe"][: x.shape[1]]
        for block in p["blocks"]:
            h = apply_block(block, h, heads)
        return cross_entropy(logits_of(p, h), y)
    return train(mode, arrays(inputs.gpt_weights(context, width, layers)), loss_of, adamw(), gate,
                 *map(mx.array, inputs.gpt_batch(batch, context)))


def gpt2_block(mode, dtype):
    p, x = arrays(list(inputs.gpt2_block_operands()))
    f = in_mode(mode, mx.value_and_grad(
        lambda p, x: mx.square(apply_block(p, x, 12, dtype).astype(mx.float32)).mean(), argnums=(0, 1)))
    return repeat(lambda: f(p, x), lambda o: value(o[0]) + 768e3 * check(o[1][0]["wqkv"]) + 1e3 * check(o[1][1]), sync)


def lstm(mode):
    kernel, recurrent, bias, x = inputs.lstm_operands()
    layer = nn.LSTM(inputs.LSTM_SIZE, inputs.LSTM_SIZE)  # weights [4 * hidden, in], x [batch, time, in]
    params = arrays({"Wx": kernel.T.copy(), "Wh": recurrent.T.copy(), "bias": bias})
    x = mx.array(x.transpose(1, 0, 2).copy())

    def loss_of(params, x):
        layer.update(params)
        return mx.square(layer(x)[0]).mean()
    f = in_mode(mode, mx.value_and_grad(loss_of))
    return repeat(lambda: f(params, x), lambda o: value(o[0]) + 1e3 * check(o[1]["Wh"]), sync)


def add_training(mode):
    case("mlp", "mlp64_sgd", mode)(lambda: mlp(mode, 64, sgd()))
    case("mlp", "mlp64_adamw", mode)(lambda: mlp(mode, 64, adamw()))
    case("mlp", "mlp1024_sgd", mode)(lambda: mlp(mode, 1024, sgd()))
    case("mlp", "mlp1024_adamw", mode)(lambda: mlp(mode, 1024, adamw()))
    case("cnn", "cnn64_sgd", mode)(lambda: cnn(mode))
    case("cnn", "demo_cnn64", mode)(lambda: checked_by(demo(mode, 0.0), demo(mode, inputs.DROPOUT_RATE)))
    case("gpt_small", "nanogpt", mode)(lambda: gpt(mode, **inputs.GPT_SMALL))
    case("lstm", "lstm_64x32x256", mode)(lambda: lstm(mode))


for each in MODES:
    add_training(each)

# mx.compile touches neither products nor convolutions: once is enough where a step takes long.
case("mlp", "mlp1024_adamw_bf16", "eager")(lambda: mlp("eager", 1024, adamw(), mx.bfloat16))
case("gpt_large", "gpt384", "eager")(lambda: gpt("eager", **inputs.GPT_LARGE))
case("block", "gpt2_block", "eager")(lambda: gpt2_block("eager", mx.float32))
case("block", "gpt2_block_bf16", "eager")(lambda: gpt2_block("eager", mx.bfloat16))
case("resnet_small", "resnet18_cifar", "eager")(lambda: resnet(False))
case("resnet_large", "resnet18_224", "eager")(lambda: resnet(True))


@case("decode", "decode384_128tok", "eager")
def _():
    """A cache of 256 positions filled in place and read up to the position, as mlx-lm does."""
    p = arrays(inputs.decoder_weights())

    def next_token(cache, token, i):
        x = p["wte"][token] + p["wpe"][i]
        for b, c in zip(p["blocks"], cache):
            qkv = product(layer_norm(x, b["g1"], b["b1"]), b["wqkv"], b["bqkv"])
            q, k, v = (a.reshape(1, 6, 1, 64) for a in mx.split(qkv, 3, -1))
            c[0][:, :, i:i + 1], c[1][:, :, i:i + 1] = k, v
            y = attention(q, c[0][:, :, : i + 1], c[1][:, :, : i + 1], None).reshape(1, 384)
            x = x + product(y, b["wo"], b["bo"])
            x = x + mlp_of_block(b, x)
        return logits_of(p, x).argmax(-1)

    def generate():
        cache = [[mx.zeros((1, 6, 256, 64)), mx.zeros((1, 6, 256, 64))] for _ in range(6)]
        token, total = mx.array([1]), 0
        for i in range(128):
            token = next_token(cache, token, i)
            total += int(token.item()) * (i + 1)
        return total
    return repeat(generate, float)


# Single operations.
def add(group, work, operands, f, of=check, modes=("eager",)):
    for mode in modes:
        @case(group, work, mode)
        def _(mode=mode):
            v, g = [mx.array(a) for a in operands()], in_mode(mode, f)
            return repeat(lambda: g(*v), of, sync)


def add_numbers(group, work, shape, f, of=check, modes=("eager",)):
    add(group, work, lambda: (inputs.numbers(*shape),), f, of, modes)


def add_elementwise(size, tag):
    add_numbers("elementwise", "exp_" + tag, (size,), mx.exp)
    add_numbers("elementwise", "tanh_" + tag, (size,), mx.tanh)
    add_numbers("elementwise", "gelu_" + tag, (size,), nn.gelu_approx, modes=MODES)
    add("elementwise", "chain_" + tag, lambda: (inputs.numbers(size), inputs.uniform(5001, (size,), 1)),
        lambda x, y: mx.tanh(x * 2 + 1) * y, modes=MODES)
    add_numbers("elementwise", "sum_" + tag, (size,), mx.sum)


add_elementwise(inputs.SMALL, "256k")
add_elementwise(inputs.LARGE, "16m")
add("rows", "layer_norm_1024x768", inputs.layer_norm_operands, layer_norm)
add_numbers("rows", "softmax_1024x768", (1024, 768), partial(mx.softmax, axis=-1), mean_square)
add_numbers("rows", "softmax_256x50304", (256, 50304), partial(mx.softmax, axis=-1), mean_square)
add("rows", "xent_grad_256x50304", inputs.cross_entropy_operands, mx.grad(cross_entropy), modes=MODES)
add_numbers("memory", "transpose_2048", (2048, 2048), lambda x: mx.contiguous(x.T))
add_numbers("memory", "cumsum_256k", (inputs.SMALL,), mx.cumsum)
add_numbers("memory", "cumsum_4096x4096", (4096, 4096), partial(mx.cumsum, axis=1))
add_numbers("memory", "sort_1m", (1048576,), mx.sort, lambda x: x[1000].item() + x[1000000].item())
add("memory", "embed_50304x768_fwd", inputs.embedding_operands, lambda table, index, g: table[index])
add("memory", "embed_50304x768_bwd", inputs.embedding_operands,
    lambda table, index, g: mx.grad(lambda t: (t[index] * g).sum())(table))
add_numbers("memory", "dropout_4m", (4194304,),
            lambda x: mx.where(mx.random.bernoulli(0.9, x.shape), x * (1 / 0.9), 0), lambda x: dropped(np.array(x)))


def adamw_update(mode):
    param, gradient = inputs.adamw_operands()
    opt, params, gradients = adamw(), {"w": mx.array(param)}, {"w": mx.array(gradient)}
    opt.init(params)

    def update():
        params.update(opt.apply_gradients(gradients, params))
    state = [params, opt.state]
    f = in_mode(mode, update, inputs=state, outputs=state) if mode == "compile" else update

    def step():
        f()
        mx.eval(state)
        return params["w"]
    return repeat(step, check, gate=2)


for each in MODES:
    case("memory", "adamw_16m", each)(lambda mode=each: adamw_update(mode))

if __name__ == "__main__":
    main()
