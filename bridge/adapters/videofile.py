"""A video file as a camera: looped for ever, at its own rate."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

from bridge.adapters.timeline import Timeline
from bridge.media.movie import DEFAULT_RATE, MovieError, open_movie, pictures, pixel_shape, rate_of
from bridge.media.paths import typed_path
from bridge.media.picture import Picture, cover
from engine.frame import Frame

if TYPE_CHECKING:
    from av import VideoFrame

ADDRESS = re.compile("[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # of two letters at least: C://film.mp4 is a file
REPEAT_AFTER = 0.5  # seconds; a picture that stands longer is given again and again, as a still picture is


class VideoFile:
    """Plays a file of any size, rate and rotation that FFmpeg reads; a still picture is a film of one frame."""

    def __init__(self, where: str) -> None:
        if ADDRESS.match(where):
            raise MovieError(f"{where:.80} is an address, and addresses are not played", "give a video file")
        self._path = typed_path(where)
        self.name = self._path.name
        self.fps = 0.0
        self._frames: Generator[Frame, None, None] | None = None

    def open(self, width: int, height: int, fps: float = 0.0) -> None:
        with open_movie(self._path) as movie:
            self._rate = float(rate_of(movie.streams.video[0]))
        self.fps = self._rate if self._rate * REPEAT_AFTER >= 1 else float(DEFAULT_RATE)
        self._frames = self._play(width, height)

    def read(self, timeout: float) -> Frame | None:
        assert self._frames is not None, "open comes first"
        return next(self._frames)

    def close(self) -> None:
        if self._frames is not None:
            self._frames.close()
            self._frames = None

    def _play(self, width: int, height: int) -> Generator[Frame, None, None]:
        timeline, start, numbers = Timeline(), 0.0, count()
        while True:
            stamp, shown, end = self._stamp(), 0, 0.0
            for pixels, begin, end in self._once(width, height):
                shown += 1
                for moment in self._moments(begin, end):
                    yield Frame(pixels, timeline.due(start + moment), next(numbers))
            start += end
            while shown == 1 and self._stamp() == stamp:  # a still picture is read once, until it is another
                yield Frame(pixels, timeline.due(start), next(numbers))
                start += 1 / self.fps

    def _moments(self, begin: float, end: float) -> Iterator[float]:
        """When to give a picture that stands from `begin` to `end`: once, or steadily if that is long."""
        times = max(1, round((end - begin) * self.fps)) if end - begin > REPEAT_AFTER else 1
        return (begin + (end - begin) * n / times for n in range(times))

    def _stamp(self) -> int:
        """When the file was written last; 0 if it is gone."""
        with suppress(OSError):
            return self._path.stat().st_mtime_ns
        return 0

    def _once(self, width: int, height: int) -> Iterator[tuple[Picture, float, float]]:
        """The pictures of one pass, and from when to when each stands, in seconds from the first."""
        with open_movie(self._path) as movie:
            shape = pixel_shape(movie.streams.video[0])
            for picture, begin, end in self._spans(pictures(movie)):
                yield cover(picture, width, height, shape), begin, end

    def _spans(self, film: Iterator[VideoFrame]) -> Iterator[tuple[VideoFrame, float, float]]:
        """A picture stands until the next one comes; the last for as long as the film says, or one period."""
        timed = self._timed(film)
        shown, begin = next(timed, (None, 0.0))
        if shown is None:
            raise MovieError(f"not one picture of {self.name} can be read", "play it in another program")
        for picture, moment in timed:
            yield shown, begin, moment
            shown, begin = picture, moment
        yield shown, begin, begin + self._last_span(shown)

    def _timed(self, film: Iterator[VideoFrame]) -> Iterator[tuple[VideoFrame, float]]:
        first = None
        for number, picture in enumerate(film):
            moment = number / self._rate if picture.time is None else picture.time
            first = moment if first is None else first
            yield picture, moment - first

    def _last_span(self, picture: VideoFrame) -> float:
        told = float(picture.duration * picture.time_base) if picture.duration and picture.time_base else 0.0
        return told if told > REPEAT_AFTER else 1 / self._rate
