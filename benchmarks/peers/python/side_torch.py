"""PyTorch: eager, and torch.compile in its default mode."""

import torch
import torch.nn.functional as F
from torch import nn

import inputs
from protocol import THREADS, case, checked_by, dropped, main, mean_abs, mean_square, repeat, training

torch.set_num_threads(THREADS)
torch._dynamo.config.recompile_limit = 64  # all works of a group are in one process
torch.manual_seed(0)

MODES = ("eager", "compile")


def tensor(array):
    return torch.from_numpy(array.copy())


def integers(array):
    return tensor(array).long()


def parameter(array):
    return nn.Parameter(tensor(array))


def in_mode(mode, f):
    return torch.compile(f, dynamic=False) if mode == "compile" else f


def value(x):
    return float(x.detach())


def check(x):
    return mean_abs(x.detach().float().numpy())


# What a call costs.
def small():
    return tensor(inputs.eight()), tensor(inputs.tenths())


@case("small", "add8", "eager")
def _():
    a, b = small()
    return repeat(lambda: a + b, check)


def ten_tanh(x):
    for _ in range(10):
        x = torch.tanh(x)
    return x.sum()


def ten_tanh_gradient(mode):
    x, f = small()[1].requires_grad_(), in_mode(mode, ten_tanh)
    return repeat(lambda: torch.autograd.grad(f(x), x)[0], check)


case("small", "tanh10_grad_eager", "eager")(lambda: ten_tanh_gradient("eager"))
case("small", "tanh10_grad_jit", "compile")(lambda: ten_tanh_gradient("compile"))


def many(count):
    return [small()[0] + i for i in range(count)]


def call_with_arguments(count):
    leaves, f = many(count), in_mode("compile", lambda v: v[0] + v[-1])
    return repeat(lambda: f(leaves), check)


case("small", "jit_args_20", "compile")(lambda: call_with_arguments(20))
case("small", "jit_args_100", "compile")(lambda: call_with_arguments(100))


def update_of_many(mode):
    leaves = many(100)

    @torch.compile(dynamic=False)
    def compiled():
        for x in leaves:
            x.mul_(0.999)

    def step():
        if mode == "compile":
            compiled()
        else:
            torch._foreach_mul_(leaves, 0.999)
        return leaves[-1]
    return repeat(step, check)


# Training steps.
def train(mode, loss_of, optimizer, gate, clip=None):
    """loss_of() gives the loss and perhaps more; backward and update follow; `clip` is a norm."""
    f = in_mode(mode, loss_of)
    params = [p for group in optimizer.param_groups for p in group["params"]]

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = f()
        if isinstance(loss, tuple):
            loss = loss[0]
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(params, clip)
        optimizer.step()
        return loss
    return training(step, gate, value)


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)


def adamw(model, rate=1e-3, decay=1e-2):
    return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay, fused=True)


def dense(weight, image=None):
    """`image` (height, width, channels) of the rows, which PyTorch flattens channels first."""
    if image:
        weight = weight.reshape(*image, -1).transpose(2, 0, 1, 3).reshape(weight.shape)
    layer = nn.Linear(*weight.shape)
    layer.weight, layer.bias = parameter(weight.T), parameter(inputs.zeros(weight.shape[1]))
    return layer


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([dense(weight) for weight, _ in inputs.mlp_weights()])

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


def mlp(mode, batch, make_optimizer, bf16=False):
    model = Mlp()
    x, y = inputs.mlp_batch(batch)
    x, y = tensor(x), integers(y)

    def loss_of():
        if not bf16:
            return F.cross_entropy(model(x), y)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(x)
        return F.cross_entropy(logits.float(), y)
    return train(mode, loss_of, make_optimizer(model), 5 if bf16 else 20)


def conv(weight, stride=1, padding=0, bias=False):
    height, _, channels, out = weight.shape
    layer = nn.Conv2d(channels, out, height, stride=stride, padding=padding, bias=bias)
    layer.weight = parameter(weight.transpose(3, 2, 0, 1))
    if bias:
        layer.bias = parameter(inputs.zeros(out))
    return layer


def image(array):
    return tensor(array.transpose(0, 3, 1, 2)).contiguous(memory_format=torch.channels_last)


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        w = inputs.cnn_weights()
        self.c1, self.c2 = conv(w["c1"], padding=1, bias=True), conv(w["c2"], padding=1, bias=True)
        self.dense, self.head = dense(w["d"], (7, 7, 64)), dense(w["h"])

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.c1(x)), 2)
        x = F.max_pool2d(F.relu(self.c2(x)), 2)
        return self.head(F.relu(self.dense(x.flatten(1))))


