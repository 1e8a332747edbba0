"""Runs one stage of training to its end, through any number of interruptions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from engine.clock import monotonic
from engine.train.disk import FOREIGN, BadRun, keep, read_state
from engine.train.learner import Learner

SAVE_SECONDS = 120.0
NOTE_STEPS = 20


class Stage(Protocol):
    """A part of training with its own learner."""

    name: str
    seed: int
    learner: Learner

    def begin(self) -> None:
        """Before the first step ever."""

    def step(self, step: int, share: float) -> dict[str, float]:
        """One optimiser step; returns what to plot."""


class Watcher(Protocol):
    """Who is told how a stage goes."""

    def step(self, step: int, share: float, seconds: float, means: dict[str, float]) -> None:
        """After every step. means: of the last NOTE_STEPS steps when they have been noted, else nothing."""

    def saved(self) -> None:
        """After every checkpoint."""


@dataclass(frozen=True)
class Budget:
    """How long a stage runs: `steps`, or `seconds` if that comes first (then only as repeatable as the clock)."""

    steps: int
    seconds: float = float("inf")

    def share(self, steps: int, seconds: float) -> float:
        """How much of it is used up, 0..1."""
        return min(1.0, max(steps / self.steps, seconds / self.seconds))


def run_stage(stage: Stage, folder: Path, budget: Budget, watcher: Watcher) -> None:
    """Train until the budget is used up; a stage that was interrupted goes on where its last checkpoint is.

    Raises Diverged, with that checkpoint kept, when there are no numbers left to learn with.
    """
    path, curves = folder / f"{stage.name}.pt", Curves(folder / f"{stage.name}.jsonl")
    saved = spent = _restore(stage, path)
    curves.forget_after(stage.learner.steps)
    start = monotonic() - spent
    while (share := budget.share(stage.learner.steps, spent)) < 1:
        losses = stage.step(stage.learner.steps, share)
        spent = monotonic() - start
        means = curves.add(stage.learner.steps, spent, losses)
        watcher.step(stage.learner.steps, budget.share(stage.learner.steps, spent), spent, means)
        if spent - saved > SAVE_SECONDS:
            _save(stage, path, spent)
            saved = spent
            watcher.saved()
    curves.flush(stage.learner.steps, spent)
    if spent > saved:
        _save(stage, path, spent)


class Curves:
    """Means over NOTE_STEPS steps, appended to a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[dict[str, float]] = []

    def add(self, step: int, seconds: float, losses: dict[str, float]) -> dict[str, float]:
        """Note one step; returns the means when they are written, else nothing."""
        self._waiting.append(losses)
        return self.flush(step, seconds) if step % NOTE_STEPS == 0 else {}

    def flush(self, step: int, seconds: float) -> dict[str, float]:
        """Write what waits."""
        if not self._waiting:
            return {}
        means = {name: sum(note[name] for note in self._waiting) / len(self._waiting) for name in self._waiting[0]}
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, "seconds": round(seconds, 1), **means}) + "\n")
        self._waiting.clear()
        return means

    def forget_after(self, step: int) -> None:
        """Drop what was noted later than the checkpoint a run goes on from: those steps will be taken again."""
        forget_after(self._path, step)


def forget_after(path: Path, step: int) -> None:
    """Keep the JSON lines up to `step`; half a line, left by a kill, goes too."""
    if not path.exists():
        return
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
    if kept != lines:
        keep({path: lambda part: part.write_text("".join(kept))})


def _restore(stage: Stage, path: Path) -> float:
    if not path.exists():
        stage.begin()
        _save(stage, path, 0.0)
        return 0.0
    state = read_state(path)
    if state.get("seed", stage.seed) != stage.seed:
        raise BadRun(f"{path} was begun with another --seed", "give that one, or choose another --run")
    try:
        stage.learner.load_state_dict(state["learner"])
        return float(state["seconds"])
    except FOREIGN as error:
        raise BadRun(f"{path} is of another model or version", "choose another --run") from error


def _save(stage: Stage, path: Path, spent: float) -> None:
    stage.learner.check()
    state = {"learner": stage.learner.state_dict(), "seconds": spent, "seed": stage.seed}
    keep({path: lambda part: torch.save(state, part)})
