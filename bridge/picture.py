"""From whatever a decoder hands out to the pictures of a run: upright, RGB, one size."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
BT709 = 1  # how AVFrame.colorspace calls it
UNKNOWN = 2
HD_HEIGHT = 720  # from here on, a picture that does not say so is BT.709 by convention, below BT.601


def cover(picture: av.VideoFrame, width: int, height: int) -> Picture:
    """Turn upright, scale to cover `width` x `height`, crop the middle -> uint8 RGB [height, width, 3]."""
    turns = round(picture.rotation / 90) % 4  # quarter turns, counter-clockwise
    tall, wide = (width, height) if turns % 2 else (height, width)
    scale = max(wide / picture.width, tall / picture.height)
    scaled = picture.reformat(
        width=max(wide, round(picture.width * scale)),
        height=max(tall, round(picture.height * scale)),
        format="rgb24",
        interpolation="BICUBIC",
        src_colorspace=_colorspace(picture),
    )
    top, left = (scaled.height - tall) // 2, (scaled.width - wide) // 2
    pixels = scaled.to_ndarray()[top : top + tall, left : left + wide]
    return np.ascontiguousarray(np.rot90(pixels, turns))


def cover_pixels(pixels: Picture, width: int, height: int) -> Picture:
    """The same for uint8 RGB [H, W, 3] pixels; returns them as they are if they fit."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return cover(av.VideoFrame.from_ndarray(pixels, format="rgb24"), width, height)


def fit_pixels(pixels: Picture, width: int, height: int) -> Picture:
    """Scale all of uint8 RGB [H, W, 3] into the middle of a black `width` x `height`; returned as it is if it fits."""
    high, wide = pixels.shape[:2]
    if (high, wide) == (height, width):
        return pixels
    scale = min(width / wide, height / high)
    wide, high = min(width, round(wide * scale)), min(height, round(high * scale))
    picture = np.zeros((height, width, 3), np.uint8)
    top, left = (height - high) // 2, (width - wide) // 2
    picture[top : top + high, left : left + wide] = cover_pixels(pixels, wide, high)
    return picture


def stretch_pixels(pixels: Picture, width: int, height: int, interpolation: str = "BICUBIC") -> Picture:
    """All of uint8 RGB [H, W, 3] pixels, whatever becomes of their proportions -> [height, width, 3]."""
    if pixels.shape[:2] == (height, width):
        return pixels
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    stretched = frame.reformat(width=width, height=height, interpolation=interpolation)
    return np.asarray(stretched.to_ndarray(), np.uint8)


def blend(over: Picture, under: Picture, share: float) -> Picture:
    """`share` of one picture over the other, both uint8 [H, W, 3]; 0 and 1 give one of them unchanged."""
    weight = round(share * 256)
    mixed = over.astype(np.uint16) * np.uint16(weight)
    mixed += under.astype(np.uint16) * np.uint16(256 - weight)
    mixed >>= 8
    return mixed.astype(np.uint8)


def _colorspace(picture: av.VideoFrame) -> int | None:
    return BT709 if picture.colorspace == UNKNOWN and picture.height >= HD_HEIGHT else None
