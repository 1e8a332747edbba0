"""Stage one: the codec learns what its linear maps cannot."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.models.small_codec import SmallCodec, pack, unpack
from engine.preset import Preset
from engine.train.clips import Clip, draw_clip, to_tensor
from engine.train.learner import Learner, Rates
from engine.train.linear import fit_linear
from engine.train.looks import LOOKS, render
from engine.train.losses import charbonnier, decibels, ripple, slopes
from engine.train.pool import Pool
from engine.train.recipe import Recipe

FRAMES = 12  # three latents: one without a past, two with
HARDSHIP = 0.08  # noise added to latents, up to this share of their spread: the denoiser will not be exact


class CodecStage:
    """Trains the whole codec on crops of clips, half of them already rendered in a look."""

    name = "codec"

    def __init__(self, preset: Preset, recipe: Recipe, seed: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        self.recipe, self.seed, self.device = recipe, seed, device
        self.codec = SmallCodec(preset.codec).to(device)
        size = preset.width, preset.height
        self.pool: Pool[Clip] = Pool(lambda random: draw_example(FRAMES, *size, random), recipe.codec_stock, 2, seed)
        self.learner = Learner({"codec": self.codec}, Rates(rest=6e-4, slow=6e-5, gentle=(".skip.",)))

    def begin(self) -> None:
        """Before the first step ever: fit the linear maps."""
        clips, random = self.pool.draw(0, self.recipe.fit_clips)
        cubes = torch.stack([pack(crop_clip(clip, self.recipe.crop // 2, random), self.codec.spec) for clip in clips])
        fit_linear(self.codec, cubes.to(self.device))
        self.learner.settle()

    def step(self, step: int, share: float) -> dict[str, float]:
        """One optimiser step. Returns what to plot."""
        clips, random = self.pool.draw(step, self.recipe.codec_batch)
        frames = torch.stack([crop_clip(clip, self.recipe.crop, random) for clip in clips]).to(self.device)
        torch.manual_seed(1_000_003 * self.seed + step)
        with torch.autocast(self.device.type, torch.bfloat16):
            latents, _ = self.codec.encoder(pack(frames, self.codec.spec), None)
            noise = torch.randn_like(latents) * torch.rand(len(frames), 1, 1, 1, 1, device=self.device) * HARDSHIP
            cubes, _ = self.codec.decoder(latents + noise, None)
        error = unpack(cubes.float()) - frames
        self.learner.descend(picture_loss(error), share)
        return {"codec dB": decibels(error.detach()), "ripple": float(ripple(error.detach())) * 127.5}


def picture_loss(error: Tensor) -> Tensor:
    """error [B, T, 3, H, W] of frames in [-1, 1]."""
    return charbonnier(error) + 0.5 * slopes(error) + 2 * error.square().mean() + ripple(error)


def draw_example(frames: int, width: int, height: int, random: np.random.Generator) -> Clip:
    """A clip, half of the time already rendered in a look."""
    clip = draw_clip(frames, width, height, random)
    return render(list(LOOKS)[random.integers(len(LOOKS))], clip) if random.random() < 0.5 else clip


def crop_clip(clip: Clip, side: int, random: np.random.Generator) -> Tensor:
    """A square of a clip [T, H, W, 3] -> [T, 3, side, side] in [-1, 1]."""
    y, x = (int(random.integers(0, extent - side + 1)) for extent in clip.shape[1:3])
    return to_tensor(clip[:, y : y + side, x : x + side])
