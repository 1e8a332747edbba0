"""From whatever a decoder hands out to the pictures of a run: upright, RGB, one size."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from bridge.errors import BridgeError

Picture = NDArray[np.uint8]
BT709 = 1  # how AVFrame.colorspace calls it
UNKNOWN = 2
MAX_OVERSIZE = 4  # times the wanted size; what would be scaled to more is cropped first: the scaler has limits
MARGIN = 2  # pixels
HD_HEIGHT = 720  # from here on, a picture that does not say so is BT.709 by convention, below BT.601


def cover(picture: av.VideoFrame, width: int, height: int, pixel_shape: float | Fraction = 1) -> Picture:
    """Turn upright, scale to cover `width` x `height`, crop the middle -> uint8 RGB [height, width, 3].

    pixel_shape: width of one of its pixels divided by its height, which only the file or the device knows.
    Raises BridgeError for pictures that FFmpeg cannot scale.
    """
    turns = round(picture.rotation / 90) % 4  # quarter turns, counter-clockwise
    wide, tall = (height, width) if turns % 2 else (width, height)
    return np.ascontiguousarray(np.rot90(_fill(picture, wide, tall, float(pixel_shape)), turns))


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
    wide, high = max(1, min(width, round(wide * scale))), max(1, min(height, round(high * scale)))
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


def _fill(picture: av.VideoFrame, width: int, height: int, pixel_shape: float) -> Picture:
    """Scale to cover, crop the middle -> uint8 RGB [height, width, 3]."""
    down = max(width / (picture.width * pixel_shape), height / picture.height)
    across = pixel_shape * down
    if picture.width * across > MAX_OVERSIZE * width or picture.height * down > MAX_OVERSIZE * height:
        picture = _middle(picture, ceil(width / across), ceil(height / down))
    wide, high = max(width, round(picture.width * across)), max(height, round(picture.height * down))
    pixels = _scaled(picture, wide, high)
    top, left = (high - height) // 2, (wide - width) // 2
    return pixels[top : top + height, left : left + width]


def _middle(picture: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """At least `width` x `height` pixels around the middle of a picture, and what the scaler looks at beside them."""
    left, top = max(0, (picture.width - width) // 2 - MARGIN), max(0, (picture.height - height) // 2 - MARGIN)
    pixels = _scaled(picture, picture.width, picture.height)[top : picture.height - top, left : picture.width - left]
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")


def _scaled(picture: av.VideoFrame, width: int, height: int) -> Picture:
    colorspace = _colorspace(picture)
    try:
        scaled = picture.reformat(width, height, "rgb24", interpolation="BICUBIC", src_colorspace=colorspace)
        return np.asarray(scaled.to_ndarray(), np.uint8)
    except (FFmpegError, ValueError) as error:
        what = f"pictures of {picture.width}x{picture.height}, {picture.format.name},"
        raise BridgeError(f"{what} cannot be scaled to {width}x{height}", "convert them to another size") from error


def _colorspace(picture: av.VideoFrame) -> int | None:
    return BT709 if picture.colorspace == UNKNOWN and picture.height >= HD_HEIGHT else None
