"""Decides whether a preset fits into memory, and what to give up if it does not. Integers only, no tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from engine.errors import EngineError
from engine.params import Params
from engine.preset import CodecSpec, Preset
from engine.stream.pace import plan_of

MIN_SIDE = 128  # pixels of the shorter side; below it nothing can be recognised
SHRINK_RATIO = 3, 4  # a picture that is too large is reduced to this share of its sides


class TooLarge(EngineError):
    """A preset does not fit into the memory there is."""


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes on the device, by what they are for.

    window: keys and values of the window.   prompt: keys, values and embeddings of the prompt.
    stream: the codec's state between chunks.   work: peak of temporary tensors within a chunk.
    graphs: for CUDA graphs: working memory of their own, and buffers for their inputs; 0 without graphs.
    loading: peak while weights are loaded, if it is larger than afterwards; else 0.
    """

    denoiser: int
    codec: int
    text: int
    window: int
    prompt: int
    stream: int
    work: int = 0
    graphs: int = 0
    loading: int = 0

    @property
    def least(self) -> int:
        """The least with which it can run: what stays allocated, or the peak while loading."""
        return max(self.fixed, self.loading)

    @property
    def most(self) -> int:
        """The peak."""
        return max(self.total, self.loading)

    @property
    def fixed(self) -> int:
        """What stays allocated all the time."""
        return self.total - self.work

    @property
    def total(self) -> int:
        return sum(self.by_name.values())

    @property
    def by_name(self) -> Mapping[str, int]:
        """The parts of `total`."""
        return {name: size for name, size in asdict(self).items() if name != "loading"}


def check_room(
    preset: Preset, need: MemoryNeed, free: int | None, device: str, others: Mapping[str, MemoryNeed]
) -> None:
    """Raises TooLarge if `preset` needs more than what is `free` to load or to stay, naming `others` that fit.

    free: None where the system does not say.
    """
    if free is None or need.least <= free:
        return
    size, loading = f"{preset.width}x{preset.height}", need.loading > need.fixed
    when = " while its weights are loaded and rounded to 8 bits" if loading else ""
    what = f"{preset.name} at {size} takes {gib(need.least)} of memory on {device}{when}, and {gib(free)} are free"
    fitting = [f"--preset {name} ({gib(other.most)})" for name, other in others.items() if other.most <= free]
    or_else = "close other programs" if loading else "close other programs, or use a smaller --size"
    raise TooLarge(what, f"use {' or '.join(fitting)}" if fitting else or_else)


def gib(size: int) -> str:
    """Bytes as people compare them with their card."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:.1f} MiB"


def no_room(wanted: int, held: int, more: int, free: int) -> str:
    """What is said where `wanted` rows would take `more` bytes than there are, and `held` are used."""
    lacking = f"{wanted} rows take {gib(more)} more, and {gib(free)} are free: there are {held}"
    return f"{lacking}, and a smaller --size has room for more"


def step_down(preset: Preset, params: Params, small: CodecSpec | None) -> tuple[Preset, str] | None:
    """The next thing to give up where memory ran out, and what that means in words; None if nothing is left.

    First what costs time only, then size, then the codec (`small` takes its place, if there is one), then steps.
    """
    plan, fewest = plan_of(preset, params), len(preset.schedule.take(1))
    if plan.rows > 1:
        return _limited(preset, rows=1), "chunks are denoised one at a time"
    if smaller := _smaller(preset):
        return smaller, f"pictures are made at {smaller.width}x{smaller.height}"
    if small is not None and small != preset.codec:
        return replace(preset, codec=small), f"the small codec {small.kind} is used"
    if plan.steps > fewest:
        return _limited(preset, steps=1), "one step is made"
    return None


def _limited(preset: Preset, **limits: int) -> Preset:
    return replace(preset, limits=replace(preset.limits, **limits))


def _smaller(preset: Preset) -> Preset | None:
    share, whole = SHRINK_RATIO
    multiple = preset.size_multiple
    width, height = (side * share // whole // multiple * multiple for side in (preset.width, preset.height))
    return replace(preset, width=width, height=height) if min(width, height) >= MIN_SIDE else None
