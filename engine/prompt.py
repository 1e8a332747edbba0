"""Parses the control "prompt": one text, or a weighted blend of several."""

from __future__ import annotations

import math

from engine.errors import BadParam

MAX_PROMPT = 2000  # characters; umT5 reads 512 tokens, the byte encoder fewer
Blend = tuple[tuple[str, float], ...]


def parse_blend(prompt: str) -> Blend:
    """Split "watercolor | neon:0.3" into texts and weights that sum to 1; a plain prompt is a blend of one.

    A weight is read only where there is a `|`, so that "at 12:30" stays a text. A part without one weighs 1.
    Raises BadParam for weights that are negative, not finite, or all zero, and for a prompt that is too long.
    """
    if len(prompt) > MAX_PROMPT:
        raise BadParam(f"a prompt of {len(prompt)} characters is too long", f"use at most {MAX_PROMPT}")
    parts = [part.strip() for part in prompt.split("|")]
    pairs = [_weighted(part) for part in parts if part] if len(parts) > 1 else [(prompt.strip(), 1.0)]
    total = sum(weight for _, weight in pairs)
    if not pairs or not (math.isfinite(total) and total > 0):
        raise BadParam(f"the weights of {prompt!r} do not add up", 'write "watercolor:0.7 | neon:0.3"')
    return tuple((text, weight / total) for text, weight in pairs)


def join_blend(pairs: Blend) -> str:
    """Write texts and weights as one prompt, the inverse of `parse_blend` up to the weights' common factor."""
    if len(pairs) == 1:
        return pairs[0][0].replace("|", " ")
    return " | ".join(f"{text.replace('|', ' ')}:{weight:g}" for text, weight in pairs)


def _weighted(part: str) -> tuple[str, float]:
    text, colon, weight = part.rpartition(":")
    try:
        number = float(weight) if colon else 1.0
    except ValueError:
        return part, 1.0
    if number < 0 or number != number:
        raise BadParam(f"a prompt cannot weigh {weight.strip()}", "weights start at 0")
    return (text.strip() if colon else part), number
