"""The causal diffusion transformer, weight-compatible with Wan 2.1: same layers, same key names, any size.

Modules hold weights only. Attention's cache is passed in as a `Memory`, the prompt as a `Context`. Every shape in a
step is fixed and nothing here waits for the device, so that a step can be captured as a CUDA graph.

Source: Wan 2.1 wan/modules/model.py; causal cache after StreamDiffusionV2 c5a0f20, models/wan/causal_model.py.
"""

from __future__ import annotations

from typing import Protocol

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.interfaces import Context, Memory
from engine.models.norms import RMSNorm, plain_norm
from engine.models.prompt_padding import attend_weighted, kept_length, padding_scores, unpadded_length
from engine.models.rope import rotate, rotation
from engine.preset import DitSpec


class Kernel(Protocol):
    """Attention: q [B, N, L, D], k and v [B, N, K, D] -> [B, N, L, D]; `attn_mask` is bool, True where it may look."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, *, attn_mask: Tensor | None) -> Tensor: ...


def sdpa(q: Tensor, k: Tensor, v: Tensor, *, attn_mask: Tensor | None) -> Tensor:
    """torch's own scaled dot product attention, by the kernel that it picks."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)


class Attention(nn.Module):
    """The projections that self- and cross-attention share: L tokens of C -> N heads of D and back.

    kernel: computes attention as torch's own does; engine.accel.attention may choose another.
    """

    kernel: Kernel

    def __init__(self, spec: DitSpec) -> None:
        super().__init__()
        self.heads, self.kernel = spec.heads, sdpa
        self.q, self.k, self.v, self.o = (nn.Linear(spec.dim, spec.dim) for _ in range(4))
        self.norm_q, self.norm_k = RMSNorm(spec.dim, spec.eps), RMSNorm(spec.dim, spec.eps)

    def query(self, x: Tensor) -> Tensor:
        return self._split(self.norm_q(self.q(x)))

    def key_value(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._split(self.norm_k(self.k(x))), self._split(self.v(x))

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """query [B, L, N, D], keys and values [B, N, K, D] -> what is seen, [B, L, C], before `o`."""
        return self.kernel(query.transpose(1, 2), keys, values, attn_mask=mask).transpose(1, 2).flatten(2)

    def text_key_value(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """A prompt's tokens [B, K, C] -> keys and values as `attend` wants them."""
        key, value = (part.transpose(1, 2).contiguous() for part in self.key_value(text))
        return key, value

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.heads, -1)


class Block(nn.Module):
    """Self-attention over the window, cross-attention to the prompt, feed-forward; first and last modulated by t."""

    def __init__(self, spec: DitSpec, layer: int) -> None:
        super().__init__()
        self.layer, self.eps = layer, spec.eps
        self.self_attn, self.cross_attn = Attention(spec), Attention(spec)
        self.norm3 = nn.LayerNorm(spec.dim, eps=spec.eps)
        self.ffn = nn.Sequential(
            nn.Linear(spec.dim, spec.ffn), nn.GELU(approximate="tanh"), nn.Linear(spec.ffn, spec.dim)
        )
        self.modulation = nn.Parameter(nn.init.normal_(torch.empty(1, 6, spec.dim), std=spec.dim**-0.5))

    def forward(self, x: Tensor, time: Tensor, view: View, text: tuple[Tensor, ...]) -> Tensor:
        """x [B, T, n, C], time [B, T, 6, C] -> x."""
        return self.finish(x, self._attend_window(*self.project(x, time), view), time, *text)

    def project(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value of self-attention, [B, T*n, N, D]. Tensors in, tensors out: it can be compiled."""
        shift, scale = self._modulation(time)[:2]
        tokens = torch.addcmul(shift, plain_norm(x, self.eps), 1 + scale).flatten(1, 2)
        return self.self_attn.query(tokens), *self.self_attn.key_value(tokens)

    def finish(self, x: Tensor, seen: Tensor, time: Tensor, *text: Tensor) -> Tensor:
        """What was seen [B, T*n, C] is added, then the prompt's part, then the feed-forward's. It can be compiled."""
        _, _, gate, shift, scale, last_gate = self._modulation(time)
        x = torch.addcmul(x, gate, self.self_attn.o(seen).view_as(x))
        x = x + self.cross_attn.o(self._attend_prompt(x, *text)).view_as(x)
        return torch.addcmul(x, last_gate, self.ffn(torch.addcmul(shift, plain_norm(x, self.eps), 1 + scale)))

    def _modulation(self, time: Tensor) -> tuple[Tensor, ...]:
        """shift, scale and gate of self-attention, then of the feed-forward, [B, T, 1, C] each."""
        return (self.modulation + time).unsqueeze(3).unbind(2)

    def _attend_window(self, query: Tensor, key: Tensor, value: Tensor, view: View) -> Tensor:
        keys, values = view.memory.extend(self.layer, key, value, view.turn)
        return self.self_attn.attend(view.turn(query), keys, values, view.memory.mask)

    def _attend_prompt(self, x: Tensor, keys: Tensor, values: Tensor, extra: Tensor | None = None) -> Tensor:
        """Cross-attention of x [B, T, n, C] to the prompt. With one prompt for all rows, they are joined into one."""
        query = self.cross_attn.query(self.norm3(x).view(len(keys), -1, x.shape[-1]))
        if extra is None:
            return self.cross_attn.attend(query, keys, values)
        return attend_weighted(query, keys, values, extra)


class Head(nn.Module):
    """Tokens -> flow, modulated by the time embedding itself."""

    def __init__(self, spec: DitSpec) -> None:
        super().__init__()
        self.eps = spec.eps
        self.head = nn.Linear(spec.dim, spec.channels * spec.patch**2)
        self.modulation = nn.Parameter(nn.init.normal_(torch.empty(1, 2, spec.dim), std=spec.dim**-0.5))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x [B, T, n, C], time [B, T, C] -> [B, T, n, patch*patch*channels], channel fastest."""
        shift, scale = (self.modulation + time[:, :, None]).unsqueeze(3).unbind(2)
        out: Tensor = self.head(plain_norm(x, self.eps) * (1 + scale) + shift)
        return out


class View:
    """The memory of one call, and the rotation of its queries and keys: computed once for all layers."""

    def __init__(self, memory: Memory, grid: tuple[int, int], head_size: int) -> None:
        self.memory = memory
        self._turns = rotation(memory.positions, grid, head_size)

    def turn(self, heads: Tensor) -> Tensor:
        """Queries or keys of this call, [B, T*n, N, D], rotated by their positions in stream and frame."""
        return rotate(heads, self._turns)


class CausalDiT(nn.Module):
    """Predicts the flow of T latent frames from their past, their timesteps and a prompt. Implements `Denoiser`.

    layers: which of the transformer's blocks it has; all unless given. A part is a model like the whole, with the
            whole's names of weights: the one with the first block takes latents, every other one the tokens that the
            part before it returned; the one with the last block returns the flow. Each reads timesteps and prompt
            itself, so that tokens are all that goes from one to the next.

    Raises ValueError for layers that are not a part of it.
    """

    def __init__(self, spec: DitSpec, layers: range | None = None) -> None:
        super().__init__()
        self.layers = range(spec.layers) if layers is None else layers
        if not (self.layers and self.layers.step == 1 and self.layers[0] >= 0 and self.layers[-1] < spec.layers):
            raise ValueError(f"{self.layers} is no part of {spec.layers} blocks")
        self.spec, self.min_tokens = spec, 0  # prompts are read at this length or more; a compiler needs one length
        patch = (1, spec.patch, spec.patch)
        if self.begins:
            self.patch_embedding = nn.Conv3d(spec.channels, spec.dim, kernel_size=patch, stride=patch)
        self.text_embedding = nn.Sequential(
            nn.Linear(spec.text_dim, spec.dim), nn.GELU(approximate="tanh"), nn.Linear(spec.dim, spec.dim)
        )
        self.time_embedding = nn.Sequential(
            nn.Linear(spec.freq_dim, spec.dim), nn.SiLU(), nn.Linear(spec.dim, spec.dim)
        )
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(spec.dim, 6 * spec.dim))
        self.blocks = nn.ModuleList()
        for layer in self.layers:
            self.blocks.add_module(str(layer), Block(spec, layer))  # by its number in the whole
        if self.ends:
            self.head = Head(spec)

    @property
    def begins(self) -> bool:
        """Whether it has the first block, and so takes latents."""
        return self.layers[0] == 0

    @property
    def ends(self) -> bool:
        """Whether it has the last block, and so returns the flow."""
        return self.layers[-1] == self.spec.layers - 1

    @property
    def like(self) -> Tensor:
        """A weight that every part has, for its dtype and device."""
        weight: Tensor = self.time_projection[1].weight  # type: ignore[assignment]
        return weight

    def context(self, embedding: Tensor, min_tokens: int = 0) -> Context:
        """[1 or B, L, text_dim] -> per layer, keys and values [1 or B, N, K, D], and what is added to scores [K] where
        K < L. Run once per prompt, not per step.
        """
        embedding = embedding.to(self.like.dtype)
        length, tokens = embedding.shape[1], unpadded_length(embedding)
        kept = kept_length(tokens, length, max(min_tokens, self.min_tokens))
        text = self.text_embedding(embedding[:, :kept])
        extra = () if kept == length else (padding_scores(tokens, kept, length, embedding.device),)
        return [(*block.cross_attn.text_key_value(text), *extra) for block in self.blocks]  # type: ignore[union-attr, operator]

    def forward(self, x: Tensor, timesteps: Tensor, memory: Memory, context: Context) -> Tensor:
        """Latents [B, T, C, h, w] -> flow [B, T, C, h, w]; between parts, tokens [B, T, h/patch, w/patch, dim].

        timesteps: [B, T] in 0..1000.   memory, context: of this part's blocks.
        """
        time = self.time_embedding(self._sinusoid(timesteps).to(x.dtype))  # [B, T, C]
        tokens = self.run(self.embed(x) if self.begins else x, time, memory, context)
        return self.flow(tokens, time) if self.ends else tokens

    def embed(self, latents: Tensor) -> Tensor:
        """Latents [B, T, C, h, w] -> tokens [B, T, h/patch, w/patch, dim]."""
        side = self.spec.patch
        patches = rearrange(latents, "b t c (h p) (w q) -> b t h w (c p q)", p=side, q=side)
        return F.linear(patches, self.patch_embedding.weight.flatten(1), self.patch_embedding.bias)

    def run(self, tokens: Tensor, time: Tensor, memory: Memory, context: Context) -> Tensor:
        """Tokens through the blocks: the same shape. time: [B, T, C]."""
        grid = tokens.shape[2], tokens.shape[3]
        view = View(memory, grid, self.spec.dim // self.spec.heads)
        modulation = self.time_projection(time).unflatten(-1, (6, -1))
        x = tokens.flatten(2, 3)
        for block, text in zip(self.blocks, context, strict=True):
            x = block(x, modulation, view, text)
        return x.view_as(tokens)

    def flow(self, tokens: Tensor, time: Tensor) -> Tensor:
        """Tokens -> flow [B, T, C, h, w]."""
        side, height = self.spec.patch, tokens.shape[2]
        patches = self.head(tokens.flatten(2, 3), time)
        out: Tensor = rearrange(patches, "b t (h w) (p q c) -> b t c (h p) (w q)", h=height, p=side, q=side)
        return out

    def _sinusoid(self, timesteps: Tensor) -> Tensor:
        """[B, T] -> [B, T, freq_dim], cosines first."""
        half = self.spec.freq_dim // 2
        high = torch.float32 if timesteps.device.type == "mps" else torch.float64
        rates = torch.pow(10000.0, -torch.arange(half, device=timesteps.device, dtype=high) / half)
        angles = timesteps.to(high)[..., None] * rates
        return torch.cat([angles.cos(), angles.sin()], dim=-1)
