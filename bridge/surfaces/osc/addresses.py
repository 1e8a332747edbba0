"""The address space: what each OSC address below the root asks for, and what may be read there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from bridge.control.control import ACTIONS, Status
from bridge.errors import BridgeError
from engine.errors import BadParam
from engine.params import CONTROLS, Control, Params, find_control
from engine.prompt import join_blend

Arguments = tuple[Any, ...]
_NAMES = frozenset(row.name for row in CONTROLS)
_RANGED = {row.name: row for row in CONTROLS if row.low is not None and row.high is not None}


class BadAddress(BridgeError):
    """A message to an address where nothing is, or with arguments it does not take."""


class Change(NamedTuple):
    """Controls to set, together."""

    values: Mapping[str, Any]


class Do(NamedTuple):
    """An action of ACTIONS to carry out."""

    action: str
    arguments: Arguments = ()


def relative(address: str, root: str) -> str:
    """What follows the root, as it was written. Raises BadAddress for an address outside it."""
    if not address.lower().startswith(f"{root}/"):
        raise BadAddress(f"{address:.80} is not below {root}", f"send to {root}/prompt and the like")
    return address[len(root) + 1 :]


def interpret(name: str, arguments: Arguments, params: Params) -> Change | Do:
    """What a message to `name`, relative to the root and in any case, asks for. `params` as toggles see them.

    Raises BadAddress, or BadParam for a control that is not in the table.
    """
    head, _, tail = name.partition("/")
    if (known := _EXACT.get(name.lower())) is not None:
        return known(arguments)
    if head.lower() == "norm":
        return Change({tail.lower(): _from_norm(find_control(tail.lower()), _one(name, arguments))})
    if head.lower() == "output" and tail:
        return Do("output", (tail, _switch(name, arguments)))
    if name.lower() in _NAMES:
        return Change({name.lower(): _given_or_toggled(find_control(name.lower()), arguments, params)})
    raise BadAddress(f"there is nothing at {name!r:.80}", _suggestion(name.lower()))


def control_values(params: Params, name: str) -> dict[str, Arguments]:
    """One control as it stands, by every address it is read at."""
    value = getattr(params, name)
    if name not in _RANGED:
        return {name: (value,)}
    low, high = _range(_RANGED[name])
    return {name: (value,), f"norm/{name}": ((value - low) / (high - low),)}


def status_values(status: Status) -> dict[str, Arguments]:
    """How things stand, by address; what the heartbeat carries every second."""
    latency = {f"stats/latency/{name}": (float(value),) for name, value in status.latency_ms.items()}
    fps = {"stats/fps/in": (float(status.fps_in),), "stats/fps/out": (float(status.fps_out),)}
    outputs = {f"stats/output/{output.name}": (output.state,) for output in reversed(status.outputs)}
    return {"state": (status.state,), **fps, **latency, "stats/dropped": (int(status.dropped),), **outputs}


def readable(params: Params, status: Status) -> dict[str, Arguments]:
    """Everything `/get` can answer."""
    controls = {address: value for row in CONTROLS for address, value in control_values(params, row.name).items()}
    return controls | status_values(status)


def _prompt(arguments: Arguments) -> Change:
    if not 1 <= len(arguments) <= 2:
        raise BadAddress("prompt takes a text and, if you like, a fade in seconds", 'such as "neon" 2.0')
    return Change(dict(zip(("prompt", "fade"), arguments, strict=False)))


def _prompts(arguments: Arguments) -> Change:
    texts, weights = arguments[::2], arguments[1::2]
    if not texts or len(texts) != len(weights):
        raise BadAddress("prompts takes pairs of a text and a weight", 'such as "neon" 0.7 "ink" 0.3')
    try:
        pairs = tuple((str(text), float(weight)) for text, weight in zip(texts, weights, strict=True))
        if not all(0 <= weight < float("inf") for _, weight in pairs):  # a text on its own loses its weight below
            raise ValueError
        return Change({"prompt": join_blend(pairs)})
    except ValueError as error:
        raise BadParam("a prompt's weight is a number from 0 up", 'such as "neon" 0.7 "ink" 0.3') from error


def _action(action: str) -> Callable[[Arguments], Change | Do]:
    """Buttons of OSC surfaces send a number when pressed, and zero when let go, which asks for nothing."""
    if ACTIONS[action].takes:
        return lambda arguments: Do(action, arguments)
    return lambda arguments: Change({}) if arguments and not arguments[0] else Do(action)


def _record(arguments: Arguments) -> Do:
    return Do("record", (_switch("record", arguments),))


_EXACT: Mapping[str, Callable[[Arguments], Change | Do]] = {
    "prompt": _prompt,
    "prompts": _prompts,
    "reset": _action("reset"),
    "preset": _action("preset"),
    "input": _action("input"),
    "record": _record,
    "engine/restart": _action("restart"),
}


def _one(name: str, arguments: Arguments) -> Any:
    if len(arguments) != 1:
        raise BadAddress(f"{name} takes one value, not {len(arguments)}", "send one argument")
    return arguments[0]


def _switch(name: str, arguments: Arguments) -> bool:
    """Read any idea of a switch the way a switch in the table is read."""
    value = _one(name, arguments)
    try:
        return Params().set("bypass", value).bypass
    except BadParam as error:
        raise BadParam(f"{name} takes a switch (on or off), not {value!r:.80}", "send T or F") from error


def _given_or_toggled(row: Control, arguments: Arguments, params: Params) -> Any:
    if not arguments and row.kind == "bool":
        return not getattr(params, row.name)
    return _one(row.name, arguments)


def _range(row: Control) -> tuple[float, float]:
    if row.low is None or row.high is None:
        raise BadAddress(f"{row.name} has no range to be normalised", f"send to /{row.name}")
    return row.low, row.high


def _from_norm(row: Control, value: Any) -> float:
    low, high = _range(row)
    try:
        return low + float(value) * (high - low)
    except ValueError as error:
        raise BadParam(f"norm/{row.name} takes a number from 0 to 1, not {value!r:.80}", row.help) from error


def _suggestion(name: str) -> str:
    known = _NAMES | set(_EXACT) | {"ping", "get", "subscribe", "unsubscribe"}
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
