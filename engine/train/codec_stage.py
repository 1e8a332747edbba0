"""Stage one: the codec learns what its linear maps cannot."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.models.small_codec import SmallCodec, pack, unpack
from engine.preset import CodecSpec
from engine.train.clips import Clip, draw_clip
from engine.train.learner import Learner, Rates
from engine.train.linear import fit_linear
from engine.train.looks import LOOKS, render
from engine.train.losses import charbonnier, decibels, ripple, slopes
from engine.train.pool import Pool

FRAMES = 12  # three latents: one without a past, two with
HARDSHIP = 0.08  # noise added to latents, up to this share of their spread: the denoiser will not be exact


class CodecStage:
    """Trains the whole codec on crops of clips, half of them already rendered in a look."""

    name = "codec"

    def __init__(self, spec: CodecSpec, size: tuple[int, int], seed: int, batch: int = 4, crop: int = 128) -> None:
        torch.manual_seed(seed)
        self.codec = SmallCodec(spec)
        self.batch, self.crop, self.seed = batch, crop, seed
        width, height = size
        self.pool: Pool[Clip] = Pool(lambda random: draw_example(FRAMES, width, height, random), 192, 2, seed)
        rates = Rates(rest=6e-4, slow=6e-5, gentle=(".skip.",))
        self.learner = Learner({"codec": self.codec}, rates)

    def begin(self) -> None:
        """Before the first step ever: fit the linear maps."""
        clips, random = self.pool.draw(0, 400)
        cubes = torch.stack([pack(crop_clip(clip, 64, random), self.codec.spec) for clip in clips])
        fit_linear(self.codec, cubes)
        self.learner.averages["codec"].load_state_dict(self.codec.state_dict())

    def step(self, step: int, share: float) -> dict[str, float]:
        """One optimiser step. Returns what to plot."""
        clips, random = self.pool.draw(step, self.batch)
        frames = torch.stack([crop_clip(clip, self.crop, random) for clip in clips])
        torch.manual_seed(hash((self.seed, step)))
        with torch.autocast("cpu", torch.bfloat16):
            latents, _ = self.codec.encoder(pack(frames, self.codec.spec), None)
            noise = torch.randn_like(latents) * torch.rand(len(frames), 1, 1, 1, 1) * HARDSHIP
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


def to_tensor(clip: NDArray[np.uint8]) -> Tensor:
    """uint8 [T, H, W, 3] -> float [T, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(clip)).permute(0, 3, 1, 2).float().div(127.5).sub(1)