def image_training(mode, model, batch, gate):
    model = model.to(memory_format=torch.channels_last)
    x, y = image(batch[0]), integers(batch[1])
    return train(mode, lambda: F.cross_entropy(model(x), y), sgd(model), gate)


class Demo(nn.Module):
    def __init__(self, rate):
        super().__init__()
        w = inputs.demo_weights()
        self.c1, self.c2 = conv(w["c1"], padding=1), conv(w["c2"], padding=1)
        self.n1, self.n2 = nn.BatchNorm2d(32), nn.BatchNorm2d(64)
        self.dense, self.head = dense(w["d"], (7, 7, 64)), dense(w["h"])
        self.rate = rate

    def forward(self, pixels):
        x = (pixels.to(torch.float32) / 255 - 0.2860) / 0.3530
        x = F.relu(self.n1(F.max_pool2d(self.c1(x), 2)))
        x = F.relu(self.n2(F.max_pool2d(self.c2(x), 2)))
        return self.head(F.dropout(F.relu(self.dense(x.flatten(1))), self.rate))


def demo(mode, rate):
    model = Demo(rate).to(memory_format=torch.channels_last)
    pixels, y = inputs.demo_batch()
    pixels, y = image(pixels), integers(y)

    def loss_of():
        logits = model(pixels)
        return F.cross_entropy(logits, y), (logits.argmax(-1) == y).sum()
    return train(mode, loss_of, adamw(model, 3e-3, 0.05), 5, clip=1.0)


class ResnetBlock(nn.Module):
    def __init__(self, w, stride):
        super().__init__()
        width = w["c1"].shape[3]
        self.c1, self.n1 = conv(w["c1"], stride, 1), nn.BatchNorm2d(width)
        self.c2, self.n2 = conv(w["c2"], 1, 1), nn.BatchNorm2d(width)
        self.shortcut = nn.Identity()
        if "cs" in w:
            self.shortcut = nn.Sequential(conv(w["cs"], stride), nn.BatchNorm2d(width))

    def forward(self, x):
        y = self.n2(self.c2(F.relu(self.n1(self.c1(x)))))
        return F.relu(y + self.shortcut(x))


class Resnet(nn.Module):
    def __init__(self, large):
        super().__init__()
        w = inputs.resnet_weights(large)
        self.stem = conv(w["stem"], 2, 3) if large else conv(w["stem"], 1, 1)
        self.norm, self.large, self.head = nn.BatchNorm2d(64), large, dense(w["head"])
        strides = [stride for _, _, stride, _ in inputs.resnet_blocks()]
        self.blocks = nn.Sequential(*[ResnetBlock(b, s) for b, s in zip(w["blocks"], strides)])

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        if self.large:
            x = F.max_pool2d(x, 3, 2, 1)
        return self.head(self.blocks(x).mean((2, 3)))


