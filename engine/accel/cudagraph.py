"""A whole step as one CUDA graph: the host says "again" instead of launching thousands of kernels."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from engine.models.interfaces import CodecState, Context, Denoiser, Memory, VideoCodec
from engine.models.lora import LoraSet

Work = Callable[[], tuple[Tensor, ...]]
Capture = Callable[[Work], Callable[[], tuple[Tensor, ...]]]
CAPTURE_WARMUPS = 3  # runs before a capture, in which libraries choose their kernels


@runtime_checkable
class Steady(Protocol):
    """A `Memory` whose tensors stay where they are while `generation` stays equal. Not `full`: its window still fills,
    and this call is an exception.
    """

    generation: int

    @property
    def full(self) -> bool: ...


def capture(work: Work) -> Callable[[], tuple[Tensor, ...]]:
    """Record `work` on the current device; what is returned runs it again and gives the same, overwritten tensors."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(CAPTURE_WARMUPS):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # another may encode a prompt meanwhile
        out = work()

    def again() -> tuple[Tensor, ...]:
        graph.replay()
        return out

    return again


class Replayed:
    """Work on tensors of one set of shapes: what comes in is copied to fixed places, the work replayed, its result
    copied out, so that it is the caller's to keep.
    """

    def __init__(self, work: Callable[..., tuple[Tensor, ...]], inputs: Sequence[Tensor], capture: Capture) -> None:
        self._inputs = [part.clone() for part in inputs]
        self._again = capture(lambda: work(*self._inputs))

    def __call__(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        for place, part in zip(self._inputs, inputs, strict=True):
            place.copy_(part, non_blocking=True)
        return tuple(part.clone() for part in self._again())


class GraphedDenoiser:
    """A `Denoiser` that replays its step once the window is full. It serves one session at a time.

    The graph writes to the memory's own tensors, so it is recorded anew when they move, or for other rows. So it is
    when a LoRA is put on or taken off; a strength that moves is read at every replay. A `reset` moves nothing.
    """

    def __init__(self, plain: Denoiser, loras: LoraSet, capture: Capture = capture) -> None:
        self._plain, self._loras, self._capture = plain, loras, capture
        self._key: Hashable = None
        self._generation: int | None = None  # of the memory that was written to last
        self._replayed: Replayed | None = None
        self._context: Context = ()
        self._places: Context = ()
        self._longest = 0  # tokens of a prompt so far: a shorter one takes as many, and no graph is recorded anew

    def context(self, embedding: Tensor, least: int = 0) -> Context:
        context = self._plain.context(embedding, max(least, self._longest))
        self._longest = max(self._longest, context[0][0].shape[2])
        return context

    def __call__(self, latents: Tensor, timesteps: Tensor, memory: Memory, context: Context) -> Tensor:
        generation = memory.generation if isinstance(memory, Steady) else None
        if generation != self._generation:  # another stream begins, perhaps a smaller one because memory ran out
            self._generation, self._replayed, self._context, self._places = generation, None, (), ()
        if not (isinstance(memory, Steady) and memory.full):
            return self._plain(latents, timesteps, memory, context)
        key = (
            self._loras.changes,
            latents.shape,
            timesteps.shape,
            [part.shape for part in flat(context)],
        )
        if self._replayed is None or key != self._key:
            self._record(key, latents, timesteps, memory, context)
        if context is not self._context:
            self._context = context
            for kept, part in zip(flat(self._places), flat(context), strict=True):
                kept.copy_(part, non_blocking=True)
        assert self._replayed is not None
        return self._replayed((latents, timesteps))[0]

    def _record(self, key: Hashable, latents: Tensor, timesteps: Tensor, memory: Memory, context: Context) -> None:
        self._replayed = None  # its memory goes before the next one's comes
        self._context, self._places = context, [tuple(part.clone() for part in text) for text in context]
        places = self._places
        work = lambda x, t: (self._plain(x, t, memory, places),)  # noqa: E731
        self._replayed, self._key = Replayed(work, (latents, timesteps), self._capture), key


class GraphedCodec:
    """A `VideoCodec` that replays encoding and decoding of chunks after the first; states stay the caller's.

    Recordings hold memory of their own, so those of another size of picture go when a new size comes.
    """

    def __init__(self, plain: VideoCodec, capture: Capture = capture) -> None:
        self._plain, self._capture = plain, capture
        self.spec = getattr(plain, "spec", None)
        self._known: dict[tuple[str, torch.Size, tuple[torch.Size, ...]], Replayed] = {}

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

            self._known[key] = Replayed(flatly, (x, *state), self._capture)
        made, *following = self._known[key]((x, *state))
        return made, tuple(following)

    def _forget(self, name: str, size: torch.Size) -> None:
        """Before anything is computed: a device that is full has no room for both."""
        self._known = {key: known for key, known in self._known.items() if key[0] != name or key[1][-2:] == size}


def flat(context: Context) -> list[Tensor]:
    """What is read of the prompt, layer by layer."""
    return [part for text in context for part in text]
