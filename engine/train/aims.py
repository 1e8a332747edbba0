"""What an embedding has to be for the denoiser at hand to paint a look in a colour: found by descending through it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.small_codec import SmallCodec
from engine.preset import Preset
from engine.train.clips import Clip, draw_clip, to_tensor
from engine.train.denoiser_stage import Translator, mix_look, mix_source
from engine.train.examples import NAMES, Batch
from engine.train.learner import rate_at
from engine.train.wishes import COLOURS, Wish, grant

CLIPS = 8  # drawn clips that are descended on
KEPT = 3  # and others that decide whether what was found is better than what was known
SIDE = 8  # latents; crops to descend on are such squares
RATE = 0.04


class Aims(nn.Module):
    """For each look, by how much each colour moves its embedding. Nothing descends on these."""

    def __init__(self, length: int, dim: int) -> None:
        super().__init__()
        self.moves = nn.Parameter(torch.zeros(len(NAMES), 1 + len(COLOURS), length, dim), requires_grad=False)

    def set(self, wish: Wish, move: Tensor) -> None:
        self.moves[_place(wish)] = move

    def forward(self, wishes: Sequence[Wish]) -> Tensor:
        """[n, length, dim]; nothing for a wish without a colour."""
        return torch.stack([self.moves[_place(wish)] for wish in wishes])


def _place(wish: Wish) -> tuple[int, int]:
    return NAMES.index(wish.look), ("", *COLOURS).index(wish.colour)


class Seeker:
    """Finds embeddings for wishes, by the error that the denoiser was trained by, on clips drawn for it.

    Source of the idea: Gal et al. 2022, "An Image is Worth One Word", arXiv:2208.01618 (textual inversion).
    """

    def __init__(
        self, preset: Preset, codec: SmallCodec, dit: dict[str, Tensor], steps: int, seed: int, device: torch.device
    ) -> None:
        self._steps, self._seed, self._device = steps, seed, device
        self._codec = codec.eval().to(device)
        self._translator = Translator(preset, codec)
        self._translator.dit.load_state_dict(dit)
        self._translator.eval().requires_grad_(False).to(device)
        size = codec.spec.temporal, preset.width, preset.height
        self._clips = [draw_clip(*size, np.random.default_rng((seed, 17, n))) for n in range(CLIPS + KEPT)]
        self._sources = self._encode(self._clips)

    def seek(self, wishes: Sequence[Wish], known: Tensor) -> Tensor:
        """Embeddings [n, length, dim] for n wishes, starting from `known`, and that where it is no worse."""
        targets = torch.stack([self.targets(wish) for wish in wishes])
        sought = nn.Parameter(known.clone())
        adam = torch.optim.Adam([sought])
        for step in range(self._steps):
            for group in adam.param_groups:
                group["lr"] = RATE * rate_at(step / self._steps)
            adam.zero_grad()
            self._loss(normal(sought), self._crops(targets, step), step).backward()  # type: ignore[no-untyped-call]
            adam.step()
        found = normal(sought.detach())
        better = [self.worth(found[i], targets[i]) < self.worth(known[i], targets[i]) for i in range(len(wishes))]
        return torch.where(torch.tensor(better, device=self._device)[:, None, None], found, known)

    def targets(self, wish: Wish) -> Tensor:
        """The clips' latents as they should become, [clips, 1, C, h, w]."""
        return self._encode([grant(wish, clip) for clip in self._clips])

    @torch.no_grad()
    def worth(self, embedding: Tensor, targets: Tensor) -> float:
        """How far [length, dim] is from making `targets`: mean loss over the clips that are kept for it."""
        batches = [_batch(self._sources[clip][None], targets[clip][None]) for clip in range(CLIPS, CLIPS + KEPT)]
        return float(np.mean([self._loss(embedding[None], batch, n).item() for n, batch in enumerate(batches)]))

    @torch.no_grad()
    def _encode(self, clips: Sequence[Clip]) -> Tensor:
        """[n, 1, C, h, w]"""
        with torch.autocast(self._device.type, torch.bfloat16):
            latents = [self._codec.encode(to_tensor(clip).to(self._device), None)[0] for clip in clips]
        return torch.stack(latents).float()

    def _crops(self, targets: Tensor, step: int) -> Batch:
        """The same place of one clip for every wish."""
        random = np.random.default_rng((self._seed, 19, step))
        clip = int(random.integers(CLIPS))
        y, x = (2 * int(random.integers(max(0, size - SIDE) // 2 + 1)) for size in targets.shape[-2:])
        place = (..., slice(y, y + SIDE), slice(x, x + SIDE))
        return _batch(self._sources[clip][place].expand(len(targets), -1, -1, -1, -1), targets[:, clip][place])

    def _loss(self, embedding: Tensor, batch: Batch, step: int) -> Tensor:
        """Of both steps, the later one from the model's own first guess, as it is played."""
        torch.manual_seed(1_000_003 * self._seed + step)
        translator, random = self._translator, np.random.default_rng((self._seed, 23, step))
        with torch.autocast(self._device.type, torch.bfloat16):
            context = translator.dit.context(embedding)
            early = mix_source(batch.source, translator.schedule, random)
            last = mix_look(batch.target, translator.schedule, random)
            with torch.no_grad():
                guess, _ = translator.guess_both(batch, early, last, context)
            again = translator.again(guess, last[1], random), last[1]
            first, second = translator.guess_both(batch, early, again, context)
        return translator.loss(first, batch.target) + translator.loss(second, batch.target)


def normal(embedding: Tensor) -> Tensor:
    """Of the size that every embedding has."""
    return F.layer_norm(embedding, embedding.shape[-1:])


def _batch(source: Tensor, target: Tensor) -> Batch:
    """A batch of latents [B, T, C, h, w] alone."""
    return Batch(source, target, [], list(range(source.shape[1])), source.new_zeros(0))
