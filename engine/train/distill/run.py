"""One distillation, start to end: what goes in, its folder, and what a person watching sees of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import Tensor

from engine.clock import monotonic
from engine.device import pick_dtype
from engine.models.build import Models, make_codec, make_text
from engine.models.small_codec import SmallCodec
from engine.preset import Preset, load_preset
from engine.train.curves import draw_curves
from engine.train.distill import checkpoint
from engine.train.distill.distiller import Distiller
from engine.train.distill.generator import Generator
from engine.train.distill.parallel import World
from engine.train.distill.scenes import DrawnScenes, Films, Scenes, embed, read_prompts
from engine.train.distill.settings import BadSettings, Settings, settings_for
from engine.train.stage import Budget, Curves, forget_after
from engine.weights import load_weights

NAME = "distill"


def distill(
    preset: str, teacher: str | None, folder: Path, settings: Path | None, steps: int,
    clips: Path | None, prompts: Path | None, hours: float | None, seed: int, threads: int, device: str | None,
) -> None:  # fmt: skip
    """Distil `teacher` (else the preset itself, at its settings' teacher_steps) into a student of few steps.

    Goes on with what is in `folder`. The same seed, device, thread count and torch give the same weights, unless
    `hours` lets the clock decide.
    """
    if threads:
        torch.set_num_threads(threads)
    world = World.join(device)
    try:
        base, expert = load_preset(preset), load_preset(teacher or preset)
        chosen = settings_for(base, settings, steps=steps).check(base, world.size)
        work = _distiller(base, expert, chosen, world, clips, prompts, seed)
        run(work, folder, chosen, world, hours)
        made = checkpoint.export(folder, world, work.averaged(), base, chosen.steps)
        if world.leads:
            sys.stdout.write(f"{made}: play it with --preset {made}\n")
    finally:
        world.leave()


def run(work: Distiller, folder: Path, settings: Settings, world: World, hours: float | None) -> None:
    """Update until the budget is used up; go on where the folder's newest checkpoint is."""
    folder.mkdir(parents=True, exist_ok=True)
    budget = Budget(settings.updates, float("inf") if hours is None else hours * 3600)
    notes, saved = Notes(folder, world), checkpoint.load(folder, world)
    kept = spent = 0.0 if saved is None else float(saved["seconds"])
    if saved is None:
        notes.resume(-1)
        notes.distance(work, spent)
    else:
        work.load_state_dict(saved["work"])
        notes.resume(work.updates)
    start = monotonic() - spent
    while (share := world.agree(budget.share(work.updates, spent))) < 1:
        notes.losses(work.updates + 1, spent, share, work.update(share))
        spent = monotonic() - start
        if work.updates % settings.check_every == 0:
            notes.distance(work, spent)
        if world.agree(spent - kept) > settings.save_seconds:
            checkpoint.save(folder, world, work.updates, {"work": work.state_dict(), "seconds": spent})
            kept = spent
            notes.draw()
    if spent > kept:
        if work.updates % settings.check_every:
            notes.distance(work, spent)
        checkpoint.save(folder, world, work.updates, {"work": work.state_dict(), "seconds": spent})
    notes.end(work.updates, spent)


class Notes:
    """What a run leaves to read: means of the losses and distances from the teacher, as lines and as curves."""

    def __init__(self, folder: Path, world: World) -> None:
        self._folder, self._leads = folder, world.leads
        self._curves = Curves(folder / f"{NAME}.jsonl")

    def resume(self, number: int) -> None:
        """Drop what was noted after the checkpoint a run goes on from."""
        if self._leads:
            self._curves.forget_after(number)
            forget_after(self._folder / "apart.jsonl", number)

    def losses(self, number: int, seconds: float, share: float, losses: dict[str, float]) -> None:
        means = self._curves.add(number, seconds, losses) if self._leads else {}
        if means:
            left = seconds / share - seconds if share else 0.0
            self._say(number, means, f"  {left / 60:.0f} min left")

    def distance(self, work: Distiller, seconds: float) -> None:
        """Measure the student, all processes together."""
        apart = work.distance()
        if self._leads:
            self._write(work.updates, seconds, apart)
        self._say(work.updates, apart, "")

    def end(self, number: int, seconds: float) -> None:
        if self._leads:
            self._curves.flush(number, seconds)
        self.draw()

    def draw(self) -> None:
        if self._leads:
            draw_curves(self._folder, NAME)
            draw_curves(self._folder, "apart")

    def _write(self, number: int, seconds: float, apart: dict[str, float]) -> None:
        line = json.dumps({"step": number, "seconds": round(seconds, 1), **apart})
        with (self._folder / "apart.jsonl").open("a") as file:
            file.write(line + "\n")

    def _say(self, number: int, values: dict[str, float], more: str) -> None:
        if self._leads:
            words = "  ".join(f"{name} {value:.3g}" for name, value in values.items())
            sys.stdout.write(f"{number:6}  {words}{more}\n")
            sys.stdout.flush()


def _distiller(
    base: Preset, expert: Preset, settings: Settings, world: World, clips: Path | None, prompts: Path | None, seed: int
) -> Distiller:
    """Load everything: the student from `base`, teacher and critic from `expert`, codec and text encoder once."""
    if clips is None and base.codec.kind != "small":
        raise BadSettings(f"{base.name} needs films to learn from", "give --clips FOLDER and --prompts FILE")
    for part in ("channels", "patch", "text_dim", "text_len"):
        if (mine := getattr(base.dit, part)) != (other := getattr(expert.dit, part)):
            raise BadSettings(
                f"{expert.name} cannot teach {base.name}: {part} {other}, not {mine}", "see docs/distill.md"
            )
    networks = [
        network(base, settings, world, learns=True),
        network(expert, settings, world, learns=False),
        *(network(expert, settings, world, learns=True) for _ in range(1 + settings.study)),
    ]
    models = _models(base, world, networks[0])
    scenes = _scenes(models, base, settings, clips, prompts, seed)
    negative = embed(models, settings.negative) if settings.guidance != 1 else None
    return Distiller(networks, scenes, base, settings, world, seed, negative, _worth(models))


def network(preset: Preset, settings: Settings, world: World, learns: bool) -> Generator:
    """A preset's transformer in float32, shared out over the processes."""
    with torch.device("meta"):
        made = Generator(preset.dit, settings.recompute and learns)
    load_weights(made, preset.dit.weights)
    made.float().requires_grad_(learns)
    world.shard(made, settings.bf16)
    return made


def _models(preset: Preset, world: World, denoiser: Generator) -> Models:
    """Codec and text encoder, frozen, whole on every process."""
    dtype = pick_dtype(world.device)
    codec, text = make_codec(preset.codec), make_text(preset.text)
    for module, spec in ((codec, preset.codec), (text, preset.text)):
        load_weights(module, spec.weights)
        module.to(world.device, dtype).eval().requires_grad_(False)
    return Models(codec, denoiser, text, world.device, dtype)


def _scenes(
    models: Models, preset: Preset, settings: Settings, clips: Path | None, prompts: Path | None, seed: int
) -> Scenes:
    if clips is not None:
        words = list(preset.looks) if prompts is None else read_prompts(prompts)
        return DrawnScenes(Films(clips, words, models, preset, settings, seed), models, preset, settings, seed)
    from engine.train.distill.made import MadeClips

    return DrawnScenes(MadeClips(models, preset, settings, seed), models, preset, settings, seed)


def _worth(models: Models) -> Tensor | float:
    if not isinstance(models.codec, SmallCodec):
        return 1.0
    from engine.train.denoiser_stage import channel_worth

    return channel_worth(models.codec)
