"""Host, port and password of OBS's WebSocket server, read from OBS's own files. A password is never printed."""

from __future__ import annotations

import configparser
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PORT = 4455  # what OBS has unless someone changed it
PASSWORD = "LATENTCAST_OBS_PASSWORD"  # name of an environment variable, which wins over OBS's files


@dataclass(frozen=True, slots=True)
class ObsAddress:
    """Host, port and password of OBS's WebSocket server. `enabled`: False if OBS's own file says that it is off."""

    host: str = "127.0.0.1"
    port: int = PORT
    password: str = field(default="", repr=False)
    enabled: bool = True


def find_address(host: str = "127.0.0.1", port: int = 0) -> ObsAddress:
    """What is known of the OBS at `host` and `port`; port 0 is the one in OBS's own files, else PORT.

    OBS is asked nothing, so this is quick, and worth asking anew before each attempt: people change passwords.
    """
    known = [address for folder in config_folders() for address in _read(folder)]
    fitting = [address for address in known if port in (0, address.port)] or [ObsAddress(port=port or PORT)]
    best = next((address for address in fitting if address.enabled), fitting[0])
    password = os.environ.get(PASSWORD, best.password)
    return ObsAddress(host, best.port, password, best.enabled or host not in ("127.0.0.1", "localhost", "::1"))


def config_folders() -> Iterator[Path]:
    """Where OBS may keep its configuration for this user, on this system."""
    home = Path.home()
    if sys.platform == "win32":
        yield Path(os.environ.get("APPDATA", home / "AppData" / "Roaming")) / "obs-studio"
        return
    if sys.platform == "darwin":
        yield home / "Library" / "Application Support" / "obs-studio"
        return
    yield Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "obs-studio"
    yield home / ".var" / "app" / "com.obsproject.Studio" / "config" / "obs-studio"  # Flatpak
    yield home / "snap" / "obs-studio" / "current" / ".config" / "obs-studio"


def _read(folder: Path) -> Iterator[ObsAddress]:
    """OBS 30 has moved its remote control's settings from global.ini, which older ones read, to a file of their own."""
    for read, name in ((_read_json, "plugin_config/obs-websocket/config.json"), (_read_ini, "global.ini")):
        try:
            text = (folder / name).read_text("utf-8-sig")
            yield _address(read(text))
            return
        except (OSError, ValueError, KeyError, TypeError, configparser.Error):
            continue  # not there, or half written: people are then asked, or the next file is


def _read_json(text: str) -> Mapping[str, Any]:
    table = json.loads(text)
    if not isinstance(table, dict):
        raise TypeError("no table")
    return table


def _read_ini(text: str) -> Mapping[str, Any]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    section = parser["OBSWebSocket"]
    return {
        "server_enabled": section.getboolean("ServerEnabled", fallback=False),
        "server_port": section.getint("ServerPort", fallback=PORT),
        "auth_required": section.getboolean("AuthRequired", fallback=True),
        "server_password": section.get("ServerPassword", fallback=""),
    }


def _address(table: Mapping[str, Any]) -> ObsAddress:
    password = str(table.get("server_password", "")) if table.get("auth_required", True) else ""
    port = int(table.get("server_port", PORT))
    if not 0 < port < 65536:
        raise ValueError("no port")
    return ObsAddress("", port, password, bool(table["server_enabled"]))
