"""Our side of the comparison, and what both sides are given: weights, pictures, noise."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from engine.accel.apply import accelerate
from engine.models.build import Models
from engine.models.causal_dit import CausalDiT
from engine.models.wan_vae import WanVae
from engine.preset import Preset
from engine.stream.batch import StreamBatch
from engine.stream.kvcache import KVCache
from engine.stream.pace import Plan
from engine.stream.rows import RowPlanner
from engine.stream.schedule import Schedule

NOISE = 0.8  # mixed in


class Weights(NamedTuple):
    """State dicts in Wan's key names, and a prompt's embedding [1, L, D], zero after its words."""

    dit: dict[str, Tensor]
    vae: dict[str, Tensor]
    embedding: Tensor


@dataclass(frozen=True)
class Given:
    """What goes into one chunk of either stream.

    pixels: [T, 3, H, W], None without a codec.   noisy: [T', C, h, w] without one.   fresh: noise for row 0.
    noise:  what is drawn on the way, in the reference's order.
    """

    number: int
    pixels: Tensor | None
    noisy: Tensor
    fresh: Tensor
    timestep: int
    noise: tuple[Tensor, ...]

    def mix(self, latents: Tensor) -> Tensor:
        """Raw latents, noisy."""
        return self.fresh * NOISE + latents * (1 - NOISE)


def material(
    preset: Preset, steps: int, codec: bool, count: int, device: torch.device, dtype: torch.dtype
) -> tuple[Weights, list[Given]]:
    """Random weights of a size that keeps what passes through them, and a film of `count` chunks, from one seed."""
    torch.manual_seed(7)
    dit, vae = CausalDiT(preset.dit).to(device), WanVae(preset.codec).to(device) if codec else None
    spoken = torch.zeros(1, preset.dit.text_len, preset.dit.text_dim, device=device, dtype=dtype)
    spoken[:, :20] = torch.randn(1, 20, preset.dit.text_dim, device=device, dtype=dtype)
    states = [{} if module is None else sized(module, dtype) for module in (dit, vae)]
    return Weights(states[0], states[1], spoken), list(_film(preset, steps, codec, count, device, dtype))


def sized(module: torch.nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    """The module's random weights, rounded to `dtype` once for everybody."""
    return {key: value.to(dtype) for key, value in module.state_dict().items()}


def _film(
    preset: Preset, steps: int, codec: bool, count: int, device: torch.device, dtype: torch.dtype
) -> Iterator[Given]:
    spatial, channels = preset.codec.spatial, preset.codec.channels
    place = {"device": device, "dtype": dtype}
    wide = torch.rand(3, preset.height // 8 + 1, preset.width // 8 + 1 + count, device=device).repeat_interleave(8, 1)
    wide = wide.repeat_interleave(8, 2).to(dtype) * 2 - 1
    for number in range(count):
        latents, frames = (1, preset.chunk.later) if number else (2, preset.chunk.first)
        shape = (latents, channels, preset.height // spatial, preset.width // spatial)
        views = [wide[:, : preset.height, number * 4 + i : number * 4 + i + preset.width] for i in range(frames)]
        draws = tuple(torch.randn(shape, **place) for _ in range(steps - 1))
        fresh = torch.randn(shape, **place)
        pixels = torch.stack(views) if codec else None
        yield Given(number, pixels, torch.randn(shape, **place), fresh, 700, draws)


class Ours:
    """The engine's own stream batch and codec, called as a session calls them, with the noise that is given."""

    def __init__(self, preset: Preset, steps: int, weights: Weights) -> None:
        device, dtype = weights.embedding.device, weights.embedding.dtype
        self._model, self._vae = CausalDiT(preset.dit), WanVae(preset.codec)
        for module, state in ((self._model, weights.dit), (self._vae, weights.vae)):
            if state:
                module.load_state_dict(state)
            module.to(device, dtype).eval().requires_grad_(False)
        models = accelerate(Models(self._vae, self._model, None, device, dtype), preset)
        self._model, self._vae = models.denoiser, models.codec
        self._times, self._plan = list(preset.schedule.timesteps[:steps]), Plan(rows=steps, passes=1)
        tokens = preset.tokens
        cache = KVCache(preset.window, preset.dit, tokens, device, dtype)
        self._planner = RowPlanner(preset.window)
        self._batch = StreamBatch(self._model, Schedule(preset.schedule, device), cache)
        with torch.inference_mode():
            self._context = self._model.context(weights.embedding)
        self._states: list = [None, None]
        self._coming: dict[int, Tensor] = {}
        self._tag, self._spent = 0, {"encode": [], "denoise": [], "decode": []}

    def start(self, noisy: Tensor, noise: list[Tensor]) -> Tensor | None:
        return self.step(noisy, self._times[0], noise)

    @torch.inference_mode()
    def step(self, noisy: Tensor, timestep: int, noise: list[Tensor]) -> Tensor | None:
        """Noisy latents in, what is finished out, if anything is."""

        def renoise(like: Tensor, step: int) -> Tensor:
            return self._noise[step].view_as(like)

        began = time.thread_time()
        self._noise = self._pick(noise)
        batch = self._planner.next(self._tag, len(noisy), [timestep, *self._times[1:]], self._plan)
        done = self._batch.run(batch, noisy, self._context, renoise)
        self._tag += 1
        self._spent["denoise"].append(time.thread_time() - began)
        return done[0].latent if done else None

    def _pick(self, noise: list[Tensor]) -> dict[int, Tensor]:
        """The reference noises a row when it leaves for the next, we when it enters: so we draw one chunk later."""
        before, self._coming = self._coming, dict(enumerate(noise, start=1))
        return before if self._tag > 1 else self._coming  # in the second call there are only stand-ins to be noised

    @torch.inference_mode()
    def encode(self, pixels: Tensor) -> Tensor:
        began = time.thread_time()
        latents, self._states[0] = self._vae.encode(pixels, self._states[0])
        self._spent["encode"].append(time.thread_time() - began)
        return latents

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        began = time.thread_time()
        pixels, self._states[1] = self._vae.decode(latents, self._states[1])
        self._spent["decode"].append(time.thread_time() - began)
        return pixels

    def shares(self, skip: int) -> dict[str, float]:
        """Part of the time that each stage took, after `skip` chunks; on a GPU only what the host waited for."""
        middle = {stage: statistics.median(spent[skip:]) for stage, spent in self._spent.items() if spent[skip:]}
        return {stage: round(ms / sum(middle.values()), 3) for stage, ms in middle.items()}
