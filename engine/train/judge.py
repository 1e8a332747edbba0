"""Who names the look of a picture: a small classifier that has seen rendered looks only, never the model's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from engine.train.clips import Clip, Path, draw_clip, film
from engine.train.looks import CELL, LOOKS, LUMA, render
from engine.train.pictures import UNSEEN, Random, load_picture, recolour

NAMES = tuple(LOOKS)
HELD_OUT = 40  # views, each in every look
STRANGE = (UNSEEN, "motorcycle_left.png", "moon.png", "cell.png")  # photographs, all bundled with scikit-image
ROUNDS = 400
Array = NDArray[Any]
Draw = Callable[[int, int, int, Random], Clip]


class Judge:
    """Colours and textures of a picture, through one hidden layer, to a look.

    Half of what it learns from is softened, or it would take any softness for a look of its own.
    held_out: its share of right answers on HELD_OUT views of photographs that no clip it learns from is cut from, in
    every look, softened likewise: what it can certify.
    """

    def __init__(self, clips: int = 110, held_out: int = HELD_OUT, seed: int = 77) -> None:
        random = np.random.default_rng(seed)
        known, unknown = _examples(draw_clip, clips, random), _examples(_strange, held_out, random)
        self._mean, self._spread = known.mean(0), known.std(0) + 1e-2
        torch.manual_seed(seed)
        self._model = nn.Sequential(
            nn.Linear(known.shape[1], 64), nn.GELU(), nn.Dropout(0.3), nn.Linear(64, len(NAMES))
        )
        self._fit(known, torch.arange(len(NAMES)).repeat(clips))
        right = self._scores(unknown).argmax(1) == torch.arange(len(NAMES)).repeat(held_out)
        self.held_out = right.float().mean().item()

    def recognise(self, clip: Clip, name: str) -> float:
        """Share of a clip's frames that are taken for the look called `name`."""
        scores = self._scores(torch.stack([features(frame) for frame in clip]))
        return (scores.argmax(1) == NAMES.index(name)).float().mean().item()

    def _fit(self, known: Tensor, labels: Tensor) -> None:
        optimiser = torch.optim.AdamW(self._model.parameters(), lr=3e-3, weight_decay=0.3)
        schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, ROUNDS)
        for _ in range(ROUNDS):
            optimiser.zero_grad()
            seen = (known - self._mean) / self._spread
            F.cross_entropy(self._model(seen + 0.1 * torch.randn_like(seen)), labels).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        self._model.eval()

    @torch.no_grad()
    def _scores(self, pictures: Tensor) -> Tensor:
        scores: Tensor = self._model((pictures - self._mean) / self._spread)
        return scores


def _examples(draw: Draw, clips: int, random: Random) -> Tensor:
    """[clips * looks, features], looks changing fastest."""
    frames = [draw(1, 320, 192, random) for _ in range(clips)]
    return torch.stack([features(_soften(render(name, clip)[0], random)) for clip in frames for name in NAMES])


def _strange(frames: int, width: int, height: int, random: Random) -> Clip:
    """A view of a photograph that is not among those that clips are made of."""
    canvas = recolour(load_picture(STRANGE[random.integers(len(STRANGE))]), random)
    return film(canvas, Path.draw(frames, random, still=True), width, height)


def _soften(frame: Clip, random: Random) -> Clip:
    return cv2.GaussianBlur(frame, (0, 0), random.uniform(0.4, 1.4)) if random.random() < 0.5 else frame


def features(frame: Clip) -> Tensor:
    """Colours, edges and textures of one picture, some 350 numbers."""
    pixels = frame.astype(np.float32) / 255
    gray: Array = pixels @ LUMA
    parts = [*_colours(pixels, gray), *_waves(gray), _repeats(gray), _edges(gray)]
    return torch.from_numpy(np.concatenate([np.ravel(part) for part in parts]).astype(np.float32))


def _colours(pixels: Array, gray: Array) -> list[Array]:
    """A 4x4x4 histogram, means and spreads, the strength of red and blue against grey, quantiles of brightness."""
    bins = (pixels * 3.999).astype(np.int64) @ np.array([16, 4, 1])
    histogram = np.bincount(bins.ravel(), minlength=64) / bins.size
    tints = pixels[..., [0, 2]] - gray[..., None]
    return [
        np.sqrt(histogram), pixels.mean((0, 1)), pixels.std((0, 1)), tints.std((0, 1)), np.abs(tints).mean((0, 1)),
        np.quantile(gray, [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98]),
    ]  # fmt: skip


def _waves(gray: Array) -> list[Array]:
    """Mean energy and median size of each 8x8 cosine."""
    waves = cv2.dct(np.eye(8, dtype=np.float32))
    blocks = _blocks(gray, 8)[::2]
    sizes = np.abs(waves @ blocks @ waves.T)
    return [np.log((sizes**2).mean(0) + 1e-4), np.log(np.median(sizes, 0) + 1e-3)]


def _repeats(gray: Array) -> Array:
    """Spectrum of the mean cell: what repeats with a look's textures."""
    mean = _blocks(gray, CELL).mean(0)
    return np.log(np.abs(np.fft.rfft2(mean - mean.mean())) ** 2 + 1e-3)


def _edges(gray: Array) -> Array:
    size = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    return np.log(np.quantile(size, [0.1, 0.25, 0.5, 0.75, 0.9, 0.97]) + 1e-3)


def _blocks(gray: Array, side: int) -> Array:
    """[H, W] -> [n, side, side]"""
    rows, columns = gray.shape[0] // side, gray.shape[1] // side
    cut = gray[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return cut.swapaxes(1, 2).reshape(-1, side, side)
