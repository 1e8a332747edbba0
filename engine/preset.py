"""Presets: every number a model needs, frozen, read from configs/presets/*.toml. A new preset means a new engine."""

from __future__ import annotations

import os.path
import tomllib
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args, get_origin, get_type_hints

from engine.errors import BadPreset, EngineError
from engine.params import Params, as_written

_HERE = Path(__file__).resolve().parent
MAX_SIDE = 4096  # pixels; larger pictures would fill the shared memory of the rings
EXAMPLE = "compare it with configs/presets/tiny.toml"
MAX_WIDTH = 16384  # channels of a layer
FOLDERS = (_HERE / "presets", _HERE.parent / "configs" / "presets")  # in a wheel; in a checkout


def within(low: float, high: float) -> Mapping[str, Any]:
    """Metadata of a field: the range, both ends included, that a file's number, or each of its numbers, must be in."""
    return {"low": low, "high": high}


def one_of(*choices: str) -> Mapping[str, Any]:
    """Metadata of a field: the values that a file may have."""
    return {"choices": choices}


@dataclass(frozen=True, slots=True)
class ChunkSpec:
    """Frames in the first chunk of a stream and in every later one. Wan: 1 + 4n, then 4n."""

    first: int = field(metadata=within(1, 128))
    later: int = field(metadata=within(1, 128))


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository. sha256: of its content, if it is known; else the hub's own checksum is used."""

    path: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class HubSource:
    """Where the authors publish what a weight file is made from: `files` of `repo` at `revision`, a commit.

    dtype: what the numbers are stored as after conversion ("bf16"); as published if empty.
    """

    repo: str = ""
    revision: str = ""
    files: tuple[HubFile, ...] = ()
    dtype: str = ""


@dataclass(frozen=True, slots=True)
class CodecSpec:
    """The video codec. `channels` of latent, one latent per `spatial` x `spatial` pixels and `temporal` frames.

    scale: the small codec's latents are multiplied by it before the denoiser sees them; noise is relative to that.
    widths, blocks: channels per level, outermost first, and residual blocks per level.
    mean, std: of the codec's own latents, per channel, where the denoiser answers in normalised ones.
    """

    kind: str = field(metadata=one_of("small", "wan", "taehv"))
    weights: str
    channels: int = field(metadata=within(1, 256))
    widths: tuple[int, ...] = field(metadata=within(1, MAX_WIDTH))
    blocks: int = field(metadata=within(1, 16))
    spatial: int = field(default=8, metadata=within(1, 64))
    temporal: int = field(default=4, metadata=within(1, 16))
    scale: float = field(default=1.0, metadata=within(1e-3, 1e3))
    mean: tuple[float, ...] = field(default=(), metadata=within(-1e3, 1e3))
    std: tuple[float, ...] = field(default=(), metadata=within(1e-3, 1e3))
    source: HubSource = HubSource()

    def __post_init__(self) -> None:
        _need(len(self.widths) <= 8, f"{len(self.widths)} widths are more than a codec has levels")
        if self.kind != "small":
            _need(self.spatial == 2 ** (len(self.widths) - 1), "each of its widths after the first halves a picture")
            _need(self.temporal.bit_count() == 1, f"temporal is a power of two, not {self.temporal}")
        _need(len(self.mean) == len(self.std), "mean and std are of as many channels")
        _need(len(self.mean) in (0, self.channels), f"mean and std are of {self.channels} channels")

    def latents(self, frames: int) -> int:
        """How many latents a chunk of `frames` becomes. Raises ValueError if they leave part of one over."""
        alone = frames % self.temporal if self.kind != "small" else 0  # the Wan codecs encode a first frame alone
        whole, over = divmod(frames - alone, self.temporal)
        _need(alone < 2 and not over, f"{frames} frames do not become whole latents of {self.temporal} frames")
        return whole + alone


