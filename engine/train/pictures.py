"""The still pictures that clips are cut from: bundled public-domain and CC0 photographs, and drawn canvases.

A canvas is uint8 RGB, at least 300 pixels high. `docs/model-card-tiny.md` lists every photograph and its licence.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import skimage.data
from numpy.typing import NDArray

Canvas = NDArray[Any]  # uint8 RGB [H, W, 3]
Random = np.random.Generator

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "rocket.jpg", "camera.png", "coins.png", "clock_motion.png")
TEXTURES = ("brick.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "retina.jpg", "ihc.png")
UNSEEN = "coffee.png"  # kept out of training, so that a published picture can show an honest result
CANVAS = (360, 600)  # height and width of a drawn canvas


def draw_canvas(random: Random) -> Canvas:
    """One picture to move over: mostly photographs, then collages, textures and plain drawings."""
    kinds = (_photograph, draw_leaves, draw_clouds, _texture)
    return recolour(kinds[random.choice(4, p=[0.55, 0.25, 0.08, 0.12])](random), random)


def load_picture(name: str) -> Canvas:
    """Read one bundled photograph as RGB."""
    folder = Path(skimage.data.__file__).parent
    if name == "grace_hopper.jpg":
        folder = Path(matplotlib.get_data_path()) / "sample_data"
    picture = cv2.imread(str(folder / name), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(folder / name)
    scale = max(1.0, 360 / min(picture.shape[:2]))
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(picture[..., ::-1])


@cache
def photographs() -> tuple[Canvas, ...]:
    return tuple(load_picture(name) for name in ("grace_hopper.jpg", *PHOTOGRAPHS))


@cache
def textures() -> tuple[Canvas, ...]:
    return tuple(load_picture(name) for name in TEXTURES)


def draw_leaves(random: Random) -> Canvas:
    """Overlapping shapes of every size ("dead leaves"): the edges and occlusions of natural pictures without one.

    Half of the leaves are filled from a photograph, the others with one colour or a gradient.
    """
    height, width = CANVAS
    canvas = draw_clouds(random)
    for radius in np.sort(8 + 120 * random.power(0.5, size=int(random.integers(15, 90))))[::-1]:
        mask = np.zeros((height, width), np.uint8)
        _draw_shape(mask, float(radius), random)
        canvas[mask > 0] = _fill(random)[mask > 0]
    return canvas


def draw_clouds(random: Random) -> Canvas:
    """Smooth noise in a few octaves between two colours."""
    height, width = CANVAS
    field: NDArray[Any] = np.zeros((height, width), np.float32)
    for octave in range(1, int(random.integers(2, 6))):
        grid = random.standard_normal((3 * 2**octave // 2, 5 * 2**octave // 2)).astype(np.float32)
        field += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / 1.6**octave
    share = 1 / (1 + np.exp(-2.5 * field[..., None]))
    first, second = random.uniform(0, 255, (2, 3))
    return (first * share + second * (1 - share)).astype(np.uint8)


def recolour(canvas: Canvas, random: Random) -> Canvas:
    """Another light: mirrored, hue turned, brighter or darker, a cast. Half of the pictures keep their hue."""
    if random.random() < 0.5:
        canvas = canvas[:, ::-1]
    if random.random() < 0.35:
        hsv = cv2.cvtColor(np.ascontiguousarray(canvas), cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(int) + random.integers(0, 180)) % 180
        canvas = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    levels = np.arange(256, dtype=np.float32)[:, None] / 255
    gamma, gain = np.exp(random.uniform(-0.5, 0.5)), random.uniform(0.6, 1.15)
    cast = np.exp(random.normal(0, 0.12, 3))
    table = (255 * np.clip(gain * levels**gamma * cast + random.uniform(0, 0.12), 0, 1)).astype(np.uint8)
    return np.ascontiguousarray(np.stack([table[canvas[..., c], c] for c in range(3)], axis=-1))


def _photograph(random: Random) -> Canvas:
    pictures = photographs()
    weights = np.array([3, 3, 3, 1.5, 2, 0.7, 0.5])
    return pictures[random.choice(len(pictures), p=weights / weights.sum())]


def _texture(random: Random) -> Canvas:
    return textures()[random.integers(len(TEXTURES))]


def _fill(random: Random) -> Canvas:
    """What a leaf is filled with, a whole canvas of it."""
    height, width = CANVAS
    if random.random() < 0.5:
        picture = _photograph(random) if random.random() < 0.7 else _texture(random)
        return cv2.resize(picture[:, ::-1] if random.random() < 0.5 else picture, (width, height))
    first, second = random.uniform(0, 255, (2, 3))
    if random.random() < 0.5:
        return np.broadcast_to(first.astype(np.uint8), (height, width, 3))
    slope = (
        np.linspace(0, 1, width)[None, :, None] if random.random() < 0.5 else np.linspace(0, 1, height)[:, None, None]
    )
    return np.broadcast_to((first * slope + second * (1 - slope)).astype(np.uint8), (height, width, 3))


def _draw_shape(mask: Canvas, radius: float, random: Random) -> None:
    height, width = mask.shape
    x, y = int(random.integers(0, width)), int(random.integers(0, height))
    kind = random.integers(4)
    if kind == 0:
        axes = (int(radius), int(radius * random.uniform(0.3, 1)) + 1)
        cv2.ellipse(mask, (x, y), axes, float(random.uniform(0, 180)), 0, 360, 255, -1)
    elif kind == 1:
        angles = np.sort(random.uniform(0, 2 * np.pi, int(random.integers(3, 7))))
        points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], -1)
        cv2.fillPoly(mask, [points.astype(np.int32)], 255)
    elif kind == 2:
        far = (x + int(radius * random.normal()), y + int(radius * random.normal()))
        cv2.line(mask, (x, y), far, 255, int(random.integers(2, 12)))
    else:
        text = "".join(chr(c) for c in random.integers(48, 91, 4))
        cv2.putText(
            mask, text, (x - 30, y), cv2.FONT_HERSHEY_SIMPLEX, radius / 30 + 0.4, 255, int(random.integers(2, 8))
        )
