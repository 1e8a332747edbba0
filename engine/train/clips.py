"""Clips made on the fly: canvases under a moving camera, with things moving in front of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.train.pictures import UNSEEN, Canvas, Random, draw_canvas, load_picture

Clip = NDArray[Any]  # uint8 RGB [T, H, W, 3]
Bend = NDArray[Any]  # float32 [2, rows, columns, 2]: coarse grids of displacement in pixels, to swing between
STILL = 0.35  # share of clips in which nothing moves: flicker shows there first


@dataclass(frozen=True)
class Path:
    """Where the camera looks, per frame: centre (0..1), zoom, angle. Drift plus a slow swing plus a hand's shake."""

    centre: NDArray[np.float64]  # [T, 2]
    zoom: NDArray[np.float64]  # [T]
    angle: NDArray[np.float64]  # [T]

    @staticmethod
    def draw(frames: int, random: Random, still: bool, reach: float = 0.2) -> Path:
        speed = 0.0 if still else float(np.exp(random.normal(-0.6, 0.8)))
        time = np.arange(frames) / 28 * speed

        def wander(size: float) -> NDArray[np.float64]:
            shake = 0.06 * np.sin(time * random.uniform(5, 30) + random.uniform(0, 6))
            return size * (random.normal() * time + 0.5 * np.sin(3 * time + random.uniform(0, 6)) + shake)

        centre = np.stack([0.5 + random.uniform(-reach, reach) + wander(0.12) for _ in range(2)], -1)
        return Path(centre, np.exp(random.uniform(0, 0.9) + wander(0.2)), random.normal(0, 0.15) + wander(0.15))


def draw_clip(frames: int, width: int, height: int, random: Random) -> Clip:
    """One clip [frames, height, width, 3]: a background, up to two things before it, sometimes a bend and a flicker."""
    still = random.random() < STILL
    clip = film(draw_canvas(random), Path.draw(frames, random, still), width, height, _bend(random, still))
    for _ in range(random.choice(3, p=[0.45, 0.4, 0.15])):
        _place_thing(clip, random, still)
    if not still and random.random() < 0.2:
        clip = _change_light(clip, random)
    return clip


def film(canvas: Canvas, path: Path, width: int, height: int, bend: Bend | None = None) -> Clip:
    """Look at a canvas along a path; a zoom of 1 just covers the picture."""
    cover = max(width / canvas.shape[1], height / canvas.shape[0])
    if cover < 0.8:  # shrink first, or thin lines alias
        canvas = cv2.resize(canvas, None, fx=cover * 1.25, fy=cover * 1.25, interpolation=cv2.INTER_AREA)
        cover = 0.8
    clip = np.empty((len(path.zoom), height, width, 3), np.uint8)
    for i, (centre, zoom, angle) in enumerate(zip(path.centre, path.zoom, path.angle, strict=True)):
        scale = cover * max(zoom, 0.9)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
        offset = centre * canvas.shape[1::-1] - turn @ (width / 2, height / 2)
        matrix = np.concatenate([turn, offset[:, None]], 1)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cv2.warpAffine(canvas, matrix, (width, height), clip[i], flags, borderMode=cv2.BORDER_REFLECT)
    return clip if bend is None else _bend_clip(clip, bend)


def unseen_clip(frames: int, width: int, height: int) -> Clip:
    """A picture kept out of training, under a slowly moving camera that rests for the last third."""
    time = np.minimum(np.arange(frames), frames * 2 // 3) / 28
    centre = 0.5 + 0.08 * np.stack([np.sin(2 * time), time], -1)
    return film(load_picture(UNSEEN), Path(centre, 1.1 + 0.3 * time, 0.1 * np.sin(3 * time)), width, height)


def _bend(random: Random, still: bool) -> Bend | None:
    """A slow swelling of the picture; mostly None."""
    if still or random.random() < 0.6:
        return None
    return (random.standard_normal((2, 4, 6, 2)) * random.uniform(2, 7)).astype(np.float32)


def _bend_clip(clip: Clip, bend: Bend) -> Clip:
    frames, height, width, _ = clip.shape
    first, second = (cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) for grid in bend)
    base = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    out = np.empty_like(clip)
    for i in range(frames):
        place = base + first * math.cos(i / 9) + second * math.sin(i / 9)
        out[i] = cv2.remap(clip[i], place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return out


def _place_thing(clip: Clip, random: Random, still: bool) -> None:
    """Move a cut-out of another canvas over the clip, in place."""
    frames, height, width, _ = clip.shape
    thing = film(draw_canvas(random), Path.draw(1, random, True), width, height)[0]
    mask = _cut_out(width, height, random)
    path = Path.draw(frames, random, still, reach=0.35)
    for i in range(frames):
        shift = (path.centre[i] - 0.5) * (width, height)
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), float(np.degrees(path.angle[i])), path.zoom[i] / 1.3)
        matrix[:, 2] += shift
        moved = cv2.warpAffine(thing, matrix, (width, height), flags=cv2.INTER_LINEAR)
        share = cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_LINEAR)[..., None].astype(np.uint16)
        clip[i] = ((clip[i] * (255 - share) + moved * share) // 255).astype(np.uint8)


def _cut_out(width: int, height: int, random: Random) -> Canvas:
    mask = np.zeros((height, width), np.uint8)
    radius = random.uniform(0.12, 0.42) * height
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    wobble = 1 + random.uniform(0, 0.35) * np.sin(angles * random.integers(2, 6) + random.uniform(0, 6))
    points = np.stack([width / 2 + radius * random.uniform(0.6, 1.4) * wobble * np.cos(angles),
                       height / 2 + radius * wobble * np.sin(angles)], -1)  # fmt: skip
    cv2.fillPoly(mask, [points.astype(np.int32)], 255, lineType=cv2.LINE_AA)
    return mask


def _change_light(clip: Clip, random: Random) -> Clip:
    speed, depth = random.uniform(0.03, 0.25), random.uniform(0.05, 0.3)
    gain = 1 - depth * (0.5 + 0.5 * np.sin(np.arange(len(clip)) * speed + random.uniform(0, 6)))
    return (clip * gain[:, None, None, None].astype(np.float32)).astype(np.uint8)


def to_tensor(clip: Clip) -> Tensor:
    """uint8 [T, H, W, 3] -> float [T, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(clip)).permute(0, 3, 1, 2).float().div(127.5).sub(1)
