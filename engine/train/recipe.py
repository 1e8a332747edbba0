"""How much of everything: the numbers that differ between a laptop, a large accelerator, and a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.train.stage import Budget

SHARES = {"codec": 0.2, "denoiser": 0.6, "finish": 0.2}  # of a run that ends by the clock
OPTIONAL_SHARES = {"words": 0.2}  # a stage that is run only if it is asked for


@dataclass(frozen=True)
class Recipe:
    """Steps and batch sizes of the three stages.

    crop: pixels, side: latents, of what is cut from clips of the preset's size.   *stock: clips held ready.
    fit_clips: clips that the linear maps are fitted to.   word_steps: of the text encoder alone, before any picture.
    words_steps: of the stage that teaches it more words for what it knows; aim_steps: of the search, before that, for
    what a look's colours should mean.
    workers: processes that render ahead; what they make does not depend on their number.
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
    finish_stock: int = 24
    fit_clips: int = 400
    word_steps: int = 400
    words_steps: int = 1800
    aim_steps: int = 80
    workers: int = 0

    def budgets(self, hours: float | None, stages: Sequence[str] = tuple(SHARES)) -> dict[str, Budget]:
        """Each stage's budget; with `hours` the clock ends a stage too, and the stages share it as SHARES says."""
        steps = {
            "codec": self.codec_steps, "denoiser": self.denoiser_steps, "finish": self.finish_steps,
            "words": self.words_steps,
        }  # fmt: skip
        shares = {stage: (SHARES | OPTIONAL_SHARES)[stage] for stage in stages}
        seconds = float("inf") if hours is None else hours * 3600 / sum(shares.values())
        return {stage: Budget(steps[stage], seconds * share) for stage, share in shares.items()}


CPU = Recipe(
    codec_steps=3400, codec_batch=4, denoiser_steps=5000, denoiser_batch=12, finish_steps=800, finish_batch=8,
    workers=1,
)  # fmt: skip
GPU = Recipe(
    codec_steps=30_000, codec_batch=32, denoiser_steps=60_000, denoiser_batch=64, finish_steps=10_000, finish_batch=32,
    codec_stock=512, stock=512, workers=12,
)  # fmt: skip
