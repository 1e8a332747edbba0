"""Small letters, 5 dots wide and 8 high, for slates and test cards: text needs no font on the machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WIDE, HIGH = 5, 8
_BANDS = {
    "abcdefghi": """
      ..... #.... ..... ....# ..... ..##. ..... #.... ..#..
      ..... #.... ..... ....# ..... .#... ..... #.... .....
      .###. #.##. .###. .##.# .###. ####. .##.# #.##. .##..
      ....# ##..# #...# #..## #...# .#... #..## ##..# ..#..
      .#### #...# #.... #...# ##### .#... #...# #...# ..#..
      #...# #...# #...# #...# #.... .#... #...# #...# ..#..
      .#### ####. .###. .#### .###. .#... .#### #...# .###.
      ..... ..... ..... ..... ..... ..... .###. ..... .....
    """,
    "jklmnopqr": """
      ...#. #.... .##.. ..... ..... ..... ..... ..... .....
      ..... #.... ..#.. ..... ..... ..... ..... ..... .....
      ..##. #..#. ..#.. ##.#. #.##. .###. #.##. .##.# #.##.
      ...#. #.#.. ..#.. #.#.# ##..# #...# ##..# #..## ##..#
      ...#. ##... ..#.. #.#.# #...# #...# #...# #...# #....
      ...#. #.#.. ..#.. #.#.# #...# #...# ####. .#### #....
      ...#. #..#. .###. #.#.# #...# .###. #.... ....# #....
      .##.. ..... ..... ..... ..... ..... #.... ....# .....
    """,
    "stuvwxyz ": """
      ..... .#... ..... ..... ..... ..... ..... ..... .....
      ..... .#... ..... ..... ..... ..... ..... ..... .....
      .#### ####. #...# #...# #...# #...# #...# ##### .....
      #.... .#... #...# #...# #.#.# .#.#. #...# ...#. .....
      .###. .#... #...# #...# #.#.# ..#.. #...# ..#.. .....
      ....# .#..# #..## .#.#. #.#.# .#.#. .#### .#... .....
      ####. ..##. .##.# ..#.. .#.#. #...# ....# ##### .....
      ..... ..... ..... ..... ..... ..... .###. ..... .....
    """,
}


def _parse() -> dict[str, NDArray[np.bool_]]:
    glyphs = {}
    for names, art in _BANDS.items():
        rows = [line.split() for line in art.strip().splitlines()]
        for place, name in enumerate(names):
            glyphs[name] = np.array([[dot == "#" for dot in row[place]] for row in rows])
    return glyphs


GLYPHS = _parse()


def dots(text: str) -> NDArray[np.bool_]:
    """The dots of a line of text [8, 6 * letters - 1]; what is no letter becomes a space."""
    gap = np.zeros((HIGH, 1), bool)
    columns = [column for letter in text.lower() for column in (GLYPHS.get(letter, GLYPHS[" "]), gap)]
    return np.concatenate(columns[:-1] or [gap[:, :0]], axis=1)


def write(picture: NDArray[np.uint8], text: str, x: int, y: int, dot: int, color: tuple[int, int, int]) -> None:
    """Draw text into a picture [H, W, 3], centred on (x, y), each dot `dot` pixels wide; what sticks out is cut."""
    mask = dots(text).repeat(dot, axis=0).repeat(dot, axis=1)
    height, width = picture.shape[:2]
    top, left = y - mask.shape[0] // 2, x - mask.shape[1] // 2
    rows, columns = np.nonzero(mask)
    rows, columns = rows + top, columns + left
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    picture[rows[inside], columns[inside]] = color
