"""How many rows and steps a chunk gets. All limits on them are here, in integers.

Who limits whom, strongest last; each only ever lowers what the one before it left:

1. The user: `Params.steps` and `Params.rows` are the most that is ever used.
2. The preset: its `limits`. Where memory ran out, the engine goes on with a preset whose limits are lower
   (engine.memory.step_down).
3. Memory at this moment: rows that there is no room for are not begun (`room`, measured when the controls change).
4. The layout: rows divide the steps, so that every chunk does all of them; rows that do not are lowered.

Time is not in this list yet: an engine that does not keep up gets fewer frames (bridge.worker.intake), with the same
rows and steps for those it gets.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.params import Params
from engine.preset import Preset


@dataclass(frozen=True, slots=True)
class Plan:
    """`rows` chunks are denoised together, each for `passes` steps a call; rows x passes = steps.

    rows = steps is the stream batch (throughput); rows = 1 is step by step (latency).
    """

    rows: int
    passes: int

    @property
    def steps(self) -> int:
        return self.rows * self.passes


def plan_steps(steps: int, rows: int) -> Plan:
    """Lay out `steps` in at most `rows` rows; 0 means one row a step. Rows that do not divide the steps are lowered."""
    fitting = max(count for count in range(1, steps + 1) if steps % count == 0 and count <= (rows or steps))
    return Plan(fitting, steps // fitting)


def allowed_steps(preset: Preset, params: Params) -> int:
    """How many of the schedule's steps are done."""
    return min(params.steps, preset.limits.steps or params.steps)


def plan_of(preset: Preset, params: Params, room: int | None = None) -> Plan:
    """The plan of `preset` under `params`.

    room: how many rows there is memory for; None where nobody counted.
    """
    steps = len(preset.schedule.take(allowed_steps(preset, params)))
    most = min(params.rows or steps, preset.limits.rows or steps)
    return plan_steps(steps, most if room is None else min(most, max(1, room)))
