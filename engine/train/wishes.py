"""What can be asked for: a look, in a colour, softly or strongly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.train.looks import LOOKS, Picture, contrast, luma, palette, saturate, to_bytes
from engine.train.pictures import Random

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.90, 0.08, 0.08),
    "orange": (1.0, 0.50, 0.05),
    "yellow": (0.95, 0.85, 0.10),
    "green": (0.10, 0.75, 0.20),
    "turquoise": (0.05, 0.75, 0.75),
    "blue": (0.10, 0.30, 0.95),
    "purple": (0.55, 0.15, 0.85),
    "pink": (1.0, 0.35, 0.70),
}
STRENGTHS = ("soft", "strong")
SOFT = 0.5  # share of the look in a soft one; the rest is the picture as it is
TINT = 0.8  # share of a colour in a picture tinted with it
QUALIFIED = 0.25  # share of wishes with a colour, and of those with a strength


@dataclass(frozen=True)
class Wish:
    """A look, "" or one of COLOURS, "" or one of STRENGTHS."""

    look: str
    colour: str = ""
    strength: str = ""


def draw_wish(look: str, random: Random, share: float = QUALIFIED) -> Wish:
    """A way to want this look: mostly as it is. "natural" has neither colour nor strength."""
    colour = tuple(COLOURS)[random.integers(len(COLOURS))] if random.random() < share else ""
    strength = STRENGTHS[random.integers(len(STRENGTHS))] if random.random() < share else ""
    return Wish(look) if look == "natural" else Wish(look, colour, strength)


def grant(wish: Wish, clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Render a clip [T, H, W, 3] as wished."""
    return np.stack([to_bytes(_paint(wish, frame.astype(np.float32) / 255)) for frame in clip])


def _paint(wish: Wish, picture: Picture) -> Picture:
    painted = np.clip(LOOKS[wish.look](picture), 0, 1)
    if wish.colour:
        painted = tint(painted, COLOURS[wish.colour])
    if wish.strength == "soft":
        return SOFT * painted + (1 - SOFT) * picture
    return saturate(contrast(painted, 1.3), 1.3) if wish.strength == "strong" else painted


def tint(picture: Picture, colour: tuple[float, float, float]) -> Picture:
    """Print a picture with one colour of ink on white: what was dark is deep, what was white stays white."""
    deep: Any = tuple(0.2 * part for part in colour)
    return TINT * palette(luma(picture), (deep, colour, (1.0, 1.0, 1.0))) + (1 - TINT) * picture
