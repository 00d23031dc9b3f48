"""Weights of PyTorch under the names of well-known models, and what PyTorch computes with them.

Two files hold nothing but weights, as a user has them; `torch` holds inputs and outputs. Needs
PyTorch (any version), which nothing else here does.
"""

import numpy as np

from golden_file import GoldenFile

WORDS, LENGTH, WIDTH, HEADS, LAYERS = 17, 8, 8, 2, 2
STAGES = ((4, 2), (6, 1), (8, 1), (10, 1))  # channels and blocks of layer1 … layer4


def image(count, size):
  """The same numbers in every language: no file has to hold them."""
  flat = np.arange(count * 3 * size * size, dtype=np.int64) * 7919 % 1000
  return (flat.astype(np.float32) / 1000 - 0.5).reshape(count, 3, size, size)


def _numpy(tensor):
  # not tensor.numpy(): PyTorch may have been built for another major version of numpy
  dtype = {"torch.float32": np.float32, "torch.int64": np.int64, "torch.bool": np.bool_}
  return np.array(tensor.detach().tolist(), dtype[str(tensor.dtype)])


def _weights_file(name, note, weights):
  g = GoldenFile(name)
  g.case("weights", note)
  for key, value in weights.items():
    g.put(key, _numpy(value))
  return g


def _gpt2_weights(torch):
  """Names and shapes of GPT2Model of the transformers package, with its buffers; c_attn, c_proj
  and c_fc are of its Conv1D class, [in, out]."""
  normal = lambda *shape: torch.randn(*shape) * 0.4
  w = {"wte.weight": normal(WORDS, WIDTH), "wpe.weight": normal(LENGTH, WIDTH)}
  for n in range(LAYERS):
    for norm in ("ln_1", "ln_2"):
      w[f"h.{n}.{norm}.weight"] = 1 + normal(WIDTH)
      w[f"h.{n}.{norm}.bias"] = normal(WIDTH)
    w[f"h.{n}.attn.bias"] = torch.ones(LENGTH, LENGTH).tril().bool().view(1, 1, LENGTH, LENGTH)
    w[f"h.{n}.attn.masked_bias"] = torch.tensor(-1e4)
    for layer, rows, columns in (("attn.c_attn", WIDTH, 3 * WIDTH), ("attn.c_proj", WIDTH, WIDTH),
                                 ("mlp.c_fc", WIDTH, 4 * WIDTH), ("mlp.c_proj", 4 * WIDTH, WIDTH)):
      w[f"h.{n}.{layer}.weight"] = normal(rows, columns)
      w[f"h.{n}.{layer}.bias"] = normal(columns)
  w["ln_f.weight"] = 1 + normal(WIDTH)
  w["ln_f.bias"] = normal(WIDTH)
  return w


def _gpt2(torch, w, tokens):
  f = torch.nn.functional
  norm = lambda x, name: f.layer_norm(x, (WIDTH,), w[name + ".weight"], w[name + ".bias"], 1e-5)
  conv1d = lambda x, name: x @ w[name + ".weight"] + w[name + ".bias"]
  batch, length = tokens.shape
  heads = lambda x: x.view(batch, length, HEADS, WIDTH // HEADS).transpose(1, 2)
  x = w["wte.weight"][tokens] + w["wpe.weight"][:length]
  for n in range(LAYERS):
    q, k, v = (heads(t) for t in
               conv1d(norm(x, f"h.{n}.ln_1"), f"h.{n}.attn.c_attn").split(WIDTH, dim=2))
    scores = q @ k.transpose(2, 3) / (WIDTH // HEADS) ** 0.5
    seen = w[f"h.{n}.attn.bias"][0, 0, :length, :length]
    scores = scores.masked_fill(~seen, float("-inf"))
    mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, WIDTH)
    x = x + conv1d(mixed, f"h.{n}.attn.c_proj")
    hidden = f.gelu(conv1d(norm(x, f"h.{n}.ln_2"), f"h.{n}.mlp.c_fc"), approximate="tanh")
    x = x + conv1d(hidden, f"h.{n}.mlp.c_proj")
  return norm(x, "ln_f") @ w["wte.weight"].T


def _resnet(torch):
  """A residual network of basic blocks with torchvision's names."""
  nn = torch.nn

  class Block(nn.Module):
    def __init__(self, inside, out, stride):
      super().__init__()
      self.conv1 = nn.Conv2d(inside, out, 3, stride, 1, bias=False)
      self.bn1 = nn.BatchNorm2d(out)
      self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
      self.bn2 = nn.BatchNorm2d(out)
      self.downsample = None
      if stride != 1 or inside != out:
        self.downsample = nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False),
                                        nn.BatchNorm2d(out))

    def forward(self, x):
      y = torch.relu(self.bn1(self.conv1(x)))
      y = self.bn2(self.conv2(y))
      return torch.relu(y + (x if self.downsample is None else self.downsample(x)))

  class ResNet(nn.Module):
    def __init__(self):
      super().__init__()
      inside = STAGES[0][0]
      self.conv1 = nn.Conv2d(3, inside, 7, 2, 3, bias=False)
      self.bn1 = nn.BatchNorm2d(inside)
      self.maxpool = nn.MaxPool2d(3, 2, 1)
      for stage, (out, count) in enumerate(STAGES):
        blocks = []
        for b in range(count):
          blocks.append(Block(inside, out, 2 if stage and b == 0 else 1))
          inside = out
        setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
      self.fc = nn.Linear(inside, 5)

    def forward(self, x):
      x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
      for stage in range(len(STAGES)):
        x = getattr(self, f"layer{stage + 1}")(x)
      return self.fc(x.mean((2, 3)))

  model = ResNet()
  for name, value in model.state_dict().items():
    if name.endswith("running_var"):
      value.uniform_(0.5, 2)
    elif name.endswith("running_mean") or "bn" in name or "downsample.1" in name:
      if value.is_floating_point():
        value.copy_(torch.randn(value.shape) * 0.3 + (1.0 if name.endswith("weight") else 0.0))
  return model.eval()


def make_all():
  import torch  # here, so that the other files can be made without it
  torch.manual_seed(0)
  gpt2 = _gpt2_weights(torch)
  tokens = torch.randint(0, WORDS, (2, 6))
  resnet = _resnet(torch)
  g = GoldenFile("torch")
  g.case("gpt2", f"PyTorch {torch.__version__}: {LAYERS} layers, {HEADS} heads, tied head, tanh-approximated gelu; weights in "
         "torch_gpt2.safetensors", tokens=_numpy(tokens).astype(np.int32),
         logits=_numpy(_gpt2(torch, gpt2, tokens)))
  with torch.no_grad():
    out = resnet(torch.tensor(image(2, 32).tolist()))
  g.case("resnet", "basic blocks, evaluation mode, input (7919 i mod 1000) / 1000 - 0.5 as "
         "[2,3,32,32]; weights in torch_resnet.safetensors", logits=_numpy(out))
  return {
      "torch": g,
      "torch_gpt2": _weights_file("torch_gpt2", "names of GPT2Model of transformers", gpt2),
      "torch_resnet": _weights_file("torch_resnet", "names of torchvision's resnet",
                                    resnet.state_dict()),
  }
