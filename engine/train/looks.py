"""The looks, by ordinary image processing: what the model is taught to do, and the yardstick it is measured with.

Each look maps one picture, float32 RGB [H, W, 3] in 0..1, to another. Made for 320x192: lines are three pixels thick
and soft, because the codec cannot carry thinner ones. Nothing is random from frame to frame: textures stay where they
are, so still is still.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[Any]  # float32 [H, W, 3] or [H, W], 0..1
Look = Callable[[Picture], Picture]
Stops = tuple[tuple[float, float, float], ...]  # colours, evenly spaced from black to white
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
QUIET = 0.018  # an edge fainter than this gets no line: grain and grass are not drawn


def render(name: str, clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Render a clip [T, H, W, 3] in the look called `name`. Raises KeyError for an unknown one."""
    look = LOOKS[name]
    return np.stack([to_bytes(look(frame.astype(np.float32) / 255)) for frame in clip])


def to_bytes(picture: Picture) -> NDArray[np.uint8]:
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def natural(picture: Picture) -> Picture:
    """The picture as it is."""
    return picture


def watercolor(picture: Picture) -> Picture:
    """Transparent washes on grained white paper, pigment gathering where a wash ends, over a loose drawing."""
    wash = kuwahara(picture, 5)
    gray = level(luma(wash))
    lines = ink_lines(luma(picture), 1.7, 24.0)
    paper = tile(grain_cell(), gray.shape)
    bare = 0.6 * ramp(gray, 0.45, 0.85)[..., None]
    wash = saturate(0.24 + 0.76 * wash, 1.6)
    wash = wash * (1 - bare) + bare + 0.025 * paper[..., None]
    sepia = np.array([0.72, 0.80, 0.70], np.float32)  # what a line takes away
    return wash * (1 - (1 - lines[..., None]) * sepia)


def oil(picture: Picture) -> Picture:
    """Thick rich paint with the light catching every dab of the brush."""
    paint = 0.7 * kuwahara(picture, 6) + 0.3 * blur(picture, 0.8)  # all dabs, and a face has no eyes
    gray = luma(paint)
    light = relief(0.9 * blur(gray, 1.2) + 0.14 * tile(dab_cell(), gray.shape))
    warm = saturate(contrast(paint, 1.12), 1.4) * np.array([1.08, 0.99, 0.80], np.float32)
    return warm * (0.95 + 0.9 * light[..., None]) + np.array([0.07, 0.04, 0.0], np.float32)


def pencil(picture: Picture) -> Picture:
    """Graphite lines and hatching on white paper."""
    gray = level(luma(picture))
    lines = ink_lines(gray, 1.6, 17.0)
    tone = blur(gray, 2.0)
    hatch, cross = (tile(hatch_cell(slope), gray.shape) for slope in (1, -1))
    shade = ramp(tone, 0.60, 0.25) * hatch * 0.24 + ramp(tone, 0.34, 0.10) * cross * 0.24
    paper = 0.97 - 0.42 * ramp(tone, 0.62, 0.10)
    drawn = paper * (1 - shade) * (0.12 + 0.88 * lines)
    return gray_to_rgb(drawn, (1.0, 0.995, 0.98))


def ink(picture: Picture) -> Picture:
    """A brush dipped twice: black shapes, one grey wash, bare warm paper."""
    gray = level(blur(luma(picture), 1.8))
    lines = ink_lines(luma(picture), 2.0, 18.0)
    black = ramp(gray, 0.42, 0.24)
    wash = ramp(gray, 0.62, 0.46) * 0.35
    drawn = (1 - wash) * (1 - black) * lines
    paper = np.array([0.96, 0.91, 0.80], np.float32)
    return drawn[..., None] * paper + (1 - drawn[..., None]) * np.array([0.05, 0.05, 0.09], np.float32)


