"""SpoutGL 0.1.1 for machines without Windows: its names, its argument lists and its oddities; not its graphics card.

One process stands for the machine: every sender of it is in `senders`. What the real one does and this one does too:
arguments are positional and none has a default; a name that is taken becomes NAME_1; `getSenderName` gives the width;
`SenderInfo.name` is empty; the first `receiveImage`, and the first after a change of size, is True and writes nothing
until `isUpdated` was asked, which forgets what it told; the first picture may be all zero; a crashed sender stays
listed.
"""

import sys
import threading
from types import ModuleType, SimpleNamespace

import numpy as np

BYTES = {0x1908: 4, 0x80E1: 4, 0x1907: 3, 0x80E0: 3}
senders = {}  # name -> Shared; None for a sender that crashed


class Shared:
    """What lies in the graphics card: RGBA, top row first."""

    def __init__(self, pixels):
        self.pixels, self.frame = pixels, 1


class OneThread:
    def __init__(self):
        self._thread = threading.get_ident()

    def _here(self):
        assert threading.get_ident() == self._thread, "Spout objects belong to the thread that made them"

    def getSenderInfo(self, name, /):
        shared = senders.get(name)
        if shared is None:
            return None
        return SimpleNamespace(name="", width=shared.pixels.shape[1], height=shared.pixels.shape[0])

    def getActiveSender(self):
        return next(iter(senders), None)


def _bytes_of(buffer, size):
    view = memoryview(buffer)
    if not view.c_contiguous:
        raise BufferError("Buffer must be contiguous")
    if view.nbytes < size:
        raise BufferError("Buffer not large enough")
    return np.frombuffer(view, np.uint8)[:size]


def _bytes_per_pixel(form):
    if form not in BYTES:
        raise ValueError("Unknown GL format")
    return BYTES[form]


def _rgba(pixels, form):
    pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]] if form in (0x80E1, 0x80E0) else pixels
    return pixels if pixels.shape[2] == 4 else np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])


class SpoutSender(OneThread):
    works = True  # False: there is no DirectX 11

    def __init__(self):
        super().__init__()
        self._wanted, self._name = "python.exe", ""

    def setSenderName(self, name, /):
        self._here()
        self._wanted = name

    def sendImage(self, buffer, width, height, form, invert, fbo, /):
        self._here()
        size = width * height * _bytes_per_pixel(form)
        pixels = _rgba(_bytes_of(buffer, size).reshape(height, width, -1), form)
        if not self.works:
            return False
        if not self._name:
            names = [self._wanted, *(f"{self._wanted}_{n}" for n in range(1, 99))]
            self._name = next(name for name in names if name not in senders)
        before = senders.get(self._name)
        senders[self._name] = shared = before or Shared(None)
        shared.pixels = pixels[::-1].copy() if invert else pixels.copy()
        shared.frame += 1
        return True

    def crash(self):
        senders[self._name] = None

    def releaseSender(self):
        self._here()
        senders.pop(self._name, None)


class SpoutReceiver(OneThread):
    def __init__(self):
        super().__init__()
        self._name = ""
        self._updated = self._connected = self._new = False
        self._size = self._frame = None

    def setReceiverName(self, name, /):
        self._here()
        self._name = name

    def getSenderList(self):
        return list(senders)

    def getSenderName(self):
        return self.getSenderWidth()

    def getSenderWidth(self):
        return self._size[1] if self._size else 0

    def getSenderHeight(self):
        return self._size[0] if self._size else 0

    def isConnected(self):
        return self._connected

    def isUpdated(self):
        updated, self._updated = self._updated, False
        return updated

    def isFrameNew(self):
        return self._new

    def receiveImage(self, buffer, form, invert, fbo, /):
        self._here()
        bytes_per_pixel = _bytes_per_pixel(form)
        shared = senders.get(self._name or self.getActiveSender())
        self._new = False
        if shared is None:
            self._connected, self._size = False, None
            return False
        if self._size != shared.pixels.shape[:2]:
            self._size, self._updated, self._connected, self._frame = shared.pixels.shape[:2], True, True, None
        if self._updated:
            return True
        if buffer is None:
            return False
        height, width = self._size
        target = _bytes_of(buffer, height * width * bytes_per_pixel).reshape(height, width, bytes_per_pixel)
        self._new = self._frame != shared.frame
        if self._frame is None:
            self._frame = -1  # connected, but nothing has come through yet
            target[:] = 0
            return True
        self._frame = shared.frame
        target[:] = _rgba(shared.pixels[::-1] if invert else shared.pixels, form)[..., :bytes_per_pixel]
        return True

    def releaseReceiver(self):
        self._here()
        self._connected, self._size = False, None


def install(monkeypatch):
    """Let `import SpoutGL` find this."""
    senders.clear()
    module, enums = ModuleType("SpoutGL"), ModuleType("SpoutGL.enums")
    module.SpoutSender, module.SpoutReceiver, module.enums = SpoutSender, SpoutReceiver, enums
    enums.GL_RGBA, enums.GL_BGRA_EXT, enums.GL_RGB, enums.GL_BGR_EXT = BYTES
    monkeypatch.setitem(sys.modules, "SpoutGL", module)
    monkeypatch.setitem(sys.modules, "SpoutGL.enums", enums)
    monkeypatch.delitem(sys.modules, "bridge.adapters.spout", raising=False)
    monkeypatch.setattr("bridge.adapters.base.ONLY_ON", {})
