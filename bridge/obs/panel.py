"""Writes the table of live controls into the script panel for OBS: `python -m bridge.obs.panel`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.params import CONTROLS
from engine.preset import load_preset

PANEL = Path(__file__).resolve().parents[2] / "plugins" / "obs-script" / "latentcast.lua"
_PART = re.compile(r"(?<=^-- <controls> written by `python -m bridge.obs.panel`\n).*?(?=^-- </controls>)", re.M | re.S)


def with_controls(script: str) -> str:
    """The same script, with the controls and looks as they are now."""
    return _PART.sub(lambda _: "\n".join(lua_table()) + "\n", script, count=1)


def lua_table() -> Iterator[str]:
    """CONTROLS and LOOKS as lines of Lua."""
    yield "local CONTROLS = {"
    for row in CONTROLS:
        fields = {**row._asdict(), "kind": row.kind}
        names = ("name", "kind", "default", "low", "high", "unit", "help")
        yield "  { " + ", ".join(f"{name} = {_lua(fields[name])}" for name in names if fields[name] is not None) + " },"
    yield "}"
    yield "local LOOKS = { " + ", ".join(_lua(look) for look in load_preset("tiny").looks) + " }"


def _lua(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{value:g}" if abs(value) < 1e5 else str(value)


if __name__ == "__main__":
    PANEL.write_text(with_controls(PANEL.read_text("utf-8")), "utf-8")
    sys.exit()
