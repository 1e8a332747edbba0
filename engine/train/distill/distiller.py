"""One update after the other: the student rolls out, is told where its teacher would go, and the critic follows it.

Source: Huang et al. 2025, "Self Forcing", arXiv:2506.08009, algorithm 1; Yin et al. 2024, "Improved Distribution
Matching Distillation", arXiv:2405.14867.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.preset import Preset
from engine.train.disk import FOREIGN
from engine.train.distill.checkpoint import restore
from engine.train.distill.ema import Average
from engine.train.distill.generator import Generator
from engine.train.distill.learner import Pupil
from engine.train.distill.loss import flow_matching, matching, regression
from engine.train.distill.parallel import World, whole
from engine.train.distill.rollout import Scene, roll_out
from engine.train.distill.scenes import CHECKED, Scenes
from engine.train.distill.score import Scores
from engine.train.distill.settings import BadSettings, Settings

Videos = list[tuple[Scene, Tensor]]  # [T, C, h, w] each
CHANGEABLE = ("updates", "check_every", "save_seconds", "recompute")  # settings that a run may go on with changed


class Distiller:
    """Student, teacher and critic. What an update does depends on its number, the seed and the weights alone.

    networks: student, teacher and critic, on the device, shared out if there are many processes; and with
    `settings.study` one more, which learns of the teacher's videos what the critic learns of the student's.
    negative: embedding [1, L, D] of what guidance leads away from, if there is guidance.
    worth: weight of each latent channel in `regression` and in what the critic learns by.
    """

    def __init__(
        self, networks: Sequence[Generator], scenes: Scenes, preset: Preset, settings: Settings,
        world: World, seed: int, negative: Tensor | None = None, worth: Tensor | float = 1.0,
    ) -> None:  # fmt: skip
        student, self._teacher, critic, *study = networks
        rest = settings.momentum, settings.clip, settings.anneal
        self._student = Pupil("student", student, settings.rate, *rest)
        self._critic = Pupil("critic", critic, settings.critic_rate, *rest)
        self._study = [Pupil("study", network, settings.critic_rate, *rest) for network in study]
        self._scenes, self._preset, self._settings, self._world = scenes, preset, settings, world
        self._seed, self._negative, self._worth = seed, negative, worth
        self._scores = Scores(preset, settings, preset.params.carry, world.device)
        self._average = Average(student, settings.decay)
        self.updates = 0

    def update(self, share: float) -> dict[str, float]:
        """One update of the student and its critic's; `share` of the run is done. Returns what to plot."""
        videos, shown, losses = self._teach(share)
        for turn in range(self._settings.critic_updates if self._settings.matching else 0):
            losses["critic"] = self._follow(self._critic, videos if turn == 0 else self._rolled(turn), turn, share)
        for study in self._study:
            losses["study"] = self._follow(study, shown, 0, share)
        self.updates += 1
        self._average.update(self.updates)
        return self._world.mean(losses)

    def _teach(self, share: float) -> tuple[Videos, Videos, dict[str, float]]:
        """The student's update, scene by scene so that one graph is in memory at a time; its videos, the teacher's."""
        videos, shown, sums = Videos(), Videos(), {"regression": 0.0, "matching": 0.0}
        for index, scene in zip(self._own, self._draw(0), strict=True):
            with self._world.precision(self._settings.bf16):
                video = self._roll(self._student.network, scene, self._exit(0), learn=True)
                shown += self._show(scene)
                losses = self._losses(video[None], scene, shown, self._generator(index, 0))
            total = torch.stack([self._weight(name) * loss for name, loss in losses.items()]).sum()
            (total / len(self._own)).backward()  # type: ignore[no-untyped-call]
            videos.append((scene, video.detach()))
            for name, loss in losses.items():
                sums[name] += loss.item() / len(self._own)
        sums["norm"] = self._student.descend(share)
        return videos, shown, sums

    @torch.no_grad()
    def _show(self, scene: Scene) -> Videos:
        """The teacher's video, where anyone learns of it."""
        if not (self._weight("regression") or self._study):
            return []
        return [(scene, self._roll(self._teacher, scene, self._settings.teacher_steps))]

    def _losses(self, video: Tensor, scene: Scene, shown: Videos, random: torch.Generator) -> dict[str, Tensor]:
        losses = dict[str, Tensor]()
        if self._weight("regression"):
            losses["regression"] = regression(video, shown[-1][1][None], self._worth)
        if self._weight("matching"):
            noisy, _, t = self._scores.noised(video.detach(), random)
            with torch.no_grad():
                expert = self._study[0].network if self._study else self._teacher
                real = self._scores.clean(expert, noisy, t, scene.prompt, self._negative)
                fake = self._scores.clean(self._critic.network, noisy, t, scene.prompt, None)
            losses["matching"] = matching(video, real, fake)
        return losses

    def _weight(self, loss: str) -> float:
        if self.updates < self._settings.warm_up:
            return float(loss == "regression")
        return self._settings.regression if loss == "regression" else self._settings.matching

    def _follow(self, pupil: Pupil, videos: Videos, turn: int, share: float) -> float:
        """One update, on somebody's videos, of the network that knows their score. Returns its loss."""
        mean = 0.0
        for index, (scene, video) in zip(self._own, videos, strict=True):
            noisy, noise, t = self._scores.noised(video[None], self._generator(index, turn + 1))
            with self._world.precision(self._settings.bf16):
                flow = self._scores.flow(pupil.network, noisy, t, scene.prompt)
            loss = flow_matching(flow, noise, video[None], self._worth) / len(self._own)
            loss.backward()  # type: ignore[no-untyped-call]
            mean += loss.item()
        pupil.descend(share)
        return mean

    def _rolled(self, turn: int) -> Videos:
        """Videos for the critic alone."""
        with torch.no_grad(), self._world.precision(self._settings.bf16):
            return [(scene, self._roll(self._student.network, scene, self._exit(turn))) for scene in self._draw(turn)]

    def _roll(self, network: Generator, scene: Scene, steps: int, learn: bool = False) -> Tensor:
        dtype = torch.bfloat16 if self._settings.bf16 else torch.float32
        preset = replace(self._preset, dit=network.spec)  # a teacher may be larger
        return roll_out(network, scene, preset, steps, self._settings.rows, dtype, learn)

    def _draw(self, turn: int) -> list[Scene]:
        return self._scenes.draw(self.updates * self._settings.critic_updates + turn, self._own)

    @property
    def _own(self) -> range:
        """Which scenes of a batch are this process's."""
        return range(self._world.rank, self._settings.batch, self._world.size)

    def _exit(self, turn: int) -> int:
        """How many steps this update's streams have, the same on all processes: 1 up to the student's."""
        return int(np.random.default_rng((self._seed, 5, self.updates, turn)).integers(self._settings.steps)) + 1

    def _generator(self, index: int, turn: int) -> torch.Generator:
        seeds = np.random.SeedSequence((self._seed, 11, self.updates, index, turn)).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(seeds[0] >> 1))

    @torch.no_grad()
    def distance(self) -> dict[str, float]:
        """How far the averaged student is from the teacher's rollouts of scenes never trained on, for 1..steps steps.

        The `regression` of the two: 0 is the same video, 1 as wrong as the video's mean colour.
        """
        self._average.swap()
        try:
            with self._world.precision(self._settings.bf16):
                return self._world.mean(self._apart())
        finally:
            self._average.swap()

    def _apart(self) -> dict[str, float]:
        sums = {f"apart {steps}": 0.0 for steps in range(1, self._settings.steps + 1)}
        for scene in self._scenes.draw(CHECKED, self._own):
            target = self._roll(self._teacher, scene, self._settings.teacher_steps)[None]
            for steps, name in enumerate(sums, 1):
                video = self._roll(self._student.network, scene, steps)[None]
                sums[name] += regression(video, target, self._worth).item() / len(self._own)
        return sums

    def averaged(self) -> dict[str, Tensor]:
        """The averaged student's weights, whole, on the processor: what ships. All processes must ask."""
        named = self._student.network.named_parameters()
        return {name: whole(weight, self._average.means[name]) for name, weight in named}

    def state_dict(self) -> dict[str, Any]:
        return {
            "updates": self.updates,
            "student": self._student.state(),
            "critic": self._critic.state(),
            "study": [study.state() for study in self._study],
            "average": self._average.means,
            "begun": self._begun(),
        }

    def _begun(self) -> dict[str, Any]:
        """What a run has to go on with as it was begun."""
        chosen = {name: value for name, value in asdict(self._settings).items() if name not in CHANGEABLE}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in chosen.items()} | {
            "seed": self._seed,
            "preset": self._preset.name,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from there. Raises BadSettings for the checkpoint of a run that was begun otherwise."""
        for name, value in self._begun().items():
            if (begun := saved.get("begun", {}).get(name)) != value:
                raise BadSettings(
                    f"the checkpoint is of a run with another `{name}`: {begun!r}, not {value!r}",
                    "go on with that, or choose another --run",
                )
        try:
            self._restore(saved)
        except FOREIGN as error:
            raise BadSettings("the checkpoint is of another model", "choose another --run") from error

    def _restore(self, saved: dict[str, Any]) -> None:
        self.updates = saved["updates"]
        self._student.load(saved["student"])
        self._critic.load(saved["critic"])
        for study, state in zip(self._study, saved["study"], strict=True):
            study.load(state)
        restore(saved["average"], self._average.means)
