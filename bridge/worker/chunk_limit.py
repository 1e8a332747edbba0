"""How long a chunk may take before the engine counts as hung: a multiple of what its chunks took. Pure."""

from __future__ import annotations

from bridge.process.protocol import DEADLINE
from engine.params import Params

SETUP_TIMEOUT = 600.0  # seconds: 40 GB come off a slow disk, a processor reads a prompt, kernels are compiled
MARGIN = 4.0  # times the slowest chunk: the machine may be busy with something else
DECAY = 0.9  # share of what is known of a slow chunk that is left after a faster one
COSTLY_CONTROLS = ("steps", "rows", "lora")  # controls that change what is computed for a chunk


class ChunkLimit:
    """Begins with the slowest chunk of the warm-up, in seconds, and follows what streaming measures.

    params: the controls of the warm-up. rebuilds: one of COSTLY_CONTROLS recompiles kernels or records new graphs.
    """

    def __init__(self, slowest: float, params: Params, rebuilds: bool) -> None:
        self._slowest, self._steps = slowest, params.steps  # seconds of a slow chunk, and how many steps it had
        self._params, self._rebuilds = params, rebuilds
        self._awaited = 0  # revision of the last change of one of COSTLY_CONTROLS

    def seconds(self, applied: int) -> float:
        """The limit for the next chunk, the last one having been made with the controls of revision `applied`."""
        if self._rebuilds and applied < self._awaited:
            return SETUP_TIMEOUT
        return max(DEADLINE, float(round(MARGIN * self._expected)))

    def expect(self, params: Params) -> None:
        """These controls hold from now on."""
        if any(getattr(params, name) != getattr(self._params, name) for name in COSTLY_CONTROLS):
            self._awaited = params.revision
        self._params = params

    def learn(self, seconds: float) -> None:
        """A chunk took so long."""
        self._slowest, self._steps = max(seconds, DECAY * self._expected), self._params.steps

    @property
    def _expected(self) -> float:
        """Seconds of a slow chunk as things stand: four steps may take four times as long as one."""
        return self._slowest * max(1.0, self._params.steps / self._steps)
