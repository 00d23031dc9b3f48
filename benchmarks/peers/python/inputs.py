"""Numbers that all sides agree on without sharing a library: weights, images, tokens and labels."""

import math

import numpy as np


def uniform(seed, shape, bound):
    """Uniform in [-bound, bound) from splitmix64, as workload::uniform of benchmarks/support/inputs.h."""
    shape = tuple(shape)
    count = math.prod(shape)
    with np.errstate(over="ignore"):
        z = np.uint64(seed << 32) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    unit = (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    return (unit * np.float32(bound)).reshape(shape)


def he_uniform(seed, shape, fan):
    return uniform(seed, shape, np.sqrt(np.float32(6) / np.float32(fan)))


def zeros(count):
    return np.zeros(count, np.float32)


def ones(count):
    return np.ones(count, np.float32)


def norm_params(width):
    """Of a batch norm, with the statistics that it keeps beside."""
    return {"scale": ones(width), "bias": zeros(width)}


def norm_state(width):
    return {"mean": zeros(width), "variance": ones(width)}


def labels(count, step=7, classes=10):
    return (np.arange(count, dtype=np.int64) * step % classes).astype(np.int32)


def tokens(shape, vocabulary, offset=0):
    i = np.arange(math.prod(shape), dtype=np.int64) + offset
    return (i * 7919 % 6007 % vocabulary).astype(np.int32).reshape(shape)


def eight():
    return np.arange(1, 9, dtype=np.float32)


def tenths():
    return np.arange(1, 9, dtype=np.float32) / 10


# Single operations.
SMALL, LARGE = 262144, 16777216


def numbers(*shape):
    return uniform(5000, shape, 3)


def layer_norm_operands():
    return numbers(1024, 768), uniform(5001, (768,), 1), uniform(5002, (768,), 1)


def cross_entropy_operands():
    return numbers(256, 50304), labels(256, 197, 50304)


def embedding_operands():
    """Table, indices, and the gradient of what is looked up."""
    i = np.arange(8192, dtype=np.int64)
    index = (i * 7919 % 6007 * 8 % 50304).astype(np.int32)
    return uniform(5000, (50304, 768), 1), index, uniform(5001, (8192, 768), 1)


def adamw_operands():
    return uniform(5000, (LARGE,), 1), uniform(5001, (LARGE,), 1)


# Networks. Weights are [in, out], kernels [height, width, in, out].
MLP_SIZES = (784, 256, 128, 10)
DROPOUT_RATE = 0.4


def mlp_weights():
    return [(he_uniform(i + 1, MLP_SIZES[i:i + 2], MLP_SIZES[i]), zeros(MLP_SIZES[i + 1])) for i in range(3)]


def mlp_batch(size):
    return uniform(99, (size, 784), 1), labels(size)


def cnn_weights(seed=11):
    return {"c1": he_uniform(seed, (3, 3, 1, 32), 9), "c2": he_uniform(seed + 1, (3, 3, 32, 64), 288),
            "d": he_uniform(seed + 2, (3136, 128), 3136), "h": he_uniform(seed + 3, (128, 10), 128)}


def cnn_batch():
    return uniform(98, (64, 28, 28, 1), 1), labels(64)


def demo_weights():
    return cnn_weights(21)


def demo_batch():
    return (uniform(98, (64, 28, 28, 1), 127.5) + np.float32(127.5)).astype(np.uint8), labels(64)


def resnet_blocks():
    """(in, out, stride, whether the shortcut is a convolution) of each block of ResNet-18."""
    blocks, channels = [], 64
    for width in (64, 128, 256, 512):
        for j in range(2):
            stride = 2 if j == 0 and width != 64 else 1
            blocks.append((channels, width, stride, channels != width or stride != 1))
            channels = width
    return blocks


def resnet_weights(large):
    """Stem, then of each block c1, c2 and perhaps cs, and the head [512, classes]."""
    size = 7 if large else 3
    out = {"stem": he_uniform(3000, (size, size, 3, 64), size * size * 3), "blocks": [],
           "head": he_uniform(2999, (512, 1000 if large else 10), 512)}
    seed = 3001
    for channels, width, _, shortcut in resnet_blocks():
        block = {"c1": he_uniform(seed, (3, 3, channels, width), 9 * channels),
                 "c2": he_uniform(seed + 1, (3, 3, width, width), 9 * width)}
        seed += 2
        if shortcut:
            block["cs"] = he_uniform(seed, (1, 1, channels, width), channels)
            seed += 1
        out["blocks"].append(block)
    return out


def resnet_batch(large):
    size, pixels = (8, 224) if large else (32, 32)
    return uniform(97, (size, pixels, pixels, 3), 1), labels(size)


def block_weights(width, layers, seed):
    wide, narrow = 0.035, 0.035 / math.sqrt(2.0 * layers)
    return {"g1": ones(width), "b1": zeros(width),
            "wqkv": uniform(seed, (width, 3 * width), wide), "bqkv": zeros(3 * width),
            "wo": uniform(seed + 1, (width, width), narrow), "bo": zeros(width),
            "g2": ones(width), "b2": zeros(width),
            "w1": uniform(seed + 2, (width, 4 * width), wide), "c1": zeros(4 * width),
            "w2": uniform(seed + 3, (4 * width, width), narrow), "c2": zeros(width)}


VOCABULARY = 65
# Steps until the losses are compared: gate.
GPT_SMALL = {"context": 64, "width": 128, "heads": 4, "layers": 4, "batch": 12, "gate": 5}
GPT_LARGE = {"context": 256, "width": 384, "heads": 6, "layers": 6, "batch": 8, "gate": 2}


def gpt_weights(context, width, layers):
    return {"wte": uniform(1000, (VOCABULARY, width), 0.035), "wpe": uniform(1001, (context, width), 0.035),
            "blocks": [block_weights(width, layers, 1002 + 4 * i) for i in range(layers)],
            "g": ones(width), "b": zeros(width)}


def gpt_batch(batch, context):
    shape = (batch, context)
    return tokens(shape, VOCABULARY), tokens(shape, VOCABULARY, 1)


def gpt2_block_operands():
    return block_weights(768, 1, 2000), uniform(2099, (1, 1024, 768), 1)


def decoder_weights():
    """Scaled so that the tokens vary."""
    weights = gpt_weights(256, 384, 6)
    for block in weights["blocks"]:
        block["wo"], block["w2"] = block["wo"] * np.float32(8), block["w2"] * np.float32(8)
    weights["wpe"] = weights["wpe"] * np.float32(40)
    return weights


LSTM_TIME, LSTM_BATCH, LSTM_SIZE = 64, 32, 256


def lstm_operands():
    """Kernel, recurrent kernel and bias of the gates i, f, g, o side by side; x [time, batch, in]."""
    gates = 4 * LSTM_SIZE
    return (uniform(4000, (LSTM_SIZE, gates), 0.0625), uniform(4001, (LSTM_SIZE, gates), 0.0625),
            uniform(4002, (gates,), 0.0625), uniform(4003, (LSTM_TIME, LSTM_BATCH, LSTM_SIZE), 1))
