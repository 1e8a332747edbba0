"""The pinned frames of the window: when they are written over, and where each seems to lie. Integers only."""

from __future__ import annotations

from collections.abc import Sequence

from engine.preset import WindowSpec


class Renewal:
    """Which sink the coming chunks are written over, one each. Only a full window is refreshed."""

    def __init__(self, spec: WindowSpec) -> None:
        self._spec = spec
        self._stale: list[int] = []
        self._settling = 0  # latent frames to wait for before that

    def note_likeness(self, likeness: Sequence[float]) -> None:
        """Take account of how alike each sink and the newest frame are: the least like one goes, if it is too unlike.

        Empty if nobody compared them. While a renewal is on its way, it goes on as it is.
        """
        if likeness and not self._stale:
            worst = min(range(len(likeness)), key=likeness.__getitem__)
            self._stale = [worst] if likeness[worst] < self._spec.refresh else []

    def renew_all(self) -> None:
        """The stream shows something else from now on: pin that, once the rolling slots hold nothing but it."""
        self._stale, self._settling = list(range(self._spec.sinks)), self._spec.slots - self._spec.sinks

    def take(self, frames: int, full: bool) -> int | None:
        """The sink that a chunk of so many latent frames is written over, if any. full: whether the window is."""
        if self._settling > 0:
            self._settling -= frames
            return None
        return self._stale.pop(0) if self._stale and full else None


class SinkPositions:
    """Where each row's sinks were written, and how far each has to slide along with the stream.

    Attention depends on distances alone. A sink's distance to the newest frame stops growing at `sink_distance`: from
    then on it is to seem to lie later than it was written. So a stream has neither a jump nor an end.
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
        """For each sink of `row`, how many latent frames later it is to seem to lie, once this call is written."""
        written = self._rows[row]
        for slot, position in zip(slots, positions, strict=True):
            if slot in self._sinks:
                written[slot] = position
        fresh = set(slots)
        ages = [0 if at is None or sink in fresh else positions[-1] - at for sink, at in enumerate(written)]
        return tuple(max(0, age - far) for age, far in zip(ages, self._farthest, strict=True))
