"""Stream batch: one chunk of latents in and one finished chunk out per call, whatever the number of steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from engine.models.interfaces import Context, Denoiser
from engine.stream.call import Call
from engine.stream.kvcache import KVCache
from engine.stream.schedule import Schedule
from engine.stream.work import BadWork, Batch, Row


class Renoise(Protocol):
    """Where the noise between steps comes from."""

    def __call__(self, like: Tensor, step: int) -> Tensor:
        """Noise shaped like `like` [T, C, h, w] for entering denoising step `step`."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A chunk that left: its number, and its clean latents [T, C, h, w]."""

    tag: int
    latent: Tensor


class StreamBatch:
    """Executes the calls that `RowPlanner` plans. It holds the latents of the chunks in flight, and decides nothing."""

    def __init__(self, denoiser: Denoiser, schedule: Schedule, cache: KVCache) -> None:
        self._denoiser, self._schedule, self._cache = denoiser, schedule, cache
        self._flight: list[tuple[Row, Tensor]] = []  # newest first; what is at i enters row i + 1

    def run(self, batch: Batch, noisy: Tensor | None, context: Context, renoise: Renoise) -> list[Finished]:
        """Denoise one call: what is finished, oldest first.

        noisy: the chunk that enters row 0, [T, C, h, w]; None if none enters and row 0 is idle.
        Raises BadWork if `batch` does not follow the call before it.
        """
        self.check(batch)
        before = [latent for _, latent in self._flight]
        latents = [before[0] if noisy is None else noisy, *before][: len(batch.rows)]
        latents += latents[-1:] * (len(batch.rows) - len(latents))  # idle rows
        real = [Finished(row.tag, latent) for row, latent in reversed(self._flight) if not row.idle]
        early = [chunk for chunk in real if chunk.tag in batch.early]
        call = self._cache.begin(batch)
        clean = self._denoise(batch, call, latents, context, renoise)
        *self._flight, (last, latent) = zip(batch.rows, clean, strict=True)
        return early if last.idle else [*early, Finished(last.tag, latent)]

    def check(self, batch: Batch) -> None:
        """Raises BadWork unless the batch fits the window, and every chunk in flight moves on by a row, or leaves."""
        if not all(self._cache.fits(row) and len(row.timesteps) == batch.passes for row in batch.rows):
            raise BadWork("this work is for another window", "replay a log with the preset that it was recorded with")
        wanted = [row.tag for row in batch.rows[1:] if not row.idle] + list(reversed(batch.early))
        if wanted != [row.tag for row, _ in self._flight if not row.idle]:
            raise BadWork("this work does not follow the one before", "replay a log from its beginning, in its order")

    def _denoise(
        self, batch: Batch, call: Call, clean: list[Tensor], context: Context, renoise: Renoise
    ) -> list[Tensor]:
        """All passes of one call: clean estimates, one a row."""
        for number in range(batch.passes):
            t = call.timesteps[:, number, None].expand(-1, len(clean[0]))  # [rows, T]
            rows = zip(clean, t, batch.steps(number), strict=True)
            x = torch.stack([self._noisier(latent, timestep, step, renoise) for latent, timestep, step in rows])
            clean = list(self._schedule.to_clean(x, self._denoiser(x, t, self._cache, context), t))
        return clean

    def _noisier(self, latent: Tensor, timesteps: Tensor, step: int, renoise: Renoise) -> Tensor:
        """The input of a step: for step 0 the latent itself, for later steps noised again to their timestep."""
        return latent if step == 0 else self._schedule.add_noise(latent, renoise(latent, step), timesteps)
