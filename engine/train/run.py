"""One training run, start to end: its folder, its stages, and what a person watching sees of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path

import cv2
import torch

from engine.models.byte_text import ByteText
from engine.models.small_codec import SmallCodec
from engine.preset import Preset, load_preset
from engine.train.adopt import START, adopt
from engine.train.ahead import Workers
from engine.train.aims import Seeker
from engine.train.codec_stage import CodecStage
from engine.train.curves import draw_curves
from engine.train.denoiser_stage import DenoiserStage
from engine.train.examples import Maker
from engine.train.export import newest
from engine.train.finish_stage import FinishStage
from engine.train.recipe import CPU, GPU, SHARES, Recipe
from engine.train.samples import draw_samples
from engine.train.stage import Budget, Stage, run_stage
from engine.train.watch import Watch
from engine.train.words_stage import WordsStage


def train(
    folder: Path, hours: float | None, seed: int, threads: int = 0,
    weights: Path | None = None, stages: Sequence[str] | None = None,
) -> None:  # fmt: skip
    """Train the embedded model in `folder`, or go on with what is there.

    weights: a folder to start from instead of from nothing.   stages: all three; the codec of weights stays as it is.
    The same seed, device, thread count and torch give the same weights, unless `hours` lets the clock decide.
    """
    if threads:
        torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    preset, recipe = load_preset("tiny"), GPU if device.type == "cuda" else CPU
    if weights is not None:
        adopt(weights, folder, preset)
    usual = [stage for stage in SHARES if stage != "codec" or not _adopted(folder)]
    train_preset(preset, recipe, folder, hours, seed, device, stages or usual)


def train_preset(
    preset: Preset, recipe: Recipe, folder: Path, hours: float | None, seed: int, device: torch.device,
    stages: Sequence[str] = tuple(SHARES),
) -> None:  # fmt: skip
    """The stages, each starting from what the one before it left in `folder`, or from weights that were put there."""
    folder.mkdir(parents=True, exist_ok=True)
    budgets = recipe.budgets(hours, stages)
    if "codec" in stages:
        _run(CodecStage(preset, recipe, seed, device), folder, preset, budgets["codec"])
    if "words" in stages:
        text = ByteText(preset.text)
        text.load_state_dict(newest(folder, "text", ("finish", "denoiser", "start")))
        sharp = SmallCodec(preset.codec).requires_grad_(False)
        sharp.load_state_dict(newest(folder, "codec"))
        seeker = Seeker(preset, sharp, newest(folder, "dit"), recipe.aim_steps, seed, device)
        _run(WordsStage(recipe, text, seeker, seed, device), folder, preset, budgets["words"])
    if set(stages) <= {"codec", "words"}:
        return
    codec = SmallCodec(preset.codec)
    codec.load_state_dict(newest(folder, "codec", ("codec", "start")))
    make = Maker(preset, codec)
    with closing(Workers(make, recipe.workers)) if recipe.workers else nullcontext() as ahead:
        if "denoiser" in stages:
            stage = DenoiserStage(preset, recipe, codec.requires_grad_(False), make, seed, device, ahead)
            stage.start = {name: newest(folder, name, ("start",)) for name in ("dit", "text") if _adopted(folder)}
            _run(stage, folder, preset, budgets["denoiser"])
        if "finish" in stages:
            finish = FinishStage(preset, recipe, codec, make, seed, device, ahead)
            finish.translator.dit.load_state_dict(newest(folder, "dit", ("denoiser", "start")))
            finish.translator.text.load_state_dict(newest(folder, "text", ("denoiser", "start")))
            _run(finish, folder, preset, budgets["finish"])


def _adopted(folder: Path) -> bool:
    return (folder / START).exists()


def _run(stage: Stage, folder: Path, preset: Preset, budget: Budget) -> None:
    """Run a stage before somebody's eyes, and leave its curves and, where there is a denoiser, samples as pictures."""

    def curves() -> None:
        draw_curves(folder, stage.name)

    def samples() -> None:
        if stage.name in ("denoiser", "finish"):
            draw_samples(folder, preset, stage.name)

    with Watch(stage.name, curves, samples) as watch:
        run_stage(stage, folder, budget, watch)
    curves()
    samples()
