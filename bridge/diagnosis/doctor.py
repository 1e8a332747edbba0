"""`latentcast doctor`: checks everything a run needs on this machine, and says how to fix what is missing."""

from __future__ import annotations

import json
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import av

from bridge.adapters.base import EXTRAS
from bridge.client import ask_status
from bridge.diagnosis import devices
from bridge.errors import BridgeError, system_says
from bridge.obs.address import find_address
from bridge.obs.client import ObsClient
from bridge.obs.errors import ENABLE_HINT
from bridge.options import RunOptions
from bridge.process.interpreter import python
from bridge.rings.layout import ring_size, slots_for
from engine.errors import EngineError
from engine.preset import Preset, load_preset

RINGS = 3  # that a run makes
CODECS = {"libx264": "recording", "aac": "sound of a rendered file", "mjpeg": "the web page"}
TORCH_PROGRAM = "import json, torch; c = torch.cuda.is_available(); m = torch.backends.mps.is_available();\
 print(json.dumps([torch.__version__, torch.cuda.get_device_name(0) if c else 'mps' if m else 'cpu']))"
MEMORY_PROGRAM = """
import sys
from engine.device import pick_device, pick_dtype
from engine.errors import EngineError
from engine.measure import free_bytes, gib, memory_estimate, preflight
from engine.preset import load_preset
preset, device = load_preset(sys.argv[1]), pick_device()
if len(sys.argv) > 2:
    preset = preset.resized(int(sys.argv[2]), int(sys.argv[3]))
try:
    preflight(preset, device, pick_dtype(device))
except EngineError as error:
    sys.exit(error.sentence)
free, need = free_bytes(device), memory_estimate(preset, pick_dtype(device)).most
print(f"takes {gib(need)} of memory on {device}, {gib(free) + ' is free' if free else 'how much is free is unknown'}")
"""
LOAD_PROGRAM = """
import sys
from engine.errors import EngineError
from engine.preset import load_preset
from engine.session import open_session
try:
    preset = load_preset(sys.argv[1])
    open_session(preset.resized(int(sys.argv[2]), int(sys.argv[3])) if len(sys.argv) > 2 else preset)
except EngineError as error:
    sys.exit(error.sentence)
"""
REINSTALL = "pip install --force-reinstall latentcast, or choose another with --preset"
LOAD_TIMEOUT = 600.0  # seconds an engine may take to load


Level = Literal["ok", "note", "fail"]


class Check(NamedTuple):
    """One finding. A note is worth knowing and stops nothing; `fix` says what to do now."""

    name: str
    level: Level
    found: str
    fix: str = ""


def examine(options: RunOptions) -> Iterator[Check]:
    """Every check, in the order in which a run needs what it looks at. Takes seconds: an engine is loaded."""
    yield _python()
    yield _torch()
    room = _room(options)
    yield room
    if room.level != "fail":  # else it would not load either, and say so in the same words
        yield _model(options.preset, options.size)
    yield _cameras()
    yield _codecs()
    yield from _outputs()
    yield _obs()
    yield from _ports(options)
    yield _memory(options)


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} in {sys.prefix}")


def _torch() -> Check:
    """In a process of its own: the bridge never loads torch, and a broken install may crash instead of raising."""
    try:
        version, device = json.loads(_run(TORCH_PROGRAM))
    except (subprocess.SubprocessError, ValueError) as error:
        return Check("torch", "fail", _last_line(error), "pip install torch, following https://pytorch.org/get-started")
    if device == "cpu":
        fix = "the embedded model runs on it; for larger ones install a torch built for your GPU"
        return Check("torch", "note", f"{version}, no GPU in use", fix)
    return Check("torch", "ok", f"{version} on {device}")


def _room(options: RunOptions) -> Check:
    """Whether the model fits, before anything of it is loaded."""
    try:
        load_preset(options.preset)
        size = [str(side) for side in options.size or ()]
        return Check("model memory", "ok", f"{options.preset} {_run(MEMORY_PROGRAM, options.preset, *size).strip()}")
    except EngineError as error:
        return Check("model memory", "fail", str(error), error.hint)
    except subprocess.SubprocessError as error:
        said, _, hint = _last_line(error).partition("; ")
        return Check("model memory", "fail", said, hint or REINSTALL)


