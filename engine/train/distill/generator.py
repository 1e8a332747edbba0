"""The transformer as it is trained: every weight is used inside a `forward`, and blocks may be computed twice."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from engine.models.causal_dit import Block, CausalDiT, View
from engine.models.interfaces import Memory
from engine.preset import DitSpec


class Generator(CausalDiT):
    """A `CausalDiT`, same keys and same numbers, whose context is the prompt's embedding [1 or B, L, text_dim].

    Live, a prompt's keys and values are made once and handed to every step. Here each block makes its own: FSDP holds
    a block's weights whole only while that block runs, and a gradient has to reach them.
    """

    def __init__(self, spec: DitSpec, recompute: bool = False) -> None:
        super().__init__(spec)
        self.blocks = nn.ModuleList(ReadingBlock(spec, layer, recompute) for layer in range(spec.layers))

    def context(self, embedding: Tensor, min_tokens: int = 0) -> Any:
        """The embedding itself: what it becomes is a matter of the blocks."""
        return embedding

    def forward(self, x: Tensor, timesteps: Tensor, memory: Memory, context: Any) -> Tensor:
        """Latents [B, T, C, h, w], timesteps [B, T] -> flow [B, T, C, h, w]."""
        text = self.text_embedding(context.to(x.dtype))
        return super().forward(x, timesteps, memory, [text] * len(self.blocks))


class ReadingBlock(Block):
    """A block that is handed the prompt's tokens [1 or B, L, C] instead of their keys and values.

    recompute: keep only a block's input for the backward pass and run the block again there (gradient checkpointing).
    Source: Chen et al. 2016, arXiv:1604.06174.
    """

    def __init__(self, spec: DitSpec, layer: int, recompute: bool) -> None:
        super().__init__(spec, layer)
        self.recompute = recompute

    def forward(self, x: Tensor, time: Tensor, view: View, text: Tensor) -> Tensor:  # type: ignore[override]
        if not self.recompute:
            return self._run(x, time, view, text)
        out: Tensor = checkpoint(self._run, x, time, view, text, use_reentrant=False, preserve_rng_state=False)
        return out

    def _run(self, x: Tensor, time: Tensor, view: View, text: Tensor) -> Tensor:
        return super().forward(x, time, view, self.cross_attn.text_key_value(text))