def comic(picture: Picture) -> Picture:
    """Flat bright colours in a few tones, dots where it is darker, fat black outlines."""
    flat = kuwahara(picture, 4)
    gray = luma(flat)
    tone = level(gray)
    lines = ink_lines(luma(picture), 1.8, 28.0)
    hue = saturate(flat * (0.66 / (gray[..., None] + 0.14)), 1.45)
    colour = hue * (0.58 + 0.90 * posterise(tone, 4, 5.0)[..., None])
    dots = tile(dot_cell(), gray.shape) * ramp(tone, 0.46, 0.32) * 0.45
    return colour * (1 - dots[..., None]) * lines[..., None] ** 1.3


def neon(picture: Picture) -> Picture:
    """Glass tubes in the dark: outlines glow, pink around what is dark and cyan around what is bright."""
    gray = level(luma(picture))
    tubes = 1 - ink_lines(gray, 2.0, 22.0, both=True)
    turn = ramp(blur(gray, 5.0), 0.62, 0.38)[..., None]
    light = turn * np.array([1.0, 0.10, 0.70], np.float32) + (1 - turn) * np.array([0.05, 0.85, 1.0], np.float32)
    dark = np.array([0.10, 0.03, 0.22], np.float32) * (0.4 + 1.2 * blur(gray, 2.0)[..., None])
    core = np.clip(tubes, 0, 1)[..., None]
    return dark + light * (0.8 * blur(tubes, 4.0)[..., None] + core) + 0.30 * core**2


def night(picture: Picture) -> Picture:
    """Moonlight: everything blue, and lamps with a warm halo where it was brightest."""
    gray = level(luma(picture))
    lamps = ramp(luma(picture), 0.72, 0.95)
    halo = np.clip(blur(lamps, 2.0) * 0.7 + blur(lamps, 8.0) * 0.6, 0, 1)[..., None]
    moon = (gray[..., None] * 0.75 + picture * 0.25) ** 1.35 * np.array([0.22, 0.40, 0.88], np.float32)
    return moon + np.array([0.01, 0.025, 0.10], np.float32) + halo * np.array([0.80, 0.55, 0.10], np.float32)


def thermal(picture: Picture) -> Picture:
    """A heat camera: blue where dark, then violet, red, orange and white where bright."""
    return palette(level(blur(luma(picture), 1.6)), IRONBOW)


def blueprint(picture: Picture) -> Picture:
    """White lines and a grid on engineer's blue."""
    gray = level(luma(picture))
    lines = 1 - ink_lines(gray, 2.0, 20.0, both=True)
    grid = tile(grid_cell(), gray.shape)
    fill = 0.22 * (blur(gray, 2.5) - 0.5)[..., None]
    base = np.array([0.05, 0.23, 0.58], np.float32) + fill + 0.11 * grid[..., None]
    white = np.array([0.90, 0.96, 1.0], np.float32)
    share = np.clip(lines, 0, 1)[..., None] * 0.95
    return base * (1 - share) + white * share


