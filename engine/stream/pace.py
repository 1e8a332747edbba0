"""How a chunk's denoising steps are laid out: decided in integers, before any tensor moves."""

from __future__ import annotations

from dataclasses import dataclass


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
