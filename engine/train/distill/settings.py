"""How a student is distilled: the numbers that differ between a laptop, a cluster, and a test."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from engine.errors import EngineError
from engine.preset import Preset


class BadSettings(EngineError):
    """Settings, clips or prompts that no training can start from."""


@dataclass(frozen=True)
class Settings:
    """One distillation.

    steps:      of the student, 1 up to the preset's; a rollout is a stream of 1..steps of them, drawn per update.
    rows:       how they are laid out, as the control `rows`: 0 is a stream batch of one row a step.
    frames:     latent frames in a rollout. More than the window's slots, or its rolling is never seen.
    batch:      rollouts per update, over all processes together.
    updates:    of the student; `warm_up` of them learn from the teacher's rollouts alone.
    regression: weight of the teacher's rollouts after that; 0 leaves distribution matching alone.
    matching:   weight of distribution matching; 0 leaves it out, and the critic.
    study:      learn the teacher's score from its videos, as the critic learns the student's, instead of asking the
                teacher: for one whose last training was not by squared error, as `tiny`'s was not.
    critic_updates: of the critic per update of the student.
    teacher_steps:  of the rollouts that the warm-up learns from.
    guidance, negative: classifier-free guidance of the teacher's score; 1 asks it once and needs no negative prompt.
    times:      timesteps at which scores are compared; none: anywhere from 20 to 980, shifted as the schedule is.
    causal:     whether scores see the past through the window, or, like a model of whole clips, everything.
    noise:      range of how much noise the still parts of a stream get.
    side:       latents; rollouts are cut to such squares except for a share `whole` of the updates. 0 never cuts.
    stock:      clips held ready, where they are made on the fly.
    decay:      memory of the running average that is shipped.   anneal: share of the run, at its end, of falling rates.
    bf16:       compute in bfloat16, keep weights and optimiser in float32.   recompute: gradient checkpointing.
    """

    steps: int = 2
    rows: int = 0
    frames: int = 7
    batch: int = 4
    updates: int = 800
    warm_up: int = 300
    regression: float = 1.0
    matching: float = 1.0
    study: bool = False
    critic_updates: int = 1
    teacher_steps: int = 4
    guidance: float = 1.0
    negative: str = ""
    times: tuple[int, ...] = ()
    causal: bool = True
    noise: tuple[float, ...] = (0.65, 0.8)
    side: int = 0
    whole: float = 0.2
    stock: int = 48
    rate: float = 3e-5
    critic_rate: float = 6e-5
    momentum: float = 0.9
    clip: float = 1.0
    decay: float = 0.99
    anneal: float = 0.0
    bf16: bool = False
    recompute: bool = False
    check_every: int = 100
    save_seconds: float = 120.0

    def check(self, preset: Preset, processes: int) -> Settings:
        """These settings. Raises BadSettings if `preset` cannot be distilled so on that many processes."""
        most = len(preset.schedule.timesteps)
        for holds, what in (
            (1 <= self.steps <= most, f"a student of {preset.name} takes 1 to {most} steps, not {self.steps}"),
            (1 <= self.teacher_steps <= most, f"its teacher takes 1 to {most} steps, not {self.teacher_steps}"),
            (self.batch > 0 and self.batch % processes == 0, f"{self.batch} rollouts do not divide by {processes}"),
            (self.critic_updates > 0, "the critic needs at least one update for each of the student's"),
            (
                self.guidance == 1 or not self.study,
                "a score that is studied is not guided: guidance = 1, or study = false",
            ),
            (len(self.noise) == 2 and 0 < self.noise[0] <= self.noise[1] <= 1, "noise is a range within 0 to 1"),
            (self.frames > 1 and self.updates > 0, "frames are 2 or more, updates 1 or more"),
            (all(0 < t < 1000 for t in self.times), "times lie between 0 and 1000"),
            (self.side >= 0 and self.side % preset.dit.patch == 0, f"side is 0 or a multiple of {preset.dit.patch}"),
            (min(self.stock, self.check_every) > 0, "stock and check_every are 1 or more"),
            (min(self.rate, self.critic_rate, self.clip) > 0, "rate, critic_rate and clip are above 0"),
            (min(self.regression, self.matching, self.warm_up, self.rows) >= 0, "weights, warm_up and rows start at 0"),
            (
                all(0 <= share <= 1 for share in (self.whole, self.decay, self.anneal)) and 0 <= self.momentum < 1,
                "whole, decay and anneal lie between 0 and 1, momentum below 1",
            ),
        ):
            if not holds:
                raise BadSettings(what, "see docs/distill.md")
        return self


LAPTOP = Settings(
    updates=300, warm_up=150, matching=0.0, times=(500, 400, 200), rows=1, side=16, whole=0.1, anneal=0.4, rate=5e-5,
    critic_rate=1e-4,
)  # fmt: skip
CLUSTER = Settings(
    frames=21, batch=64, updates=3000, warm_up=0, regression=0.0, critic_updates=5, guidance=3.0, causal=False,
    noise=(0.7, 0.8), rate=2e-6, critic_rate=4e-7, momentum=0.0, bf16=True, recompute=True,
    check_every=200, save_seconds=1800.0,
)  # fmt: skip


def settings_for(preset: Preset, file: Path | None = None, **chosen: Any) -> Settings:
    """What fits a preset's size, changed by a TOML file and then by `chosen`. Raises BadSettings for a bad file."""
    start = LAPTOP if preset.codec.kind == "small" else CLUSTER
    return replace(start, **({} if file is None else _read(file)), **chosen)


def _read(file: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSettings(f"{file} cannot be read: {error}", "write lines such as: frames = 21") from error
    return {name: _value(name, value) for name, value in table.items()}


def _value(name: str, value: Any) -> Any:
    hints = get_type_hints(Settings)
    if name not in hints:
        raise BadSettings(
            f"there is no setting {name!r}", f"known: {', '.join(field.name for field in fields(Settings))}"
        )
    if get_origin(hints[name]) is tuple and isinstance(value, list):
        return tuple(_typed(name, part, get_args(hints[name])[0]) for part in value)
    return _typed(name, value, hints[name])


def _typed(name: str, value: Any, kind: Any) -> Any:
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise BadSettings(f"{name} cannot be {value!r}", f"it is like {getattr(LAPTOP, name)!r}")
    return value
