"""The LoRAs a stream wants: files are read on another thread while it plays, and attached between two chunks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from engine.errors import EngineError
from engine.loras import Loras
from engine.models.lora import LoraSet
from engine.models.lora_file import LowRank, lora_path

Pairs = dict[str, LowRank]
Submit = Callable[[Callable[[], Pairs]], "Future[Pairs]"]


class LoraLoader:
    """Reads the LoRAs that one stream wants, and attaches them to its model."""

    def __init__(self, loras: LoraSet, submit: Submit) -> None:
        self._model_loras, self._submit = loras, submit
        self._wanted: dict[str, float] = {}
        self._on: dict[str, float] = {}  # by this stream; the model may have those of another
        self._files: dict[str, Future[Pairs]] = {}
        self._refused: dict[str, int] = {}  # names, and the modification time of their files
        self._problem = ""

    @property
    def waiting(self) -> bool:
        """True while a file is still being read."""
        return not all(file.done() for file in self._files.values())

    @property
    def files_changed(self) -> bool:
        """Whether a file that could not be used has changed since: then `want` again."""
        return any(_written(name) != when for name, when in self._refused.items())

    def want(self, loras: Loras) -> None:
        """Want these, and no others, from now on."""
        self._wanted, self._refused = dict(loras), {}
        self._files = {name: self._files.get(name) or self._read(name) for name in self._on | self._wanted}

    def settle(self, wait: bool) -> Loras:
        """The LoRAs for the next chunk: those that are wanted, as soon as all of them are read.

        Until then those in use stay, so that the plain model is never seen between two looks; their strengths follow at
        once. wait: for files that are being read. A file that cannot be read is no longer wanted, and `take_problem`
        says why; if nothing else is wanted, those in use stay.
        """
        here = {name: file for name, file in self._files.items() if wait or file.done()}
        for name, file in here.items():
            if (error := file.exception()) is not None:
                self._problem = error.sentence if isinstance(error, EngineError) else f"LoRA {name}: {error}"
                self._refused[name] = _written(name)
                del self._wanted[name], self._files[name]
        if self._refused and not self._wanted:
            pass  # nothing that is wanted can be used: those in use stay
        elif all(name in here for name in self._wanted):
            self._on = dict(self._wanted)
            self._files = {name: self._files[name] for name in self._on}
        else:
            self._on = {name: self._wanted.get(name, strength) for name, strength in self._on.items()}
        return tuple(sorted(self._on.items()))

    def attach(self, loras: Loras) -> bool:
        """Attach exactly these to the model, reading those that are not read yet; True if that changed the model."""
        on, before = dict(loras), self._model_loras.attached
        if on == before:
            return False
        new = {name: self._files.get(name) or self._read(name) for name in on if name not in before}
        self._model_loras.apply(on, {name: file.result() for name, file in new.items()})
        return True

    def _read(self, name: str) -> Future[Pairs]:
        return self._submit(lambda: self._model_loras.read(name))

    def take_problem(self) -> str:
        """One sentence on what failed since the last call, or nothing."""
        problem, self._problem = self._problem, ""
        return problem


def _written(name: str) -> int:
    """When the LoRA's file was last written, in nanoseconds; 0 if there is none."""
    try:
        return lora_path(name).stat().st_mtime_ns
    except OSError:
        return 0
