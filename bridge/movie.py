"""Video files: every picture that can be read out of one, and writing one that is never found half finished."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError, InvalidDataError

from bridge.adapters.base import AdapterUnavailable
from bridge.picture import BT709, Picture

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
STUDIO_RANGE = 1  # how AVFrame.color_range calls 16..235, which every player expects
TICKS = 90000  # a second, where timestamps do not follow a rate
# Playable after a kill: written in fragments, each whole once it is on the disk, which finishing folds into a plain file.
WHILE_WRITING = {"mp4": {"movflags": "hybrid_fragmented", "flush_packets": "1"}}
WHILE_WRITING["mov"] = WHILE_WRITING["mp4"]


class MovieError(AdapterUnavailable):
    """A video file cannot be read or written."""


def open_movie(path: Path) -> InputContainer:
    """Open a file that has a video stream. Raises MovieError, in one sentence, for any other."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise MovieError(f"{path} {what}", "give a video file, camera:N, testcard, clip or ring:NAME")
    try:
        movie = av.open(str(path))
    except (FFmpegError, OSError) as error:
        why = "is not a video, or is cut short" if isinstance(error, InvalidDataError) else f"cannot be opened: {error.strerror}"
        raise MovieError(f"{path.name} {why}", "play it in another program to see whether it is whole") from error
    if not movie.streams.video:
        movie.close()
        raise MovieError(f"{path.name} has no picture", "give a file with a video stream")
    movie.streams.video[0].thread_type = "AUTO"
    return movie


def pictures(movie: InputContainer) -> Iterator[av.VideoFrame]:
    """Every picture of the first video stream, in order of showing; damaged ones are left out."""
    for packet in movie.demux(movie.streams.video[0]):
        with suppress(InvalidDataError):
            yield from packet.decode()


def rate_of(stream: VideoStream) -> Fraction:
    """Frames a second, exact; 25 for a film that does not say, or says nonsense."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 1 <= rate <= 1000:
            return Fraction(rate)
    return Fraction(25)


class MovieWriter:
    """An H.264 film that is called NAME.part until `finish`, so that NAME is always whole. Raises MovieError throughout.

    rate: frames a second, exact. time_base: what `pts` counts; a frame's length by default.
    """

    def __init__(
        self, path: Path, width: int, height: int, rate: Fraction, time_base: Fraction | None = None, crf: int = 17
    ) -> None:
        self.path = path
        self.part = path.with_name(path.name + ".part")
        self._check_path(width, height)
        self._time_base = time_base or 1 / rate
        form = FORMATS[path.suffix.lower()]
        try:
            self._file = av.open(str(self.part), "w", format=form, options=WHILE_WRITING.get(form, {}))
        except (FFmpegError, OSError) as error:
            raise MovieError(f"{path} cannot be written: {error.strerror}", "choose another folder") from error
        self._video = self._add_video(width, height, rate, crf)

    def add_audio(self, like: AudioStream) -> AudioStream:
        """A sound stream for the packets of `like`, copied. Raises ValueError if this kind of file cannot hold them."""
        return self._file.add_stream_from_template(like)

    def write(self, pixels: Picture, pts: int) -> None:
        """Add a picture, uint8 RGB [H, W, 3]; `pts` grows from call to call."""
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.pts, frame.time_base = pts, self._time_base
        self.mux(self._video.encode(frame))

    def mux(self, packets: Packet | list[Packet]) -> None:
        """Add packets that are ready, such as copied sound."""
        try:
            self._file.mux(packets)
        except (FFmpegError, OSError) as error:
            self._let_go()
            raise self._broken(error) from error

    def finish(self) -> None:
        """Write what is held back, close, and give the file its name."""
        self.mux(self._video.encode(None))
        try:
            self._file.close()
        except (FFmpegError, OSError) as error:
            raise self._broken(error) from error
        self.part.replace(self.path)

    def abandon(self) -> None:
        """Close and remove what was written. After `finish` it does nothing."""
        self._let_go()
        self.part.unlink(missing_ok=True)

    def _add_video(self, width: int, height: int, rate: Fraction, crf: int) -> VideoStream:
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        # no pictures out of order: timestamps start where the first picture's does, and a fragment stands alone
        options = {"preset": "veryfast", "crf": str(crf)} if codec == "libx264" else {"qmin": "2", "qmax": "4"}
        stream = self._file.add_stream(codec, rate=rate, options={**options, "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = self._time_base
        stream.codec_context.gop_size = max(1, round(rate))  # a key frame, thus a fragment, every second
        stream.codec_context.color_range = STUDIO_RANGE
        stream.codec_context.colorspace = stream.codec_context.color_primaries = stream.codec_context.color_trc = BT709
        return stream

    def _check_path(self, width: int, height: int) -> None:
        if self.path.suffix.lower() not in FORMATS:
            raise MovieError(f"{self.path.name} is no name for a video", f"end it in {', '.join(FORMATS)}")
        if not self.path.parent.is_dir():
            raise MovieError(f"there is no folder {self.path.parent}", "make it first")
        if width % 2 or height % 2:
            raise MovieError(f"{width}x{height} cannot be encoded", "use an even width and height")

    def _let_go(self) -> None:
        with suppress(FFmpegError, OSError):
            self._file.close()

    def _broken(self, error: FFmpegError | OSError) -> MovieError:
        return MovieError(f"{self.path.name} cannot be written on: {error.strerror}", f"make room; what there is is in {self.part}")
