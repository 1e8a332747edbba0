"""Session: the engine's one public object. Frames in, pictures out; whoever owns the world calls it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from engine.accel.apply import accelerate
from engine.accel.cuda_streams import CudaStreams, Readback
from engine.chunk import Chunk, Chunker, to_bytes, to_pictures
from engine.conditioning import Conditioning
from engine.device import StageClock, pick_device, pick_dtype
from engine.frame import Frame, Stamp
from engine.measure import free_bytes, preflight
from engine.memory import no_room
from engine.models.build import Models, build
from engine.models.interfaces import CodecState
from engine.params import Params
from engine.preset import Preset
from engine.stream.batch import Finished, StreamBatch
from engine.stream.kvcache import KVCache
from engine.stream.motion import motion
from engine.stream.noise_source import NoiseSource
from engine.stream.pace import plan_of
from engine.stream.plan import Observed, Planner
from engine.stream.prompts import Submit, run_now
from engine.stream.schedule import Schedule
from engine.stream.work import BadWork, Work


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
class Encoded:
    """A chunk on its way through the codec: its latents [T', C, h, w], and how much it moves, if that is measured."""

    latents: Tensor
    moved: Readback | None


@dataclass(frozen=True, slots=True)
class PendingPictures:
    """A chunk that was launched: its pictures on their way, the revision it was made with, and when its stages ran."""

    pictures: list[tuple[Readback, tuple[Stamp, ...]]]
    revision: int
    marks: list[tuple[str, Any]]


class Session:
    """One stream: push frames, step, and take the pictures. Not thread-safe; models may be shared between sessions.

    submit: runs what takes long, prompts and LoRA files; the default does it at once.
    record: is given every `Work` before it is executed; given to `replay` of a new session, with the same frames
            pushed, they make the same pictures.
    """

    def __init__(
        self,
        models: Models,
        preset: Preset,
        submit: Submit = run_now,
        record: Callable[[Work], None] = lambda work: None,
    ) -> None:
        self._models, self._preset, self._record = models, preset, record
        self._schedule = Schedule(preset.schedule, models.device)
        self._clock = StageClock(models.device)
        self._conditioning = Conditioning(models, preset, submit)
        self._params = preset.params
        self._streams = CudaStreams(models.device, preset.accel.overlap)
        self._room: int | None = None  # rows there is memory for, once somebody counted
        self._problem, self._denied = "", 0  # a sentence for the next report; how many rows it was about
        tokens = preset.tokens
        with torch.inference_mode(), self._streams.enter("denoise"):  # whose stream alone touches it
            self._cache = KVCache(preset.window, preset.dit, tokens, models.device, models.dtype)
        self.reset()

    @property
    def device(self) -> str:
        """What it computes on, in words: "cpu", "cuda:0"."""
        return str(self._models.device)

    def reset(self) -> None:
        """Forget the stream: the next frame is the first. Weights, controls and encoded prompts stay."""
        models, preset = self._models, self._preset
        with torch.inference_mode(), self._streams.enter("denoise"):
            self._cache.reset()
        self._planner = Planner(preset)
        self._batch = StreamBatch(models.denoiser, self._schedule, self._cache)
        self._chunker = Chunker(preset.chunk)
        self._noise_source = NoiseSource(self._params.seed, models.device)
        self._conditioning.reset()
        self._encoding: CodecState | None = None
        self._decoding: CodecState | None = None
        self._before: Tensor | None = None  # the frame ahead of the coming chunk, [3, H, W]
        self._likeness: Readback | None = None  # of the sinks and the newest frame
        self._stamps: dict[int, tuple[Stamp, ...]] = {}  # of chunks in flight, by tag
        self._pending: deque[PendingPictures] = deque()  # chunks whose pictures are on their way
        self.report: Report | None = None

    def update(self, params: Params) -> None:
        """Use `params` from the next chunk on; a chunk already begun is not touched."""
        self._conditioning.aim(params)
        self._params = params
        self._count_room()

    def _count_room(self) -> None:
        """See how many rows there is memory for; the next report speaks of those that there is none for."""
        plan, (have, each) = plan_of(self._preset, self._params), self._cache.row_bytes
        free = free_bytes(self._models.device) if plan.rows > have else None
        self._room = None if free is None else have + max(0, free) // each
        held = plan_of(self._preset, self._params, self._room).rows
        denied, self._denied = self._denied, plan.rows if held < plan.rows else 0
        if free is not None and self._denied not in (0, denied):
            self._problem = no_room(plan.rows, held, each * (plan.rows - have), free)

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
        while (work := self._planner.drain(self._params)) is not None:
            self._execute(work, None)
        return pictures + self._deliver(keep=0)

    @torch.inference_mode()
    def replay(self, work: Work) -> list[Frame]:
        """Run a recorded `Work` in place of planning one, on the frames pushed: the pictures that are finished.

        Controls have no part in it. The stream goes on with `replay` alone, in the order of the record, until `reset`.
        Raises BadWork if `work` does not follow the one before, or frames are missing.
        """
        self._batch.check(work.batch)
        chunk = self._chunker.take_as(work.frames, len(work.stamps)) if work.frames else None
        if work.frames and chunk is None:
            raise BadWork(f"this work takes {work.frames} frames, and {self._chunker.backlog} are there", "push more")
        self._execute(work, self._encode(chunk) if chunk else None)
        return self._deliver(keep=int(self._streams.on and bool(work.frames)))

    def _run(self, chunk: Chunk) -> list[Frame]:
        """Begin this chunk, and hand over what is finished: itself, or with `overlap` the one before."""
        encoded = self._encode(chunk)
        self._execute(self._planner.next(self._params, self._observe(chunk, encoded)), encoded)
        return self._deliver(keep=int(self._streams.on))

    def _encode(self, chunk: Chunk) -> Encoded:
        """The frames as latents on their way, and how much they move; nothing of a preset without an input."""
        with self._streams.enter("encode"):
            if not self._preset.input:
                return Encoded(self._blank(len(chunk.frames)), None)
            self._clock.mark("encode")
            pixels = chunk.pixels(self._models.device, self._models.dtype)
            moved = None if self._before is None else Readback(motion(pixels, self._before))
            self._before = pixels[-1].clone()
            latents, self._encoding = self._models.codec.encode(pixels, self._encoding)
            self._clock.mark("")
            return Encoded(latents, moved)

    def _blank(self, frames: int) -> Tensor:
        """Latents [T', C, h, w] in place of `frames` that nobody has seen."""
        codec, models = self._preset.codec, self._models
        sides = (side // codec.spatial for side in (self._preset.height, self._preset.width))
        shape = (-(-frames // codec.temporal), codec.channels, *sides)
        return torch.zeros(shape, device=models.device, dtype=models.dtype)

    def _observe(self, chunk: Chunk, encoded: Encoded) -> Observed:
        """All that the planner has to know. Here the host waits, for motion and likeness, and nowhere else."""
        prompt, loras, settled = self._conditioning.settle()
        return Observed(
            frames=len(chunk.frames),
            stamps=chunk.stamps,
            prompt=prompt,
            loras=loras,
            settled=settled,
            motion=None if encoded.moved is None else encoded.moved.get().item(),
            likeness=() if self._likeness is None else tuple(self._likeness.get().tolist()),
            room=self._room,
            timings=self.report.stages_ms if self.report else {},
            backlog=self._chunker.backlog,
        )

    def _execute(self, work: Work, encoded: Encoded | None) -> None:
        """Launch a work: its pictures are on their way then."""
        self._record(work)
        if work.seed != self._noise_source.seed:
            self._noise_source = NoiseSource(work.seed, self._models.device)
        noisy = None if encoded is None else self._noisy(work, encoded.latents)
        with self._streams.enter("denoise", *(() if noisy is None else (noisy,))):
            self._clock.mark("denoise")
            context = self._conditioning.put_on(work)
            if encoded is not None:
                self._stamps[work.batch.rows[0].tag] = work.stamps
            renoise = partial(self._noise_source.draw, carry=work.carry)
            done = self._batch.run(work.batch, noisy, context, renoise)
            self._likeness = Readback(self._cache.similarity()) if self._compares(work) else None
            self._clock.mark("")
        self._pending.append(self._decode(done, work.revision))

    def _noisy(self, work: Work, latents: Tensor) -> Tensor:
        """The latents [T', C, h, w] of the chunk that enters, with as much noise mixed in as was decided."""
        with self._streams.enter("encode"):
            self._clock.mark("noise")
            noisy = torch.lerp(latents, self._noise_source.draw(latents, 0, work.carry), work.noise)
            self._clock.mark("")
            return noisy

    def _compares(self, work: Work) -> bool:
        """Whether the planner wants to know how alike sinks and stream are, after this work: in a full window alone."""
        window = self._preset.window
        return window.refresh > -1 and window.sinks > 0 and work.batch.rows[0].visible == window.slots

    def _decode(self, chunks: list[Finished], revision: int) -> PendingPictures:
        """Pictures on their way to the host, whose they are, and when the stages ran."""
        pictures = []
        with self._streams.enter("decode", *(chunk.latent for chunk in chunks)):
            self._clock.mark("decode")  # here, like all marks: each stage is timed on its own stream
            for chunk in chunks:
                pixels, self._decoding = self._models.codec.decode(chunk.latent, self._decoding)
                pictures.append((Readback(to_bytes(pixels)), self._stamps.pop(chunk.tag)))
            return PendingPictures(pictures, revision, self._clock.end())

    def _deliver(self, keep: int) -> list[Frame]:
        """Wait for the pictures of all chunks but the `keep` newest, and report on each of those chunks."""
        pictures: list[Frame] = []
        while len(self._pending) > keep:
            pending = self._pending.popleft()
            made = [frame for bytes, stamps in pending.pictures for frame in to_pictures(bytes.get(), stamps)]
            frame, stages = made[0].index if made else None, self._clock.read(pending.marks)
            problem = self._conditioning.take_problem() or self._take_problem()
            self.report = Report(pending.revision, frame, stages, self._chunker.backlog, problem)
            pictures += made
        return pictures

    def _take_problem(self) -> str:
        problem, self._problem = self._problem, ""
        return problem


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
