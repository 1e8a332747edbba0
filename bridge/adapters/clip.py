"""The built-in moving clip: what `run` shows where no camera is. Three photographs, slowly travelled over, for ever."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from bridge.adapters.timeline import Drawn
from bridge.media.picture import Picture, blend

ASSETS = Path(__file__).resolve().parents[1] / "assets"
SCENE = 20.0  # seconds
FADE = 2.0  # seconds of it that dissolve into the next
SWAY = 0.05  # radians by which the view turns, at most, to either side
BREATH = 0.08  # share by which it widens and narrows
Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture and where the travelling looks: at (x, y), fractions of the picture, over a share of what fits."""

    file: str
    x: float
    y: float
    share: float


SCENES = (
    Scene("chelsea.jpg", 0.50, 0.50, 0.90),
    Scene("astronaut.jpg", 0.45, 0.30, 0.80),
    Scene("coffee.jpg", 0.50, 0.50, 0.80),
)


class Clip(Drawn):
    """Deterministic: picture n is the same on every run at one size and rate."""

    name = "built-in clip"
    fps = 24.0

    def _prepare(self, width: int, height: int) -> None:
        self._size = width, height

    def _draw(self, index: int) -> Picture:
        number, moment = divmod(index / self.fps, SCENE)
        picture = self._look(int(number), moment)
        share = (moment - (SCENE - FADE)) / FADE
        if share <= 0:
            return picture
        coming = self._look(int(number) + 1, moment - SCENE)
        return blend(coming, picture, share * share * (3 - 2 * share))

    def _look(self, number: int, moment: float) -> Picture:
        """Scene `number` at `moment` seconds after its start; before it, while it is still fading in, below 0."""
        scene = SCENES[number % len(SCENES)]
        return sample(load_picture(scene.file), *_view(scene, moment, *self._size))


@cache
def load_picture(file: str) -> Picture:
    """A picture of bridge/assets, uint8 RGBA [H, W, 4]."""
    with av.open(str(ASSETS / file)) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
    # not "rgba": swscale leaves the last columns of some widths unwritten
    return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])


def sample(picture: Picture, x: Plane, y: Plane) -> Picture:
    """Look at RGBA [h, w, 4] in fractions of pixels: coordinates [H, W] -> RGB [H, W, 3], four neighbours blended."""
    height, width = picture.shape[:2]
    x, y = x.clip(0, width - 1.01), y.clip(0, height - 1.01)
    left, top = x.astype(np.int32), y.astype(np.int32)
    right_share = ((x - left) * 256).astype(np.uint16)[..., None]
    low_share = ((y - top) * 256).astype(np.uint16)[..., None]
    whole = picture.view(np.uint32).ravel()  # four bytes are fetched as one
    corner = top * width + left

    def fetch(offset: int) -> Picture:
        neighbours: Picture = whole.take(corner + offset).view(np.uint8).reshape(*corner.shape, 4)
        return neighbours

    upper = _between(fetch(0), fetch(1), right_share)
    lower = _between(fetch(width), fetch(width + 1), right_share)
    return np.ascontiguousarray(_between(upper, lower, low_share)[..., :3])


def _between(start: Picture, end: Picture, share: NDArray[np.uint16]) -> Picture:
    mixed = start * (256 - share)
    mixed += end * share
    mixed >>= 8
    return mixed.astype(np.uint8)


def _view(scene: Scene, moment: float, width: int, height: int) -> tuple[Plane, Plane]:
    """Where each pixel of a picture of this size looks, in pixels of the scene's photograph: x, y [H, W]."""
    high, wide = load_picture(scene.file).shape[:2]
    reach_x, reach_y = width / 2 + SWAY * height / 2, height / 2 + SWAY * width / 2  # of a view that is turned most
    room = min(wide / reach_x, high / reach_y) / 2  # photograph pixels per pixel when that view just fits
    scale = room * scene.share * (1 + BREATH * np.sin(moment * 0.55))
    angle = SWAY * np.sin(moment * 0.41)
    centre_x = _keep(scene.x * wide + 0.06 * room * width * np.sin(moment * 0.70), scale * reach_x, wide)
    centre_y = _keep(scene.y * high + 0.05 * room * height * np.sin(moment * 0.53 + 1), scale * reach_y, high)
    columns = (np.arange(width, dtype=np.float32) - (width - 1) / 2) * np.float32(scale)
    rows = (np.arange(height, dtype=np.float32) - (height - 1) / 2)[:, None] * np.float32(scale)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x: Plane = columns * cos - rows * sin + np.float32(centre_x)
    y: Plane = columns * sin + rows * cos + np.float32(centre_y)
    return x, y


def _keep(centre: float, half: float, length: int) -> float:
    """Pull a view of `half` size inwards where it would leave the photograph."""
    return float(min(max(centre, half), length - 1 - half))
