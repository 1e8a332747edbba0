"""A stage on request: the text encoder learns more words for what the denoiser can already do."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.byte_text import ByteText
from engine.train.clips import draw_clip
from engine.train.learner import Learner, Rates
from engine.train.looks import LOOKS
from engine.train.phrases import draw_phrase
from engine.train.recipe import Recipe
from engine.train.samples import Sampler
from engine.train.wishes import COLOURS, Wish, draw_wish, grant

NAMES = tuple(LOOKS)
BATCH = 96  # phrases a step
PLAIN = 0.4  # share of them that ask for no look: there are more words for nothing than for anything
QUALIFIED = 0.3  # share of the others with a colour, and of those with a strength
PINNED = 4.0  # worth of the looks' own names, which must go on meaning what they meant
LEANS = (1.0, 1.3, 1.7, 2.2)  # how far beyond its own meaning a colour's word may be taken
TRIED = 3  # drawn clips on which that is decided


class WordsStage:
    """Every phrase is to mean what the plainest words for it meant before: "tusche" what "ink" did.

    A colour may mean more than it did: it is taken as far from the look alone as brings the pictures of `sampler`
    nearest to the look rendered in that colour. The denoiser, and what it makes of a look's name, stay as they are.
    """

    name = "words"

    def __init__(self, recipe: Recipe, text: ByteText, sampler: Sampler, seed: int, device: torch.device) -> None:
        self.recipe, self.seed, self.device = recipe, seed, device
        self._text, self._lean, self._sampler = text.to(device).requires_grad_(True), Lean().to(device), sampler
        self._known = copy.deepcopy(self._text).eval().requires_grad_(False)
        self.learner = Learner({"text": self._text, "lean": self._lean}, Rates(rest=7e-4), decay=0.99)

    def begin(self) -> None:
        """Find out how far each colour has to be taken, for each look."""
        for look in NAMES[1:]:
            for colour in COLOURS:
                self._lean.set(Wish(look, colour), min(LEANS, key=lambda lean: self._off(Wish(look, colour), lean)))
        self.learner.settle()

    def _off(self, wish: Wish, lean: float) -> float:
        """Mean |made - rendered|, out of 255."""
        embedding, errors = self._meaning([wish], torch.tensor([lean], device=self.device)), []
        for number in range(TRIED):
            preset = self._sampler.preset
            random = np.random.default_rng((self.seed, 17, number))
            clip = draw_clip(preset.codec.temporal, preset.width, preset.height, random)
            made = self._sampler.play(clip, embedding.cpu(), steps=1)
            errors.append(np.abs(made.astype(np.float32) - grant(wish, clip)).mean())
        return float(np.mean(errors))

    def step(self, step: int, share: float) -> dict[str, float]:
        """One optimiser step. Returns what to plot: mean squared distances, 2 between any two strangers."""
        random = np.random.default_rng((self.seed, 13, step))
        looks = ["natural" if random.random() < PLAIN else NAMES[random.integers(len(NAMES))] for _ in range(BATCH)]
        wishes = [draw_wish(look, random, QUALIFIED) for look in looks]
        phrases = self._text.encode([draw_phrase(wish, random) for wish in wishes])
        said = F.mse_loss(phrases, self._meaning(wishes, self._lean(wishes)))
        pinned = F.mse_loss(self._text.encode(NAMES), self._known.encode(NAMES))
        self.learner.descend(said + PINNED * pinned, share)
        return {"said": said.item(), "pinned": pinned.item()}

    @torch.no_grad()
    def _meaning(self, wishes: Sequence[Wish], lean: Tensor) -> Tensor:
        """[n, length, dim]; lean: [n]."""
        whole = self._known.encode([plainly(wish) for wish in wishes])
        bare = self._known.encode([plainly(Wish(wish.look, "", wish.strength)) for wish in wishes])
        return F.layer_norm(bare + lean[:, None, None] * (whole - bare), whole.shape[-1:])


class Lean(nn.Module):
    """For each look and colour, how far the colour is taken: 1 is as far as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.ones(len(NAMES), 1 + len(COLOURS)), requires_grad=False)

    def set(self, wish: Wish, lean: float) -> None:
        self.table[_place(wish)] = lean

    def forward(self, wishes: Sequence[Wish]) -> Tensor:
        """[n]; 1 for a wish without a colour."""
        return torch.stack([self.table[_place(wish)] for wish in wishes])


def _place(wish: Wish) -> tuple[int, int]:
    return NAMES.index(wish.look), ("", *COLOURS).index(wish.colour)


def plainly(wish: Wish) -> str:
    """The plainest words for a wish: "strong red ink"."""
    return " ".join(word for word in (wish.strength, wish.colour, wish.look) if word)
