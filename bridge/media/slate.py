"""What is shown when there is nothing to show: a calm picture, never black."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bridge.media.bitmap_font import HIGH, WIDE, dots
from bridge.media.picture import Picture

TOP, BOTTOM = (30, 27, 58), (74, 38, 84)  # dusk
INK, FAINT, ACCENT = (244, 236, 224), (186, 166, 190), (240, 140, 90)
WORD = "latentcast"
Plane = NDArray[np.float32]


def slate(width: int, height: int, reason: str = "") -> Picture:
    """The word latentcast on a dusky ground, over a line, over a few words saying why; uint8 [H, W, 3], read-only."""
    fall = np.linspace(0, 1, height)[:, None, None] + np.linspace(-0.2, 0.2, width)[None, :, None]
    top, bottom = np.array(TOP, np.float32), np.array(BOTTOM, np.float32)
    ground: Plane = top + (bottom - top) * fall.clip(0, 1).astype(np.float32)
    step = max(1.0, min(width / (len(WORD) * (WIDE + 1) * 1.5), height / (HIGH * 4)))
    _print(ground, WORD, height * 0.44, step, INK)
    _line(ground, height * 0.44 + step * HIGH * 0.85, step * (WIDE + 1) * len(WORD) / 2, max(1, round(step / 2)))
    if reason:
        _print(ground, reason, height * 0.44 + step * HIGH * 1.5, max(1.0, step / 2), FAINT)
    picture: Picture = ground.round().astype(np.uint8)
    picture.flags.writeable = False
    return picture


def _print(ground: Plane, text: str, middle: float, step: float, ink: tuple[int, int, int]) -> None:
    """Blend a centred line of round dots, `step` pixels apart, into the ground [H, W, 3]; what sticks out is cut."""
    mask = np.pad(dots(text), 1)  # a rim of no dots for everything outside
    rows, row_off = _cells(ground.shape[0], middle, step, mask.shape[0])
    columns, column_off = _cells(ground.shape[1], ground.shape[1] / 2, step, mask.shape[1])
    distance = np.hypot(row_off[:, None], column_off) * step
    cover = (0.46 * step + 0.5 - distance).clip(0, 1) * mask[rows[:, None], columns]
    ground += cover[..., None] * (np.array(ink, np.float32) - ground)


def _cells(pixels: int, middle: float, step: float, cells: int) -> tuple[NDArray[np.intp], Plane]:
    """For each pixel along one axis, which cell it lies in and how far, in cells, from that cell's middle."""
    place = ((np.arange(pixels) + 0.5 - middle) / step + cells / 2).astype(np.float32)
    cell = np.floor(place).astype(np.intp).clip(0, cells - 1)
    return cell, (place - cell - 0.5).astype(np.float32)


def _line(ground: Plane, row: float, half: float, thick: int) -> None:
    top, middle = round(row), ground.shape[1] // 2
    ground[top : top + thick, max(0, middle - round(half)) : middle + round(half)] = ACCENT
