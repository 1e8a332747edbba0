"""Session: the engine's one public object. Frames in, pictures out; whoever owns the world calls it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from engine.accel.apply import accelerate
from engine.accel.lanes import Lanes, Readback
from engine.chunk import Chunk, Chunker, Stamp, to_bytes, to_pictures
from engine.device import StageClock, pick_device, pick_dtype
from engine.frame import Frame
from engine.loras import parse_loras
from engine.measure import free_bytes, preflight
from engine.memory import gib
from engine.models.build import Models, build
from engine.models.interfaces import CodecState, Context
from engine.models.lora_track import LoraTrack
from engine.params import Params
from engine.preset import Preset
from engine.prompt import parse_blend
from engine.stream.batch import Lane, StreamBatch
from engine.stream.kvcache import KVCache
from engine.stream.noise import NoisePolicy, NoiseSource, motion, timesteps_of
from engine.stream.pace import Plan, plan_steps
from engine.stream.prompts import PromptBook, PromptTrack, Submit, run_now
from engine.stream.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Report:
    """What one chunk did.

    revision:  of the controls it was made with; a prompt counts once it is encoded and has begun to fade in,
               LoRAs once their files are read.
    frame:     index of the first picture that came out of the same call, None if none did.
    stages_ms: milliseconds by stage.   backlog: frames that wait.
    problem:   one sentence on a control that could not be obeyed and left things as they were, or nothing.
    """

    revision: int
    frame: int | None
    stages_ms: dict[str, float]
    backlog: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Begun:
    """A chunk that was launched: its pictures on their way, the revision it was made with, and when its stages ran."""

    pictures: list[tuple[Readback, tuple[Stamp, ...]]]
    revision: int
    marks: list[tuple[str, Any]]


class Session:
    """One stream: push frames, step, and take the pictures. Not thread-safe; models may be shared between sessions.

    submit: runs what takes long, prompts and LoRA files; the default does it at once.
    """

    def __init__(self, models: Models, preset: Preset, submit: Submit = run_now) -> None:
        self._models, self._preset = models, preset
        self._schedule = Schedule(preset.schedule, models.device)
        self._book = PromptBook(models.text, submit, device=models.device)
        self._clock = StageClock(models.device)
        self._loras = LoraTrack(models.loras, submit)
        self._params = preset.params
        self._lanes = Lanes(models.device, preset.accel.overlap)
        self._loras.aim(parse_loras(self._params.lora))
        self._problem, self._denied = "", 0  # a sentence for the next report; how many rows it was about
        tokens = (preset.width // preset.unit) * (preset.height // preset.unit)
        with torch.inference_mode(), self._lanes.enter("denoise"):  # whose stream alone touches it
            self._cache = KVCache(preset.window, preset.dit, tokens, models.device, models.dtype)
        self.reset()

    @property
    def device(self) -> str:
        """What it computes on, in words: "cpu", "cuda:0"."""
        return str(self._models.device)

    def reset(self) -> None:
        """Forget the stream: the next frame is the first. Weights, controls and encoded prompts stay."""
        models, preset = self._models, self._preset
        with torch.inference_mode(), self._lanes.enter("denoise"):
            self._cache.reset()
        self._batch = StreamBatch(models.denoiser, self._schedule, preset.window, self._cache)
        self._chunker = Chunker(preset.chunk)
        self._noise_source = NoiseSource(self._params.seed, models.device)
        self._track = PromptTrack(self._book, parse_blend(preset.params.prompt))
        self._track.aim(parse_blend(self._params.prompt), 0.0)
        self._encoding: CodecState | None = None
        self._decoding: CodecState | None = None
        self._before: Tensor | None = None  # the frame ahead of the coming chunk, [3, H, W]
        self._noise = self._params.noise if preset.input else 1.0
        self._context: Context = ()
        self._stamps: dict[int, tuple[Stamp, ...]] = {}  # of chunks in flight, by tag
        self._begun: deque[Begun] = deque()  # chunks whose pictures are on their way
        self._entered = 0
        self._applied = self._params.revision
        self.report: Report | None = None

    def update(self, params: Params) -> None:
        """Use `params` from the next chunk on; a chunk already begun is not touched."""
        params = self._held(params)
        if params.prompt != self._params.prompt:
            self._track.aim(parse_blend(params.prompt), params.fade)
        if params.lora != self._params.lora or self._loras.mended:
            self._loras.aim(parse_loras(params.lora))
        if params.seed != self._params.seed:
            self._noise_source = NoiseSource(params.seed, self._models.device)
        self._params = params

    def _held(self, params: Params) -> Params:
        """`params`, with the rows that there is room for; the next report speaks of those that there is none for."""
        plan, (have, each) = self._plan_of(params), self._batch.row_bytes
        free = free_bytes(self._models.device) if plan.rows > have else None
        fitting = plan.rows if free is None else have + max(0, free) // each
        denied, self._denied = self._denied, plan.rows if fitting < plan.rows else 0
        if free is None or not self._denied:
            return params
        held = plan_steps(plan.steps, fitting).rows
        if denied != plan.rows:
            more = gib(each * (plan.rows - have))
            self._problem = f"{plan.rows} rows take {more} more, and {gib(free)} are free: there are {held}, "
            self._problem += "and a smaller --size has room for more"
        return replace(params, rows=held)

    def push(self, frame: Frame) -> None:
        """Hand over one frame. Raises ValueError if it has not the session's size."""
        if frame.size != (self._preset.width, self._preset.height):
            raise ValueError(f"a frame of {frame.size} in a session of {self._preset.width}x{self._preset.height}")
        self._chunker.push(frame)

    @torch.inference_mode()
    def step(self) -> list[Frame]:
        """Run at most one chunk: the pictures that are finished, oldest first; none while frames are few."""
        chunk = self._chunker.take()
        return [] if chunk is None else self._run(chunk)

    @torch.inference_mode()
    def flush(self) -> list[Frame]:
        """Finish the stream: every picture still owed, one for each frame pushed. `reset()` before pushing more."""
        pictures: list[Frame] = []
        while (chunk := self._chunker.take() or self._chunker.take_rest()) is not None:
            pictures += self._run(chunk)
        if self._entered:
            with self._lanes.enter("denoise"):
                done = self._batch.drain(self._timesteps(), self._plan, self._context, self._renoise)
            self._begun.append(self._decode(done))
        return pictures + self._deliver(keep=0)

    def _run(self, chunk: Chunk) -> list[Frame]:
        """Begin this chunk, and hand over what is finished: itself, or with `overlap` the one before."""
        self._begun.append(self._begin(chunk))
        return self._deliver(keep=int(self._lanes.on))

    def _begin(self, chunk: Chunk) -> Begun:
        with self._lanes.enter("encode"):
            noisy = self._see(chunk) if self._preset.input else self._imagine(len(chunk.frames))
            self._clock.mark("")
        with self._lanes.enter("denoise", noisy):
            self._clock.mark("denoise")
            self._batch.note_stale_sink()  # of the chunk before, whose pictures are out
            self._read_prompt(chunk.stamps[0][0])
            self._stamps[self._entered] = chunk.stamps
            done = self._batch.step(noisy, self._entered, self._timesteps(), self._plan, self._context, self._renoise)
            self._entered += 1
            self._clock.mark("")
        return self._decode(done)

    def _deliver(self, keep: int) -> list[Frame]:
        """Wait for the pictures of all chunks but the `keep` newest, and report on each of those chunks."""
        pictures: list[Frame] = []
        while len(self._begun) > keep:
            begun = self._begun.popleft()
            made = [frame for bytes, stamps in begun.pictures for frame in to_pictures(bytes.get(), stamps)]
            frame, stages = made[0].index if made else None, self._clock.read(begun.marks)
            problem = self._track.take_problem() or self._loras.take_problem() or self._take_problem()
            self.report = Report(begun.revision, frame, stages, self._chunker.backlog, problem)
            pictures += made
        return pictures

    def _take_problem(self) -> str:
        problem, self._problem = self._problem, ""
        return problem

    def _see(self, chunk: Chunk) -> Tensor:
        """The frames as noisy latents [T', C, h, w]: as much noise mixed in as their motion asks for."""
        self._clock.mark("encode")
        pixels = chunk.pixels(self._models.device, self._models.dtype)
        moved = None if self._before is None else Readback(motion(pixels, self._before))
        self._before = pixels[-1].clone()
        latents, self._encoding = self._models.codec.encode(pixels, self._encoding)
        self._clock.mark("noise")
        self._noise = self._params.noise if moved is None else self._policy.next(moved.get().item(), self._noise)
        return torch.lerp(latents, self._noise_source.draw(latents, 0, self._params.carry), self._noise)

    @property
    def _policy(self) -> NoisePolicy:
        params, spec = self._params, self._preset.schedule
        return NoisePolicy(params.noise, params.motion, spec.full_motion, spec.memory)

    def _imagine(self, frames: int) -> Tensor:
        """Noise alone, [T', C, h, w], in place of `frames` that nobody has seen."""
        self._clock.mark("noise")
        codec, models = self._preset.codec, self._models
        sides = (side // codec.spatial for side in (self._preset.height, self._preset.width))
        shape = (-(-frames // codec.temporal), codec.channels, *sides)
        empty = torch.empty(shape, device=models.device, dtype=models.dtype)
        return self._noise_source.draw(empty, 0, self._params.carry)

    def _timesteps(self) -> list[int]:
        return timesteps_of(self._noise, self._preset.schedule, self._params.steps)

    @property
    def _plan(self) -> Plan:
        return self._plan_of(self._params)

    def _plan_of(self, params: Params) -> Plan:
        return plan_steps(len(self._preset.schedule.take(params.steps)), params.rows)

    def _read_prompt(self, time: float) -> None:
        another = self._loras.arrive(wait=not self._context)  # a stream's first chunk has what was asked for
        if self._track.at(time) is not None or another:
            self._context = self._models.denoiser.context(self._track.now)
            self._batch.renew_sinks()
        if not (self._track.waiting or self._loras.waiting):
            self._applied = self._params.revision

    def _renoise(self, like: Tensor, step: int) -> Tensor:
        return self._noise_source.draw(like, step, self._params.carry)

    def _decode(self, lanes: list[Lane]) -> Begun:
        """Pictures on their way to the host, whose they are, and when the stages ran."""
        pictures = []
        with self._lanes.enter("decode", *(lane.latent for lane in lanes)):
            self._clock.mark("decode")  # here, like all marks: each stage is timed on its own stream
            for lane in lanes:
                pixels, self._decoding = self._models.codec.decode(lane.latent, self._decoding)
                pictures.append((Readback(to_bytes(pixels)), self._stamps.pop(lane.tag)))
            return Begun(pictures, self._applied, self._clock.end())


def open_session(preset: Preset, device: str | None = None) -> Session:
    """Load the preset's weights onto the best device (or `device`) and open a stream on them.

    Raises DeviceUnavailable, BadPreset, BadWeights or TooLarge, each with a hint.
    """
    return Session(load_models(preset, device), preset)


def load_models(preset: Preset, device: str | None = None) -> Models:
    """The preset's models on the best device (or `device`), if there is room. Raises as `open_session` does."""
    place = pick_device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)  # streams and events are made on the current one, whatever tensors they are for
    dtype = pick_dtype(place)
    preflight(preset, place, dtype)
    return accelerate(build(preset, place, dtype), preset)
