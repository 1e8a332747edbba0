"""Sample sheets: what the weights of a run make of a picture they were never shown."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from engine.models.byte_text import ByteText
from engine.models.causal_dit import CausalDiT
from engine.models.small_codec import SmallCodec
from engine.preset import Preset
from engine.stream.batch import StreamBatch
from engine.stream.kvcache import KVCache
from engine.stream.noise import first_timestep
from engine.stream.noise_source import NoiseSource
from engine.stream.pace import Plan
from engine.stream.rows import RowPlanner
from engine.stream.schedule import Schedule
from engine.train.clips import Clip, to_tensor, unseen_clip
from engine.train.export import newest
from engine.train.looks import LOOKS, render

CPU = torch.device("cpu")
FRAMES = 16


def draw_samples(folder: Path, preset: Preset, name: str) -> None:
    """Write <folder>/<name>-samples.png, one row a look: picture, rendered look, 1 and 2 steps."""
    sampler = Sampler(folder, preset)
    clip = unseen_clip(FRAMES, preset.width, preset.height)
    rows = []
    for look in LOOKS:
        embedding = sampler.embed(look)
        shown = [clip[-1], render(look, clip[-1:])[0], *(sampler.play(clip, embedding, steps)[-1] for steps in (1, 2))]
        rows.append(np.concatenate(shown, axis=1))
    cv2.imwrite(str(folder / f"{name}-samples.png"), np.concatenate(rows)[..., ::-1])


class Sampler:
    """The newest averaged weights of a run, played step by step as a stream would."""

    def __init__(self, folder: Path, preset: Preset) -> None:
        self.preset = preset
        self._codec, self._dit, self._text = SmallCodec(preset.codec), CausalDiT(preset.dit), ByteText(preset.text)
        for name, module in (("codec", self._codec), ("dit", self._dit), ("text", self._text)):
            module.load_state_dict(newest(folder, name))
            module.eval()

    @torch.inference_mode()
    def embed(self, prompt: str) -> Tensor:
        """[1, length, dim]"""
        return self._text.encode([prompt])

    @torch.inference_mode()
    def play(self, clip: Clip, embedding: Tensor, steps: int, noise: float = 0.8) -> Clip:
        """A clip [T, H, W, 3] in the look that a prompt's embedding asks for; noise stays in place."""
        preset, source = self.preset, NoiseSource(0, CPU)
        latents, _ = self._codec.encode(to_tensor(clip), None)
        tokens = latents.shape[-1] * latents.shape[-2] // preset.dit.patch**2
        cache = KVCache(preset.window, preset.dit, tokens, CPU, torch.float32)
        stream, planner = StreamBatch(self._dit, Schedule(preset.schedule), cache), RowPlanner(preset.window)
        context = self._dit.context(embedding)
        t = [first_timestep(noise, preset.schedule.lead), *preset.schedule.timesteps[1:steps]]
        done = []
        for index, latent in enumerate(latents[:, None]):
            noisy = torch.lerp(latent, source.draw(latent, 0, carry=True), noise)
            batch = planner.next(index, 1, t, Plan(rows=1, passes=steps))
            done += stream.run(batch, noisy, context, lambda like, step: source.draw(like, step, carry=True))
        frames, _ = self._codec.decode(torch.cat([chunk.latent for chunk in done]), None)
        return ((frames.permute(0, 2, 3, 1) + 1) * 127.5).round().byte().numpy()
