"""Clips for the embedded model, made on the fly as for its own training, and words that ask for a look."""

from __future__ import annotations

import numpy as np

from engine.models.build import Models
from engine.preset import Preset
from engine.train.clips import draw_clip, to_tensor
from engine.train.distill.scenes import CHECKED, Footage, film_footage, frames_for
from engine.train.distill.settings import Settings
from engine.train.looks import LOOKS
from engine.train.phrases import draw_phrase
from engine.train.pictures import Random
from engine.train.pool import Pool
from engine.train.wishes import Wish

NAMES = tuple(LOOKS)
EVERY = 2  # batches between two new ones


class MadeClips:
    """A steadily refreshed stock of drawn clips; every look is asked for alike."""

    def __init__(self, models: Models, preset: Preset, settings: Settings, seed: int) -> None:
        self._models, self._preset = models, preset
        self._frames = frames_for(settings.frames, preset)
        self._pool: Pool[Footage] = Pool(self._make, settings.stock, EVERY, seed)
        self._kept: Pool[Footage] = Pool(self._make, settings.batch, EVERY, seed)  # or checking would empty the other

    def draw(self, number: int, indices: range) -> list[tuple[Footage, str]]:
        pool = self._pool if number < CHECKED else self._kept
        footage, random = pool.draw(number, indices.stop)
        words = [draw_phrase(Wish(NAMES[look]), random) for look in random.integers(len(NAMES), size=indices.stop)]
        return [(footage[index], words[index]) for index in indices]

    def _make(self, random: Random) -> Footage:
        clip = draw_clip(self._frames, self._preset.width, self._preset.height, random)
        pixels = to_tensor(np.asarray(clip)).to(self._models.device, self._models.dtype)
        return film_footage(pixels, self._models, self._preset)