class GptBlock(nn.Module):
    def __init__(self, w, heads):
        super().__init__()
        self.heads, width = heads, len(w["g1"])
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = dense(w["wqkv"]), dense(w["wo"])
        self.up, self.down = dense(w["w1"]), dense(w["w2"])

    def mlp(self, x):
        return self.down(F.gelu(self.up(self.ln2(x)), approximate="tanh"))

    def forward(self, x):
        n, t, c = x.shape
        parts = self.qkv(self.ln1(x)).split(c, dim=2)
        q, k, v = (a.view(n, t, self.heads, c // self.heads).transpose(1, 2) for a in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(n, t, c))
        return x + self.mlp(x)


class Gpt(nn.Module):
    def __init__(self, w, heads):
        super().__init__()
        self.wte, self.wpe = parameter(w["wte"]), parameter(w["wpe"])
        self.blocks = nn.ModuleList([GptBlock(b, heads) for b in w["blocks"]])
        self.norm = nn.LayerNorm(len(w["g"]))

    def logits(self, x):
        return F.linear(self.norm(x), self.wte)

    def forward(self, index):
        x = F.embedding(index, self.wte) + self.wpe[: index.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.logits(x)


def gpt(mode, context, width, heads, layers, batch, gate):
    model = Gpt(inputs.gpt_weights(context, width, layers), heads)
    x, y = map(integers, inputs.gpt_batch(batch, context))
    return train(mode, lambda: F.cross_entropy(model(x).flatten(0, 1), y.flatten()), adamw(model), gate)


def gpt2_block(mode, bf16):
    w, x = inputs.gpt2_block_operands()
    model, x = GptBlock(w, 12), tensor(x).requires_grad_()
    wrt = [x, model.qkv.weight] + [p for p in model.parameters() if p is not model.qkv.weight]

    def loss_of():
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            y = model(x)
        return y.float().square().mean()
    f = in_mode(mode, loss_of)

    def step():
        loss = f()
        return loss, torch.autograd.grad(loss, wrt)
    return repeat(step, lambda o: value(o[0]) + 768e3 * check(o[1][1]) + 1e3 * check(o[1][0]))


@case("lstm", "lstm_64x32x256", "eager")
def _():
    """oneDNN's or ATen's fused layer; torch.compile leaves it alone."""
    kernel, recurrent, bias, x = inputs.lstm_operands()
    layer = nn.LSTM(inputs.LSTM_SIZE, inputs.LSTM_SIZE)
    layer.weight_ih_l0, layer.weight_hh_l0 = parameter(kernel.T), parameter(recurrent.T)
    layer.bias_ih_l0, layer.bias_hh_l0 = parameter(bias), parameter(0 * bias)
    layer.flatten_parameters()
    x = tensor(x)
    wrt = [layer.weight_hh_l0, layer.weight_ih_l0, layer.bias_ih_l0, layer.bias_hh_l0]

    def step():
        loss = layer(x)[0].square().mean()
        return loss, torch.autograd.grad(loss, wrt)
    return repeat(step, lambda o: value(o[0]) + 1e3 * check(o[1][0]))


def add_training(mode):
    case("small", "jit_update_100", mode)(lambda: update_of_many(mode))
    case("mlp", "mlp64_sgd", mode)(lambda: mlp(mode, 64, sgd))
    case("mlp", "mlp64_adamw", mode)(lambda: mlp(mode, 64, adamw))
    case("mlp", "mlp1024_sgd", mode)(lambda: mlp(mode, 1024, sgd))
    case("mlp", "mlp1024_adamw", mode)(lambda: mlp(mode, 1024, adamw))
    case("mlp", "mlp1024_adamw_bf16", mode)(lambda: mlp(mode, 1024, adamw, bf16=True))
    case("cnn", "cnn64_sgd", mode)(lambda: image_training(mode, Cnn(), inputs.cnn_batch(), 5))
    case("cnn", "demo_cnn64", mode)(lambda: checked_by(demo(mode, 0.0), demo(mode, inputs.DROPOUT_RATE)))
    case("resnet_small", "resnet18_cifar", mode)(
        lambda: image_training(mode, Resnet(False), inputs.resnet_batch(False), 2))
    case("resnet_large", "resnet18_224", mode)(
        lambda: image_training(mode, Resnet(True), inputs.resnet_batch(True), 2))
    case("gpt_small", "nanogpt", mode)(lambda: gpt(mode, **inputs.GPT_SMALL))
    case("gpt_large", "gpt384", mode)(lambda: gpt(mode, **inputs.GPT_LARGE))
    case("block", "gpt2_block", mode)(lambda: gpt2_block(mode, False))
    case("block", "gpt2_block_bf16", mode)(lambda: gpt2_block(mode, True))


for each in MODES:
    add_training(each)


# Decoding with a cache.
class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.gpt = Gpt(inputs.decoder_weights(), 6)
        self.register_buffer("k", torch.zeros(6, 1, 6, 256, 64))
        self.register_buffer("v", torch.zeros(6, 1, 6, 256, 64))

    def next_token(self, token, position, attend):
        """attend(layer, q, k, v) of one position, [1, 6, 1, 64] each."""
        x = self.gpt.wte[token] + self.gpt.wpe[position]  # [1, width]
        for i, block in enumerate(self.gpt.blocks):
            q, k, v = block.qkv(block.ln1(x)).view(1, 3, 6, 1, 64).unbind(1)
            x = x + block.out(attend(i, q, k, v).reshape(1, 384))
            x = x + block.mlp(x)
        return self.gpt.logits(x).argmax(-1)

    def eager(self, token, i):
        """Reads the cache up to the position."""
        def attend(layer, q, k, v):
            self.k[layer, :, :, i:i + 1], self.v[layer, :, :, i:i + 1] = k, v
            return F.scaled_dot_product_attention(q, self.k[layer, :, :, : i + 1], self.v[layer, :, :, : i + 1])
        return self.next_token(token, i, attend)

    def static(self, token, position):
        """Static shapes for torch.compile: the position is a tensor, a mask covers the whole cache."""
        mask = (torch.arange(256) <= position).view(1, 1, 1, 256)

        def attend(layer, q, k, v):
            self.k[layer].index_copy_(2, position, k)
            self.v[layer].index_copy_(2, position, v)
            return F.scaled_dot_product_attention(q, self.k[layer], self.v[layer], attn_mask=mask)
        return self.next_token(token, position, attend)


def decode(mode):
    decoder = Decoder()
    compiled = in_mode("compile", decoder.static)

    @torch.no_grad()
    def generate():
        token, total = torch.tensor([1]), 0
        for i in range(128):
            token = compiled(token, torch.tensor([i])).clone() if mode == "compile" else decoder.eager(token, i)
            total += int(token) * (i + 1)
        return total
    return repeat(generate, float)


# Single operations.
def single(mode, operands, f, of=check):
    v, g = operands(), in_mode(mode, f)

    @torch.no_grad()
    def step():
        return g(*v)
    return repeat(step, of)


def cross_entropy_gradient(mode):
    x, y = inputs.cross_entropy_operands()
    x, y = tensor(x).requires_grad_(), integers(y)
    f = in_mode(mode, lambda: F.cross_entropy(x, y))
    return repeat(lambda: torch.autograd.grad(f(), x)[0], check)


def embedding():
    table, index, gradient = inputs.embedding_operands()
    return tensor(table), integers(index), tensor(gradient)


def adamw_update(mode):
    """Eager is the fused kernel, which torch.compile cannot look into: it gets the plain one."""
    param, gradient = inputs.adamw_operands()
    param = parameter(param)
    param.grad = tensor(gradient)
    optimizer = torch.optim.AdamW([param], lr=1e-3, weight_decay=1e-2, fused=mode == "eager")
    step = in_mode(mode, optimizer.step)

    def update():
        step()
        return param
    return repeat(update, check, gate=2)


def add_kernels(mode):
    def add(group, work, shape, f, of=check):
        case(group, work, mode)(lambda: single(mode, lambda: (tensor(inputs.numbers(*shape)),), f, of))

    for size, tag in ((inputs.SMALL, "256k"), (inputs.LARGE, "16m")):
        add("elementwise", "exp_" + tag, (size,), torch.exp)
        add("elementwise", "tanh_" + tag, (size,), torch.tanh)
        add("elementwise", "gelu_" + tag, (size,), lambda x: F.gelu(x, approximate="tanh"))
        case("elementwise", "chain_" + tag, mode)(lambda size=size: single(
            mode, lambda: (tensor(inputs.numbers(size)), tensor(inputs.uniform(5001, (size,), 1))),
            lambda x, y: torch.tanh(x * 2 + 1) * y))
        add("elementwise", "sum_" + tag, (size,), torch.sum)
    case("rows", "layer_norm_1024x768", mode)(lambda: single(
        mode, lambda: tuple(map(tensor, inputs.layer_norm_operands())), lambda x, s, b: F.layer_norm(x, (768,), s, b, 1e-5)))
    add("rows", "softmax_1024x768", (1024, 768), lambda x: torch.softmax(x, -1), mean_square)
    add("rows", "softmax_256x50304", (256, 50304), lambda x: torch.softmax(x, -1), mean_square)
    case("rows", "xent_grad_256x50304", mode)(lambda: cross_entropy_gradient(mode))
    add("memory", "transpose_2048", (2048, 2048), lambda x: x.t().contiguous())
    add("memory", "cumsum_256k", (inputs.SMALL,), lambda x: torch.cumsum(x, 0))
    add("memory", "cumsum_4096x4096", (4096, 4096), lambda x: torch.cumsum(x, 1))
    add("memory", "sort_1m", (1048576,), lambda x: torch.sort(x)[0], lambda x: float(x[1000]) + float(x[1000000]))
    case("memory", "embed_50304x768_fwd", mode)(
        lambda: single(mode, embedding, lambda table, index, g: F.embedding(index, table)))
    case("memory", "embed_50304x768_bwd", mode)(lambda: single(
        mode, embedding, lambda table, index, g: torch.ops.aten.embedding_dense_backward(g, index, 50304, -1, False)))
    add("memory", "dropout_4m", (4194304,), lambda x: F.dropout(x, 0.1), dropped)
    case("memory", "adamw_16m", mode)(lambda: adamw_update(mode))
    case("decode", "decode384_128tok", mode)(lambda: decode(mode))


for each in MODES:
    add_kernels(each)

if __name__ == "__main__":
    main()
