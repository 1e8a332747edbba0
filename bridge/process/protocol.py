"""The lines between the bridge and its children: one JSON object each, so that a child can be run by hand and typed at.

to the engine    {"params": {...}}   {"reset": true}   {"stop": true}
from the engine  {"stage": ...}      {"beat": n, "deadline": s}   {"report": {...}}   {"error": ..., "hint": ...}

Values in "params" that are not named stay as they are. Sources and sinks say stages, beats and errors too.

How long a child may be silent is one idea, held by both ends of a pipe. While it runs, every line is a sign of life,
and a beat says how soon the next one comes: only the child knows how long a chunk, or opening a camera, takes. Once it
is asked to end it has END_TIMEOUT seconds in all, or, if it has a file to finish, as long as it is never silent for
FINISH_TIMEOUT seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bridge.errors import BridgeError

DEADLINE = 5.0  # seconds from a beat to the next line, unless the beat says another number
OPEN_TIMEOUT = 60.0  # seconds a child may take to start, and to open its device, file or port
END_TIMEOUT = 2.0  # seconds to end in, for a child that has nothing to finish
FINISH_TIMEOUT = 60.0  # seconds without a sign of life after which a file is not finished any more
GAVE_UP = 2  # exit code of a child that said why in an error line, and would only fail in the same way again


class BadLine(BridgeError):
    """A line that is not one of ours."""


@dataclass(frozen=True, slots=True)
class SetParams:
    """Controls to change, by name; with "revision", the whole snapshot a surface will hear back about."""

    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reset:
    """Forget the stream so far and start as new."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Finish and end. The end of stdin means the same."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How far the child has come: loading, warming, streaming; a recorder at its end: finishing.

    progress: how far within a stage that takes long.
    part: the file that is there as long as the one named in `device` is not finished; empty if there is none.
    """

    stage: str
    device: str = ""
    preset: str = ""
    progress: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True)
class Beat:
    """The child's own loop came round again. Counts from 1.

    deadline: seconds within which another line follows, whatever the loop does next.
    """

    beat: int
    deadline: float = DEADLINE


@dataclass(frozen=True, slots=True)
class Report:
    """One chunk.

    revision: of the controls it was made with.   frame: index of the first picture that came out, None if none did.
    stages_ms: milliseconds by stage.   backlog, dropped: frames that wait, and that were left out since the start.
    """

    revision: int
    frame: int | None
    stages_ms: Mapping[str, float]
    backlog: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Something went wrong, in one sentence, and what to do about it."""

    error: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.error}; {self.hint}" if self.hint else self.error


Message = SetParams | Reset | Stop | Stage | Beat | Report | Failure


def encode(message: Message) -> str:
    """The line for a message, its end included."""
    match message:
        case SetParams(values):
            body: dict[str, Any] = {"params": dict(values)}
        case Report():
            body = {"report": asdict(message)}
        case Reset() | Stop():
            body = {type(message).__name__.lower(): True}
        case _:
            body = asdict(message)
    return json.dumps(body) + "\n"


def decode(line: str) -> Message:
    """The message in a line. Raises BadLine."""
    try:
        body = json.loads(line)
        kind = next(key for key in body if key in _READ)
        return _READ[kind](body)
    except (AttributeError, KeyError, StopIteration, TypeError, ValueError) as error:
        raise BadLine(f"not understood: {line.strip()!r:.120}", 'say {"params": {"prompt": "neon"}}') from error


_READ: Mapping[str, Callable[[dict[str, Any]], Message]] = {
    "params": lambda body: SetParams(dict(body["params"])),
    "reset": lambda body: Reset(),
    "stop": lambda body: Stop(),
    "stage": lambda body: Stage(**body),
    "beat": lambda body: Beat(**body),
    "report": lambda body: Report(**body["report"]),
    "error": lambda body: Failure(**body),
}
