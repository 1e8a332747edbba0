"""Stream batch: one chunk of latents in and one finished chunk out per call, whatever the number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from engine.models.interfaces import Context, Denoiser
from engine.preset import WindowSpec
from engine.stream.kvcache import KVCache
from engine.stream.pace import Plan
from engine.stream.schedule import Schedule
from engine.stream.window import Window


class Renoise(Protocol):
    """Where the noise between steps comes from."""

    def __call__(self, like: Tensor, step: int) -> Tensor:
        """Noise shaped like `like` [T, C, h, w] for entering denoising step `step`."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One chunk on its way down the rows. It chose its slots once, when it entered, and keeps them.

    latent: [T, C, h, w], noisy as it entered row 0, later the newest clean estimate.
    idle:   a stand-in while the rows fill; nothing comes of it.
    """

    latent: Tensor
    slots: list[int]
    position: int  # of its first latent frame in the stream
    tag: int
    idle: bool = False

    @property
    def positions(self) -> list[int]:
        return list(range(self.position, self.position + len(self.slots)))


class StreamBatch:
    """Runs the steps of consecutive chunks as rows of one batch: rows x passes = steps.

    Row 0 holds the newest chunk at the noisiest step; each call moves every chunk down one row, so a chunk leaves the
    last row, finished, `rows` calls after it entered. Step by step is the same code with one row and more passes.
    A stream's first chunk takes all its steps at once, so the first picture comes after one chunk.

    Source: Kodaira et al. 2023, StreamDiffusion, arXiv:2312.12491, section 3.1; StreamDiffusionV2, section 3.2.
    """

    def __init__(self, denoiser: Denoiser, schedule: Schedule, window: WindowSpec, cache: KVCache) -> None:
        self._denoiser, self._schedule, self._spec, self._cache = denoiser, schedule, window, cache
        self._window = Window(window.slots, window.sinks)
        self._lanes: list[Lane] = []  # in flight, newest first; the lane at i enters row i + 1
        self._position = 0
        self._stale: list[int] = []  # sinks that the coming chunks are written over, one each
        self._settling = 0  # latent frames to wait for before that

    @property
    def row_bytes(self) -> tuple[int, int]:
        """How many rows are kept, and what one takes of memory."""
        return self._cache.row_bytes

    def step(
        self, latent: Tensor, tag: int, timesteps: Sequence[int], plan: Plan, context: Context, renoise: Renoise
    ) -> list[Lane]:
        """Take the next noisy chunk [T, C, h, w]; return what finished, oldest first: usually one, none while filling.

        timesteps: one per step of `plan`, noisiest first; the first may differ from chunk to chunk.
        Fewer rows than before let the chunks that no longer fit out early, as their newest estimate: nothing is lost.
        """
        if self._position == 0:
            plan = Plan(rows=1, passes=plan.steps)
        lane = self._enter(latent, tag)
        self._position += len(latent)
        return self._advance([lane, *self._lanes], timesteps, plan, context, renoise)

    def drain(self, timesteps: Sequence[int], plan: Plan, context: Context, renoise: Renoise) -> list[Lane]:
        """Finish every chunk in flight, oldest first, with nothing new coming in."""
        done: list[Lane] = []
        while any(not lane.idle for lane in self._lanes):
            stand_in = replace(self._lanes[0], idle=True)
            done += self._advance([stand_in, *self._lanes], timesteps, plan, context, renoise)
        return done

    def note_stale_sink(self) -> None:
        """Look whether a sink no longer resembles the stream; the next chunk is then written over it.

        Waits for the device, so it is called between chunks, after the pictures are out. Only a full window counts.
        """
        if self._spec.refresh > -1 and self._spec.sinks and self._window.filled == self._spec.slots:
            likeness: list[float] = self._cache.similarity().tolist()
            worst = min(range(len(likeness)), key=likeness.__getitem__)
            if likeness[worst] < self._spec.refresh and not self._stale:
                self._stale = [worst]

    def renew_sinks(self) -> None:
        """The stream shows something else from now on: pin that, once the rolling slots hold nothing but it.

        Called when the prompt changes. Otherwise the old look would shine through for as long as the stream lasts.
        """
        if self._position:
            self._stale, self._settling = list(range(self._spec.sinks)), self._spec.slots - self._spec.sinks

    def _enter(self, latent: Tensor, tag: int) -> Lane:
        stale = self._take_stale(len(latent))
        slots = [self._window.claim(stale if frame == 0 else None) for frame in range(len(latent))]
        return Lane(latent, slots, self._position, tag)

    def _take_stale(self, frames: int) -> int | None:
        """The sink that a chunk of so many latent frames is written over, if any."""
        if self._settling > 0:
            self._settling -= frames
            return None
        return self._stale.pop(0) if self._stale and self._window.filled == self._spec.slots else None

    def _advance(
        self, lanes: list[Lane], timesteps: Sequence[int], plan: Plan, context: Context, renoise: Renoise
    ) -> list[Lane]:
        early = [lane for lane in reversed(lanes[plan.rows :]) if not lane.idle]
        lanes = lanes[: plan.rows]
        while len(lanes) < plan.rows:  # a stand-in writes where the chunk above it writes next, so it leaves no trace
            lanes.append(replace(lanes[-1], idle=True))
        clean = self._denoise(lanes, timesteps, plan, context, renoise)
        *self._lanes, last = (replace(lane, latent=row) for lane, row in zip(lanes, clean, strict=True))
        return early if last.idle else [*early, last]

    def _denoise(
        self, lanes: list[Lane], timesteps: Sequence[int], plan: Plan, context: Context, renoise: Renoise
    ) -> Tensor:
        """Run `passes` steps on every row: clean estimates [rows, T, C, h, w]. Row i does steps i*passes onwards."""
        self._cache.rows(plan.rows)
        filled = [min(lane.position + len(lane.slots), self._spec.slots) for lane in lanes]
        self._cache.begin([lane.slots for lane in lanes], [lane.positions for lane in lanes], filled)
        clean = [lane.latent for lane in lanes]
        for number in range(plan.passes):
            steps = range(number, plan.steps, plan.passes)
            told = torch.tensor([[timesteps[step]] * len(clean[0]) for step in steps])  # [rows, T]
            t = told.to(clean[0].device, non_blocking=clean[0].is_cuda)  # not on MPS: pytorch#189690
            noisy = [
                self._noisier(row, t[i], step, renoise) for i, (row, step) in enumerate(zip(clean, steps, strict=True))
            ]
            x = torch.stack(noisy)
            clean = list(self._schedule.to_clean(x, self._denoiser(x, t, self._cache, context), t))
        return torch.stack(clean)

    def _noisier(self, latent: Tensor, timesteps: Tensor, step: int, renoise: Renoise) -> Tensor:
        """A chunk enters step 0 as it came, and every later one noised again to that step's timestep."""
        return latent if step == 0 else self._schedule.add_noise(latent, renoise(latent, step), timesteps)
