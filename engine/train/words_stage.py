"""A stage on request: the text encoder learns more words for what the denoiser can already do."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.models.byte_text import ByteText
from engine.train.aims import Aims, Seeker, normal
from engine.train.examples import NAMES
from engine.train.learner import Learner, Rates
from engine.train.phrases import draw_phrase
from engine.train.pictures import Random
from engine.train.recipe import Recipe
from engine.train.wishes import COLOURS, Wish, draw_wish

BATCH = 96  # phrases a step
TOGETHER = 16  # of them that are read at once, the shortest first, or all would be padded to the longest
PLAIN = 0.4  # share of them that ask for no look: there are more words for nothing than for anything
QUALIFIED = 0.3  # share of the others with a colour, and of those with a strength
TINTED = 32  # "red neon" and the like, besides
PINNED = 4.0  # worth of the looks' own names, which must go on meaning what they meant


class WordsStage:
    """Every phrase is to mean what the plainest words for it meant before: "tusche" what "ink" did.

    A colour is to mean more than it did: what the `seeker` finds to bring the denoiser nearest to the look rendered in
    that colour. The denoiser, and what it makes of a look's name, stay as they are.
    """

    name = "words"

    def __init__(self, recipe: Recipe, text: ByteText, seeker: Seeker, seed: int, device: torch.device) -> None:
        self.recipe, self.seed, self.device = recipe, seed, device
        self._text, self._seeker = text.to(device).requires_grad_(True), seeker
        self._aims = Aims(text.spec.length, text.spec.dim).to(device)
        self._known = copy.deepcopy(self._text).eval().requires_grad_(False)
        self.learner = Learner({"text": self._text, "aims": self._aims}, Rates(rest=7e-4), decay=0.99)

    def begin(self) -> None:
        """Find out where each colour has to lead, for each look."""
        for look in NAMES[1:]:
            wishes = [Wish(look, colour) for colour in COLOURS]
            whole = self._known.encode([plainly(wish) for wish in wishes])
            for wish, found in zip(wishes, self._seeker.seek(wishes, whole), strict=True):
                self._aims.set(wish, found - self._known.encode([look])[0])
        self.learner.settle()

    def step(self, step: int, share: float) -> dict[str, float]:
        """One optimiser step. Returns what to plot: mean squared distances, 2 between any two strangers."""
        random = np.random.default_rng((self.seed, 13, step))
        looks = ["natural" if random.random() < PLAIN else NAMES[random.integers(len(NAMES))] for _ in range(BATCH)]
        wishes = [draw_wish(look, random, QUALIFIED) for look in looks]
        phrases = _read(self._text, [draw_phrase(wish, random) for wish in wishes])
        said = F.mse_loss(phrases, self._meaning(wishes))
        pinned = F.mse_loss(self._text.encode(NAMES), self._known.encode(NAMES))
        coloured = self._coloured(random)
        self.learner.descend(said + PINNED * pinned + coloured, share)
        return {"said": said.item(), "pinned": pinned.item(), "coloured": coloured.item()}

    def _coloured(self, random: Random) -> Tensor:
        """How far the plainest words for a colour are from what they are to mean: there are many, each rarely drawn."""
        looks = NAMES[1:]
        pairs = zip(random.integers(len(looks), size=TINTED), random.integers(len(COLOURS), size=TINTED), strict=True)
        wishes = [Wish(looks[look], tuple(COLOURS)[colour]) for look, colour in pairs]
        return F.mse_loss(self._text.encode([plainly(wish) for wish in wishes]), self._meaning(wishes))

    @torch.no_grad()
    def _meaning(self, wishes: Sequence[Wish]) -> Tensor:
        """[n, length, dim]"""
        bare = self._known.encode([plainly(Wish(wish.look, "", wish.strength)) for wish in wishes])
        return normal(bare + self._aims(wishes))


def _read(text: ByteText, phrases: Sequence[str]) -> Tensor:
    """`text.encode(phrases)`, in a fraction of the time where some are long."""
    order = sorted(range(len(phrases)), key=lambda index: len(phrases[index].encode()))
    parts = [order[start : start + TOGETHER] for start in range(0, len(order), TOGETHER)]
    read = torch.cat([text.encode([phrases[index] for index in part]) for part in parts])
    return read[torch.tensor(order, device=read.device).argsort()]


def plainly(wish: Wish) -> str:
    """The plainest words for a wish: "strong red ink"."""
    return " ".join(word for word in (wish.strength, wish.colour, wish.look) if word)