@dataclass(frozen=True, slots=True)
class DitSpec:
    """The causal diffusion transformer. kind: which one; "wan" is the layout of Wan 2.1."""

    weights: str
    channels: int = field(metadata=within(1, 256))
    dim: int = field(metadata=within(2, MAX_WIDTH))
    ffn: int = field(metadata=within(1, 4 * MAX_WIDTH))
    heads: int = field(metadata=within(1, 256))
    layers: int = field(metadata=within(1, 128))
    text_dim: int = field(metadata=within(1, MAX_WIDTH))
    text_len: int = field(metadata=within(1, 4096))
    freq_dim: int = field(default=256, metadata=within(2, MAX_WIDTH))
    patch: int = field(default=2, metadata=within(1, 16))
    eps: float = field(default=1e-6, metadata=within(1e-12, 1e-2))
    source: HubSource = HubSource()
    kind: str = field(default="wan", metadata=one_of("wan"))

    def __post_init__(self) -> None:
        _need(self.dim % (2 * self.heads) == 0, f"{self.dim} is no even multiple of {self.heads} heads")
        _need(self.freq_dim % 2 == 0, f"freq_dim is even, not {self.freq_dim}")


@dataclass(frozen=True, slots=True)
class TextSpec:
    """The text encoder. `length` tokens of `dim` come out, whatever the prompt's length.

    tokenizer: its folder, for encoders that need one.   words: the source of its files.
    place: "device", beside the denoiser; "cpu", mapped from the file and computed on the CPU in the file's dtype;
           "drop", on the device, but only while a prompt is encoded.
    """

    kind: str = field(metadata=one_of("bytes", "umt5"))
    weights: str
    dim: int = field(metadata=within(1, MAX_WIDTH))
    length: int = field(metadata=within(1, 4096))
    layers: int = field(metadata=within(1, 128))
    heads: int = field(metadata=within(1, 256))
    ffn: int = field(metadata=within(1, 4 * MAX_WIDTH))
    vocab: int = field(metadata=within(1, 2**20))
    tokenizer: str = ""
    place: str = field(default="device", metadata=one_of("device", "cpu", "drop"))
    source: HubSource = HubSource()
    words: HubSource = HubSource()

    def __post_init__(self) -> None:
        _need(self.dim % self.heads == 0, f"{self.dim} is no multiple of {self.heads} heads")
        _need(self.kind != "bytes" or self.vocab >= 256, "there are 256 bytes to know")


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """The key/value window, in latent frames: `slots` in all, the first `sinks` pinned.

    refresh:       a pinned frame less similar than this to the newest one is replaced by it; -1 never.
    sink_distance: how many latent frames a pinned frame may seem to lie behind the newest one, at most.
    """

    slots: int = field(metadata=within(1, 4096))
    sinks: int = field(metadata=within(0, 4096))
    sink_distance: int = field(metadata=within(0, 10**6))
    refresh: float = field(default=-1.0, metadata=within(-1, 1))

    def __post_init__(self) -> None:
        _need(self.sinks < self.slots, f"{self.sinks} sinks leave no rolling slot among {self.slots}")
        _need(
            self.sinks <= self.sink_distance, f"{self.sinks} sinks do not fit into a distance of {self.sink_distance}"
        )


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """Flow matching: `timesteps` noisiest first, of which `steps` = k takes the first k.

    lead: the timestep given to the model is this much below the noise mixed into a chunk (reference: 700 for 0.8).
    """

    timesteps: tuple[int, ...] = field(metadata=within(0, 1000))
    shift: float = field(default=8.0, metadata=within(0.01, 100))
    lead: int = field(default=100, metadata=within(0, 1000))
    full_motion: float = field(default=0.2, metadata=within(1e-3, 10))
    memory: float = field(default=0.1, metadata=within(0, 1))

    def __post_init__(self) -> None:
        _need(bool(self.timesteps), "a schedule has at least one timestep")
        _need(self.timesteps != (0,), "0 cannot be the only timestep")
        _need(all(a > b for a, b in pairwise(self.timesteps)), "each timestep is below the one before")

    def take(self, steps: int) -> tuple[int, ...]:
        """The timesteps for `steps`. A 0 at the end stays there, on top of them: it takes the last noise away."""
        noisy = self.timesteps[:-1] if self.timesteps[-1] == 0 else self.timesteps
        return noisy[:steps] + self.timesteps[len(noisy) :]


