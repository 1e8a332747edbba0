"""The show must go on: a thread that puts a picture out at every tick, whatever the engine and the input do."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from threading import Event, Thread

from bridge.control.metrics import Meter
from bridge.media.pacing import BURST
from bridge.playout.mixer import Mixer
from bridge.rings.ring import RingReader, RingWriter
from engine.clock import monotonic
from engine.params import Params

log = logging.getLogger("playout")


def ring_kind(kind: str, params: Params) -> str:
    """What programs that read the output's ring are told a picture is: they may have a better one of the input."""
    if kind == "slate":
        return "slate" if params.panic or params.privacy else "no input"
    if kind == "dry":
        return "held input" if params.freeze else "input"
    return "effect"


class Playout:
    """Reads the rings `dry` (the camera) and `wet` (the engine), writes `out` at the camera's rate without a gap.

    It needs nobody: pictures flow, and mix, bypass, freeze and panic work, with the engine dead and the loop busy.

    burst: pictures that the engine finishes at once, at most; may change while it plays.
    """

    def __init__(
        self, dry: str, wet: str, out: str, params: Callable[[], Params], meter: Meter, burst: int = BURST
    ) -> None:
        self._names, self.burst = (dry, wet, out), burst
        self._params, self._meter = params, meter
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="playout", daemon=True)
        self._rings = ExitStack()
        self._silence = 1.0  # of the engine, as `Mixer.silence` has it, at the last tick

    @property
    def holding(self) -> bool:
        """Whether the engine's last picture stands because no new one came when it should have."""
        return 0.5 <= self._silence < 1

    @property
    def dry(self) -> bool:
        """Whether the engine was silent for so long that the input is shown instead, or a slate if there is none."""
        return self._silence >= 1

    def start(self) -> None:
        """Attach to the rings and begin. Raises RingError."""
        dry, wet, out = self._names
        self._dry = self._rings.enter_context(RingReader(dry))
        self._wet = self._rings.enter_context(RingReader(wet))
        self._out = self._rings.enter_context(RingWriter.attach(out))
        self._thread.start()

    def stop(self) -> None:
        """End, and let go of the rings. Twice is fine."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._rings.close()

    def _run(self) -> None:
        mixer, due = Mixer(self._out.width, self._out.height), monotonic()
        failure = ""
        while not self._stopping.is_set():
            time.sleep(max(0.0, due - monotonic()))  # waiting for an event is coarser on Windows
            now = monotonic()
            try:
                self._tick(mixer, now)
            except Exception as error:  # a process wall: the picture before stays on, and the next one has its chance
                if repr(error) != failure:  # said once: it would come again with every tick
                    failure = repr(error)
                    log.exception("a picture could not be put out")
            due = max(due + mixer.period, now)

    def _tick(self, mixer: Mixer, now: float) -> None:
        mixer.expect(self.burst)
        while (frame := self._dry.next()) is not None:
            self._meter.arrived()
            mixer.take_dry(frame, now)
        while (frame := self._wet.next()) is not None:
            mixer.take_wet(frame, now)
        self._silence = mixer.silence(now)
        params = self._params()
        shown = mixer.choose(params, now)
        self._out.write(shown.frame, ring_kind(shown.kind, params))
        if shown.new and shown.kind != "slate":
            self._meter.shown(shown.frame, shown.kind)
