"""Which picture is on, at every moment: the effect, the camera, a mixture, the one before, or a slate. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

from bridge.media.pacing import Pacer, Rate
from bridge.media.picture import blend
from bridge.media.slate import slate
from bridge.playout.history import MAX_AGE, History
from engine.frame import Frame
from engine.params import Params

ENGINE_TIMEOUT = 1.0  # seconds without news from the engine before the input is shown instead
INPUT_TIMEOUT = 3.0  # seconds without news from the input before a slate is: time for another one to open

SLATES = ("", "starting", "no input", "back in a moment")  # what they say
Kind = Literal["wet", "dry", "slate"]


class Shown(NamedTuple):
    """The picture for one tick. `new`: it was not on before."""

    frame: Frame
    kind: Kind
    new: bool


class Mixer:
    """Takes in pictures as they come, and says which one is on. A mixture is of one moment, so that nothing ghosts."""

    def __init__(self, width: int, height: int) -> None:
        self._slates = {reason: slate(width, height, reason) for reason in SLATES}
        self._rate = Rate()
        self._pacer = Pacer(self._rate.period)
        self._history = History()
        self._dry: Frame | None = None
        self._wet: Frame | None = None
        self._dry_news = self._wet_news = -1e9
        self._on: Shown | None = None
        self._mixed: tuple[Frame, float, Frame] | None = None

    @property
    def period(self) -> float:
        """Seconds between two frames of the source."""
        return self._rate.period

    def take_dry(self, frame: Frame, now: float) -> None:
        """A frame came from the source."""
        self._rate.add(frame.time)
        self._pacer.period = self._rate.period
        self._dry, self._dry_news = frame, now
        self._history.add(frame, 0.0 if self.silence(now) < 1 else MAX_AGE / self.period)

    def take_wet(self, frame: Frame, now: float) -> None:
        """A picture came from the engine."""
        self._wet_news = now
        if self._dry is None:  # no source sets the pace: the engine's own pictures say it
            self._rate.add(frame.time)
            self._pacer.period = self._rate.period
        self._pacer.push(frame, now)

    def expect(self, burst: int) -> None:
        """The engine finishes up to `burst` pictures at once from now on."""
        if burst != self._pacer.burst:
            self._pacer = Pacer(self._rate.period, burst)

    def silence(self, now: float) -> float:
        """Seconds without news from the engine, as a share of what is waited for before the input is shown."""
        return (now - self._wet_news) / max(ENGINE_TIMEOUT, 2.5 * self._pacer.burst_gap)

    def choose(self, params: Params, now: float) -> Shown:
        """The picture to show from `now` on."""
        if (wet := self._pacer.pop(now)) is not None:
            self._wet = wet
            self._history.forget_before(wet.time)
        kind, frame = self._choose(params, now)
        before, key = self._on, (frame.time, frame.index)
        new = before is None or before.kind != kind or (before.frame.time, before.frame.index) != key
        self._on = Shown(frame, kind, new)
        return self._on

    def _choose(self, params: Params, now: float) -> tuple[Kind, Frame]:
        if params.panic:
            return "slate", self._slate("", now)
        if params.freeze and self._on is not None and self._on.kind != "slate":
            return self._on.kind, self._on.frame
        if self._wet is not None and self.silence(now) < 1 and not params.bypass:
            return "wet", self._mix(self._wet, params.mix)
        if self._dry is None or now - self._dry_news >= INPUT_TIMEOUT:
            return "slate", self._slate("no input" if self._dry else "starting", now)
        if params.privacy and not params.bypass:  # who asks for the camera gets it
            return "slate", self._slate("back in a moment" if self._wet else "starting", now)
        return "dry", self._dry

    def _mix(self, wet: Frame, mix: float) -> Frame:
        """The effect over the camera's picture of the same moment; alone if that one is no longer known."""
        if mix >= 1:
            return wet
        if self._mixed is None or self._mixed[0] is not wet or self._mixed[1] != mix:
            dry = self._history.find(wet.time, *wet.size)
            self._mixed = wet, mix, wet if dry is None else replace(wet, pixels=blend(wet.pixels, dry, mix))
        return self._mixed[2]

    def _slate(self, reason: str, now: float) -> Frame:
        return Frame(self._slates[reason], now, 0)
