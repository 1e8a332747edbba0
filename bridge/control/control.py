"""The one place every surface talks to: the controls as requested, what the engine applied, and the status.

Lives on the bridge's event loop. Other threads may read `params` and `status`, which are replaced and never changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from engine.errors import EngineError
from engine.params import CONTROLS, KINDS, Params

log = logging.getLogger(__name__)

State = Literal["offline", "starting", "loading", "warming", "streaming", "degraded", "failover", "error"]

OutputState = Literal["opening", "streaming", "finishing", "failed"]


class BadAction(EngineError):
    """An action was asked for that does not exist, or with arguments it does not take."""


@dataclass(frozen=True, slots=True)
class Action:
    """Something done once, as against a control, which has a value: `takes` names the kinds of its arguments."""

    help: str
    takes: tuple[type, ...] = ()


ACTIONS: Mapping[str, Action] = {
    "reset": Action("Forget the stream so far and start as new."),
    "preset": Action("Run another model.", (str,)),
    "input": Action("Take pictures from somewhere else.", (str,)),
    "output": Action("Switch one output on or off, by name.", (str, bool)),
    "record": Action("Start or stop a recording in the current folder.", (bool,)),
    "restart": Action("Start the engine process again."),
}


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The engine process as seen from outside it."""

    pid: int | None = None
    restarts: int = 0
    stage: str = "offline"
    device: str = ""
    preset: str = ""


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """One output: what it is called, what it is, and why it does not run, if it does not.

    file: what it writes, if that is a file; while `state` is "finishing" it was switched off and is not whole yet.
    """

    name: str
    kind: str
    error: str = ""
    state: OutputState = "streaming"
    file: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """Everything `latentcast status`, `/api/status` and `/stats` say, gathered about twice a second."""

    state: State = "offline"
    input: str = ""
    fps_in: float = 0.0
    fps_out: float = 0.0
    latency_ms: Mapping[str, float] = field(default_factory=lambda: {"p50": 0.0, "p95": 0.0, "p99": 0.0})
    dropped: int = 0
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    applied: Mapping[str, int] = field(default_factory=lambda: {"revision": 0, "frame": 0})
    engine: EngineStatus = EngineStatus()
    outputs: tuple[OutputStatus, ...] = ()


EventKind = Literal["changed", "applied", "state", "status", "error"]


@dataclass(frozen=True, slots=True)
class Event:
    """Told to every watcher. `revision` is the newest by then; `kind` says which fields of `data` there are:

    changed  {name: value, ...}       controls that were accepted, as they are now
    applied  {revision, frame}        the first frame index that shows a revision
    state    {state}                  the state changed
    status   {}                       `control.status` was replaced
    error    {reason, where}          something failed that a person should know of
    """

    kind: EventKind
    data: Mapping[str, Any]
    revision: int


Watcher = Callable[[Event], None]


class ControlState:
    """Holds the newest Params and Status, checks every change, and tells the watchers.

    perform: carries out an action of ACTIONS; given by the application, may raise EngineError.
    chosen:  names of controls that somebody has set before.
    """

    def __init__(
        self, params: Params, perform: Callable[[str, tuple[Any, ...]], None], chosen: Iterable[str] = ()
    ) -> None:
        self.params = params
        self.status = Status()
        self._perform = perform
        self._chosen = set(chosen)
        self._watchers: list[Watcher] = []
        self._failure = ""  # of a watcher, the last that was logged

    def set(self, name: str, value: Any) -> Params:
        """Change one control. Raises BadParam; nothing changes then."""
        return self.set_all({name: value})

    def set_all(self, values: Mapping[str, Any]) -> Params:
        """Change several controls as one revision, all or none. Raises BadParam.

        What is so already is no change: a fader that sends back what it hears would go round in circles.
        """
        self._change(values)
        self._chosen |= values.keys()
        return self.params

    def start_from(self, params: Params) -> None:
        """Another model runs, which starts its controls at `params`: those that nobody has set go there."""
        self._change({row.name: getattr(params, row.name) for row in CONTROLS if row.name not in self._chosen})

    def _change(self, values: Mapping[str, Any]) -> None:
        before, after = self.params, self.params.set_all(values)
        changed = {name: getattr(after, name) for name in values if getattr(after, name) != getattr(before, name)}
        if changed:
            self.params = after
            self._tell("changed", changed)

    def do(self, action: str, *arguments: Any) -> None:
        """Carry out one action. Raises BadAction for an unknown one or arguments it does not take."""
        if action not in ACTIONS:
            raise BadAction(f"there is no action named {action!r:.80}", f"known: {', '.join(ACTIONS)}")
        takes = ACTIONS[action].takes
        if len(arguments) != len(takes) or not all(isinstance(a, t) for a, t in zip(arguments, takes, strict=True)):
            wanted = ", ".join(KINDS[kind] for kind in takes) or "nothing"
            raise BadAction(f"{action} takes {wanted}", ACTIONS[action].help)
        self._perform(action, arguments)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` on the event loop for every event from now on; the returned function ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher) if watcher in self._watchers else None

    def publish(self, **changes: Any) -> None:
        """Replace fields of the status, and tell the watchers what kind of news it is."""
        before, self.status = self.status, replace(self.status, **changes)
        if self.status.state != before.state:
            self._tell("state", {"state": self.status.state})
        if self.status.applied != before.applied:
            self._tell("applied", dict(self.status.applied))
        self._tell("status", {})

    def fail(self, reason: str, where: str) -> None:
        """Tell every surface that something went wrong and where, in one sentence with a next step."""
        self._tell("error", {"reason": reason, "where": where})

    def to_dict(self) -> dict[str, Any]:
        """Status, params and revision in the shape of `GET /api/status`."""
        status = asdict(replace(self.status, latency_ms={}, stages_ms={}, applied={}))
        status |= {key: dict(getattr(self.status, key)) for key in ("latency_ms", "stages_ms", "applied")}
        params = self.params.to_dict()
        return status | {"revision": params.pop("revision"), "params": params}

    def _tell(self, kind: EventKind, data: Mapping[str, Any]) -> None:
        event = Event(kind, data, self.params.revision)
        for watcher in tuple(self._watchers):  # a copy: one may leave while it is told
            try:
                watcher(event)
            except Exception as error:  # a surface that fails takes neither the change nor the others down
                if repr(error) != self._failure:  # logged once: it would come again with every event
                    self._failure = repr(error)
                    log.exception("a surface failed")
