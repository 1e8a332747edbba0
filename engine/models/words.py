"""What cross-attention reads of a prompt: its words, and a few tokens that stand for all the empty ones after them.

A prompt is padded to a fixed length, and Wan's attention reads the padding too: hundreds of equal keys with equal
values. n of them are to a softmax what one with log n added to its score is, so only a few are kept. Same result, and
for most prompts a tenth of the work.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

STEP = 32  # lengths are its multiples, so that prompts of different lengths have equal shapes


def count_words(embedding: Tensor) -> int:
    """How many tokens of [B, L, D] come before those that are all equal to the last one. Waits for the device."""
    if embedding.is_meta or embedding.shape[1] <= STEP:
        return embedding.shape[1]  # nothing to know, or nothing to win
    differs = (embedding != embedding[:, -1:]).any(-1).any(0)
    last = (differs * torch.arange(1, len(differs) + 1, device=differs.device)).amax()
    return int(last.item())


def kept_length(words: int, length: int, least: int) -> int:
    """How many of `length` tokens are kept, at least `least`: the words, and one or more of the empty ones."""
    return min(max(words // STEP * STEP + STEP, least), length)


def extra_scores(words: int, kept: int, length: int, device: torch.device) -> Tensor:
    """[kept]: what is added to the score of each, so that those after the words weigh as much as all `length` did."""
    extra = torch.zeros(kept, device=device)
    extra[words:] = math.log((length - words) / (kept - words))
    return extra


def weigh(query: Tensor, keys: Tensor, values: Tensor, extra: Tensor) -> Tensor:
    """Attention with `extra` [K] added to the scores. They are float32, as inside fused kernels: bfloat16 would round
    the logarithm, and a sharp look at one word, by a percent.

    query [B, L, N, D], keys and values [B, N, K, D] -> [B, L, N*D].
    """
    scores = (query.transpose(1, 2).float() * query.shape[-1] ** -0.5) @ keys.float().mT
    shares = scores.add_(extra).softmax(-1).to(values.dtype)
    read: Tensor = shares @ values
    return read.transpose(1, 2).flatten(2)
