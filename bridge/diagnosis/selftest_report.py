"""What changed in a test card on its way: colours, flips, alpha, rate and delay, each with a next step. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bridge.adapters.channel import KINDS as MARKED
from bridge.adapters.testcard import BACKGROUND, CORNERS, draw_card, read_number
from bridge.diagnosis.doctor import Check, Level
from bridge.diagnosis.selftest import Loop, Seen
from bridge.media.picture import Picture

FLIPS = {"the right way up": 0, "upside down": 1, "mirrored": 2, "turned by half": 3}  # bit 0: rows, bit 1: columns
MAX_CARD_DIFFERENCE = 40.0  # mean difference from which on a picture is not the card at all
LIMITS = {"colour": (24, 48), "lost": (0.1, 0.5), "latency": (0.15, 1.0)}  # up to here fine, up to here worth a note
NO_PICTURE_HINT = "choose the output in the program between the two, or name the input that shows it"
OBS_HINT = "in OBS: run `latentcast obs setup --program`, restart it, show the scene Latentcast, Start Recording"
ALPHA_HINT = "pictures are see-through: ignore alpha in the program that shows them"


def judge(loop: Loop, seen: Seen) -> Iterator[Check]:
    """Every finding about one run of the self-test, the gravest kind first; each that is not fine says what to do."""
    if not seen.pictures:
        yield Check("picture", "fail", "none came back", OBS_HINT if loop.source == "obs" else NO_PICTURE_HINT)
        return
    picture = seen.pictures[len(seen.pictures) // 2][0]
    flip, swapped, difference = recognise(picture, draw_card(loop.width, loop.height))
    if difference > MAX_CARD_DIFFERENCE:
        yield Check(
            "picture", "fail", "another picture came back, not the card", "name the input that shows the output"
        )
        return
    marked = _marked(loop, seen)
    yield _flip(marked, flip)
    yield _colour(marked, undo(picture, flip, swapped), swapped)
    yield _alpha(seen)
    numbers = [(read_number(undo(picture, flip, swapped)), moment) for picture, moment in seen.pictures]
    if not seen.live:
        numbers = list(_until_it_repeats(numbers))
    yield _rate(loop, numbers, seen.live)
    yield _latency(seen, numbers)


def recognise(picture: Picture, card: Picture) -> tuple[int, bool, float]:
    """How a picture differs from the card: flip as in FLIPS, whether red and blue are exchanged, and what remains."""
    ways = [(flip, swapped) for swapped in (False, True) for flip in FLIPS.values()]
    differences = [float(np.abs(undo(picture, *way).astype(np.int16) - card).mean()) for way in ways]
    best = int(np.argmin(differences))
    return *ways[best], differences[best]


def undo(picture: Picture, flip: int, swapped: bool) -> Picture:
    """The picture as it was before it was flipped and its colours exchanged."""
    return picture[:: -1 if flip & 1 else 1, :: -1 if flip & 2 else 1, :: -1 if swapped else 1]


def _flip(marked: str, flip: int) -> Check:
    found = next(name for name, bits in FLIPS.items() if bits == flip)
    if flip == 1 and marked:
        return Check("orientation", "fail", found, f"use {marked},flip")
    fix = "turn mirroring or flipping off in the program or driver between the two"
    return _finding("orientation", "fail" if flip else "ok", found, fix)


def _colour(marked: str, picture: Picture, swapped: bool) -> Check:
    if swapped:
        fix = f"use {marked},swap" if marked else "choose another pixel format in the program between the two"
        return Check("colour", "fail", "red and blue are exchanged", fix)
    worst = max(np.abs(_corner(picture, name) - np.array(wanted)).max() for name, wanted in CORNERS.items())
    worst = max(worst, abs(float(np.median(picture)) - BACKGROUND))
    low, high = _corner(picture, "blue")[:2].mean(), _corner(picture, "white").mean()
    level, fix = _level("colour", worst), "choose a better quality, or BT.709, in the program between the two"
    if low > 10 and high < 242:
        level, fix = "note", "washed out: choose full range (0..255) in the program that shows it"
    elif BACKGROUND - np.median(picture) > 6:
        level, fix = "note", "too strong: choose limited range (16..235) in the program that shows it"
    return _finding("colour", level, f"within {worst:.0f} of 255", fix)


def _corner(picture: Picture, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The mean RGB of the middle of one of the card's corner fields."""
    height, width = picture.shape[:2]
    row = height // 10 if name in ("red", "green") else height - max(2, height // 16) - height // 10
    column = width // 10 if name in ("red", "blue") else width - width // 10
    reach = max(1, min(height, width) // 30)
    return np.asarray(picture[row - reach : row + reach, column - reach : column + reach].mean(axis=(0, 1)))


def _alpha(seen: Seen) -> Check:
    if seen.alpha is None:
        return Check("alpha", "ok", "this input has none")
    low, high = seen.alpha
    if low == 255:
        return Check("alpha", "ok", "opaque")
    return Check("alpha", "fail", f"from {low} to {high} of 255", ALPHA_HINT)


def _rate(loop: Loop, numbers: list[tuple[int, float]], live: bool) -> Check:
    """How many different pictures came, out of those that went out between the first and the last of them."""
    different = len({number for number, _ in numbers})
    asked = (numbers[-1][0] - numbers[0][0]) % 2**16 + 1
    lost = max(0.0, 1 - different / asked)
    span = numbers[-1][1] - numbers[0][1] if live else 0.0
    found = f"{(different - 1) / span:.1f} of {loop.fps:g} a second" if span else f"{different} pictures"
    fix = "raise the rate of the program or device between the two, or close other programs"
    return _finding("rate", _level("lost", lost), f"{found}, {lost:.0%} lost", fix)


def _latency(seen: Seen, numbers: list[tuple[int, float]]) -> Check:
    if not seen.live:
        return Check("latency", "ok", "a file has none")
    delays = [moment - seen.sent[number] for number, moment in _first_of_each(numbers) if number in seen.sent]
    if not delays:
        return Check("latency", "fail", "the numbers in the card cannot be read", "choose a better quality in between")
    middle, slow = np.percentile(delays, [50, 95])
    found = f"{middle * 1000:.0f} ms, 95 % under {slow * 1000:.0f} ms"
    return _finding("latency", _level("latency", middle), found, "turn buffering off in the program between the two")


def _until_it_repeats(numbers: list[tuple[int, float]]) -> Iterator[tuple[int, float]]:
    """A file starts again at its end."""
    last = -1
    for number, moment in numbers:
        if number < last:
            return
        last = number
        yield number, moment


def _first_of_each(numbers: list[tuple[int, float]]) -> Iterator[tuple[int, float]]:
    """Without repetitions of a picture, which would count as later and later."""
    return ((number, moment) for place, (number, moment) in enumerate(numbers) if number != numbers[place - 1][0])


def _finding(name: str, level: Level, found: str, fix: str) -> Check:
    return Check(name, level, found, "" if level == "ok" else fix)


def _level(kind: str, value: float) -> Level:
    fine, noted = LIMITS[kind]
    return "ok" if value <= fine else "note" if value <= noted else "fail"


def _marked(loop: Loop, seen: Seen) -> str:
    """The end whose URI can be told to flip or swap, ready for the mark: rather the input, which nobody else sees."""
    ends = (seen.source or loop.source, loop.sink)
    uri = next((uri for uri in ends if uri.partition(":")[0] in MARKED), "")
    return uri + ":" if uri in MARKED else uri