def _model(name: str, size: tuple[int, int] | None = None) -> Check:
    try:
        load_preset(name)
        _run(LOAD_PROGRAM, name, *map(str, size or ()))
    except EngineError as error:
        return Check("model", "fail", str(error), error.hint)
    except subprocess.SubprocessError as error:
        said, _, hint = _last_line(error).partition("; ")
        return Check("model", "fail", f"{name} does not load: {said}", hint or REINSTALL)
    return Check("model", "ok", f"{name} loads")


def _cameras() -> Check:
    if sys.platform != "linux":
        return Check("cameras", "note", "not looked for on this system", "try `latentcast run --in camera:0`")
    found = sorted(Path("/dev").glob("video*"))
    if not found:
        return Check("cameras", "note", "none", "plug one in; until then a run plays the built-in clip")
    return Check("cameras", "ok", ", ".join(f"camera:{path.name.removeprefix('video')}" for path in found))


def _outputs() -> Iterator[Check]:
    """The outputs that need something of this machine. None of them is needed for a run."""
    for kind in devices.look(kind for kind in EXTRAS if devices.here(kind)):
        if kind.problem:
            yield Check(kind.name, "note", kind.problem, kind.fix)
        else:
            there = ", ".join(device.uri for device in kind.devices) or "no sender found"
            yield Check(kind.name, "ok", f"can be used; {there}")


def _obs() -> Check:
    """OBS's remote control: `latentcast obs setup` and following its scenes need it, the plugin does not."""
    address = find_address()
    if not address.enabled:
        return Check("obs", "note", "OBS's WebSocket server is off", ENABLE_HINT)
    try:
        with ObsClient(address) as obs:
            return Check("obs", "ok", f"OBS {obs.version} answers at {address.host}:{address.port}")
    except BridgeError as error:
        return Check("obs", "note", str(error), error.hint)


def _codecs() -> Check:
    missing = [name for name in CODECS if name not in av.codecs_available or not _can_encode(name)]
    if missing:
        what = ", ".join(f"{name} ({CODECS[name]})" for name in missing)
        return Check("codecs", "fail", f"PyAV lacks {what}", "pip install --force-reinstall av")
    return Check("codecs", "ok", f"PyAV {av.__version__} encodes {', '.join(CODECS)}")


def _can_encode(name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except ValueError:
        return False
    return True


def _ports(options: RunOptions) -> Iterator[Check]:
    try:
        ask_status(options)
        yield Check("ports", "ok", f"latentcast is running on {options.web_port}")
        return
    except BridgeError:
        pass  # not running, which is what the next lines are for
    for name, host, port in (("osc", options.osc_host, options.osc_port), ("web", options.host, options.web_port)):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            if name == "web":  # as the web surface does: connections of a run that has just ended are in nobody's way
                socket.create_server((host, port), family=family).close()
            else:
                with socket.socket(family, socket.SOCK_DGRAM) as probe:
                    probe.bind((host, port))
            yield Check(f"{name} port", "ok", f"{port} is free")
        except OSError as error:
            yield Check(f"{name} port", "fail", f"{port}: {system_says(error)}", f"choose another with --{name}-port")


def _memory(options: RunOptions) -> Check:
    """Rings live in shared memory, which containers often limit to 64 MiB."""
    folder = Path("/dev/shm")
    need = RINGS * _ring_size(options) / 2**20
    if not folder.is_dir():
        return Check("shared memory", "ok", f"a run takes {need:.0f} MiB")
    free = shutil.disk_usage(folder).free / 2**20
    if free < need:
        fix = "free some of it, use a smaller --size, or start the container with a larger --shm-size"
        return Check("shared memory", "fail", f"{free:.0f} MiB free, a run takes {need:.0f} MiB", fix)
    return Check("shared memory", "ok", f"{free:.0f} MiB free, a run takes {need:.0f} MiB")


def _ring_size(options: RunOptions) -> int:
    try:
        preset: Preset = load_preset(options.preset)
    except EngineError:
        return 0
    width, height = options.size or (preset.width, preset.height)
    return ring_size(width, height, slots_for(width, height))


def _run(code: str, *arguments: str) -> str:
    command = python("-c", code, *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=LOAD_TIMEOUT, check=True).stdout


def _last_line(error: Any) -> str:
    """The end of a traceback is the sentence in it."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it did not finish within {error.timeout:.0f} s; close other programs and try again"
    lines = str(getattr(error, "stderr", "") or error).strip().splitlines()
    return lines[-1][:300] if lines else "it ended without an error message"
