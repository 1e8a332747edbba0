"""How much memory a preset takes and how much is free. Models run once on the meta device, and tensors are counted.

python -m engine.measure        a table of every preset
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.accel import fp8
from engine.errors import EngineError
from engine.memory import MemoryNeed, check_room, gib
from engine.models.build import make_codec, make_denoiser, make_text
from engine.models.interfaces import CodecState, Context
from engine.models.prompt_padding import LENGTH_STEP
from engine.paths import locate
from engine.preset import Preset, load_preset, preset_names
from engine.stream.kvcache import KVCache
from engine.stream.pace import plan_of
from engine.stream.work import Batch, Row

META = torch.device("meta")
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "alloc_failed")  # the last is how cuBLAS and cuDNN say it
CGROUP = Path("/sys/fs/cgroup")  # where Linux says what a container may have
FADE_EMBEDDINGS = 5  # there are so many embeddings while prompts fade: both weighted, both stacked, and their sum
AMPLE_FACTOR = 16  # times the quick estimate; a preset really takes two or three times the estimate


class AllocationCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that operations allocate, while they live.

    now, most: at this moment, and at the worst one.   limit: more than this raises torch.OutOfMemoryError.
    device:    whose tensors count, "meta" or "cpu".
    """

    def __init__(self, device: str = "meta", limit: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._device, self._limit = device, limit
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [leaf.untyped_storage() for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        self._known.update(given)  # tensors from before are not counted, nor views of them
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if (
                isinstance(leaf, Tensor)
                and leaf.device.type == self._device
                and (store := leaf.untyped_storage()) not in self._known
            ):
                self._known.add(store)
                self._count(store)
        return out

    def _count(self, storage: Any) -> None:
        size = storage.nbytes()
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._gone, size)
        if self._limit is not None and self.now > self._limit:
            raise torch.OutOfMemoryError(f"{size} bytes, with {self.now - size} of {self._limit} taken")

    def _gone(self, size: int) -> None:
        self.now -= size


class FusedAttention(TorchFunctionMode):
    """Replaces scaled_dot_product_attention while counting: fused kernels never materialise the score matrix."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is nn.functional.scaled_dot_product_attention:
            return torch.empty_like(args[0])
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def memory_estimate(
    preset: Preset, dtype: torch.dtype, rows: int | None = None, layers: range | None = None
) -> MemoryNeed:
    """What `preset` takes on a device that computes in `dtype`, with its own controls or `rows` rows.

    layers: of the denoiser, only the part that has these blocks.
    Raises BadPreset for what cannot be built.
    """
    rows = rows or own_rows(preset)
    codec, denoiser, text = make_codec(preset.codec), make_denoiser(preset.dit, layers), make_text(preset.text)
    for model in (denoiser, codec, text):
        model.to(META, dtype)
    rounding = _rounding(denoiser) if preset.accel.fp8 else 0
    cache = KVCache(preset.window, preset.dit, preset.tokens, META, dtype, layers)
    cache.rows(rows)
    context = denoiser.context(torch.empty(1, preset.dit.text_len, preset.dit.text_dim, device=META, dtype=dtype))
    state, coding = _codec_bytes(codec, preset, dtype)
    context_bytes, peaks = size_of(part for pair in context for part in pair), [*coding]
    peaks.append(_denoising_bytes(denoiser, preset, cache, context, rows))
    text_beside = {"device": _weights(text)}.get(preset.text.place, 0)  # while the others are loaded
    return MemoryNeed(
        denoiser=_weights(denoiser),
        codec=_weights(codec),
        text=0 if preset.text.place == "cpu" else _weights(text),
        window=cache.size,
        prompt=context_bytes + FADE_EMBEDDINGS * preset.dit.text_len * preset.dit.text_dim * dtype.itemsize,
        stream=state,
        work=max(peaks),
        graphs=sum(peaks) + 2 * state + context_bytes if preset.accel.graphs else 0,  # states come in and go out
        loading=rounding + _weights(codec) + text_beside if rounding else 0,
    )


def _weights(model: Any) -> int:
    return size_of(model.state_dict().values())


def _rounding(denoiser: Any) -> int:
    """Round the layers to 8 bits. Returns the peak in bytes: all old weights, and what rounding the largest takes."""
    plain = _weights(denoiser)
    layers = [layer for layer in denoiser.modules() if type(layer) is nn.Linear]
    with AllocationCounter() as count:
        fp8.Linear8(max(layers, key=lambda layer: layer.weight.numel()))
    fp8.replace_layers(denoiser)
    return plain + int(count.most)


def own_rows(preset: Preset) -> int:
    """How many rows `preset` has with its own controls."""
    return plan_of(preset, preset.params).rows


def size_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of some tensors, which share nothing."""
    return sum(tensor.numel() * tensor.itemsize for tensor in tensors)


def _codec_bytes(codec: Any, preset: Preset, dtype: torch.dtype) -> tuple[int, list[int]]:
    """Bytes of the codec's state between chunks, and peak bytes of encoding and of decoding one chunk."""
    encoding = decoding = None
    most = [0, 0]
    for frames in (preset.chunk.first, preset.chunk.later):
        pixels = torch.empty(frames, 3, preset.height, preset.width, device=META, dtype=dtype)
        with _counting_fused() as count:
            latents, encoding = codec.encode(pixels, encoding)
            most[0] = max(most[0], count.most - _state_bytes(encoding))
        with _counting_fused() as count:
            decoded, decoding = codec.decode(torch.empty_like(latents), decoding)
            most[1] = max(most[1], count.most - _state_bytes(decoding))
        del decoded
    return _state_bytes(encoding or (), decoding or ()), [max(0, work) for work in most]


def _state_bytes(*states: CodecState) -> int:
    """Bytes of a codec's states; views of one tensor count once."""
    stores = [part.untyped_storage() for state in states for part in state]
    return sum({store._cdata: store.nbytes() for store in stores}.values())


def _denoising_bytes(denoiser: Any, preset: Preset, cache: KVCache, context: Context, rows: int) -> int:
    """Peak bytes of one pass over a full window."""
    slots, frames = preset.window.slots, max(1, preset.chunk.later // preset.codec.temporal)
    codec, newest = preset.codec, tuple(range(slots - frames, slots))
    row = Row(0, newest, slots - frames, (0,), slots, (0,) * preset.window.sinks)
    cache.begin(Batch((row,) * rows, passes=1))
    sides = preset.height // codec.spatial, preset.width // codec.spatial
    latents = torch.empty(rows, frames, codec.channels, *sides, device=META, dtype=cache.keys[0].dtype)
    x = latents if denoiser.begins else _tokens(latents, preset)
    t = torch.zeros(rows, frames, device=META, dtype=torch.int64)
    with _counting_fused() as count:
        denoiser(x, t, cache, _longest(context, preset))
        return count.most


def _tokens(latents: Tensor, preset: Preset) -> Tensor:
    """What goes from one part of the denoiser to the next."""
    sides = (side // preset.dit.patch for side in latents.shape[-2:])
    return latents.new_empty(*latents.shape[:2], *sides, preset.dit.dim)


def _longest(context: Context, preset: Preset) -> Context:
    """The context that takes the most memory: long, with some padding, so that the score matrix is materialised."""
    if preset.dit.text_len <= LENGTH_STEP:
        return context
    return [(*pair, torch.empty(preset.dit.text_len, device=META)) for pair in context]


@contextmanager
def _counting_fused() -> Iterator[AllocationCounter]:
    with AllocationCounter() as count, FusedAttention():
        yield count


def preflight(preset: Preset, device: torch.device, dtype: torch.dtype) -> None:
    """Raises TooLarge, naming presets that do fit, if `preset` cannot run here; before anything is loaded.

    With AMPLE_FACTOR times the quick estimate free, nothing is counted: counting makes torch import its compiler, which
    takes as long as importing torch.
    """
    free, estimate = free_bytes(device), quick_estimate(preset)
    if free is not None and estimate is not None and AMPLE_FACTOR * estimate < free:
        return
    if device.type != "cuda":  # nothing is recorded there
        preset = replace(preset, accel=replace(preset.accel, graphs=False))
    need = memory_estimate(preset, dtype)
    too_large = free is not None and need.least > free
    others = dict(_others(preset.name, dtype)) if too_large else {}
    check_room(preset, need, free, str(device), others)


def quick_estimate(preset: Preset) -> int | None:
    """Bytes of the preset's weight files, and of its window in float32; None where a file is missing."""
    files = [locate(spec.weights) for spec in (preset.codec, preset.dit, preset.text)]
    if not all(file.is_file() for file in files):
        return None
    tokens = own_rows(preset) * preset.window.slots * preset.tokens
    keys_and_values = 2 * preset.dit.layers * preset.dit.dim * torch.float32.itemsize
    return sum(file.stat().st_size for file in files) + tokens * keys_and_values


def _others(name: str, dtype: torch.dtype) -> Iterator[tuple[str, MemoryNeed]]:
    for other in preset_names():
        try:
            if other != name:
                yield other, memory_estimate(load_preset(other), dtype)
        except EngineError:
            continue  # it cannot run here, say for a missing library: not worth advising


def free_bytes(device: torch.device) -> int | None:
    """What a process may still take of the device's memory; None where the system does not say."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return min([int(psutil.virtual_memory().available), *_left_in_container()]) if device.type == "cpu" else None


def _left_in_container() -> Iterator[int]:
    try:
        limit, used = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        cached = next(line for line in (CGROUP / "memory.stat").read_text().splitlines() if line.startswith("file "))
        if limit.isdecimal():
            yield int(limit) - int(used) + int(cached.split()[1])  # page cache is given back
    except (OSError, StopIteration, ValueError):
        return


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that caused it, means that memory ran out, on any device."""
    message = str(error).lower()  # MPS and the CPU have no class of their own for it
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in message for words in OUT_OF_MEMORY):
        return True
    before = error.__cause__ or error.__context__  # a failed capture raises an error of its own
    return before is not None and is_out_of_memory(before)


def release() -> None:
    """Free cached memory that nothing uses."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def table(dtype: torch.dtype = torch.bfloat16) -> Iterator[str]:
    """A line per preset, as Markdown."""
    left_out = ("graphs", "loading")  # no shipped preset uses graphs or fp8
    names = [name for name in MemoryNeed.__dataclass_fields__ if name not in left_out]
    yield f"| preset | size | rows | {' | '.join(names)} | in all |"
    yield "|---" * (len(names) + 4) + "|"
    for preset in map(load_preset, preset_names()):
        for rows in sorted({1, preset.params.steps}):
            need = memory_estimate(preset, dtype, rows)
            cells = " | ".join(gib(need.by_name[column]) for column in names)
            yield f"| `{preset.name}` | {preset.width}x{preset.height} | {rows} | {cells} | {gib(need.total)} |"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in table())
