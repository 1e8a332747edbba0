"""Other people's programs that send pictures: what our sources read, made with nothing of ours but the ring."""

import os
import threading
import time
from contextlib import contextmanager
from fractions import Fraction

import numpy as np

from bridge.rings.ring import RingWriter
from engine.clock import monotonic
from engine.frame import Frame
from tests.bridge.films import numbered

SENDERS = ("ring", "spout", "syphon", "ndi")  # kinds that know one another by name


def opaque(pixels):
    return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])


class Ring:
    def __init__(self, name):
        self._name, self._ring = name, None

    def send(self, pixels, index):
        if self._ring is None:
            self._ring = RingWriter.create(self._name, pixels.shape[1], pixels.shape[0])
        self._ring.write(Frame(pixels, monotonic(), index))

    def close(self):
        self._ring.close()


class Spout:
    def __init__(self, name):
        from SpoutGL import SpoutSender

        self._sender = SpoutSender()
        self._sender.setSenderName(name)

    def send(self, pixels, index):
        height, width = pixels.shape[:2]
        assert self._sender.sendImage(np.ascontiguousarray(opaque(pixels)), width, height, 0x1908, False, 0)

    def close(self):
        self._sender.releaseSender()


class Syphon:
    def __init__(self, name):
        import syphon
        from syphon.utils.numpy import copy_image_to_mtl_texture
        from syphon.utils.raw import create_mtl_texture

        self._server, self._directory = syphon.SyphonMetalServer(name), syphon.SyphonServerDirectory()
        self._directory.run_loop_interval = 0.0005
        self._texture, self._copy = create_mtl_texture, copy_image_to_mtl_texture

    def send(self, pixels, index):
        texture = self._texture(self._server.device, pixels.shape[1], pixels.shape[0])
        self._copy(opaque(pixels[::-1]), texture)  # a program that draws with OpenGL has its bottom row first
        self._server.publish_frame_texture(texture)
        self._directory.update_run_loop()

    def close(self):
        self._server.stop()


class Ndi:
    def __init__(self, name):
        self._name, self._sender, self._size = name, None, None

    def send(self, pixels, index):
        if self._size != pixels.shape:
            self._open(pixels)
        bgra = opaque(pixels)[..., [2, 1, 0, 3]]
        self._sender.write_video_async(np.ascontiguousarray(bgra).reshape(-1))
        time.sleep(0.015)

    def _open(self, pixels):
        from cyndilib.sender import Sender
        from cyndilib.video_frame import VideoSendFrame
        from cyndilib.wrapper.ndi_structs import FourCC

        if self._sender is not None:
            self._sender.close()
        video = VideoSendFrame()
        video.set_resolution(pixels.shape[1], pixels.shape[0])
        video.set_frame_rate(Fraction(50))
        video.set_fourcc(FourCC.BGRA)
        self._sender = Sender(self._name, clock_video=False, clock_audio=False)
        self._sender.set_video_frame(video)
        self._sender.open()
        self._size = pixels.shape

    def close(self):
        self._sender.close()


KINDS = {"ring": Ring, "spout": Spout, "syphon": Syphon, "ndi": Ndi}


class Program(threading.Thread):
    """Sends a numbered picture every 5 ms until it is ended. `size` may be changed meanwhile, and `silent` be set."""

    def __init__(self, kind, name, size):
        super().__init__(daemon=True)
        self.kind, self.name, self.size = kind, name, size
        self.uri = f"{kind}:{name}"
        self.silent = False
        self._over, self._sending = threading.Event(), threading.Event()
        self.start()
        assert self._sending.wait(60)

    def run(self):
        sender, index = KINDS[self.kind](self.name), 0
        while not self._over.wait(0.005):
            if not self.silent:
                sender.send(numbered(index, *self.size), index)
                index += 1
            self._sending.set()
        sender.close()

    def end(self):
        self._over.set()
        self.join()


@contextmanager
def another_program(kind, size=(160, 96), name=""):
    """A program that sends, of another size than anybody asks for; double and real ones alike."""
    program = Program(kind, name or f"lc-ta-{os.getpid()}-{kind}", size)
    try:
        yield program
    finally:
        program.end()
