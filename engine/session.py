"""Session: the engine's one public object. Frames go in, pictures come out."""

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
    """An encoded chunk: its latents [T', C, h, w], and how much it moves, if that is measured."""

    latents: Tensor
    moved: Readback | None


@dataclass(frozen=True, slots=True)
class PendingPictures:
    """A launched call: its pictures on their way to the host, the controls' revision, and when its stages ran."""

    pictures: list[tuple[Readback, tuple[Stamp, ...]]]
    revision: int
    marks: list[tuple[str, Any]]


class Session:
    """One stream: push frames, step, and take the pictures. Not thread-safe; models may be shared between sessions.

    submit: runs slow work, encoding prompts and reading LoRA files; the default runs it at once.
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
        self._room: int | None = None  # rows there is memory for; None until it is counted
        self._problem, self._denied = "", 0  # a sentence for the next report; the number of rows that were refused
        with torch.inference_mode(), self._streams.enter("denoise"):  # only this stream uses the cache
            self._cache = KVCache(preset.window, preset.dit, preset.tokens, models.device, models.dtype)
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
        self._last_frame: Tensor | None = None  # the frame before the next chunk, [3, H, W]
        self._similarity: Readback | None = None  # of the sinks and the newest frame
        self._stamps: dict[int, tuple[Stamp, ...]] = {}  # of chunks in flight, by tag
        self._pending: deque[PendingPictures] = deque()  # chunks whose pictures are on their way
        self.report: Report | None = None

    def update(self, params: Params) -> None:
        """Use `params` from the next chunk on; a chunk already launched keeps its own."""
        self._conditioning.want(params)
        self._params = params
        self._count_room()

    def _count_room(self) -> None:
        """Count the rows that fit into memory; if fewer fit than are wanted, the next report says so."""
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
        """Run at most one chunk. Returns the finished pictures, oldest first; none while there are too few frames."""
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

        Controls are not used. Until `reset`, call nothing but `replay`, in the order of the record.
        Raises BadWork if `work` does not follow the one before, or frames are missing.
        """
        self._batch.check(work.batch)
        chunk = self._chunker.take_as(work.frames, len(work.stamps)) if work.frames else None
        if work.frames and chunk is None:
            raise BadWork(f"this work takes {work.frames} frames, and {self._chunker.backlog} are there", "push more")
        self._execute(work, self._encode(chunk) if chunk else None)
        return self._deliver(keep=int(self._streams.on and bool(work.frames)))

    def _run(self, chunk: Chunk) -> list[Frame]:
        """Launch this chunk, and return what is finished: itself, or with `overlap` the one before."""
        encoded = self._encode(chunk)
        self._execute(self._planner.next(self._params, self._observe(chunk, encoded)), encoded)
        return self._deliver(keep=int(self._streams.on))

    def _encode(self, chunk: Chunk) -> Encoded:
        """Launch the encoder: the frames' latents, and how much they move; blank for a preset without an input."""
        with self._streams.enter("encode"):
            if not self._preset.input:
                return Encoded(self._blank(len(chunk.frames)), None)
            self._clock.mark("encode")
            pixels = chunk.pixels(self._models.device, self._models.dtype)
            moved = None if self._last_frame is None else Readback(motion(pixels, self._last_frame))
            self._last_frame = pixels[-1].clone()
            latents, self._encoding = self._models.codec.encode(pixels, self._encoding)
            self._clock.mark("")
            return Encoded(latents, moved)

    def _blank(self, frames: int) -> Tensor:
        """Zero latents [T', C, h, w] for so many `frames`, where a preset has no input."""
        codec, models = self._preset.codec, self._models
        sides = (side // codec.spatial for side in (self._preset.height, self._preset.width))
        shape = (-(-frames // codec.temporal), codec.channels, *sides)
        return torch.zeros(shape, device=models.device, dtype=models.dtype)

    def _observe(self, chunk: Chunk, encoded: Encoded) -> Observed:
        """All that the planner needs. Only here the host waits for the device: for motion and similarity."""
        prompt, loras, settled = self._conditioning.settle()
        return Observed(
            frames=len(chunk.frames),
            stamps=chunk.stamps,
            prompt=prompt,
            loras=loras,
            settled=settled,
            motion=None if encoded.moved is None else encoded.moved.get().item(),
            similarity=() if self._similarity is None else tuple(self._similarity.get().tolist()),
            room=self._room,
            timings=self.report.stages_ms if self.report else {},
            backlog=self._chunker.backlog,
        )

    def _execute(self, work: Work, encoded: Encoded | None) -> None:
        """Launch all stages of `work`; `_deliver` waits for its pictures."""
        self._record(work)
        if work.seed != self._noise_source.seed:
            self._noise_source = NoiseSource(work.seed, self._models.device)
        noisy = None if encoded is None else self._noisy(work, encoded.latents)
        with self._streams.enter("denoise", *(() if noisy is None else (noisy,))):
            self._clock.mark("denoise")
            context = self._conditioning.context_for(work)
            if encoded is not None:
                self._stamps[work.batch.rows[0].tag] = work.stamps
            renoise = partial(self._noise_source.draw, carry=work.carry)
            done = self._batch.run(work.batch, noisy, context, renoise)
            self._similarity = Readback(self._cache.similarity()) if self._needs_similarity(work) else None
            self._clock.mark("")
        self._pending.append(self._decode(done, work.revision))

    def _noisy(self, work: Work, latents: Tensor) -> Tensor:
        """The latents [T', C, h, w] of the chunk that enters, mixed with the planned share of noise."""
        with self._streams.enter("encode"):
            self._clock.mark("noise")
            noisy = torch.lerp(latents, self._noise_source.draw(latents, 0, work.carry), work.noise)
            self._clock.mark("")
            return noisy

    def _needs_similarity(self, work: Work) -> bool:
        """Whether the planner will compare sinks with the newest frame after this work: only in a full window."""
        window = self._preset.window
        return window.refresh > -1 and window.sinks > 0 and work.batch.rows[0].visible == window.slots

    def _decode(self, chunks: list[Finished], revision: int) -> PendingPictures:
        """Launch the decoder and the copies to the host."""
        pictures = []
        with self._streams.enter("decode", *(chunk.latent for chunk in chunks)):
            self._clock.mark("decode")  # inside the stream, as all marks: each stage is timed on its own stream
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
    chosen = pick_device(device)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)  # streams and events are created on the current device
    dtype = pick_dtype(chosen)
    preflight(preset, chosen, dtype)
    return accelerate(build(preset, chosen, dtype), preset)
