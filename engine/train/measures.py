"""What is measured of a stylised clip. Clips are uint8 RGB [T, H, W, 3]; every difference is taken in float."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from engine.train.clips import Clip, draw_clip
from engine.train.looks import LOOKS, LUMA, render
from engine.train.pictures import Random

STILL = 2.0  # of 255: a pixel whose blurred input moved less than this from frame to frame counts as still
NAMES = tuple(LOOKS)


def decibels(clip: Clip, truth: Clip) -> float:
    """PSNR: 10 log10(255^2 / mean squared error), over all frames at once."""
    error = clip.astype(np.float32) - truth
    return float(10 * np.log10(255**2 / max(float(np.mean(error**2)), 1e-6)))


def flicker(clip: Clip, source: Clip) -> float:
    """Mean |frame - frame before| of `clip`, out of 255, over the pixels at which `source` is still.

    Still: |G * source_t - G * source_(t-1)| < STILL in every colour, G a Gaussian of 2 pixels, so that grain does not
    count. Not a number where nothing is still.
    """
    soft = np.stack([cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 2.0) for frame in source])
    still = (np.abs(np.diff(soft, axis=0)) < STILL).all(-1)
    change = np.abs(np.diff(clip.astype(np.float32), axis=0)).mean(-1)
    return float(change[still].mean()) if still.any() else float("nan")


def edges(clip: Clip, source: Clip) -> float:
    """Correlation of where the edges are, -1..1: of blurred gradient sizes of luma, mean over frames."""
    return float(np.mean([np.corrcoef(_edge_map(a), _edge_map(b))[0, 1] for a, b in zip(clip, source, strict=True)]))


def _edge_map(frame: Clip) -> Clip:
    gray = cv2.GaussianBlur(frame.astype(np.float32) @ LUMA, (0, 0), 1.0)
    size = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    return cv2.GaussianBlur(size, (0, 0), 2.0).ravel()


class Judge:
    """Names the look of a picture: a linear classifier of colours and textures, trained on rendered looks alone.

    Half of them are softened, or it would take any softness for a look of its own.

    held_out: its share of right answers on rendered clips it was not trained on.
    """

    def __init__(self, clips: int = 100, seed: int = 77) -> None:
        random = np.random.default_rng(seed)
        examples = [draw_clip(1, 320, 192, random) for _ in range(clips)]
        known = torch.stack([features(_soften(render(name, clip)[0], random)) for clip in examples for name in NAMES])
        labels = torch.arange(len(NAMES)).repeat(clips)
        self._mean, self._spread = known.mean(0), known.std(0) + 1e-3
        split = len(known) * 4 // 5
        torch.manual_seed(seed)
        self._model = nn.Linear(known.shape[1], len(NAMES))
        self._fit(known[:split], labels[:split])
        right = self._scores(known[split:]).argmax(1) == labels[split:]
        self.held_out = right.float().mean().item()

    def recognise(self, clip: Clip, name: str) -> float:
        """Share of a clip's frames that are taken for the look called `name`."""
        scores = self._scores(torch.stack([features(frame) for frame in clip]))
        return (scores.argmax(1) == NAMES.index(name)).float().mean().item()

    def _fit(self, known: torch.Tensor, labels: torch.Tensor) -> None:
        optimiser = torch.optim.AdamW(self._model.parameters(), lr=0.02, weight_decay=0.1)
        for _ in range(300):
            optimiser.zero_grad()
            F.cross_entropy(self._model((known - self._mean) / self._spread), labels).backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    @torch.no_grad()
    def _scores(self, pictures: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self._model((pictures - self._mean) / self._spread)
        return scores


def _soften(frame: Clip, random: Random) -> Clip:
    return cv2.GaussianBlur(frame, (0, 0), random.uniform(0.4, 1.8)) if random.random() < 0.5 else frame


def features(frame: Clip) -> torch.Tensor:
    """Colours (a 4x4x4 histogram, means) and textures (log energy of each 8x8 cosine of luma) of a picture."""
    pixels = torch.from_numpy(frame.astype(np.float32) / 255)
    bins = (pixels * 3.999).long() @ torch.tensor([16, 4, 1])
    colours = torch.bincount(bins.flatten(), minlength=64) / bins.numel()
    gray = pixels @ torch.from_numpy(LUMA)
    blocks = F.unfold(gray[None, None], 8, stride=8)[0].T.numpy().reshape(-1, 8, 8)
    energy = np.mean([cv2.dct(block) ** 2 for block in blocks[::3]], axis=0)
    return torch.cat([colours.sqrt(), pixels.mean((0, 1)), torch.from_numpy(np.log(energy + 1e-4)).flatten().float()])
