"""The README's sheet of looks: a camera moves over a photograph; its last picture, and what each look makes of it.

python -m tests.bench.picture_looks docs/pictures/looks.jpg [--preset tiny] [--steps 2] [--still coffee]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from engine.frame import Frame
from engine.preset import load_preset
from engine.threads import passive_openmp
from tests.bench.picture_sheets import save

ASSETS = Path(__file__).parents[2] / "bridge" / "assets"
FRAMES, FPS = 24, 24.0
COLUMNS, GAP, LABEL = 5, 8, 26  # LABEL: pixels below a picture
PAPER, INK = 250, 40


def pan(still, width, height):
    """Frames of a camera that moves slowly over a photograph."""
    photo = cv2.imread(str(ASSETS / f"{still}.jpg"))[..., ::-1]
    high = min(photo.shape[0], photo.shape[1] * height / width) * 0.85
    wide = high * width / height
    for index, share in enumerate(np.linspace(0, 1, FRAMES)):
        x, y = (photo.shape[1] - wide) * (0.3 + 0.4 * share), (photo.shape[0] - high) * 0.5
        move = np.array([[wide / width, 0, x], [0, high / height, y]])
        area = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP if wide <= width else cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        yield Frame(cv2.warpAffine(photo, move, (width, height), flags=area), index / FPS, index)


def shown_as(session, preset, look, steps, frames):
    """The last picture of the stream in one look."""
    session.update(replace(preset.params, prompt=look, steps=steps, revision=1))
    session.reset()
    pictures = []
    for frame in frames:
        session.push(frame)
        pictures += session.step()
    return (pictures + session.flush())[-1].pixels


def tile(pixels, name):
    """A picture with its name below."""
    label = np.full((LABEL, pixels.shape[1], 3), PAPER, np.uint8)
    cv2.putText(label, name, (2, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (INK,) * 3, 1, cv2.LINE_AA)
    return np.pad(np.concatenate([pixels, label]), ((0, 0), (0, GAP), (0, 0)), constant_values=PAPER)


def sheet(tiles):
    """Tiles in rows, the last one filled up with paper."""
    blank = np.full_like(tiles[0], PAPER)
    tiles = tiles + [blank] * (-len(tiles) % COLUMNS)
    return np.concatenate([np.concatenate(tiles[i : i + COLUMNS], 1) for i in range(0, len(tiles), COLUMNS)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--still", default="coffee", help="a picture of bridge/assets")
    options = parser.parse_args()
    preset = load_preset(options.preset)
    passive_openmp()
    from engine.session import open_session

    session = open_session(preset)
    frames = list(pan(options.still, preset.width, preset.height))
    tiles = [tile(frames[-1].pixels, "input")]
    tiles += [tile(shown_as(session, preset, look, options.steps, frames), look) for look in preset.looks]
    save(options.target, sheet(tiles))


if __name__ == "__main__":
    main()
