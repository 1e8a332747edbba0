"""What causal codecs share: their state as plain tensors, passed in and returned, and where a stream may be cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.interfaces import CodecState
from engine.preset import CodecSpec


class CausalState:
    """During one call, hands each layer in order the frames it kept from the last call, and collects the next state.

    At the start of a stream (state None) everything before the first frame is zero.
    """

    def __init__(self, state: CodecState | None) -> None:
        self._kept: Iterator[Tensor] | None = None if state is None else iter(state)
        self.next: CodecState = ()

    @property
    def starts(self) -> bool:
        """Whether this call holds the first frame of a stream."""
        return self._kept is None

    def prepend(self, frames: Tensor, count: int, axis: int) -> Tensor:
        """Put the last `count` frames of the calls before in front of `frames`, and keep the last `count` of the sum.

        axis: where `frames` counts time. What is kept is a copy: a view would hold the whole sum in memory.
        """
        if self._kept is None:
            joined = F.pad(frames, (*(0, 0) * (frames.dim() - 1 - axis), count, 0))
        else:
            joined = torch.cat([next(self._kept), frames], dim=axis)
        self.next += (joined.narrow(axis, joined.shape[axis] - count, count).clone(),)
        return joined


class Stateful:
    """Marks the layers that need the `CausalState` beside their input."""


def run(layers: Iterable[nn.Module], x: Tensor, past: CausalState) -> Tensor:
    """Run layer after layer; the stateful ones are given `past` too."""
    for layer in layers:
        x = layer(x, past) if isinstance(layer, Stateful) else layer(x)
    return x


def check_frames(frames: Tensor, state: CodecState | None, spec: CodecSpec) -> None:
    """Raises ValueError for frames that leave part of a latent over."""
    count, _, height, width = frames.shape
    grouped = count if state is not None else count - 1
    if grouped % spec.temporal or count < 1 or height % spec.spatial or width % spec.spatial:
        when = "go on" if state is not None else "start"
        raise ValueError(f"a stream cannot {when} with {count} frames of {width}x{height}: it would end mid-latent")
