"""What an adapter is. Sources and sinks live in their own process and know frames, never the engine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol, cast, runtime_checkable

from bridge.errors import AdapterUnavailable
from engine.frame import Frame


class Device(NamedTuple):
    """Something that is there on this machine, and what to type to use it."""

    uri: str
    what: str


@runtime_checkable
class SeesAlpha(Protocol):
    """A source whose pictures come with an alpha channel, which it drops: a Frame is opaque."""

    def alpha(self) -> tuple[int, int] | None:
        """The lowest and the highest alpha of the picture read last; None before the first."""


@runtime_checkable
class HoldsPart(Protocol):
    """A sink that has something to finish when it closes: until then, all there is lies in `part`. Once it is open."""

    part: Path


class FrameSource(Protocol):
    """Somewhere pictures come from: a camera, a file, another program.

    The contract, which tests/bridge/adapters/test_contract.py runs against every source in SOURCES:

    * `open` claims the device and settles `fps` and `name`, or raises AdapterUnavailable. Pictures of any other size
      are scaled to cover `width` x `height` and cropped in the middle. `fps` is a request; 0 leaves it to the source.
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
    "spout": "bridge.adapters.spout:SpoutSource",
    "syphon": "bridge.adapters.syphon:SyphonSource",
    "ndi": "bridge.adapters.ndi:NdiSource",
    "obs": "bridge.adapters.obs:ObsSource",
    "obs-filter": "bridge.adapters.obs_filter:ObsFilter",
}
SINKS: Mapping[str, str] = {
    "memory": "bridge.adapters.memory:MemorySink",  # keeps the last frames; tests use it
    "recorder": "bridge.adapters.recorder:Recorder",
    "ring": "bridge.adapters.ringio:RingSink",
    "virtualcam": "bridge.adapters.virtualcam:VirtualCamera",
    "spout": "bridge.adapters.spout:SpoutSink",
    "syphon": "bridge.adapters.syphon:SyphonSink",
    "ndi": "bridge.adapters.ndi:NdiSink",
    "obs": "bridge.adapters.obs:ObsSink",
}
# kind -> the function that lists what there is of it here, or raises AdapterUnavailable, saying why there can be none
DEVICE_LISTS: Mapping[str, str] = {
    "camera": "bridge.adapters.camera:list_devices",
    "ring": "bridge.adapters.ringio:list_devices",
    "virtualcam": "bridge.adapters.virtualcam:list_devices",
    "spout": "bridge.adapters.spout:list_devices",
    "syphon": "bridge.adapters.syphon:list_devices",
    "ndi": "bridge.adapters.ndi:list_devices",
}
EXTRAS = ("virtualcam", "spout", "syphon", "ndi")  # of pyproject.toml, by the kind that needs them
ONLY_ON = {"spout": ("win32", "Windows"), "syphon": ("darwin", "macOS")}  # sys.platform, and what people call it


def sink_names() -> list[str]:
    """The outputs that people have."""
    return [name for name in SINKS if name != "memory"]


def load_source(uri: str) -> FrameSource:
    """Build the source that `uri` names: camera:N, testcard, clip, ring:NAME, obs ..., or else a file."""
    scheme, _, where = uri.partition(":")
    if scheme not in SOURCES:
        scheme, where = "file", uri
    return cast(FrameSource, _load(SOURCES[scheme], scheme)(where))


def load_sink(uri: str) -> FrameSink:
    """Build the sink that `uri` names. Raises AdapterUnavailable, naming the known ones."""
    scheme, _, where = uri.partition(":")
    if scheme not in SINKS:
        raise AdapterUnavailable(f"there is no output named {scheme!r:.80}", f"known: {', '.join(sink_names())}")
    return cast(FrameSink, _load(SINKS[scheme], scheme)(where))


def list_devices(kind: str) -> list[Device]:
    """What there is of one kind of DEVICE_LISTS. Raises AdapterUnavailable."""
    return cast(list[Device], _load(DEVICE_LISTS[kind], kind)())


def _load(path: str, scheme: str) -> Callable[..., object]:
    """The class or function at `path`, imported only now, so that a missing driver breaks one adapter."""
    module, _, name = path.partition(":")
    system, called = ONLY_ON.get(scheme, (sys.platform, ""))
    if sys.platform != system:
        raise AdapterUnavailable(f"{scheme} works on {called} only", "use ring:NAME or ndi:NAME here")
    try:
        return cast(Callable[..., object], getattr(import_module(module), name))
    except ImportError as error:
        package = f"'latentcast[{scheme}]'" if scheme in EXTRAS else error.name
        raise AdapterUnavailable(f"{scheme} needs {error.name or error}", f"pip install {package}") from error
