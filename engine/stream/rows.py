"""Which chunks make up each call of the stream batch, in which rows and slots. Integers only, no tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.preset import WindowSpec
from engine.stream.pace import Plan
from engine.stream.sinks import Renewal, SinkPositions
from engine.stream.window import Window
from engine.stream.work import Batch, Row


@dataclass(frozen=True, slots=True)
class InFlight:
    """A chunk on its way down the rows; `idle` if it only fills an unused row and its result is discarded."""

    tag: int
    slots: tuple[int, ...]
    position: int
    idle: bool = False


class RowPlanner:
    """Plans the calls of one stream: rows x passes = steps.

    Row 0 holds the newest chunk at the noisiest step; each call moves every chunk down one row, so a chunk leaves the
    last row, finished, `rows` calls after it entered. Step by step is the same with one row and more passes.
    A stream's first chunk takes all its steps at once, so the first picture comes after one chunk.

    renewal: which sinks are written over; tell it when the stream changes.

    Source: Kodaira et al. 2023, StreamDiffusion, arXiv:2312.12491, section 3.1; StreamDiffusionV2, section 3.2.
    """

    def __init__(self, spec: WindowSpec) -> None:
        self.renewal = Renewal(spec)
        self._window, self._sinks = Window(spec.slots, spec.sinks), SinkPositions(spec)
        self._flight: list[InFlight] = []  # newest first; the chunk at i enters row i + 1
        self._position = 0

    def next(self, tag: int, frames: int, timesteps: Sequence[int], plan: Plan) -> Batch:
        """A chunk of so many latent frames enters row 0.

        timesteps: one per step of `plan`, noisiest first; the first may differ from chunk to chunk.
        Fewer rows than before let the chunks that no longer fit out early: nothing is lost.
        """
        if self._position == 0:
            plan = Plan(rows=1, passes=plan.steps)
        chunk = self._enter(tag, frames)
        self._position += frames
        return self._advance([chunk, *self._flight], timesteps, plan)

    def drain(self, timesteps: Sequence[int], plan: Plan) -> Batch | None:
        """The chunks in flight move on with nothing new coming in; None once all are finished."""
        if all(chunk.idle for chunk in self._flight):
            return None
        return self._advance([replace(self._flight[0], idle=True), *self._flight], timesteps, plan)

    def renew_sinks(self) -> None:
        """The look has changed: the sinks are overwritten, one per chunk.

        Otherwise the old look would shine through for as long as the stream lasts.
        """
        if self._position:
            self.renewal.renew_all()

    def _enter(self, tag: int, frames: int) -> InFlight:
        stale = self.renewal.take(frames, self._window.full)
        slots = tuple(self._window.claim(stale if frame == 0 else None) for frame in range(frames))
        return InFlight(tag, slots, self._position)

    def _advance(self, chunks: list[InFlight], timesteps: Sequence[int], plan: Plan) -> Batch:
        early = tuple(chunk.tag for chunk in reversed(chunks[plan.rows :]) if not chunk.idle)
        chunks = chunks[: plan.rows]
        while (
            len(chunks) < plan.rows
        ):  # an idle row uses the slots of the chunk that enters it next and overwrites them
            chunks.append(replace(chunks[-1], idle=True))
        self._flight = chunks[:-1]
        self._sinks.use_rows(plan.rows)
        per_row = [tuple(timesteps[row * plan.passes : (row + 1) * plan.passes]) for row in range(plan.rows)]
        return Batch(tuple(map(self._row, range(plan.rows), chunks, per_row)), plan.passes, early)

    def _row(self, row: int, chunk: InFlight, timesteps: tuple[int, ...]) -> Row:
        positions = range(chunk.position, chunk.position + len(chunk.slots))
        visible = self._window.visible(positions.stop)
        drift = self._sinks.drift(row, chunk.slots, positions)
        return Row(chunk.tag, chunk.slots, chunk.position, timesteps, visible, drift, chunk.idle)
