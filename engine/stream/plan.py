"""The planner: controls and what was measured become a `Work`. It decides everything, and touches no tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.frame import Stamp
from engine.params import Params
from engine.preset import Preset
from engine.prompt import Blend
from engine.stream.fade import PromptFader
from engine.stream.noise import NoisePolicy, timesteps_of
from engine.stream.pace import Plan, allowed_steps, plan_of
from engine.stream.rows import RowPlanner
from engine.stream.work import Batch, Work


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known when a chunk is planned: numbers on the host.

    frames:   how many the chunk has.   stamps: of those that are real.
    motion:   how much the picture moves; None where there is nothing to compare with, or no input.
    similarity: of each sink and the newest frame, -1..1; empty where they were not compared.
    prompt:   the newest blend that can be used.   loras: names and strengths that are to be on, read.
    settled:  whether nothing that the controls ask for is still being encoded or read.
    room:     how many rows there is memory for; None where nobody counted.
    timings:  milliseconds by stage of the chunk before.   backlog: frames that wait. For a policy about time.
    """

    frames: int
    stamps: tuple[Stamp, ...]
    prompt: Blend
    loras: tuple[tuple[str, float], ...] = ()
    settled: bool = True
    motion: float | None = None
    similarity: tuple[float, ...] = ()
    room: int | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    backlog: int = 0


class Planner:
    """Plans one stream, call by call. The same controls and observations give the same works.

    The order in which controls, memory and time limit rows and steps is written in engine.stream.pace.
    """

    def __init__(self, preset: Preset) -> None:
        self._preset, self._rows = preset, RowPlanner(preset.window)
        self._fader = PromptFader()
        self._noise = 1.0  # of the newest chunk
        self._room: int | None = None  # rows
        self._entered = 0
        self._look: tuple[Any, ...] = ()  # the wanted prompt, the mixture used, and LoRAs
        self._last: Work | None = None

    def next(self, params: Params, observed: Observed) -> Work:
        """The call with which the observed chunk enters."""
        self._room = observed.room
        self._noise = self._noise_for(params, observed.motion)
        prompt = self._fader.at(observed.stamps[0][0], observed.prompt, params.fade)
        self._watch_sinks(observed, prompt)
        obeyed = params.revision if observed.settled or self._last is None else self._last.revision
        self._last = Work(
            revision=obeyed,
            frames=observed.frames,
            stamps=observed.stamps,
            noise=self._noise,
            seed=params.seed,
            carry=params.carry,
            prompt=prompt,
            loras=observed.loras,
            batch=self._enter(params, observed),
        )
        return self._last

    def drain(self, params: Params) -> Work | None:
        """A call with nothing new coming in; None once every chunk is finished."""
        if self._last is None or (batch := self._rows.drain(self._timesteps(params), self._plan(params))) is None:
            return None
        return replace(self._last, frames=0, stamps=(), seed=params.seed, carry=params.carry, batch=batch)

    def _noise_for(self, params: Params, motion: float | None) -> float:
        if not self._preset.input:
            return 1.0
        if motion is None:
            return params.noise
        spec = self._preset.schedule
        return NoisePolicy(params.noise, params.motion, spec.full_motion, spec.memory).next(motion, self._noise)

    def _watch_sinks(self, observed: Observed, prompt: Blend) -> None:
        """Renew a sink that is no longer similar to the stream, and all sinks when the prompt or LoRAs change."""
        self._rows.renewal.note_similarity(observed.similarity)
        look, self._look = self._look, (observed.prompt, prompt, observed.loras)
        if look != self._look:
            self._rows.renew_sinks()

    def _enter(self, params: Params, observed: Observed) -> Batch:
        latents = -(-observed.frames // self._preset.codec.temporal)
        tag, self._entered = self._entered, self._entered + 1
        return self._rows.next(tag, latents, self._timesteps(params), self._plan(params))

    def _timesteps(self, params: Params) -> list[int]:
        return timesteps_of(self._noise, self._preset.schedule, allowed_steps(self._preset, params))

    def _plan(self, params: Params) -> Plan:
        return plan_of(self._preset, params, self._room)
