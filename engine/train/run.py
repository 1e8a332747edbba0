"""One training run, start to end: its folder, its stages, and what a person watching sees of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from engine.models.small_codec import SmallCodec
from engine.preset import Preset, load_preset
from engine.train.codec_stage import CodecStage
from engine.train.curves import draw_curves
from engine.train.denoiser_stage import DenoiserStage
from engine.train.export import newest
from engine.train.finish_stage import FinishStage
from engine.train.recipe import CPU, GPU, Recipe
from engine.train.samples import draw_samples
from engine.train.stage import Budget, Stage, run_stage

TOTAL = 1000


def train(folder: Path, hours: float | None, seed: int, threads: int = 0) -> None:
    """Train the embedded model in `folder`, or go on with what is there.

    The same seed, device, thread count and torch give the same weights, unless `hours` lets the clock decide.
    """
    if threads:
        torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_preset(load_preset("tiny"), GPU if device.type == "cuda" else CPU, folder, hours, seed, device)


def train_preset(
    preset: Preset, recipe: Recipe, folder: Path, hours: float | None, seed: int, device: torch.device
) -> None:
    """The three stages, each starting from what the one before it left in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    budgets = recipe.budgets(hours)
    _run(CodecStage(preset, recipe, seed, device), folder, budgets["codec"])
    codec = SmallCodec(preset.codec)
    codec.load_state_dict(newest(folder, "codec", ("codec",)))
    _run(DenoiserStage(preset, recipe, codec.requires_grad_(False), seed, device), folder, budgets["denoiser"])
    draw_samples(folder, preset, "denoiser")
    finish = FinishStage(preset, recipe, codec, seed, device)
    finish.translator.dit.load_state_dict(newest(folder, "dit", ("denoiser",)))
    finish.translator.text.load_state_dict(newest(folder, "text", ("denoiser",)))
    _run(finish, folder, budgets["finish"])
    draw_samples(folder, preset, "finish")


def _run(stage: Stage, folder: Path, budget: Budget) -> None:
    """Run a stage under a progress bar, and leave its curves as a picture."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[news]}"),
    )
    with Progress(*columns) as progress:
        task = progress.add_task(stage.name, total=TOTAL, news="")

        def show(share: float, losses: dict[str, float]) -> None:
            news = "  ".join(f"{name} {value:.3g}" for name, value in losses.items())
            progress.update(task, completed=share * TOTAL, news=news)

        run_stage(stage, folder, budget, show)
    draw_curves(folder, stage.name)
