"""One CUDA stream for each stage, so that chunks overlap, and asynchronous copies to the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class Readback:
    """An asynchronous copy of a tensor to the host. `get` waits for this copy, not for work that was launched later."""

    def __init__(self, there: Tensor) -> None:
        self._host, self._event = there, None
        if there.device.type == "cuda":
            self._host = torch.empty(there.shape, dtype=there.dtype, pin_memory=True)
            self._host.copy_(there, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()

    def get(self) -> Tensor:
        """The tensor in the host's memory."""
        if self._event is not None:
            self._event.synchronize()
        return self._host.cpu()


class CudaStreams:
    """When on, encode, denoise and decode have a stream each: a chunk passes through them in order, and while it is
    decoded the next one is denoised. When off, or on another device, everything runs in order on the current stream.
    """

    def __init__(self, device: torch.device, on: bool) -> None:
        self.on = on
        stages = ("encode", "denoise", "decode") if on and device.type == "cuda" else ()
        self._streams = {stage: torch.cuda.Stream(device) for stage in stages}  # type: ignore[no-untyped-call]
        self._latest: torch.cuda.Stream | None = None  # the stream of the stage before

    @contextmanager
    def enter(self, stage: str, *inputs: Tensor) -> Iterator[None]:
        """Launch on the stream of `stage`, after `inputs` are there and after everything on the default stream."""
        stream = self._streams.get(stage)
        if stream is None:
            yield
            return
        stream.wait_stream(torch.cuda.default_stream(stream.device))  # weights, prompts
        if inputs and self._latest is not None:
            stream.wait_stream(self._latest)
        for part in inputs:
            part.record_stream(stream)  # its memory is not reused before this stream has read it
        self._latest = stream
        with torch.cuda.stream(stream):
            yield
