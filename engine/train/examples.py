"""Training examples for the denoiser: clips as filmed and in a look, as latents, with words that ask for the look."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.models.small_codec import SmallCodec
from engine.preset import Preset
from engine.train.clips import Clip, draw_clip, to_tensor
from engine.train.looks import LOOKS
from engine.train.phrases import draw_phrase
from engine.train.pictures import Random
from engine.train.pool import Ahead, Pool
from engine.train.wishes import Wish, draw_wish, grant

NAMES = tuple(LOOKS)
LATENTS = 7  # latent frames in a clip of the stock
SHORT, LONG = 3, 6  # latent frames in an example: mostly short, for variety; long ones show the window at work
SEEN = 2  # latent frames at an example's end whose pictures are kept, to compare decoded ones with
PER_CLIP = 3  # looks rendered of each clip
ODDS = {"watercolor": 3.0, "ink": 2.0, "comic": 2.0, "oil painting": 1.5}  # the hard ones are drawn more often than 1
EVERY = 6  # steps between two new clips: rendering one costs about as much as a step


@dataclass(frozen=True)
class Pair:
    """One clip's latents [LATENTS, C, h, w], as filmed and in some looks, and the looks' pictures [T, H, W, 3]."""

    source: Tensor
    looks: dict[Wish, Tensor]
    clips: dict[Wish, Clip]


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    source, target: latents [B, T, C, h, w].   prompts: B texts.
    positions: where in the stream the T latent frames lie.   pictures: [B, frames, 3, H, W], the target's last SEEN.
    """

    source: Tensor
    target: Tensor
    prompts: list[str]
    positions: list[int]
    pictures: Tensor

    @property
    def tokens(self) -> int:
        """Tokens in one latent frame."""
        return self.source.shape[-1] * self.source.shape[-2] // 4


class Maker:
    """Makes pairs, always on the processor, so that they are the same whoever makes them."""

    def __init__(self, preset: Preset, codec: SmallCodec) -> None:
        self._width, self._height = preset.width, preset.height
        self._codec = copy.deepcopy(codec).cpu().requires_grad_(False)

    def __call__(self, random: Random) -> Pair:
        clip = draw_clip(LATENTS * self._codec.spec.temporal, self._width, self._height, random)
        names = [NAMES[i] for i in random.choice(len(NAMES), PER_CLIP, replace=False, p=_chances())]
        clips = {wish: grant(wish, clip) for wish in (draw_wish(name, random) for name in names)}
        return Pair(self._encode(clip), {wish: self._encode(clips[wish]) for wish in clips}, clips)

    @torch.inference_mode()
    def _encode(self, clip: Clip) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            latents, _ = self._codec.encode(to_tensor(clip), None)
        return latents.half()


def _chances() -> list[float]:
    odds = [ODDS.get(name, 1.0) for name in NAMES]
    return [each / sum(odds) for each in odds]


class Examples:
    """Draws batches from a steadily refreshed stock of clips, encoded by a codec that no longer changes."""

    def __init__(
        self, preset: Preset, make: Maker, stock: int, seed: int, device: torch.device, ahead: Ahead | None = None
    ) -> None:
        self._preset, self._device = preset, device
        self._pool: Pool[Pair] = Pool(make, stock, EVERY, seed, ahead)

    def draw(self, step: int, count: int, side: int, long: float, whole: float) -> tuple[Batch, Random]:
        """A batch for this step: `count` short crops of `side` latents.

        long, whole: chances of half as many long clips, and of a fifth as many full pictures.
        """
        pairs, random = self._pool.draw(step, count)
        run, (height, width) = SHORT, (side, side)
        if random.random() < long:
            pairs, run = pairs[: -(-len(pairs) // 2)], LONG
        if random.random() < whole:
            pairs, (height, width) = pairs[: -(-len(pairs) // 5)], pairs[0].source.shape[-2:]
        return self._cut(pairs, random, run, height, width), random

    def _cut(self, pairs: Sequence[Pair], random: Random, run: int, height: int, width: int) -> Batch:
        """Cut the same place and time from each clip and one of its looks."""
        picks = [list(pair.looks)[random.integers(len(pair.looks))] for pair in pairs]
        sources, targets, pictures = [], [], []
        for pair, pick in zip(pairs, picks, strict=True):
            time, box = _frames(run, random), _box(pair.source, height, width, random)
            sources.append(pair.source[time][:, :, *box])
            targets.append(pair.looks[pick][time][:, :, *box])
            pictures.append(self._pictures(pair.clips[pick], time[-SEEN:], box))
        return Batch(
            source=torch.stack(sources).to(self._device, torch.float32),
            target=torch.stack(targets).to(self._device, torch.float32),
            prompts=[draw_phrase(pick, random) for pick in picks],
            positions=_frames(run, random),
            pictures=torch.stack(pictures).to(self._device),
        )

    def _pictures(self, clip: Clip, time: Sequence[int], box: tuple[slice, slice]) -> Tensor:
        step, side = self._preset.codec.temporal, self._preset.codec.spatial
        rows, columns = (slice(part.start * side, part.stop * side) for part in box)
        return to_tensor(np.stack([clip[frame * step + i, rows, columns] for frame in time for i in range(step)]))


def _frames(run: int, random: Random) -> list[int]:
    """`run` latent frames out of LATENTS: in a row, or with a gap somewhere, because sinks are old most of the time."""
    gap, split = int(random.integers(LATENTS - run + 1)), int(random.integers(1, run))
    return [*range(split), *range(split + gap, run + gap)]


def _box(latents: Tensor, height: int, width: int, random: Random) -> tuple[slice, slice]:
    """A random place of that size, on whole tokens."""
    rows, columns = latents.shape[-2:]
    y, x = (2 * int(random.integers(room // 2 + 1)) for room in (rows - height, columns - width))
    return slice(y, y + height), slice(x, x + width)
