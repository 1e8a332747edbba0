"""Stage three: steps that sharpen. The model refines its own first guess, and is judged by the decoded pictures."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.models.small_codec import SmallCodec, unpack
from engine.preset import Preset
from engine.train.denoiser_stage import Translator, mix_look, mix_source
from engine.train.discriminator import Discriminator, above, pairs, pull
from engine.train.examples import SEEN, Batch, Examples, Maker
from engine.train.learner import Learner, Rates
from engine.train.losses import charbonnier, decibels, detail, ripple, slopes
from engine.train.pictures import Random
from engine.train.pool import Ahead
from engine.train.recipe import Recipe

DOUBT = 0.6  # how strongly a discriminator that is always right pulls at a picture, for each unit of crispness


class FinishStage:
    """Trains denoiser and decoder together; the encoder and the text encoder, and so what their words mean, stay."""

    name = "finish"

    def __init__(
        self, preset: Preset, recipe: Recipe, codec: SmallCodec, make: Maker, seed: int, device: torch.device,
        ahead: Ahead | None = None,
    ) -> None:  # fmt: skip
        self.recipe, self.seed, self.device = recipe, seed + 1, device
        self.codec = codec.to(device)
        self.codec.requires_grad_(True).encoder.requires_grad_(False)
        self.translator = Translator(preset, codec).to(device)
        self.examples = Examples(preset, make, recipe.finish_stock, self.seed, device, ahead)
        self.translator.text.requires_grad_(False)
        self.rival = Discriminator(preset.text.dim).to(device)
        rates = Rates(rest=3e-4, matrices=8e-4, slow=3e-5, gentle=(".skip.", "patch_embedding"))
        modules = {"dit": self.translator.dit, "codec": self.codec, "rival": self.rival}
        self.learner = Learner(modules, rates, decay=0.99)

    def begin(self) -> None:
        self.learner.settle()

    def step(self, step: int, share: float) -> dict[str, float]:
        """One optimiser step. Returns what to plot."""
        torch.manual_seed(1_000_003 * self.seed + step)
        batch, random = self.examples.draw(step, self.recipe.finish_batch, self.recipe.side, long=0.5, whole=0.15)
        with torch.autocast(self.device.type, torch.bfloat16):
            words = self.translator.text.encode(batch.prompts)
            early, last = self._rehearse(batch, words, random)
            shown, crispness = self._choose(early, last, batch.target, random)
            cubes, _ = self.codec.decoder(shown[:, -SEEN:] / self.codec.spec.scale, None)
        pictures = unpack(cubes.float())
        worth = self.translator.loss(early, batch.target) + self.translator.loss(last, batch.target)
        judged = 4 * judge(pictures, batch.pictures, crispness)
        told, rivalry = self._rivalry(pictures, batch.pictures, words.float().mean(1), judged, DOUBT * crispness)
        self.learner.descend(worth + judged + rivalry, share)
        error = (pictures - batch.pictures).detach()
        return {"worth": worth.item(), "picture dB": decibels(error), "told": told}

    def _rivalry(
        self, pictures: Tensor, truth: Tensor, words: Tensor, judged: Tensor, doubt: float
    ) -> tuple[float, Tensor]:
        """How often the real picture is told (0.5 by chance), and what to descend: the rival's loss, and ours."""
        made, real = pairs(pictures), pairs(truth)
        words = words.repeat_interleave(len(made) // len(words), 0)
        on_real, on_made = self.rival(real, words), self.rival(made.detach(), words)
        told = (on_real > on_made).float().mean().item()
        doubted = above(self.rival.frozen(made, words), on_real.detach())
        heard = max(0.0, 2 * told - 1)  # who cannot tell has nothing to say
        return told, above(on_real, on_made) + pull(pictures, judged, doubted, doubt * heard)

    @staticmethod
    def _choose(early: Tensor, last: Tensor, truth: Tensor, random: Random) -> tuple[Tensor, float]:
        """Which latents are decoded, and what their detail is worth: a first step translates, a later one sharpens."""
        return ((early, 0.25), (last, 0.75), (last, 0.75), (truth, 0.25))[random.integers(4)]

    def _rehearse(self, batch: Batch, words: Tensor, random: Random) -> tuple[Tensor, Tensor]:
        """Two steps as a stream with one row takes them: the later one starts from the model's own first guess."""
        translator = self.translator
        context = translator.dit.context(words)
        early = mix_source(batch.source, translator.schedule, random)
        last = mix_look(batch.target, translator.schedule, random)
        with torch.no_grad():
            guess, _ = translator.guess_both(batch, early, last, context)
        return translator.guess_both(batch, early, (translator.again(guess, last[1], random), last[1]), context)


def judge(pictures: Tensor, truth: Tensor, crispness: float) -> Tensor:
    """What a viewer sees, frames [B, T, 3, H, W]: closeness, edges at three sizes, enough detail, no flicker."""
    error = pictures - truth
    flat = error.flatten(0, 1)
    edges = slopes(error) + 0.5 * slopes(F.avg_pool2d(flat, 2)) + 0.5 * slopes(F.avg_pool2d(flat, 4))
    return charbonnier(error) + edges + crispness * detail(pictures, truth) + ripple(error)
