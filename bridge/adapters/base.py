"""What an adapter is. Sources and sinks live in their own process and know frames, never the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Protocol, cast

from bridge.errors import BridgeError
from engine.frame import Frame


class AdapterUnavailable(BridgeError):
    """This machine cannot run the adapter, or no longer. `error.hint` says what to install, start or plug in."""


class FrameSource(Protocol):
    """Somewhere pictures come from: a camera, a file, another program.

    The contract, which tests/bridge/adapters/test_contract.py runs against every source in SOURCES:

    * `open` claims the device and settles `fps` and `name`, or raises AdapterUnavailable. Pictures of any other size
      are scaled to cover `width` x `height` and cropped in the middle. `fps` is a wish; 0 leaves it to the source.
    * `read` returns the next frame, or None if none came within `timeout` seconds. A device's frame bears the moment it
      came; one of a film bears the moment it is due, which may lie ahead, and whoever shows it waits until then.
      Indices count up. It raises AdapterUnavailable when the device is gone.
    * `close` releases everything; calling it twice, or before `open`, is fine.
    """

    @property
    def name(self) -> str: ...

    @property
    def fps(self) -> float: ...

    def open(self, width: int, height: int, fps: float = 0.0) -> None: ...

    def read(self, timeout: float) -> Frame | None: ...

    def close(self) -> None: ...


class FrameSink(Protocol):
    """Somewhere pictures go: a file, a virtual camera, another program.

    The contract, which tests/bridge/adapters/test_contract.py runs against every sink in SINKS:

    * `open` claims the device at one size and settles `name`, or raises AdapterUnavailable. It never returns False.
    * `send` accepts frames of that size and raises ValueError for any other, AdapterUnavailable when the device is
      gone. When it returns, the caller may reuse the pixels. It drops a frame rather than wait for a slow reader.
    * `close` finishes and releases everything; calling it twice, or before `open`, is fine.
    """

    @property
    def name(self) -> str: ...

    def open(self, width: int, height: int, fps: float) -> None: ...

    def send(self, frame: Frame) -> None: ...

    def close(self) -> None: ...


# scheme of a URI -> the class that takes what follows its colon
SOURCES: Mapping[str, str] = {
    "camera": "bridge.adapters.camera:Camera",
    "file": "bridge.adapters.videofile:VideoFile",
    "testcard": "bridge.adapters.testcard:TestCard",
    "clip": "bridge.adapters.clip:Clip",
    "ring": "bridge.adapters.ringio:RingSource",
    "obs": "bridge.adapters.obs:ObsSource",
    "obs-filter": "bridge.adapters.obs_filter:ObsFilter",
}
SINKS: Mapping[str, str] = {
    "memory": "bridge.adapters.memory:MemorySink",  # keeps the last frames; tests use it
    "recorder": "bridge.adapters.recorder:Recorder",
    "ring": "bridge.adapters.ringio:RingSink",
    "obs": "bridge.adapters.obs:ObsSink",
}


def load_source(uri: str) -> FrameSource:
    """Build the source that `uri` names: camera:N, testcard, clip, ring:NAME, obs, obs-filter, or else a file."""
    scheme, _, where = uri.partition(":")
    if scheme not in SOURCES:
        scheme, where = "file", uri
    return cast(FrameSource, _load(SOURCES[scheme], scheme)(where))


def load_sink(uri: str) -> FrameSink:
    """Build the sink that `uri` names. Raises AdapterUnavailable, naming the known ones."""
    scheme, _, where = uri.partition(":")
    if scheme not in SINKS:
        raise AdapterUnavailable(f"there is no output named {scheme!r:.80}", f"known: {', '.join(SINKS)}")
    return cast(FrameSink, _load(SINKS[scheme], scheme)(where))


def _load(path: str, scheme: str) -> Callable[[str], object]:
    """The class at `path`, imported only now, so that a missing driver breaks one adapter."""
    module, _, name = path.partition(":")
    try:
        return cast(Callable[[str], object], getattr(import_module(module), name))
    except ImportError as error:
        raise AdapterUnavailable(f"{scheme} needs {error.name}", f"pip install {error.name}") from error
