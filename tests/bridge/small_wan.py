"""Models of the published layout at sizes that a test can afford, with random weights."""

import torch

# to be followed by a table [dit], whose text_dim is 64
SMALL = """
extends = "wan-1.3b"
width = 64
height = 48
[codec]
widths = [8, 16, 32, 32]
[text]
layers = 1
dim = 64
heads = 4
ffn = 64
vocab = 64
"""


def random_weights(shapes):
    """Norms that do nothing, and layers that keep the size of what they are given."""
    draw = torch.Generator().manual_seed(0)
    for key, shape in shapes.items():
        fan_in = max(1, torch.Size(shape[1:]).numel())
        norm = "norm" in key or "gamma" in key
        value = torch.ones(shape) if norm else torch.randn(shape, generator=draw) * 0.5 / fan_in**0.5
        yield key, value.to(torch.bfloat16)
