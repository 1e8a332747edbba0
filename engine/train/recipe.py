"""How much of everything: the numbers that differ between a laptop, a large accelerator, and a test."""

from __future__ import annotations

from dataclasses import dataclass

from engine.train.stage import Budget


@dataclass(frozen=True)
class Recipe:
    """Steps and batch sizes of the three stages.

    crop: pixels, side: latents, of what is cut from clips of the preset's size.   *stock: clips held ready.
    fit_clips: clips that the linear maps are fitted to.   word_steps: of the text encoder alone, before any picture.
    """

    codec_steps: int
    codec_batch: int
    denoiser_steps: int
    denoiser_batch: int
    finish_steps: int
    finish_batch: int
    crop: int = 128
    side: int = 16
    codec_stock: int = 192
    stock: int = 48
    finish_stock: int = 48
    fit_clips: int = 400
    word_steps: int = 400

    def budgets(self, hours: float | None) -> dict[str, Budget]:
        """Each stage's budget; with `hours` the clock ends a stage too, a fifth, three fifths and a fifth of it."""
        seconds = float("inf") if hours is None else hours * 3600
        return {
            "codec": Budget(self.codec_steps, seconds * 0.2),
            "denoiser": Budget(self.denoiser_steps, seconds * 0.6),
            "finish": Budget(self.finish_steps, seconds * 0.2),
        }


CPU = Recipe(codec_steps=6000, codec_batch=4, denoiser_steps=5000, denoiser_batch=16, finish_steps=600, finish_batch=4)
GPU = Recipe(
    codec_steps=30_000, codec_batch=32, denoiser_steps=60_000, denoiser_batch=64, finish_steps=10_000, finish_batch=32,
    codec_stock=512, stock=512,
)  # fmt: skip
