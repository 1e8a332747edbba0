"""Converts frames to chunks of tensors, and decoded tensors back to frames."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.frame import Frame, Stamp
from engine.preset import ChunkSpec


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames that are denoised together, and the stamps of those that are real.

    The last chunk of a stream may carry fewer stamps than frames: it was filled up by repeating the last one.
    """

    frames: tuple[Frame, ...]
    stamps: tuple[Stamp, ...]

    def pixels(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """[T, 3, H, W] in [-1, 1]. On CUDA the copy is asynchronous.

        Elsewhere the host waits for it: MPS might read the host's memory after it was freed (pytorch#189690).
        """
        host, aside = torch.from_numpy(np.stack([frame.pixels for frame in self.frames])), device.type == "cuda"
        host = host.pin_memory() if aside else host
        there = host.to(device, non_blocking=aside).permute(0, 3, 1, 2)
        exact = there.to(torch.float32, memory_format=torch.contiguous_format).mul_(2 / 255).sub_(1)
        return exact.to(dtype)  # rounded once, at the end


class Chunker:
    """Gathers frames into chunks of the preset's lengths: one for the first chunk of a stream, one for the rest."""

    def __init__(self, spec: ChunkSpec) -> None:
        self._spec = spec
        self._waiting: deque[Frame] = deque()
        self._length = spec.first

    @property
    def backlog(self) -> int:
        """Frames that wait."""
        return len(self._waiting)

    def push(self, frame: Frame) -> None:
        self._waiting.append(frame)

    def take(self) -> Chunk | None:
        """The next chunk, or None while there are too few frames."""
        return self.take_as(self._length, self._length)

    def take_rest(self) -> Chunk | None:
        """The frames that are left as one full chunk, the last one repeated; None if there are none."""
        return self.take_as(self._length, self.backlog) if self.backlog else None

    def take_as(self, frames: int, real: int) -> Chunk | None:
        """A chunk of `frames` frames: the next `real` ones, the last repeated; None while there are too few."""
        if len(self._waiting) < real:
            return None
        taken = [self._waiting.popleft() for _ in range(real)]
        self._length = self._spec.later
        return self._chunk(taken + taken[-1:] * (frames - real), real)

    def _chunk(self, frames: list[Frame], real: int) -> Chunk:
        return Chunk(tuple(frames), tuple((frame.time, frame.index) for frame in frames[:real]))


def to_bytes(pixels: Tensor) -> Tensor:
    """Decoded pixels [T, 3, H, W] in [-1, 1] -> uint8 [T, H, W, 3] on their device."""
    scaled = pixels.float().clamp(-1, 1).add_(1).mul_(127.5).round_().to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).contiguous()


def to_pictures(bytes: Tensor, stamps: tuple[Stamp, ...]) -> list[Frame]:
    """uint8 [T, H, W, 3] on the host -> one frame per stamp, with its capture time."""
    return [Frame(picture, time, index) for picture, (time, index) in zip(bytes.numpy(), stamps, strict=False)]
