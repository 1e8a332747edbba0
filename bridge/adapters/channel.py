"""What Spout, Syphon and NDI have in common: a name that other programs choose, and pictures of four bytes a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bridge.errors import AdapterUnavailable
from bridge.media.picture import Picture

NAME = "latentcast"  # what our outputs are called unless somebody says otherwise: a name that stays finds its receivers
KINDS = ("spout", "syphon", "ndi")
MARKS = ("flip", "swap")


@dataclass(frozen=True, slots=True)
class Channel:
    """NAME[,flip][,swap]: what follows the colon of a URI.

    flip, swap: the program at the other end has its rows upside down, or red and blue exchanged.
    """

    name: str
    flip: bool = False
    swap: bool = False

    @classmethod
    def read(cls, where: str) -> Channel:
        """Take `where` apart; a comma within a name is part of it. Raises AdapterUnavailable."""
        name, marks = where, set[str]()
        while (rest := name.rpartition(","))[1] and rest[2].strip() in MARKS:
            name, mark = rest[0], rest[2].strip()
            marks.add(mark)
        if len(name.encode()) > 250:  # Spout's limit is 256 bytes, with its end and a number that it may append
            raise AdapterUnavailable("that name is too long", "250 bytes are the most")
        return cls(name.strip(), "flip" in marks, "swap" in marks)

    def __str__(self) -> str:
        return ",".join([self.name, *(mark for mark in MARKS if getattr(self, mark))])

    def pack(self, pixels: Picture, into: Picture) -> None:
        """RGB [H, W, 3] -> RGBA [H, W, 4], whose alpha is left alone. Raises ValueError for another size."""
        if pixels.shape[:2] != into.shape[:2]:
            (height, width), (high, wide) = pixels.shape[:2], into.shape[:2]
            raise ValueError(f"opened at {wide}x{high}, sent {width}x{height}")
        rows = into[::-1] if self.flip else into
        for place in range(3):
            rows[..., place] = pixels[..., 2 - place if self.swap else place]

    def unpack(self, pixels: Picture, bottom_up: bool = False, bgra: bool = False) -> Picture:
        """RGBA or BGRA [H, W, 4] -> RGB [H, W, 3], top row first; a copy."""
        rows = pixels[::-1] if self.flip != bottom_up else pixels
        picture = np.empty((*pixels.shape[:2], 3), np.uint8)
        for place in range(3):
            picture[..., place] = rows[..., 2 - place if self.swap != bgra else place]
        return picture


def opaque(width: int, height: int) -> Picture:
    """A black RGBA picture [H, W, 4] that nothing shines through."""
    picture = np.zeros((height, width, 4), np.uint8)
    picture[..., 3] = 255
    return picture


def alpha_of(pixels: Picture) -> tuple[int, int]:
    """The lowest and the highest alpha of a picture [H, W, 4]."""
    return int(pixels[..., 3].min()), int(pixels[..., 3].max())


def known(names: list[str], program: str) -> str:
    """A hint that names the senders there are, or says to start one."""
    return (
        f"there are: {', '.join(names)}" if names else f"start sending in {program}, then look at `latentcast devices`"
    )
