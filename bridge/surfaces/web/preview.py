"""What the web page shows: the newest picture of a ring as JPEG, made only while somebody watches."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from bridge.errors import RingError
from bridge.rings.ring import RingReader
from engine.clock import monotonic

FPS = 30.0  # pictures per second, at most
MAX_WIDTH = 960  # pixels; a larger picture is shown smaller, because the page is a monitor and not an output
QUALITY = 4  # of mjpeg's scale from 2 (best) to 31
POLL_EVERY = 0.004  # seconds between two looks at the ring
RING_TIMEOUT = 0.5  # seconds without a picture after which the ring may be another one


class JpegEncoder:
    """Encodes pictures of one size. Chroma is halved, as browsers and cameras do."""

    def __init__(self, width: int, height: int) -> None:
        scale = min(1.0, MAX_WIDTH / width)
        self._codec = av.CodecContext.create("mjpeg", "w")
        assert isinstance(self._codec, VideoCodecContext)
        self._codec.width = max(2, round(width * scale))
        self._codec.height = max(2, round(height * scale))
        self._codec.pix_fmt = "yuvj420p"
        self._codec.time_base = Fraction(1, round(FPS))
        self._codec.qmin = self._codec.qmax = QUALITY
        self._codec.thread_count = 1

    def encode(self, pixels: NDArray[np.uint8]) -> bytes:
        """uint8 RGBA [H, W, 4] -> one JPEG file."""
        frame = av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(
            self._codec.width, self._codec.height, "yuvj420p", dst_color_range="JPEG"
        )
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))


class Preview:
    """The pictures of the ring called `ring`, for any number of watchers.

    Every watcher is given the newest picture when it asks for the next: a slow one misses some and delays nobody.
    The ring may come later than the preview, and may come again.
    """

    def __init__(self, ring: str) -> None:
        self._ring = ring
        self._watchers = 0
        self._news = asyncio.Condition()
        self._count = 0
        self._jpeg = b""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    async def close(self) -> None:
        """End the encoding, before the loop that it reports to ends."""
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    async def pictures(self) -> AsyncGenerator[bytes, None]:
        """JPEG files, the newest each time, for as long as the caller goes on asking."""
        self._watchers += 1
        seen = self._count
        if self._watchers == 1:
            self._begin()
        else:
            seen = max(0, seen - 1)  # who joins others sees at once what they see
        try:
            while True:
                async with self._news:
                    while self._count == seen:
                        await self._news.wait()
                    seen, jpeg = self._count, self._jpeg
                yield jpeg
        finally:
            self._watchers -= 1
            if self._watchers == 0:
                self._stop.set()

    def _begin(self) -> None:
        self._stop = threading.Event()
        follow = (asyncio.get_running_loop(), self._stop)
        self._thread = threading.Thread(target=self._follow, args=follow, name=f"preview {self._ring}", daemon=True)
        self._thread.start()

    def _follow(self, loop: asyncio.AbstractEventLoop, stop: threading.Event) -> None:
        """In a thread of its own, so that a large picture's encoding never holds up the knobs."""
        while not stop.is_set():
            try:
                with RingReader(self._ring) as reader:
                    self._encode_while_alive(reader, loop, stop)
            except RingError:
                stop.wait(RING_TIMEOUT)

    def _encode_while_alive(self, reader: RingReader, loop: asyncio.AbstractEventLoop, stop: threading.Event) -> None:
        encoder = JpegEncoder(reader.width, reader.height)
        pixels = np.empty((reader.height, reader.width, 4), np.uint8)
        last = monotonic()
        while not stop.is_set():
            now = monotonic()
            if reader.read_rgba_into(pixels) is not None:
                asyncio.run_coroutine_threadsafe(self._publish(encoder.encode(pixels)), loop)
                last = now
                time.sleep(max(0.0, 1 / FPS - (monotonic() - now)))  # waiting for an event is coarser on Windows
            elif now - last > RING_TIMEOUT and reader.orphaned:
                return
            else:
                time.sleep(POLL_EVERY)

    async def _publish(self, jpeg: bytes) -> None:
        async with self._news:
            self._count += 1
            self._jpeg = jpeg
            self._news.notify_all()
