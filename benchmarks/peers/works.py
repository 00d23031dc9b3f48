"""The works of the table: labels, groups, how far checks may differ, and floors."""

import math

# Sides that have the works of a group are alive together, so a group must fit into memory.
GROUPS = ("small+mlp+cnn", "gpt_small+decode+lstm", "elementwise+rows", "memory", "block", "gpt_large",
          "resnet_small+resnet_large")

LABELS = {
    "add8": "add of 8 floats, eager",
    "tanh10_grad_eager": "10 × tanh of 8, sum, backward, eager",
    "tanh10_grad_jit": "10 × tanh of 8, sum, backward, jitted",
    "jit_args_20": "jitted call, 20 argument leaves",
    "jit_args_100": "jitted call, 100 argument leaves",
    "jit_update_100": "jitted update of 100 leaves of 8",
    "mlp64_sgd": "MLP, batch 64, SGD with momentum",
    "mlp64_adamw": "MLP, batch 64, AdamW",
    "mlp1024_sgd": "MLP, batch 1024, SGD with momentum",
    "mlp1024_adamw": "MLP, batch 1024, AdamW",
    "mlp1024_adamw_bf16": "MLP, batch 1024, AdamW, bf16 compute",
    "cnn64_sgd": "CNN 32-64-fc128, batch 64, SGD",
    "demo_cnn64": "Linnet's demo model, batch 64, AdamW and clipping",
    "nanogpt": "nanoGPT 4×128, context 64, batch 12, AdamW",
    "gpt384": "GPT 6×384, context 256, batch 8, AdamW",
    "gpt2_block": "GPT-2 block at 1024, forward and backward",
    "gpt2_block_bf16": "GPT-2 block at 1024, forward and backward, bf16 compute",
    "resnet18_cifar": "ResNet-18, 32×32, batch 32, SGD",
    "resnet18_224": "ResNet-18, 224×224, batch 8, SGD",
    "lstm_64x32x256": "LSTM, 64 steps, batch 32, 256 wide, forward and backward",
    "decode384_128tok": "decode 128 tokens, GPT 6×384, cache",
    "exp_256k": "exp of 256k", "exp_16m": "exp of 16M", "tanh_256k": "tanh of 256k", "tanh_16m": "tanh of 16M",
    "gelu_256k": "gelu of 256k", "gelu_16m": "gelu of 16M",
    "chain_256k": "tanh(2x + 1) y of 256k", "chain_16m": "tanh(2x + 1) y of 16M",
    "sum_256k": "sum of 256k", "sum_16m": "sum of 16M",
    "layer_norm_1024x768": "layer norm 1024×768",
    "softmax_1024x768": "softmax 1024×768", "softmax_256x50304": "softmax 256×50304",
    "xent_grad_256x50304": "gradient of cross entropy 256×50304",
    "transpose_2048": "transpose 2048²", "cumsum_256k": "cumsum of 256k", "cumsum_4096x4096": "cumsum of 4096² rows",
    "sort_1m": "sort of 1M",
    "embed_50304x768_fwd": "embedding of 8192 in 50304×768", "embed_50304x768_bwd": "its gradient, dense",
    "dropout_4m": "dropout of 4M", "adamw_16m": "AdamW update of 16.8M",
}

NOTES = {
    "add8": "MLX: by node of 200 evaluated together",
    "demo_cnn64": "dropout draws differ; compared at rate 0",
    "decode384_128tok": "time of all 128; each side's better of a call per token and one loop",
    "dropout_4m": "random numbers included: threefry, in torch mt19937 or philox",
    "lstm_64x32x256": "each side's better of its layer and a scan",
}

# Relative, where not 1e-3: bf16; random numbers; and the first steps of AdamW, which nearly follow the signs of
# gradients, after normalisation and clipping.
TOLERANCE = {"mlp1024_adamw_bf16": 2e-2, "gpt2_block_bf16": 2e-2, "dropout_4m": 1e-2, "demo_cnn64": 5e-3}
DEFAULT_TOLERANCE = 1e-3