@dataclass(frozen=True, slots=True)
class LimitSpec:
    """The most rows and steps this preset may use, whatever the controls say; 0 is no limit."""

    rows: int = field(default=0, metadata=within(0, 5))
    steps: int = field(default=0, metadata=within(0, 5))


@dataclass(frozen=True, slots=True)
class AccelSpec:
    """Switches of engine.accel. Each gives the same pictures as without it, within what its test states.

    attention:     "torch" (whatever torch picks), a kernel's name, or "auto": the fastest of those that are there.
    compiler:      "none", "inductor", or "tensorrt" where torch_tensorrt is installed.
    fp8:           linear layers in 8-bit floats, on Ada and Hopper.
    graphs:        a step, an encoding and a decoding as one CUDA graph each; elsewhere without effect.
    overlap:       on CUDA, encode, denoise and decode on streams of their own; pictures come one call later.
    exp_gelu:      on a CPU, the transformer's activation from exp in place of torch's tanh.
    half_codec:    on a CPU, the codec in bfloat16 where a trial finds that faster.
    channels_last: the codec's weights laid out with channels side by side.
    framewise:     on a CPU, the Wan codec's convolutions as 2-d ones, and upsampling joined with the one after it.
    """

    attention: str = "torch"
    compiler: str = field(default="none", metadata=one_of("none", "inductor", "tensorrt"))
    fp8: bool = False
    graphs: bool = False
    overlap: bool = False
    exp_gelu: bool = False
    half_codec: bool = False
    channels_last: bool = False
    framewise: bool = False


