"""The sinks of the window: when each is overwritten, and its apparent position. Integers only."""

from __future__ import annotations

from collections.abc import Sequence

from engine.preset import WindowSpec


class Renewal:
    """Which sink each of the next chunks overwrites. Sinks are only renewed in a full window."""

    def __init__(self, spec: WindowSpec) -> None:
        self._spec = spec
        self._stale: list[int] = []
        self._settling = 0  # latent frames to wait for before the renewal

    def note_similarity(self, similarity: Sequence[float]) -> None:
        """Renew the sink that is least similar to the newest frame, if its similarity is below the threshold.

        similarity: of each sink; empty if they were not compared. A renewal that is going on is not changed.
        """
        if similarity and not self._stale:
            worst = min(range(len(similarity)), key=similarity.__getitem__)
            self._stale = [worst] if similarity[worst] < self._spec.refresh else []

    def renew_all(self) -> None:
        """The look has changed: renew all sinks, once the rolling slots hold only the new look."""
        self._stale, self._settling = list(range(self._spec.sinks)), self._spec.slots - self._spec.sinks

    def take(self, frames: int, full: bool) -> int | None:
        """The sink that a chunk of so many latent frames overwrites, or None. full: whether the window is full."""
        if self._settling > 0:
            self._settling -= frames
            return None
        return self._stale.pop(0) if self._stale and full else None


class SinkPositions:
    """The position at which each row's sinks were written, and how far each has to move along with the stream.

    Attention depends on distances only. A sink's distance to the newest frame stops growing at `sink_distance`: from
    then on its apparent position moves with the stream. So nothing jumps, and a stream can go on for ever.
    """

    def __init__(self, spec: WindowSpec) -> None:
        self._sinks = range(spec.sinks)
        self._farthest = [spec.sink_distance - sink for sink in self._sinks]  # one frame apart, as in a short stream
        self._rows: list[list[int | None]] = [[None] * spec.sinks]

    def use_rows(self, count: int) -> None:
        """Go on with `count` rows; a row that is added is a copy of the last, as `KVCache` copies it."""
        kept = self._rows[:count]
        self._rows = kept + [list(kept[-1]) for _ in range(count - len(kept))]

    def drift(self, row: int, slots: Sequence[int], positions: Sequence[int]) -> tuple[int, ...]:
        """For each sink of `row`, how many latent frames after its written position it appears to be, in this call."""
        written = self._rows[row]
        for slot, position in zip(slots, positions, strict=True):
            if slot in self._sinks:
                written[slot] = position
        fresh = set(slots)
        ages = [0 if at is None or sink in fresh else positions[-1] - at for sink, at in enumerate(written)]
        return tuple(max(0, age - far) for age, far in zip(ages, self._farthest, strict=True))
