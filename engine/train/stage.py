"""Runs one stage of training to its end, through any number of interruptions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from engine.train.learner import Learner

SAVE_SECONDS = 120.0
NOTE_STEPS = 20


class Stage(Protocol):
    """A part of training with its own learner."""

    name: str
    learner: Learner

    def begin(self) -> None:
        """Before the first step ever."""

    def step(self, step: int, share: float) -> dict[str, float]:
        """One optimiser step; returns what to plot."""


@dataclass(frozen=True)
class Budget:
    """How long a stage runs: `steps`, or `seconds` if that comes first (then only as repeatable as the clock)."""

    steps: int
    seconds: float = float("inf")

    def share(self, steps: int, seconds: float) -> float:
        """How much of it is used up, 0..1."""
        return min(1.0, max(steps / self.steps, seconds / self.seconds))


def run_stage(stage: Stage, folder: Path, budget: Budget, show: Callable[[float, dict[str, float]], None]) -> None:
    """Train until the budget is used up; a stage that was interrupted goes on where its last checkpoint is."""
    path, curves = folder / f"{stage.name}.pt", folder / f"{stage.name}.jsonl"
    spent = _restore(stage, path)
    saved, start = spent, time.monotonic() - spent
    sums: dict[str, float] = {}
    while (share := budget.share(stage.learner.steps, spent)) < 1:
        for name, value in stage.step(stage.learner.steps, share).items():
            sums[name] = sums.get(name, 0.0) + value / NOTE_STEPS
        spent = time.monotonic() - start
        if stage.learner.steps % NOTE_STEPS == 0:
            show(share, sums)
            with curves.open("a") as file:
                file.write(json.dumps({"step": stage.learner.steps, "seconds": round(spent, 1), **sums}) + "\n")
            sums = {}
        if spent - saved > SAVE_SECONDS:
            _save(stage, path, spent)
            saved = spent
    if spent > saved:
        _save(stage, path, spent)


def _restore(stage: Stage, path: Path) -> float:
    if not path.exists():
        stage.begin()
        _save(stage, path, 0.0)
        return 0.0
    state = torch.load(path, map_location="cpu", weights_only=True)
    stage.learner.load_state_dict(state["learner"])
    return float(state["seconds"])


def _save(stage: Stage, path: Path, spent: float) -> None:
    """Write beside, then rename: an interruption never leaves half a checkpoint."""
    part = path.with_suffix(".part")
    torch.save({"learner": stage.learner.state_dict(), "seconds": spent}, part)
    part.replace(path)
