"""Video files: every picture that can be read out of one, and writing one that is never found half finished."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import av
from av.error import FFmpegError, InvalidDataError

from bridge.errors import AdapterUnavailable
from bridge.media.part import Part
from bridge.media.paths import why_no_file
from bridge.media.picture import BT709, Picture

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
STUDIO_RANGE = 1  # how AVFrame.color_range calls 16..235, which every player expects
# sounds that players expect in each kind of file, and that may thus be copied into it
COMMON = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
PLAIN = frozenset({"pcm_s16le", "pcm_s24le", "pcm_f32le"})
SOUNDS = {
    "mp4": COMMON | {"opus", "flac"},
    "mov": COMMON | PLAIN,
    "matroska": COMMON | PLAIN | {"opus", "flac", "vorbis"},
}
SOUND_RATE = 48000  # samples a second, for sound of a rate that AAC does not have
# each fragment is whole once it is on the disk; finishing folds them into a plain file
FRAGMENTS = {"movflags": "hybrid_fragmented", "flush_packets": "1"}
DEFAULT_RATE = Fraction(25)  # frames a second of a film that does not say
MAX_PIXEL_SHAPE = 10  # times wider than high, or higher than wide: no film has such pixels
MPEG4_TICK = Fraction(1, 60000)  # seconds; it counts at most 65535 a second
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class MovieError(AdapterUnavailable):
    """A video file cannot be read or written."""


def open_movie(path: Path) -> InputContainer:
    """Open a file that has a video stream. Raises MovieError, in one sentence, for any other."""
    if problem := why_no_file(path):
        raise MovieError(problem, "give a video file, camera:N, testcard, clip or ring:NAME")
    try:
        movie = av.open(str(path))
    except (FFmpegError, OSError, ValueError) as error:
        why = f"cannot be opened: {getattr(error, 'strerror', error)}"
        if isinstance(error, InvalidDataError | EOFError):
            why = "is not a video, or is cut short"
        raise MovieError(f"{path.name} {why}", "play it in another program to see whether it is whole") from error
    if not movie.streams.video:
        movie.close()
        raise MovieError(f"{path.name} has no picture", "give a file with a video stream")
    if movie.streams.video[0].codec_context is None:
        movie.close()
        raise MovieError(f"{path.name} is of a kind that cannot be played here", "convert it to H.264")
    movie.streams.video[0].thread_type = "AUTO"
    return movie


def pictures(movie: InputContainer) -> Iterator[av.VideoFrame]:
    """Every picture of the first video stream, in order of showing; damaged ones are left out."""
    for packet in packets(movie, movie.streams.video[0]):
        yield from decode(packet)


def packets(movie: InputContainer, *streams: VideoStream | AudioStream) -> Iterator[Packet[Any]]:
    """What a film holds of these streams, as it lies there. Raises MovieError where the file cannot be read on."""
    try:
        yield from movie.demux(*streams)
    except (FFmpegError, OSError) as error:
        why = f"{Path(movie.name).name} cannot be read any further: {error.strerror}"
        raise MovieError(why, "play it in another program to see whether it is whole") from error


def decode(packet: Packet[Any]) -> list[Any]:
    """The pictures, or the sound, that a packet completes; none if it is damaged."""
    try:
        return list(packet.decode())
    except FFmpegError:
        return []


def sounds_of(movie: InputContainer) -> list[AudioStream]:
    """The sound that can be decoded here."""
    return [sound for sound in movie.streams.audio if sound.codec_context is not None]


def rate_of(stream: VideoStream) -> Fraction:
    """Frames a second, exact; DEFAULT_RATE for a film that does not say, or says nonsense."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and rate <= 1000:
            return Fraction(rate) if rate >= 1 else DEFAULT_RATE  # a guess would be its clock's tick
    return DEFAULT_RATE


def pixel_shape(stream: VideoStream) -> Fraction:
    """Width of a pixel divided by its height; 1 for a film that does not say, or says nonsense."""
    shape = stream.sample_aspect_ratio
    return shape if shape and Fraction(1, MAX_PIXEL_SHAPE) <= shape <= MAX_PIXEL_SHAPE else Fraction(1)


