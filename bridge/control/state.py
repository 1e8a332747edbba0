"""One word for how a run is doing, out of what its parts say. Pure."""

from __future__ import annotations

from bridge.control.control import State

_STATE_BY_STAGE: dict[str, State] = {
    "starting": "starting",
    "loading": "loading",
    "warming": "warming",
    "streaming": "warming",
}


def run_state(stage: str, *, failed: bool, streamed: bool, stale: bool, dry: bool) -> State:
    """The state that surfaces show.

    stage:    how far the engine process is.
    failed:   it gave up, and is not started again by itself.
    streamed: its pictures were seen since somebody last asked for an engine, so being without them now is a fault.
    stale:    the outputs hold an old picture, or show the input, for want of a new one.
    dry:      they show the input.
    """
    if failed:
        return "error"
    if stage == "streaming" and not stale:
        return "streaming"
    if streamed and stage != "offline":
        return "failover" if dry else "degraded"
    return _STATE_BY_STAGE.get(stage, "offline")
