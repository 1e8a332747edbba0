"""A v4l2loopback device for machines without one, put in through pyvirtualcam's own `register_backend`."""

import threading

import numpy as np

from engine.clock import monotonic

taken = {}  # device -> who sends to it


class Device:
    """What pyvirtualcam's backends are: one owner a device, and pictures as flat bytes."""

    refuses = ""  # what opening fails with, if it does
    breaks = False  # whether sending fails

    def __init__(self, *, width, height, fps, fourcc, device, **more):
        if self.refuses:
            raise RuntimeError(self.refuses)
        self._name = device or "/dev/video9"
        if self._name in taken:
            raise RuntimeError(f"Virtual camera device {self._name} could not be configured: Device or resource busy")
        self.size, self.fps, self.seen = (height, width, 3), fps, []
        self._thread = threading.get_ident()
        taken[self._name] = self

    def send(self, frame):
        assert frame.dtype == np.uint8
        assert frame.ndim == 1
        assert frame.flags.c_contiguous
        assert threading.get_ident() == self._thread, "one thread from start to end"
        if self.breaks:
            raise RuntimeError("error writing frame: No such device")
        self.seen.append((monotonic(), frame.reshape(self.size).copy()))

    def device(self):
        return self._name

    def native_fourcc(self):
        return None

    def close(self):
        assert threading.get_ident() == self._thread, "one thread from start to end"
        taken.pop(self._name, None)


def install(monkeypatch):
    """Let pyvirtualcam find this device instead of the system's."""
    import pyvirtualcam

    taken.clear()
    backends = dict(pyvirtualcam.camera.BACKENDS)
    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {})
    for name in backends or ("v4l2loopback",):
        pyvirtualcam.register_backend(name, Device)
    monkeypatch.setattr(Device, "refuses", "")
    monkeypatch.setattr(Device, "breaks", False)
