"""A card that gives away what a chain of programs does to its pictures: flips, swapped colours, lost frames."""

from __future__ import annotations

import numpy as np

from bridge.adapters.timeline import Drawn
from bridge.media.bitmap_font import HIGH, WIDE, write
from bridge.media.picture import Picture

BITS = 16  # of the frame number, shown as bars along the lower edge, the highest bit at the left
PERIOD = 90  # frames for the disc to go round
BACKGROUND = 56  # of 255, the grey behind everything
CORNERS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


class TestCard(Drawn):
    """Corners red, green / blue, white; an arrow up; the word; a disc going round clockwise; the number in bars."""

    name = "test card"
    __test__ = False  # pytest: not a test, whatever the name suggests

    def _prepare(self, width: int, height: int) -> None:
        self._card = draw_card(width, height)

    def _draw(self, index: int) -> Picture:
        card = self._card.copy()
        draw_disc(card, turn=index / PERIOD)
        draw_number(card, index)
        return card


def read_number(picture: Picture) -> int:
    """The number (modulo 2^16) that the bars of a test card's picture show, even if it was scaled or compressed."""
    row = picture[-max(1, _bar(picture) // 2)].mean(axis=1)
    number = 0
    for cell in np.array_split(row, BITS):
        number = 2 * number + int(cell[len(cell) // 2] > 127)
    return number


def draw_card(width: int, height: int) -> Picture:
    """Everything that does not move."""
    card = np.full((height, width, 3), BACKGROUND, np.uint8)
    grid = max(4, height // 12)
    card[::grid] = card[:, ::grid] = 80
    side_y, side_x = height // 5, width // 5
    bottom = height - _bar(card)
    card[:side_y, :side_x] = CORNERS["red"]
    card[:side_y, -side_x:] = CORNERS["green"]
    card[bottom - side_y : bottom, :side_x] = CORNERS["blue"]
    card[bottom - side_y : bottom, -side_x:] = CORNERS["white"]
    _draw_arrow(card)
    dot = max(1, min(height // (5 * HIGH), width // (24 * WIDE)))
    write(card, "latentcast", width // 2, height // 8, dot, (235, 235, 235))
    return card


def draw_disc(card: Picture, turn: float) -> None:
    """A yellow disc that goes round the middle clockwise; `turn` counts rounds, starting at the top."""
    height, width = card.shape[:2]
    radius, orbit = height / 16, height / 4
    x = width / 2 + orbit * np.sin(2 * np.pi * turn)
    y = height / 2 - orbit * np.cos(2 * np.pi * turn)
    rows, columns = np.ogrid[:height, :width]
    card[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = (255, 220, 0)


def draw_number(card: Picture, index: int) -> None:
    """Black and white bars along the lower edge: the index in binary."""
    for place, columns in enumerate(np.array_split(np.arange(card.shape[1]), BITS)):
        card[-_bar(card) :, columns] = 255 * (index >> BITS - 1 - place & 1)


def _draw_arrow(card: Picture) -> None:
    """An arrow up, left of the middle, so that both kinds of flip show."""
    height, width = card.shape[:2]
    rows, columns = np.ogrid[:height, :width]
    down, side = rows - height * 0.3, np.abs(columns - width * 0.4)
    head = (down >= 0) & (down < height * 0.16) & (side <= down * 0.6)
    shaft = (down >= height * 0.16) & (down < height * 0.4) & (side <= height * 0.03)
    card[head | shaft] = (235, 120, 30)


def _bar(card: Picture) -> int:
    return max(2, int(card.shape[0]) // 16)
