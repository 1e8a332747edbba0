"""A whole step as one CUDA graph: the host replays it instead of launching thousands of kernels."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from engine.models.interfaces import CodecState, Context, Denoiser, Memory, VideoCodec
from engine.models.lora import LoraSet

Recordable = Callable[[], tuple[Tensor, ...]]
Capture = Callable[[Recordable], Callable[[], tuple[Tensor, ...]]]
CAPTURE_WARMUPS = 3  # runs before a capture, in which libraries choose their kernels


@runtime_checkable
class StableMemory(Protocol):
    """A `Memory` whose tensors are not reallocated while `generation` stays equal. While it is not `full`, shapes still
    change, and nothing is recorded.
    """

    generation: int

    @property
    def full(self) -> bool: ...


def capture(work: Recordable) -> Callable[[], tuple[Tensor, ...]]:
    """Record `work` on the current device. What is returned replays it and returns the same tensors, overwritten."""
    side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side_stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side_stream):
        for _ in range(CAPTURE_WARMUPS):
            work()
    torch.cuda.current_stream().wait_stream(side_stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # another thread may encode a prompt meanwhile
        out = work()

    def replay() -> tuple[Tensor, ...]:
        graph.replay()
        return out

    return replay


class Recording:
    """Work recorded for one set of input shapes. A call copies the inputs into static buffers, replays the graph, and
    returns a copy of the result, which the caller may keep.
    """

    def __init__(self, work: Callable[..., tuple[Tensor, ...]], inputs: Sequence[Tensor], capture: Capture) -> None:
        self._inputs = [part.clone() for part in inputs]
        self._replay = capture(lambda: work(*self._inputs))

    def __call__(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        for buffer, part in zip(self._inputs, inputs, strict=True):
            buffer.copy_(part, non_blocking=True)
        return tuple(part.clone() for part in self._replay())


class GraphedDenoiser:
    """A `Denoiser` that replays its step once the window is full. It serves one session at a time.

    The graph writes to the memory's own tensors, so it is recorded again when they are reallocated, for other rows, and
    when a LoRA is attached or detached. A LoRA's strength is read at every replay. A `reset` reallocates nothing.
    """

    def __init__(self, plain: Denoiser, loras: LoraSet, capture: Capture = capture) -> None:
        self._plain, self._loras, self._capture = plain, loras, capture
        self._key: Hashable = None
        self._generation: int | None = None  # of the memory of the last call
        self._recording: Recording | None = None
        self._context: Context = ()
        self._static_context: Context = ()
        self._longest = (
            0  # tokens of the longest prompt so far; shorter ones are padded to it, so that no graph is recorded again
        )

    def context(self, embedding: Tensor, min_tokens: int = 0) -> Context:
        context = self._plain.context(embedding, max(min_tokens, self._longest))
        self._longest = max(self._longest, context[0][0].shape[2])
        return context

    def __call__(self, latents: Tensor, timesteps: Tensor, memory: Memory, context: Context) -> Tensor:
        generation = memory.generation if isinstance(memory, StableMemory) else None
        if generation != self._generation:  # another stream begins, perhaps a smaller one after memory ran out
            self._generation, self._recording, self._context, self._static_context = generation, None, (), ()
        if not (isinstance(memory, StableMemory) and memory.full):
            return self._plain(latents, timesteps, memory, context)
        key = (
            self._loras.changes,
            latents.shape,
            timesteps.shape,
            [part.shape for part in flat(context)],
        )
        if self._recording is None or key != self._key:
            self._record(key, latents, timesteps, memory, context)
        if context is not self._context:
            self._context = context
            for kept, part in zip(flat(self._static_context), flat(context), strict=True):
                kept.copy_(part, non_blocking=True)
        assert self._recording is not None
        return self._recording((latents, timesteps))[0]

    def _record(self, key: Hashable, latents: Tensor, timesteps: Tensor, memory: Memory, context: Context) -> None:
        self._recording = None  # its memory is freed before the next recording allocates
        self._context, self._static_context = context, [tuple(part.clone() for part in text) for text in context]
        context_copy = self._static_context
        work = lambda x, t: (self._plain(x, t, memory, context_copy),)  # noqa: E731
        self._recording, self._key = Recording(work, (latents, timesteps), self._capture), key


class GraphedCodec:
    """A `VideoCodec` that replays encoding and decoding of every chunk but the first; the caller keeps the states.

    Recordings hold memory of their own, so those for another picture size are dropped when a new size comes.
    """

    def __init__(self, plain: VideoCodec, capture: Capture = capture) -> None:
        self._plain, self._capture = plain, capture
        self.spec = getattr(plain, "spec", None)
        self._known: dict[tuple[str, torch.Size, tuple[torch.Size, ...]], Recording] = {}

    def encode(self, frames: Tensor, state: CodecState | None) -> tuple[Tensor, CodecState]:
        return self._run(self._plain.encode, "encode", frames, state)

    def decode(self, latents: Tensor, state: CodecState | None) -> tuple[Tensor, CodecState]:
        return self._run(self._plain.decode, "decode", latents, state)

    def _run(
        self,
        work: Callable[[Tensor, CodecState | None], tuple[Tensor, CodecState]],
        name: str,
        x: Tensor,
        state: CodecState | None,
    ) -> tuple[Tensor, CodecState]:
        if state is None:
            self._forget(name, x.shape[-2:])
            return work(x, state)
        key = name, x.shape, tuple(part.shape for part in state)
        if key not in self._known:

            def flatly(x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
                made, following = work(x, state)
                return made, *following

            self._known[key] = Recording(flatly, (x, *state), self._capture)
        made, *following = self._known[key]((x, *state))
        return made, tuple(following)

    def _forget(self, name: str, size: torch.Size) -> None:
        """Drop recordings for other sizes before anything is computed: a full device has no room for both."""
        self._known = {key: known for key, known in self._known.items() if key[0] != name or key[1][-2:] == size}


def flat(context: Context) -> list[Tensor]:
    """The tensors of a context, layer by layer."""
    return [part for text in context for part in text]
