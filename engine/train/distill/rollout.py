"""A student plays a stream through the very mechanism it will be played with, and learns from what came out.

Source: Huang et al. 2025, "Self Forcing", arXiv:2506.08009: rolling out with one's own outputs in the cache, a random
number of steps, and a gradient through the last of them only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.models.interfaces import Denoiser
from engine.preset import Preset
from engine.stream.batch import Finished, StreamBatch
from engine.stream.noise import timesteps_of
from engine.stream.noise_source import NoiseSource
from engine.stream.pace import plan_steps
from engine.stream.rows import RowPlanner
from engine.stream.schedule import Schedule
from engine.train.distill.recall import Recall


@dataclass(frozen=True)
class Scene:
    """All that a stream is given: rolled out twice, it gives the same video.

    chunks: latents [T, C, h, w] each, as the codec makes them.   noise: share mixed into each chunk, 0..1.
    prompt: [1, L, D].   seed, carry: as the controls.
    """

    chunks: Sequence[Tensor]
    noise: Sequence[float]
    prompt: Tensor
    seed: int
    carry: bool


def roll_out(
    denoiser: Denoiser, scene: Scene, preset: Preset, steps: int, rows: int, dtype: torch.dtype, learn: bool = False
) -> Tensor:
    """The video [T, C, h, w] that a stream of `steps` steps makes of a scene.

    denoiser: a `Generator`, whose context is the prompt's embedding.
    learn: with a gradient through the last step of each chunk; neither steps before it nor the cache pass one on.
    """
    first, (height, width) = scene.chunks[0], scene.chunks[0].shape[-2:]
    tokens = height * width // preset.dit.patch**2
    recall = Recall(preset.window, preset.dit, tokens, first.device, dtype)
    stream = StreamBatch(LastPass(denoiser, steps, learn), Cut(preset.schedule, first.device), recall)
    planner, plan = RowPlanner(preset.window), plan_steps(steps, rows)
    source, done = NoiseSource(scene.seed, first.device), list[Finished]()
    timesteps: list[int] = []

    def renoise(like: Tensor, step: int) -> Tensor:
        return source.draw(like, step, scene.carry)

    for tag, (latents, noise) in enumerate(zip(scene.chunks, scene.noise, strict=True)):
        noisy = torch.lerp(latents, renoise(latents, 0), noise)
        timesteps = timesteps_of(noise, preset.schedule, steps)
        batch = planner.next(tag, len(latents), timesteps, plan)
        done += stream.run(batch, noisy, scene.prompt, renoise)  # type: ignore[arg-type]
        if preset.window.refresh > -1 and batch.rows[0].visible == preset.window.slots:
            planner.renewal.note_similarity(recall.similarity().tolist())
    while (rest := planner.drain(timesteps, plan)) is not None:
        done += stream.run(rest, None, scene.prompt, renoise)  # type: ignore[arg-type]
    return torch.cat([chunk.latent for chunk in done])


class Cut(Schedule):
    """The schedule, with the gradient cut between steps: a step answers for itself, not for the one before it."""

    def add_noise(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return super().add_noise(clean.detach(), noise, timesteps)


class LastPass:
    """A `Denoiser` that records a gradient only in a chunk's last pass, if at all."""

    def __init__(self, denoiser: Denoiser, steps: int, learn: bool) -> None:
        self._denoiser, self._steps, self._learn = denoiser, steps, learn

    def context(self, embedding: Tensor, min_tokens: int = 0) -> Any:
        return embedding

    def __call__(self, latents: Tensor, timesteps: Tensor, memory: Any, context: Any) -> Tensor:
        look = memory.look()
        last = memory.calls == self._steps // len(latents)
        with torch.set_grad_enabled(self._learn and last):
            return self._denoiser(latents, timesteps, look, context)
