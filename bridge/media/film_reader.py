"""A film from its beginning to its end, whatever is damaged in it, and how much of it could not be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from av.error import FFmpegError

from bridge.media.movie import MovieError, open_movie, packets, rate_of, sounds_of

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.packet import Packet

STATES_LENGTH = ("mov", "matroska")  # formats that say how long a film is; of others FFmpeg guesses it
TOLERANCE = 0.5  # seconds; a film that is otherwise sound may be so much shorter than it says


class FilmReader:
    """One pass over a film that `open_movie` has opened: all its pictures in order, and its sound."""

    def __init__(self, path: Path, movie: InputContainer) -> None:
        self._path, self._movie = path, movie
        self._video = movie.streams.video[0]
        self._packets = self._pictures = 0
        self._newest: int | None = None  # the timestamp of the last picture
        self._ends: dict[int, float] = {}  # of each stream, in seconds
        self._damaged = False
        self._failure = ""

    def read(self) -> Iterator[VideoFrame | Packet[Any]]:
        """Pictures of the video, packets of the sound. What is damaged is left out."""
        try:
            for packet in packets(self._movie, self._video, *sounds_of(self._movie)):
                self._note_end(packet)
                if packet.stream.index != self._video.index:
                    yield packet
                    continue
                self._packets += bool(packet.size) and not packet.is_discard
                yield from self._counted(self._decode(packet))
        except MovieError as error:
            self._damaged, self._failure = True, str(error)
        if self._pictures < self._packets:
            yield from self._last_pictures()

    def loss(self) -> str:
        """What could not be read, in one sentence, once `read` has come to its end; empty if that is nothing."""
        expected, rate = self._packets, float(self._video.average_rate or rate_of(self._video))
        length, end = self._promised()
        if length - end > (1.5 / rate if self._damaged else TOLERANCE):
            self._damaged, expected = True, max(expected, round(length * rate))
        lost = expected - self._pictures
        if lost > 0 and self._damaged:
            return f"{lost} {'picture' if lost == 1 else 'pictures'} of {self._path.name} could not be read"
        return self._failure

    def _decode(self, packet: Packet[Any]) -> list[VideoFrame]:
        self._damaged |= packet.is_corrupt
        try:
            return list(packet.decode())
        except FFmpegError:
            self._damaged = True
            return []

    def _counted(self, pictures: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
        for picture in pictures:
            self._pictures, self._newest = self._pictures + 1, picture.pts
            yield picture

    def _last_pictures(self) -> Iterator[VideoFrame]:
        """Those that were decoded at the same time as a damaged one when the file ended, and that PyAV then drops.

        Read once more, without threads.
        """
        after = self._newest
        if after is None:
            return
        try:
            with open_movie(self._path) as movie:
                video = movie.streams.video[0]
                video.thread_type = "SLICE"
                movie.seek(after, stream=video)
                again = (picture for packet in packets(movie, video) for picture in self._decode(packet))
                yield from self._counted(picture for picture in again if (picture.pts or 0) > after)
        except (MovieError, FFmpegError):
            self._damaged = True

    def _note_end(self, packet: Packet[Any]) -> None:
        if packet.pts is not None and packet.time_base is not None:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            index = packet.stream.index
            self._ends[index] = max(self._ends.get(index, end), end)

    def _promised(self) -> tuple[float, float]:
        """How many seconds of it there should be, and how many there were; 0 and 0 if it does not say."""
        movie, video, ends = self._movie, self._video, self._ends
        if movie.format.name.partition(",")[0] not in STATES_LENGTH or video.index not in ends:
            return 0.0, 0.0
        if video.duration and video.time_base:
            begin = (video.start_time or 0) * video.time_base
            return float(video.duration * video.time_base), ends[video.index] - float(begin)
        if movie.duration and len(movie.streams) == 1 + len(movie.streams.audio):  # subtitles may go on for longer
            return movie.duration / 1e6, max(ends.values()) - (movie.start_time or 0) / 1e6
        return 0.0, 0.0
