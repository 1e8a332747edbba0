"""How one prompt fades into the next: weights of texts over time. Numbers only, no tensors."""

from __future__ import annotations

from engine.prompt import Blend

MAX_TEXTS = 64  # in a mixture; only fades that are interrupted many times reach it


class PromptFader:
    """The mixture of prompts at each moment. A new prompt may arrive during a fade; the weights never jump."""

    def __init__(self) -> None:
        self._start: Blend = ()
        self._target: Blend = ()
        self._now: Blend = ()
        self._began, self._seconds = 0.0, 0.0

    def at(self, time: float, blend: Blend, seconds: float) -> Blend:
        """The mixture for a chunk captured at `time` seconds.

        A new `blend` fades in over `seconds`, from the present mixture. The first one is used at once.
        """
        if blend != self._target:
            self._start, self._target = _heaviest(self._now or blend), blend
            self._began, self._seconds = time, seconds if self._now else 0.0
        share = 1.0 if self._seconds <= 0 else min(max((time - self._began) / self._seconds, 0.0), 1.0)
        self._now = self._target if share == 1.0 else _mix(self._start, self._target, share)
        return self._now


def _mix(start: Blend, target: Blend, share: float) -> Blend:
    """`share` of `target`, the rest of `start`; each text once, none without weight."""
    weights: dict[str, float] = {}
    for blend, part in ((start, 1 - share), (target, share)):
        for text, weight in blend:
            weights[text] = weights.get(text, 0.0) + weight * part
    return tuple((text, weight) for text, weight in weights.items() if weight)


def _heaviest(blend: Blend) -> Blend:
    """The `MAX_TEXTS` texts that weigh most, together as heavy as all."""
    if len(blend) <= MAX_TEXTS:
        return blend
    kept = sorted(blend, key=lambda part: -part[1])[:MAX_TEXTS]
    scale = sum(weight for _, weight in blend) / sum(weight for _, weight in kept)
    return tuple((text, weight * scale) for text, weight in kept)