class MovieWriter:
    """An H.264 film in a `Part` until `finish`, so that NAME is always whole. Every method may raise MovieError.

    rate: frames a second, about. time_base: seconds, exactly, that `pts` counts in.
    durable: what was written can be played even after a kill, at the price of sound that starts before the picture; it
    replaces no other file, and making it raises FileExistsError if NAME.part is taken. Else NAME is replaced.
    """

    def __init__(
        self, path: Path, width: int, height: int, rate: Fraction, time_base: Fraction, durable: bool = False
    ) -> None:
        self.path = path
        self._check_path(width, height)
        self._time_base, self._durable = time_base, durable
        self._format = FORMATS[path.suffix.lower()]
        try:
            self._start(width, height, rate)
        except FileExistsError:
            raise
        except (FFmpegError, OSError) as error:
            raise MovieError(f"{path} cannot be written: {error.strerror}", "choose another folder") from error

    def add_sound(self, like: AudioStream) -> tuple[AudioStream, bool]:
        """A stream for the sound of another film, and whether its packets may be copied; else encode what they hold."""
        try:
            return self._add_sound(like)
        except (FFmpegError, OSError, ValueError) as error:
            raise self._broken(error) from error

    def write(self, pixels: Picture, pts: int) -> None:
        """Add a picture, uint8 RGB [H, W, 3]; `pts` grows from call to call."""
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.pts, frame.time_base = pts, self._time_base
        self.encode(self._video, frame)

    def encode(self, stream: VideoStream | AudioStream, frame: av.VideoFrame | av.AudioFrame | None) -> None:
        """Add a frame to the stream it is for; None brings out what the encoder holds back."""
        try:
            made: list[Packet[Any]] = stream.encode(frame)  # type: ignore[arg-type]
        except (FFmpegError, OSError, ValueError) as error:  # ValueError: sound that changes its layout half way
            self._let_go()
            raise self._broken(error) from error
        self.mux(made)

    def mux(self, packets: Packet[Any] | list[Packet[Any]]) -> None:
        """Add packets that are ready, such as copied sound."""
        try:
            self._file.mux(packets)
        except (FFmpegError, OSError) as error:
            self._let_go()
            raise self._broken(error) from error

    def finish(self) -> None:
        """Write what is held back, close, and give the file its name; `path` is that name."""
        self.encode(self._video, None)
        try:
            self._file.close()
            if self._durable:
                self.path = self._part.publish()
            else:
                self._part.replace()
        except (FFmpegError, OSError) as error:
            raise self._broken(error) from error

    def abandon(self) -> None:
        """Close and remove what was written. After `finish` it does nothing."""
        try:
            self._let_go()
        finally:  # a second Ctrl-C
            self._part.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Finish, or leave nothing if it came to no good end."""
        try:
            if kind is None:
                self.finish()
        finally:
            self.abandon()

    def _start(self, width: int, height: int, rate: Fraction) -> None:
        durable = self._durable
        options = {} if self._format == "matroska" else FRAGMENTS if durable else {"movflags": "faststart"}
        self._part = Part(self.path, durable)  # FFmpeg makes a file with the first picture: too late to say it cannot
        with ExitStack() as failed:
            failed.callback(self._part.remove)
            self._file = av.open(str(self._part.path), "w", format=self._format, options=options)
            self._video = self._add_video(width, height, rate, "zerolatency" if durable else "film")
            failed.pop_all()

    def _add_sound(self, like: AudioStream) -> tuple[AudioStream, bool]:
        if like.codec_context.codec.canonical_name in SOUNDS[self._format]:
            return self._file.add_stream_from_template(like), True
        rate, possible = like.codec_context.sample_rate, av.codec.Codec("aac", "w").audio_rates or ()
        stream = self._file.add_stream("aac", rate=rate if rate in possible else SOUND_RATE)
        stream.layout = "mono" if like.codec_context.layout.nb_channels == 1 else "stereo"
        return stream, False

    def _add_video(self, width: int, height: int, rate: Fraction, tune: str) -> VideoStream:
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        # no pictures out of order: timestamps start where the first picture's does, and a fragment stands alone
        options = (
            {"preset": "veryfast", "crf": "17", "tune": tune} if codec == "libx264" else {"qmin": "2", "qmax": "4"}
        )
        stream = cast("VideoStream", self._file.add_stream(codec, rate=rate, options={**options, "bf": "0"}))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        codec_context = stream.codec_context
        finest = self._time_base if codec == "libx264" else max(self._time_base, MPEG4_TICK)
        stream.time_base = codec_context.time_base = finest
        codec_context.gop_size = max(1, round(rate))  # a key frame, thus a fragment, every second
        codec_context.color_range = STUDIO_RANGE
        codec_context.colorspace = codec_context.color_primaries = codec_context.color_trc = BT709
        return stream

    def _check_path(self, width: int, height: int) -> None:
        if self.path.is_dir():
            raise MovieError(f"{self.path} is a folder", "name a file in it")
        if self.path.suffix.lower() not in FORMATS:
            raise MovieError(f"{self.path.name} is no name for a video", f"end it in {', '.join(FORMATS)}")
        if not self.path.parent.is_dir():
            raise MovieError(f"there is no folder {self.path.parent}", "make it first")
        if width % 2 or height % 2:
            raise MovieError(f"{width}x{height} cannot be encoded", "use an even width and height")

    def _let_go(self) -> None:
        with suppress(FFmpegError, OSError):
            self._file.close()

    def _broken(self, error: FFmpegError | OSError | ValueError) -> MovieError:
        why = f"{self.path.name} cannot be written any further: {getattr(error, 'strerror', None) or error}"
        hint = "choose another folder" if isinstance(error, OSError) else "try another kind of file, such as .mkv"
        hint = "make room on the disk" if getattr(error, "errno", None) in FULL else hint
        return MovieError(why, f"{hint}; what was saved is in {self._part.path}" if self._durable else hint)