def pixel(picture: Picture) -> Picture:
    """Big square pixels in few bright colours."""
    height, width, _ = picture.shape
    small = cv2.resize(picture, (width // 8, height // 8), interpolation=cv2.INTER_AREA)
    small = posterise(saturate(contrast(small, 1.15), 1.3), 5, 5.0)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


def mosaic(picture: Picture) -> Picture:
    """Small stones of one colour each, set in pale mortar."""
    stones, mortar = tiling(picture.shape[:2])
    bright = saturate(contrast(picture, 1.2), 1.4)
    count = np.bincount(stones.ravel())
    colours = np.stack([np.bincount(stones.ravel(), bright[..., c].ravel()) / count for c in range(3)], -1)
    laid = colours.astype(np.float32)[stones]
    return laid * (1 - mortar[..., None]) + mortar[..., None] * np.array([0.80, 0.76, 0.68], np.float32)


def gold(picture: Picture) -> Picture:
    """Hammered metal: the picture in relief, cast in gold."""
    gray = level(blur(luma(picture), 1.6))
    light = relief(1.6 * gray)
    return palette(np.clip(0.12 + 0.76 * gray + 0.9 * light, 0, 1), GOLD)


LOOKS: dict[str, Look] = {
    "natural": natural,
    "watercolor": watercolor,
    "oil painting": oil,
    "pencil sketch": pencil,
    "ink": ink,
    "comic": comic,
    "neon": neon,
    "night": night,
    "thermal": thermal,
    "blueprint": blueprint,
    "pixel art": pixel,
    "mosaic": mosaic,
    "gold": gold,
}

IRONBOW: Stops = (
    (0.02, 0.02, 0.22),
    (0.28, 0.02, 0.55),
    (0.72, 0.05, 0.45),
    (0.95, 0.35, 0.08),
    (1.0, 0.78, 0.12),
    (1.0, 1.0, 0.85),
)
GOLD: Stops = (
    (0.05, 0.02, 0.0),
    (0.30, 0.15, 0.02),
    (0.65, 0.40, 0.07),
    (0.93, 0.70, 0.18),
    (1.0, 0.92, 0.55),
    (1.0, 1.0, 0.9),
)


def luma(picture: Picture) -> Picture:
    return picture @ LUMA


def blur(picture: Picture, sigma: float) -> Picture:
    return cv2.GaussianBlur(picture, (0, 0), sigma)


def level(gray: Picture) -> Picture:
    """Lift what lies in shadow and hold back what glares, so that a dim room still gives a picture."""
    height, width = gray.shape
    coarse = cv2.resize(gray, (width // 16, height // 16), interpolation=cv2.INTER_AREA)
    around = cv2.resize(blur(coarse, 3.0), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(0.5 + 1.25 * (gray - around) + 0.75 * (around - 0.5), 0, 1)


def contrast(picture: Picture, gain: float) -> Picture:
    return np.clip(0.5 + gain * (picture - 0.5), 0, 1)


def saturate(picture: Picture, gain: float) -> Picture:
    gray = luma(picture)[..., None]
    return np.clip(gray + gain * (picture - gray), 0, 1)


def ramp(value: Picture, start: float, end: float) -> Picture:
    """0 at `start`, 1 at `end`, smooth between; either may be the larger."""
    share = np.clip((value - start) / (end - start), 0, 1)
    return share * share * (3 - 2 * share)


def posterise(value: Picture, levels: int, hard: float = 8.0) -> Picture:
    """Pull values towards `levels` even steps; the steps' edges stay soft, so that they do not dance."""
    scaled = np.clip(value, 0, 1) * (levels - 1)
    base = np.floor(scaled)
    return (base + 0.5 + 0.5 * np.tanh(hard * (scaled - base - 0.5)) / np.tanh(hard / 2)) / (levels - 1)


def ink_lines(gray: Picture, sigma: float, gain: float, both: bool = False) -> Picture:
    """Soft thick lines, 1 where there is none and 0 on one. both: on either side of an edge, else on its dark side.

    Source: Winnemoeller et al. 2012, XDoG: an eXtended difference-of-Gaussians compendium.
    """
    fine = blur(gray, sigma)
    difference = fine - blur(gray, 1.6 * sigma)
    depth = np.abs(difference) if both else -difference
    return blur(1 - np.tanh(gain * np.clip(depth - QUIET, 0, None)), 0.7)


def kuwahara(picture: Picture, reach: int) -> Picture:
    """Each pixel takes the colour of the calmest of the four squares it is a corner of: flat dabs with crisp edges."""
    gray = luma(picture)
    mean = cv2.blur(np.dstack([picture, gray * gray]), (reach, reach))
    restless = mean[..., 3] - (mean[..., :3] @ LUMA) ** 2
    half = reach // 2
    total, weights = np.zeros_like(picture), np.zeros_like(gray)
    for y, x in ((-half, -half), (-half, half), (half, -half), (half, half)):
        shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
        moved = cv2.warpAffine(mean, shift, gray.shape[::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
        calm = cv2.warpAffine(restless, shift, gray.shape[::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
        weight = 1 / (1e-4 + np.maximum(calm, 0)) ** 2  # a soft choice: a hard one flickers
        total += moved[..., :3] * weight[..., None]
        weights += weight
    return total / weights[..., None]


def relief(height: Picture) -> Picture:
    """Light from the upper left on a surface of that height, about -0.5..0.5."""
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3)
    return np.tanh(blur(slope_x + slope_y, 0.8) * 0.5) * 0.5


def palette(value: Picture, stops: Stops) -> Picture:
    """Colour a grey picture by evenly spaced stops."""
    table = np.array(stops, np.float32)
    place = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(value, place, table[:, c]) for c in range(3)], -1).astype(np.float32)


def gray_to_rgb(gray: Picture, tint: tuple[float, float, float]) -> Picture:
    return gray[..., None] * np.array(tint, np.float32)


CELL = 16  # pixels: a token's side. Only what repeats with it can be learnt: tokens do not know where they are


@cache
def tile(cell: bytes, shape: tuple[int, int]) -> Picture:
    """Repeat a CELL x CELL texture over a picture of that shape."""
    pattern = np.frombuffer(cell, np.float32).reshape(CELL, CELL)
    rows, columns = -(-shape[0] // CELL), -(-shape[1] // CELL)
    return np.tile(pattern, (rows, columns))[: shape[0], : shape[1]]


def hatch_cell(slope: int) -> bytes:
    """Soft slanted strokes, 1 on a stroke."""
    y, x = np.mgrid[:CELL, :CELL]
    return _cell(0.5 + 0.5 * np.sin((x + slope * y) * 2 * np.pi / 8))


def dot_cell() -> bytes:
    """Printed dots on a grid turned by 45 degrees, 1 in a dot's middle."""
    y, x = np.mgrid[:CELL, :CELL] * (2 * np.pi / 8)
    return _cell(np.clip((np.cos(x) + np.cos(y)) * 0.9, 0, 1))


def grid_cell() -> bytes:
    """One soft line across and one down."""
    line = np.exp(-((np.arange(CELL) - CELL / 2 + 0.5) ** 2))
    return _cell(np.maximum(line[None], line[:, None]))


def grain_cell() -> bytes:
    """The tooth of paper, about -1..1."""
    return _cell(_torus_noise(3.0, 3.0, 0.0, seed=1))


def dab_cell() -> bytes:
    """Slanted dabs of a bristle brush, about -1..1."""
    return _cell(_torus_noise(6.0, 1.7, 0.6, seed=6))


def _torus_noise(long: float, wide: float, turn: float, seed: int) -> NDArray[np.float64]:
    """Noise smeared by a slanted Gaussian of that length and width, on a cell whose edges meet."""
    noise = np.random.default_rng(seed).standard_normal((CELL, CELL))
    y, x = np.mgrid[:CELL, :CELL] - CELL // 2
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    kernel = np.fft.ifftshift(np.exp(-((along / long) ** 2) - (across / wide) ** 2))
    smeared = np.fft.ifft2(np.fft.fft2(noise) * np.fft.fft2(kernel)).real
    smeared -= smeared.mean()
    return np.clip(smeared / smeared.std() / 1.5, -1, 1)


def _cell(texture: NDArray[np.float64]) -> bytes:
    return texture.astype(np.float32).tobytes()


@cache
def tiling(shape: tuple[int, int]) -> tuple[NDArray[np.int64], Picture]:
    """Three irregular stones to a cell: each pixel's stone, and how much mortar shows."""
    centres = np.array([(3.0, 3.5), (7.5, 11.0), (13.0, 5.0)])
    rows, columns = (-(-extent // CELL) + 2 for extent in shape)
    corners = np.moveaxis(np.mgrid[-1 : rows - 1, -1 : columns - 1], 0, -1).reshape(-1, 1, 2) * CELL
    centres = (corners + centres).reshape(-1, 2)
    place = np.moveaxis(np.mgrid[: shape[0], : shape[1]], 0, -1).reshape(-1, 1, 2)
    distance = np.sqrt(((place - centres[None]) ** 2).sum(-1))
    near = np.partition(distance, 1, axis=-1)
    mortar = ramp((near[:, 1] - near[:, 0]).reshape(shape).astype(np.float32), 2.6, 0.2) * 0.85
    stones = np.unique(distance.argmin(-1), return_inverse=True)[1]
    return stones.reshape(shape), mortar
