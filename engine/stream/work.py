"""Everything decided for one call, as plain values that a session executes and a log can keep."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from engine.errors import EngineError
from engine.frame import Stamp
from engine.prompt import Blend


class BadWork(EngineError):
    """What was read is not a recorded `Work`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One chunk in one row of a call. Its slots were chosen when it entered, and it keeps them in every row.

    tag:       number of the chunk in its stream.
    slots:     which slots of the window its latent frames are written to.
    position:  of the first of them in the stream.
    timesteps: given to the denoiser, one for each pass.
    visible:   how many slots attention may look at: fewer than the window has while it fills.
    drift:     for each sink, how many latent frames its apparent position is after the one it was written at.
    idle:      whether it only fills an unused row; its result is discarded.
    """

    tag: int
    slots: tuple[int, ...]
    position: int
    timesteps: tuple[int, ...]
    visible: int
    drift: tuple[int, ...] = ()
    idle: bool = False

    @property
    def positions(self) -> tuple[int, ...]:
        """Of each of its latent frames in the stream."""
        return tuple(range(self.position, self.position + len(self.slots)))


@dataclass(frozen=True, slots=True)
class Batch:
    """One call of the stream batch: `rows` chunks, newest first, each denoised for `passes` steps.

    early: chunks that no longer fit into the rows and leave before the call, as their newest estimate, oldest first.
    """

    rows: tuple[Row, ...]
    passes: int
    early: tuple[int, ...] = ()

    @property
    def done(self) -> tuple[int, ...]:
        """The chunks that leave, oldest first: early ones, and after the call the last row's, if it is a real one."""
        last = self.rows[-1]
        return self.early if last.idle else (*self.early, last.tag)

    def steps(self, number: int) -> range:
        """For each row, which denoising step it does in pass `number`: row i does steps i * passes onwards."""
        return range(number, len(self.rows) * self.passes, self.passes)


@dataclass(frozen=True, slots=True)
class Work:
    """Everything that is decided for one call. Small, plain and frozen; `to_json` and `from_json` lose nothing.

    revision:    of the controls it obeys in full: their prompt is encoded, their LoRAs are read.
    frames:      how many the chunk that enters row 0 has; 0 where none enters because the stream is being flushed.
    stamps:      time and index of those of them that are real. A stream's last chunk is filled up by repeating a frame.
    noise:       share mixed into that chunk, 0..1; 1 without an input.
    seed, carry: where noise comes from, as the controls of these names say.
    prompt:      texts and their weights: a blend, or the mixture of two blends during a fade.
    loras:       names and strengths, all that are on.
    """

    revision: int
    frames: int
    stamps: tuple[Stamp, ...]
    noise: float
    seed: int
    carry: bool
    prompt: Blend
    loras: tuple[tuple[str, float], ...]
    batch: Batch

    def to_json(self) -> str:
        """One line, to the last bit of every number."""
        return json.dumps(asdict(self), separators=(",", ":"))


def from_json(line: str) -> Work:
    """What `Work.to_json` wrote. Raises BadWork for anything else."""
    try:
        table = json.loads(line)
        batch = table.pop("batch")
        rows = tuple(Row(**_frozen(row)) for row in batch.pop("rows"))
        return Work(batch=Batch(rows=rows, **_frozen(batch)), **_frozen(table))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadWork(f"this is no recorded work: {line!r:.80}", "replay a log of this version") from error


def _frozen(table: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists become tuples again."""
    return {name: _tuples(value) for name, value in table.items()}


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
