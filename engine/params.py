"""The live controls, declared once. OSC, OSCQuery, web, OBS, TouchDesigner and CLI all read this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple

from engine.errors import BadParam
from engine.loras import parse_loras
from engine.prompt import parse_blend

Home = Literal["engine", "bridge"]
_GRAMMARS: Mapping[str, Callable[[str], object]] = {"prompt": parse_blend, "lora": parse_loras}  # raise BadParam
_BOOLS = {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}


def control(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    home: Home = "engine",
) -> Any:
    """Declare one control: its default, one sentence for humans, its range (both ends included) and who obeys it.

    A control whose home is the bridge works with the engine dead or hung.
    """
    return field(default=default, metadata={"help": help, "low": low, "high": high, "unit": unit, "home": home})


@dataclass(frozen=True, slots=True)
class Params:
    """A snapshot of every live control. Immutable, so a chunk sees one consistent set from start to end."""

    prompt: str = control("watercolor", 'What the picture should become; blend with "watercolor:0.7 | neon:0.3".')
    fade: float = control(0.5, "How long a prompt takes to arrive.", low=0.0, high=30.0, unit="s")
    lora: str = control("", 'LoRA files to add, and how strongly: "ghibli:0.8 | grain:0.3".')
    steps: int = control(2, "Denoising steps per chunk; fewer is faster.", low=1, high=4)
    rows: int = control(0, "Chunks denoised together: 1 waits least, 0 takes one row a step.", low=0, high=4)
    noise: float = control(0.8, "How far the model may depart from the camera.", low=0.0, high=1.0)
    motion: float = control(0.1, "How much a moving picture lowers the noise.", low=0.0, high=0.5)
    carry: bool = control(False, "Keep the noise fixed in place instead of drawing it anew for every chunk.")
    seed: int = control(0, "Same seed, same noise.", low=0, high=2**31 - 1)
    mix: float = control(1.0, "From the camera (0) to the effect (1).", low=0.0, high=1.0, home="bridge")
    bypass: bool = control(False, "Show the camera.", home="bridge")
    freeze: bool = control(False, "Hold the picture that is on.", home="bridge")
    privacy: bool = control(False, "While the engine is away, show the slate, never the camera.", home="bridge")
    panic: bool = control(False, "Show the slate, now.", home="bridge")
    revision: int = 0  # not a control: counts accepted changes, so that a surface can tell when its own was applied

    def set(self, name: str, value: Any) -> Params:
        """Return a copy with one control changed and the next revision.

        Numbers are clamped to the range, because a slider that overshoots is not a mistake.
        Raises BadParam for an unknown name or a value of the wrong kind.
        """
        spec = find_control(name)
        kind = type(spec.default)
        try:
            value = _convert(value, kind)
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise BadParam(f"{name} takes {KINDS[kind]}, not {value!r:.80}", spec.help) from error
        if spec.low is not None and spec.high is not None:
            value = kind(min(max(value, spec.low), spec.high))
        if name in _GRAMMARS:
            _GRAMMARS[name](value)
        return replace(self, **{name: value, "revision": self.revision + 1})

    def set_all(self, values: Mapping[str, Any]) -> Params:
        """Apply several changes as one revision; all or none."""
        changed = self
        for name, value in values.items():
            changed = changed.set(name, value)
        return replace(changed, revision=self.revision + 1) if values else self

    def to_dict(self) -> dict[str, Any]:
        """Every control and the revision, as JSON can carry them."""
        return asdict(self)


def as_written(values: Mapping[str, Any]) -> dict[str, Any]:
    """Controls from a file or a command line, converted. A slider may overshoot; what somebody wrote may not.

    Raises BadParam as `Params.set` does, and for a number out of range or a switch in a number's place.
    """
    checked = {name: getattr(Params().set(name, given), name) for name, given in values.items()}
    for name, given in values.items():
        row = find_control(name)
        if isinstance(given, bool) and row.kind != "bool":
            raise BadParam(f"{name} takes {KINDS[type(row.default)]}, not {given}", row.help)
        if row.low is not None and row.high is not None and not row.low <= float(given) <= row.high:
            raise BadParam(f"{name} cannot be {given}", f"give {row.low:g} to {row.high:g}")
    return checked


class Control(NamedTuple):
    """One row of the table, as surfaces read it."""

    name: str
    default: Any
    help: str
    low: float | None
    high: float | None
    unit: str
    home: Home

    @property
    def kind(self) -> str:
        """str, int, float or bool."""
        return type(self.default).__name__


KINDS = {str: "text", int: "a whole number", float: "a number", bool: "a switch (on or off)"}
CONTROLS = tuple(Control(f.name, f.default, **f.metadata) for f in fields(Params) if f.metadata)


def find_control(name: str) -> Control:
    """The row called `name`. Raises BadParam, naming the known ones."""
    for row in CONTROLS:
        if row.name == name:
            return row
    raise BadParam(f"there is no control named {name!r:.80}", f"known: {', '.join(row.name for row in CONTROLS)}")


def _convert(value: Any, kind: type[Any]) -> Any:
    """Turn what surfaces send (OSC sends every number as a float, HTML sends text) into `kind`."""
    if kind is str:
        if not isinstance(value, str):
            raise TypeError
        if "\0" in value:
            raise ValueError("a string ends at its NUL in OSC and C")
        value.encode()  # half a surrogate pair, which JSON can say, is no text: UnicodeEncodeError
        return value
    if kind is bool:
        return _BOOLS[str(value).lower().removesuffix(".0")]
    number = float(value)
    if number != number:
        raise ValueError("not a number")
    return round(min(max(number, -(2.0**53)), 2.0**53)) if kind is int else number
