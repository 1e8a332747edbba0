"""What a run is started with. The command line and bridge.toml fill in the same dataclass, through the same checks."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import platformdirs

from bridge.errors import BridgeError
from engine.params import as_written
from engine.preset import load_preset

TOKEN = r"[\w.~-]{8,128}"
EXAMPLE = "compare it with configs/bridge.toml"


class BadOption(BridgeError):
    """An option, on the command line or in bridge.toml, that does not exist or cannot have that value."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Everything `latentcast run` needs to know before it starts; what may change while it plays is in Params.

    input:    where pictures come from; empty takes the first camera that opens, else the built-in clip.
    outputs:  where they go besides the web page and the ring called `ring`.
    size:     (width, height) in pixels, None for the preset's own. fps likewise.
    controls: live controls that start with another value than the preset gives them.
    duration: seconds after which the run ends by itself, None for never.
    host:     the address of the web page's port. token: what others need to use it; empty for none that was chosen.
    osc_host: the address of the port for OSC, which knows no tokens.
    root:     what every OSC address begins with.
    obs:      follow the scenes of OBS. scenes: {scene: {control or "preset": value}}, what each of them changes.
    obs_port: of OBS's WebSocket server, 0 for what OBS's own file says. obs_text: a text source that says the state.
    """

    input: str = ""
    outputs: tuple[str, ...] = ()
    preset: str = "tiny"
    size: tuple[int, int] | None = None
    fps: float | None = None
    controls: Mapping[str, Any] = field(default_factory=dict)
    duration: float | None = None
    browser: bool = True
    host: str = "127.0.0.1"
    token: str = field(default="", repr=False)
    osc_host: str = "127.0.0.1"
    osc_port: int = 9510
    feedback_port: int = 9511
    web_port: int = 9512
    root: str = "/latentcast"
    ring: str = "latentcast-out"
    obs: bool = False
    obs_host: str = "127.0.0.1"
    obs_port: int = 0
    obs_text: str = ""
    scenes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def follows_obs(self) -> bool:
        """Whether anything was asked for that needs OBS's remote control."""
        return bool(self.obs or self.scenes or self.obs_text or self.feeds_obs)

    @property
    def feeds_obs(self) -> bool:
        """Whether pictures go to a stock OBS."""
        return any(uri.partition(":")[0] == "obs" for uri in self.outputs)

    def changed(self, values: Mapping[str, Any]) -> RunOptions:
        """A copy with some options set, from text or from TOML. Controls add to those already there.

        Raises BadOption for an unknown name or an impossible value, BadParam for a control of the wrong kind.
        """
        if unknown := sorted(set(values) - set(_READ)):
            raise BadOption(f"there is no option named {unknown[0]!r:.80}", f"known: {', '.join(_READ)}")
        checked = {name: _checked(name, value) for name, value in values.items()}
        if "controls" in checked:
            checked["controls"] = {**self.controls, **checked["controls"]}
        return replace(self, **checked)


def parse_size(text: str) -> tuple[int, int]:
    """Read "320x192" as (width, height). Raises ValueError."""
    width, cross, height = text.lower().partition("x")
    if not (cross and width.strip().isdecimal() and height.strip().isdecimal()):
        raise ValueError("WIDTHxHEIGHT in pixels, such as 320x192")
    return int(width), int(height)


def config_path() -> Path:
    """Where this user's bridge.toml lies, whether or not there is one; an earlier version's, if only that is there."""
    usual = platformdirs.user_config_path("latentcast", appauthor=False, roaming=True) / "bridge.toml"
    former = _former_config_path()
    return former if former.is_file() and not usual.is_file() else usual


def _former_config_path() -> Path:
    """Where it was before platformdirs said where: another place on macOS."""
    home = Path.home() / ".config"
    if sys.platform == "win32":
        home = Path(os.environ.get("APPDATA", home))
    return Path(os.environ.get("XDG_CONFIG_HOME") or home) / "latentcast" / "bridge.toml"


def read_config(path: Path | None = None) -> RunOptions:
    """The options a user keeps in a file; the defaults if no path is given and there is no file at `config_path()`.

    Raises BadOption for a file that cannot be read and for what it says wrongly, BadParam for a wrong control.
    """
    if path is None and not config_path().is_file():
        return RunOptions()
    path = path or config_path()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError as error:
        raise BadOption(f"{path} cannot be read: it is nested too deeply", EXAMPLE) from error
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, no TOML, or a number of thousands of digits
        raise BadOption(f"{path} cannot be read: {error}", EXAMPLE) from error
    return RunOptions().changed(table)


def scene_changes(value: Any) -> dict[str, dict[str, Any]]:
    """What each scene of OBS changes: live controls by their names, and `preset`. Raises as `changed` does."""
    if not isinstance(value, Mapping) or not all(isinstance(changes, Mapping) for changes in value.values()):
        raise TypeError('a table for each scene, such as [scenes."Break"]')
    checked = {}
    for scene, changes in value.items():
        rest = {name: given for name, given in changes.items() if name != "preset"}
        checked[scene] = _controls(rest)
        if "preset" in changes:
            checked[scene]["preset"] = load_preset(_text(changes["preset"])).name
    return checked


def _checked(name: str, value: Any) -> Any:
    try:
        return _READ[name](value)
    except (TypeError, ValueError) as error:
        raise BadOption(f"{name.replace('_', '-')} cannot be {value!r:.80}", f"give {error}") from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("one text in quotes")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError("a list of texts")
    return tuple(_text(item) for item in value)


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false")
    return value


def _size(value: Any) -> tuple[int, int]:
    return parse_size(_text(value))


def _positive(value: Any) -> float:
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        number = 0.0
    if isinstance(value, bool) or not 0 < number < float("inf"):
        raise ValueError("a number above 0")
    return number


def _port(value: Any) -> int:
    if isinstance(value, bool) or not str(value).isdecimal() or not int(value) < 65536:
        raise ValueError("a port from 1 to 65535, or 0 for any free one")
    return int(value)


def _host(value: Any) -> str:
    host = _text(value).strip().removeprefix("[").removesuffix("]")
    if not host:  # the system would open the port to everybody
        raise ValueError("an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them")
    return host


def _token(value: Any) -> str:
    token = _text(value)
    if not re.fullmatch(TOKEN, token, re.ASCII):
        raise ValueError("8 to 128 letters, digits, and any of - . _ ~")  # which addresses and cookies take as they are
    return token


def _root(value: Any) -> str:
    root = _text(value).rstrip("/").lower()
    if not root.startswith("/") or set(root) & set(" #*,?[]{}"):
        raise ValueError("an OSC address such as /latentcast")
    return root


def _controls(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError("a table, [controls]")
    return as_written(value)


_READ: Mapping[str, Callable[[Any], Any]] = {
    "input": _text,
    "outputs": _texts,
    "preset": _text,
    "size": _size,
    "fps": _positive,
    "controls": _controls,
    "duration": _positive,
    "browser": _switch,
    "host": _host,
    "token": _token,
    "osc_host": _host,
    "osc_port": _port,
    "feedback_port": _port,
    "web_port": _port,
    "root": _root,
    "ring": _text,
    "obs": _switch,
    "obs_host": _text,
    "obs_port": _port,
    "obs_text": _text,
    "scenes": scene_changes,
}
