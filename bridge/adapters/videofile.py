"""A video file as a camera: looped for ever, at its own rate."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import suppress

from bridge.adapters.timeline import Timeline
from bridge.movie import MovieError, open_movie, pictures, rate_of
from bridge.paths import typed_path
from bridge.picture import Picture, cover
from engine.frame import Frame

ADDRESS = re.compile("[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # of two letters at least: C://film.mp4 is a file


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
            self.fps = float(rate_of(movie.streams.video[0]))
        self._frames = self._play(width, height)

    def read(self, timeout: float) -> Frame | None:
        assert self._frames is not None, "open comes first"
        return next(self._frames)

    def close(self) -> None:
        if self._frames is not None:
            self._frames.close()
            self._frames = None

    def _play(self, width: int, height: int) -> Generator[Frame, None, None]:
        timeline, start, index = Timeline(), 0.0, 0
        while True:
            end, first, stamp = start, index, self._stamp()
            for pixels, moment in self._once(width, height):
                yield Frame(pixels, timeline.due(start + moment), index)
                end, index = start + moment + 1 / self.fps, index + 1
            start = end
            while index == first + 1 and self._stamp() == stamp:  # a still picture is read once, until it is another
                yield Frame(pixels, timeline.due(start), index)
                start, first, index = start + 1 / self.fps, first + 1, index + 1

    def _stamp(self) -> int:
        """When the file was written last; 0 if it is gone."""
        with suppress(OSError):
            return self._path.stat().st_mtime_ns
        return 0

    def _once(self, width: int, height: int) -> Generator[tuple[Picture, float], None, None]:
        """The pictures of one pass with their moments, in seconds from the first."""
        first = None
        with open_movie(self._path) as movie:
            for number, picture in enumerate(pictures(movie)):
                moment = number / self.fps if picture.time is None else picture.time
                first = moment if first is None else first
                yield cover(picture, width, height), moment - first
        if first is None:
            raise MovieError(f"not one picture of {self.name} can be read", "play it in another program")
