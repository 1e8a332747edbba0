"""syphon-python 0.2.0 for machines without macOS: its names, argument lists and oddities; not its graphics card.

One process stands for the machine. What the real one does and this one does too: a server's surface is BGRA8 with the
bottom row first whatever the texture was, and is overwritten in place; a new size is a new surface; `servers` blocks
for `run_loop_interval`; a server is heard of only once its own thread turned its run loop; `new_frame_image` forgets
the news.
"""

import sys
import threading
import time
from types import ModuleType, SimpleNamespace

import numpy as np

RGBA8, BGRA8 = 70, 80  # MTLPixelFormatRGBA8Unorm, MTLPixelFormatBGRA8Unorm
machine = []  # every server that runs


class Texture:
    def __init__(self, width, height, form=RGBA8):
        self.bytes, self.form = np.zeros((height, width, 4), np.uint8), form

    def width(self):
        return self.bytes.shape[1]

    def height(self):
        return self.bytes.shape[0]

    def pixelFormat(self):
        return self.form


class OneThread:
    def __init__(self):
        self._thread = threading.get_ident()

    def _here(self):
        assert threading.get_ident() == self._thread, "Syphon objects belong to the thread that made them"


class SyphonMetalServer(OneThread):
    works = True  # False: nobody is logged in

    def __init__(self, name, device=None, command_queue=None, *, is_private=False):
        super().__init__()
        if not self.works:
            raise RuntimeError("No Metal device is available")
        self.name, self.device, self.app_name = name, object(), "Python"
        self.surface, self.frame, self.stopped, self.announced = None, 0, False, False
        machine.append(self)

    def publish_frame_texture(
        self, texture, region=None, size=None, is_flipped=False, command_buffer=None, auto_commit=True
    ):
        self._here()
        assert not self.stopped, "a stopped server crashes the process"
        pixels = texture.bytes[::-1] if is_flipped else texture.bytes
        if self.surface is None or self.surface.bytes.shape != pixels.shape:
            self.surface = Texture(texture.width(), texture.height(), BGRA8)
        self.surface.bytes[:] = pixels if texture.form == BGRA8 else pixels[..., [2, 1, 0, 3]]
        self.frame += 1

    def stop(self):
        self._here()
        self.stopped = True
        if self in machine:
            machine.remove(self)


class SyphonMetalClient(OneThread):
    def __init__(self, description, device=None, *, new_frame_handler=None, callback_loop=None):
        super().__init__()
        self._server, self._seen, self._stopped = description.raw, 0, False

    @property
    def is_valid(self):
        return not self._stopped and not self._server.stopped

    @property
    def has_new_frame(self):
        return self.is_valid and self._server.frame != self._seen

    @property
    def new_frame_image(self):
        self._here()
        self._seen = self._server.frame
        return None if self._stopped else self._server.surface

    def stop(self):
        self._stopped = True


class SyphonServerDirectory(OneThread):
    def __init__(self):
        super().__init__()
        self.run_loop_interval = 1.0

    @property
    def servers(self):
        self.update_run_loop()
        heard = [server for server in machine if server.announced]
        return [SimpleNamespace(uuid=str(id(s)), name=s.name, app_name=s.app_name, icon=None, raw=s) for s in heard]

    def update_run_loop(self):
        self._here()
        time.sleep(self.run_loop_interval)
        for server in machine:
            server.announced |= server._thread == threading.get_ident()

    def close(self):
        pass


def create_mtl_texture(device, width, height, pixel_format=RGBA8):
    return Texture(width, height, pixel_format)


def copy_image_to_mtl_texture(image, texture):
    assert len(image.shape) == 3, "Image has to be of shape (m,n,4)"
    assert image.shape[2] == 4, "Image has to be of shape (m,n,4)"
    texture.bytes = np.frombuffer(image.tobytes(), np.uint8).reshape(texture.bytes.shape)


def copy_mtl_texture_to_image(texture):
    if texture.pixelFormat() not in (RGBA8, BGRA8):
        raise Exception("Not correct pixel format")
    return np.frombuffer(texture.bytes.tobytes(), np.uint8).reshape(texture.bytes.shape)  # read-only


def install(monkeypatch):
    """Let `import syphon` find this."""
    machine.clear()
    names = ("syphon", "syphon.utils", "syphon.utils.numpy", "syphon.utils.raw")
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    top, _, arrays, raw = (sys.modules[name] for name in names)
    top.SyphonMetalServer, top.SyphonMetalClient = SyphonMetalServer, SyphonMetalClient
    top.SyphonServerDirectory = SyphonServerDirectory
    arrays.copy_image_to_mtl_texture, arrays.copy_mtl_texture_to_image = (
        copy_image_to_mtl_texture,
        copy_mtl_texture_to_image,
    )
    raw.create_mtl_texture = create_mtl_texture
    monkeypatch.delitem(sys.modules, "bridge.adapters.syphon", raising=False)
    monkeypatch.setattr("bridge.adapters.base.ONLY_ON", {})