def middle(values):
    """The median; of an even number the lower of the middle two, so that it is one of them."""
    return sorted(values)[(len(values) - 1) // 2]


def agrees(work, value, reference):
    return math.isclose(value, reference, rel_tol=TOLERANCE.get(work, DEFAULT_TOLERANCE), abs_tol=1e-12)


def _mlp_flops(batch):
    return 2 * batch * (2 * 784 * 256 + 3 * (256 * 128 + 128 * 10))


def _cnn_flops():
    first, second = 28 * 28 * 32 * 9, 14 * 14 * 64 * 288
    return 2 * 64 * (2 * first + 3 * second + 3 * (3136 * 128 + 1280))


def _resnet_flops(large):
    batch, size = (8, 112) if large else (32, 32)
    total = 2 * 2 * batch * size * size * (49 if large else 9) * 3 * 64  # no gradient of the image
    if large:
        size //= 2
    channels = 64
    for width in (64, 128, 256, 512):
        for j in range(2):
            if j == 0 and width != 64:
                size //= 2
            shortcut = channels * width if channels != width else 0
            total += 3 * 2 * batch * size * size * (9 * (channels * width + width * width) + shortcut)
            channels = width
    return total + 3 * 2 * batch * 512 * (1000 if large else 10)


def _gpt_flops(batch, context, width, layers, vocabulary):
    tokens = batch * context
    products = 2 * tokens * (12 * width * width * layers + width * vocabulary)
    return 3 * (products + layers * 2 * batch * context * context * width)  # causal: half the square


_K, _M = 262144, 16777216

# Of each work: the rate that bounds it, a key of the peaks, and the operations or bytes of that kind.
# "dram" is the better of plain and streaming copies. Convolutions count as direct ones.
FLOORS = {
    "mlp64_sgd": ("f32", _mlp_flops(64)), "mlp64_adamw": ("f32", _mlp_flops(64)),
    "mlp1024_sgd": ("f32", _mlp_flops(1024)), "mlp1024_adamw": ("f32", _mlp_flops(1024)),
    "mlp1024_adamw_bf16": ("bf16", _mlp_flops(1024)),
    "cnn64_sgd": ("f32", _cnn_flops()), "demo_cnn64": ("f32", _cnn_flops()),
    "nanogpt": ("f32", _gpt_flops(12, 64, 128, 4, 65)), "gpt384": ("f32", _gpt_flops(8, 256, 384, 6, 65)),
    "gpt2_block": ("f32", _gpt_flops(1, 1024, 768, 1, 0)), "gpt2_block_bf16": ("bf16", _gpt_flops(1, 1024, 768, 1, 0)),
    "resnet18_cifar": ("f32", _resnet_flops(False)), "resnet18_224": ("f32", _resnet_flops(True)),
    # Without a gradient of the inputs: products with them twice, with the state three times.
    "lstm_64x32x256": ("f32", 2 * 64 * 32 * 256 * 1024 * 5),
    "decode384_128tok": ("read", 128 * 4 * 12 * 384**2 * 6),
    "softmax_1024x768": ("cache", 8 * 1024 * 768), "layer_norm_1024x768": ("cache", 8 * 1024 * 768),
    "softmax_256x50304": ("dram", 8 * 256 * 50304), "xent_grad_256x50304": ("dram", 8 * 256 * 50304),
    "transpose_2048": ("dram", 8 * 2048**2), "cumsum_256k": ("cache", 8 * _K), "cumsum_4096x4096": ("dram", 8 * _M),
    "embed_50304x768_fwd": ("dram", 8 * 8192 * 768), "embed_50304x768_bwd": ("dram", 4 * (50304 + 8192) * 768),
    "dropout_4m": ("dram", 8 * 4194304), "adamw_16m": ("dram", 28 * _M),
    "sum_256k": ("cache", 4 * _K), "sum_16m": ("read", 4 * _M),
}
for _name, _bytes in (("exp", 8), ("tanh", 8), ("gelu", 8), ("chain", 12)):
    FLOORS[_name + "_256k"], FLOORS[_name + "_16m"] = ("cache", _bytes * _K), ("dram", _bytes * _M)


def floor_ns(work, peak):
    """The least time of a work on a machine with these peaks, and what bounds it; None if unknown."""
    kind, amount = FLOORS.get(work, (None, 0))
    rates = {"f32": peak["f32_gfs"], "bf16": peak["bf16_gfs"], "read": peak["read_gbs"], "cache": peak["cache_gbs"],
             "dram": max(peak["copy_gbs"], peak["streaming_gbs"])}
    rate = rates.get(kind)
    return (amount / rate, kind) if rate else None
