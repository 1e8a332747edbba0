"""Chooses device and dtype, and times the stages of a chunk without synchronising the device."""

from __future__ import annotations

import time
from typing import Any

import torch

from engine.errors import DeviceUnavailable


def pick_device(name: str | None = None) -> torch.device:
    """The device called `name`, or the best there is: cuda, then mps, then cpu. Raises DeviceUnavailable."""
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = {"cuda": cards, "mps": int(torch.backends.mps.is_available()), "cpu": 1}  # how many of each kind
    known = [kind for kind, count in there.items() if count]
    try:
        device = torch.device(name or known[0])
    except RuntimeError:  # not a device name
        device = torch.device("meta")
    if (device.index or 0) >= there.get(device.type, 0):
        raise DeviceUnavailable(f"there is no device {name!r:.80} here", f"available: {', '.join(known)}")
    return device


def pick_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on a GPU that has it, float16 on other CUDA cards, float32 elsewhere.

    On a CPU bfloat16's rounding would be visible. Macs have bfloat16 since macOS 14; before that they get float32, not
    float16, whose largest number, 65504, is too small for the activations of large transformers.
    """
    if device.type == "mps":
        return torch.bfloat16 if torch.backends.mps.is_macos_or_newer(14, 0) else torch.float32
    if device.type == "cpu":
        return torch.float32
    has_it = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)  # Turing emulates it
    return torch.bfloat16 if has_it else torch.float16


class StageClock:
    """Milliseconds per stage of a chunk. On CUDA it records events, and reads them when the chunk is done."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._marks: list[tuple[str, Any]] = []

    def mark(self, stage: str) -> None:
        """End the stage before and start `stage`, on the current CUDA stream; "" is a gap between stages."""
        self._marks.append((stage, self._now()))

    def end(self) -> list[tuple[str, Any]]:
        """End the last stage and start over. Returns the marks for `read`, which is called when the device is done."""
        marks, self._marks = [*self._marks, ("", self._now())], []
        return marks

    def read(self, marks: list[tuple[str, Any]]) -> dict[str, float]:
        """Milliseconds by stage, in the order they ran."""
        spans: dict[str, float] = {}
        for (stage, start), (_, end) in zip(marks, marks[1:], strict=False):
            if stage:
                spans[stage] = spans.get(stage, 0.0) + self._between(start, end)
        return spans

    def _now(self) -> Any:
        if not self._cuda:
            return time.perf_counter()
        event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def _between(self, start: Any, end: Any) -> float:
        if not self._cuda:
            return float((end - start) * 1000)
        end.synchronize()  # does not wait: the pictures were already waited for
        return float(start.elapsed_time(end))
