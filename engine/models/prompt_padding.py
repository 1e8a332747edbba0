"""Cross-attention reads a prompt's own tokens, and a few padding tokens that stand for all of them.

A prompt is padded to a fixed length, and Wan's attention reads the padding too: hundreds of equal keys with equal
values. To a softmax, n equal tokens are the same as one token with log n added to its score, so only a few are kept.
The result is the same, and for most prompts it is a tenth of the work.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LENGTH_STEP = 32  # lengths are rounded up to its multiples, so that most prompts have the same shape


def unpadded_length(embedding: Tensor) -> int:
    """How many tokens of [B, L, D] come before those that are all equal to the last one. Waits for the device."""
    if embedding.is_meta or embedding.shape[1] <= LENGTH_STEP:
        return embedding.shape[1]  # there are no values to compare, or nothing is saved
    differs = (embedding != embedding[:, -1:]).any(-1).any(0)
    last = (differs * torch.arange(1, len(differs) + 1, device=differs.device)).amax()
    return int(last.item())


def kept_length(tokens: int, length: int, min_tokens: int) -> int:
    """How many of `length` tokens are kept, at least `min_tokens`: the prompt's own, and one or more of the padding."""
    return min(max(tokens // LENGTH_STEP * LENGTH_STEP + LENGTH_STEP, min_tokens), length)


def padding_scores(tokens: int, kept: int, length: int, device: torch.device) -> Tensor:
    """[kept]: added to each score, so that the padding that is kept weighs as much as all the padding did."""
    extra = torch.zeros(kept, device=device)
    extra[tokens:] = math.log((length - tokens) / (kept - tokens))
    return extra


def attend_weighted(query: Tensor, keys: Tensor, values: Tensor, extra: Tensor) -> Tensor:
    """Attention with `extra` [K] added to the scores. They are float32, as inside fused kernels: bfloat16 would change
    the logarithm, and a high score for one word, by a percent.

    query [B, L, N, D], keys and values [B, N, K, D] -> [B, L, N*D].
    """
    scores = (query.transpose(1, 2).float() * query.shape[-1] ** -0.5) @ keys.float().mT
    shares = scores.add_(extra).softmax(-1).to(values.dtype)
    read: Tensor = shares @ values
    return read.transpose(1, 2).flatten(2)