@dataclass(frozen=True, slots=True)
class Preset:
    """One runnable model: size, models, window, schedule, and where its live controls start.

    input: whether pictures go in. Without them (text to video) each chunk begins as noise alone, and frames that are
           pushed only say at which moments pictures are wanted.
    looks: prompts that work well with this model, for surfaces to offer as buttons.
    leaner: the preset whose codec replaces this one's when memory runs out.
    """

    name: str
    title: str
    width: int = field(metadata=within(1, MAX_SIDE))
    height: int = field(metadata=within(1, MAX_SIDE))
    fps: float = field(metadata=within(0.1, 1000))
    chunk: ChunkSpec
    codec: CodecSpec
    dit: DitSpec
    text: TextSpec
    window: WindowSpec
    schedule: ScheduleSpec
    controls: Mapping[str, Any] = field(default_factory=dict)
    looks: tuple[str, ...] = ()
    input: bool = True
    leaner: str = ""
    accel: AccelSpec = field(default_factory=AccelSpec)
    limits: LimitSpec = field(default_factory=LimitSpec)

    def __post_init__(self) -> None:
        _need(self.codec.channels == self.dit.channels, "the codec and the transformer have the same channels")
        _need(self.text.dim == self.dit.text_dim, "the transformer's text_dim is the text encoder's dim")
        self.codec.latents(self.chunk.first)
        rolling = self.window.slots - self.window.sinks
        _need(self.chunk.later % self.codec.temporal == 0, "later chunks are of whole latents")
        _need(self.codec.latents(self.chunk.later) <= rolling, "a chunk does not fit into the window's rolling slots")

    @property
    def params(self) -> Params:
        """The live controls as this preset starts them, at revision 0."""
        return replace(Params().set_all(as_written(self.controls)), revision=0)

    @property
    def size_multiple(self) -> int:
        """Width and height are multiples of this: one token's side in pixels."""
        return self.codec.spatial * self.dit.patch

    @property
    def tokens(self) -> int:
        """Tokens of one latent frame."""
        return (self.width // self.size_multiple) * (self.height // self.size_multiple)

    def resized(self, width: int, height: int) -> Preset:
        """The same preset at another size. Raises BadPreset, naming the nearest size that works."""
        multiple = self.size_multiple
        near = [
            min(max(multiple, round(side / multiple) * multiple), MAX_SIDE // multiple * multiple)
            for side in (width, height)
        ]
        if near != [width, height]:
            wanted = f"multiples of {multiple} up to {MAX_SIDE}"
            raise BadPreset(f"{width}x{height} does not fit: {self.name} needs {wanted}", f"use {near[0]}x{near[1]}")
        return replace(self, width=width, height=height)


def preset_names() -> list[str]:
    """Every preset that can be loaded by name."""
    return sorted({path.stem for folder in FOLDERS for path in folder.glob("*.toml")})


def load_preset(name: str) -> Preset:
    """Read the preset called `name`, or the file `name` if it ends in .toml.

    Raises BadPreset for an unknown name, a file that is not TOML, a key missing, unknown or of a wrong type, and for
    numbers that no model can have.
    """
    table = _read(_find(name))
    if parent := table.pop("extends", None):
        base = _read(_find(str(parent)))
        if "extends" in base:
            raise BadPreset(f"{name} extends {parent}, which extends another", "presets extend one level deep")
        table = _merge(base, table)
    preset: Preset = _build(Preset, table, name)
    if preset.leaner:
        _find(preset.leaner)
    try:
        preset.params  # noqa: B018  a preset whose controls are out of range is found here, not on stage
        return preset.resized(preset.width, preset.height)
    except EngineError as error:
        raise BadPreset(f"preset {name}: {error}", error.hint) from error


def _find(name: str) -> Path:
    paths = [Path(name)] if name.endswith(".toml") else [folder / f"{name}.toml" for folder in FOLDERS]
    for path in paths:
        if os.path.isfile(path) and (name.endswith(".toml") or path.stem in preset_names()):
            return path
    raise BadPreset(f"there is no preset {name!r:.80}", f"known: {', '.join(preset_names())}")


def _read(path: Path) -> dict[str, Any]:
    try:
        return {"name": path.stem, **tomllib.loads(path.read_text(encoding="utf-8"))}
    except RecursionError as error:
        raise BadPreset(f"{path.name} cannot be read: it is nested too deeply", EXAMPLE) from error
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, no TOML, or a number of thousands of digits
        raise BadPreset(f"{path.name} cannot be read: {error}", EXAMPLE) from error


def _need(holds: bool, what: str) -> None:
    """Raises ValueError saying `what` must be, if it is not."""
    if not holds:
        raise ValueError(what)


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    nested = {k: _merge(base[k], v) for k, v in change.items() if isinstance(v, dict) and isinstance(base.get(k), dict)}
    return {**base, **change, **nested}


def _build(kind: type[Any], table: Mapping[str, Any], where: str) -> Any:
    """Make a dataclass of `kind` from a TOML table, checking every key and type."""
    hints = get_type_hints(kind)
    if unknown := sorted(set(table) - set(hints)):
        raise BadPreset(f"{where}: unknown key {unknown[0]!r}", f"known: {', '.join(hints)}")
    values = {key: _value(hints[key], value, f"{where}.{key}") for key, value in table.items()}
    for row in fields(kind):
        if row.name in values:
            _check(row, values[row.name], f"{where}.{row.name}")
    try:
        return kind(**values)
    except ValueError as error:
        raise BadPreset(f"{where}: {error}", EXAMPLE) from error
    except TypeError as error:
        missing = [f.name for f in fields(kind) if f.name not in values]
        raise BadPreset(f"{where}: a key is missing", f"one of: {', '.join(missing)}") from error


TOML_KINDS = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}


def _value(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint) and isinstance(value, dict):
        return _build(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_value(get_args(hint)[0], item, where) for item in value)
    if get_origin(hint) is Mapping and isinstance(value, dict):
        return MappingProxyType(dict(value))
    if hint is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is not hint:
        raise BadPreset(f"{where} cannot be {value!r:.80}", f"give {TOML_KINDS.get(hint, 'a list or a table')}")
    return value


def _check(row: Field[Any], value: Any, where: str) -> None:
    """Raises BadPreset for a value that the field's metadata does not allow."""
    if "choices" in row.metadata and value not in row.metadata["choices"]:
        raise BadPreset(f"{where} cannot be {value!r:.80}", f"known: {', '.join(row.metadata['choices'])}")
    if "low" in row.metadata:
        low, high = row.metadata["low"], row.metadata["high"]
        for number in value if isinstance(value, tuple) else (value,):
            if not low <= number <= high:  # what is not a number is not in a range either
                raise BadPreset(f"{where} cannot be {number!r:.80}", f"give {low:g} to {high:g}")
