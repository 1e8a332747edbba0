"""A film through the same Session that plays live: every picture, its moment and the sound are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from av.packet import Packet

from bridge.media.film_reader import FilmReader
from bridge.media.movie import MovieError, MovieWriter, open_movie, pixel_shape, rate_of, sounds_of
from bridge.media.picture import Picture, cover
from bridge.media.sound import Sound
from bridge.process.termination import deferred_termination
from engine.frame import Frame
from engine.params import Params
from engine.preset import Preset
from engine.threads import passive_openmp

if TYPE_CHECKING:
    from av.video.stream import VideoStream

COARSE = Fraction(1, 5000)  # seconds
OnProgress = Callable[[int, int | None], None]  # pictures done, and of how many if the film says


class Session(Protocol):
    """The part of engine.session.Session that a film needs."""

    def update(self, params: Params) -> None: ...

    def push(self, frame: Frame) -> None: ...

    def step(self) -> Iterable[Frame]: ...

    def flush(self) -> Iterable[Frame]: ...


def open_engine(preset: Preset) -> Session:
    """The real engine, whose import takes seconds."""
    passive_openmp()
    with deferred_termination():
        from engine.session import open_session

    session: Session = open_session(preset)
    return session


def render(
    source: Path,
    target: Path,
    preset: Preset,
    params: Params,
    on_progress: OnProgress,
    open_session: Callable[[Preset], Session] = open_engine,
) -> str:
    """Turn the film `source` into `target` at the preset's size: as many pictures, at the same moments, the same sound.

    The same film, preset and params give the same pictures. `target` appears when it is whole, and replaces what was
    there; whatever ends the work before leaves nothing. What of `source` is damaged is left out, and returned in one
    sentence, empty if that is nothing. Raises MovieError and EngineError.
    """
    with open_movie(source) as movie:
        stream = movie.streams.video[0]
        stamps = Stamps(Fraction(stream.time_base or 1 / rate_of(stream)), rate_of(stream))
        with MovieWriter(target, preset.width, preset.height, rate_of(stream), stamps.base) as film:
            sounds = {sound.index: Sound(sound, film) for sound in sounds_of(movie)}
            session = open_session(preset)
            session.update(params)
            work = Work(session, film, stamps)
            reader = FilmReader(source, movie)
            for part in reader.read():
                if isinstance(part, Packet):
                    sounds[part.stream.index].take(part)
                else:
                    pixels = cover(part, preset.width, preset.height, pixel_shape(stream))
                    work.take(pixels, part.pts)
                    on_progress(work.done, _length(stream))
            work.finish()
            on_progress(work.done, work.done)
        return reader.loss()


def render_from_words(
    target: Path,
    seconds: float,
    preset: Preset,
    params: Params,
    on_progress: OnProgress,
    open_session: Callable[[Preset], Session] = open_engine,
) -> None:
    """Make a film of `seconds` for a preset that takes no input: the same loop, with empty frames as its clock.

    The same preset and params give the same pictures. Raises MovieError and EngineError, as `render` does.
    """
    rate = Fraction(preset.fps).limit_denominator(1001)
    count = max(1, round(seconds * rate))
    stamps = Stamps(1 / rate, rate)
    blank = np.zeros((preset.height, preset.width, 3), np.uint8)
    with MovieWriter(target, preset.width, preset.height, rate, stamps.base) as film:
        session = open_session(preset)
        session.update(params)
        work = Work(session, film, stamps)
        for _ in range(count):
            work.take(blank, None)
            on_progress(work.done, count)
        work.finish()
        on_progress(work.done, count)


class Work:
    """Passes pictures through a session and gives each that comes out the timestamp it went in with."""

    def __init__(self, session: Session, film: MovieWriter, stamps: Stamps) -> None:
        self.done = 0
        self._session, self._film, self._stamps = session, film, stamps

    def take(self, pixels: Picture, given: int | None) -> None:
        """The next picture, and its timestamp in the film it is from."""
        stamp = self._stamps.add(given)
        self._session.push(Frame(pixels, float(stamp * self._stamps.base), len(self._stamps) - 1))
        while pictures := list(self._session.step()):
            self._write(pictures)

    def finish(self) -> None:
        """Write what the session still holds. Raises MovieError if there was no picture at all."""
        if not len(self._stamps):
            raise MovieError("not one picture of the film can be read", "play it in another program")
        self._write(self._session.flush())

    def _write(self, pictures: Iterable[Frame]) -> None:
        for picture in pictures:
            self._film.write(picture.pixels, self._stamps[picture.index])
            self.done += 1


class Stamps(list[int]):
    """One timestamp for each picture, always growing.

    They are those of the film, unless it counts coarsely (Matroska: in milliseconds) and they are its even rate,
    rounded: then they are exact again.

    base: seconds that they count in.
    """

    def __init__(self, base: Fraction, rate: Fraction) -> None:
        self._given_base, self._gap = base, 1 / rate
        self.base = base if base < COARSE else Fraction(1, lcm(base.denominator, rate.numerator))
        self._first = Fraction(0)

    def add(self, given: int | None) -> int:
        """The timestamp for the next picture, where the film gives it `given`."""
        even = self._first + len(self) * self._gap
        moment = even if given is None else given * self._given_base
        if not self:
            self._first = moment
        elif self._given_base >= COARSE and abs(moment - even) <= self._given_base:
            moment = even
        self.append(max(round(moment / self.base), self[-1] + 1 if self else 0))
        return self[-1]


def _length(stream: VideoStream) -> int | None:
    """How many pictures the film says it has."""
    if stream.frames:
        return stream.frames
    if stream.duration and stream.time_base:
        return round(stream.duration * stream.time_base * rate_of(stream))
    return None
