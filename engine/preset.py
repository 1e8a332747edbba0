"""Presets: every number a model needs, frozen, read from configs/presets/*.toml. A new preset means a new engine."""

from __future__ import annotations

import os.path
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args, get_origin, get_type_hints

from engine.errors import BadPreset, EngineError
from engine.params import Params

_HERE = Path(__file__).resolve().parent
MAX_SIDE = 4096  # pixels; beyond it a few pictures fill the memory that rings share
FOLDERS = (_HERE / "presets", _HERE.parent / "configs" / "presets")  # in a wheel; in a checkout


@dataclass(frozen=True, slots=True)
class ChunkSpec:
    """Frames in the first chunk of a stream and in every later one. Wan: 1 + 4n, then 4n."""

    first: int
    later: int

    def __post_init__(self) -> None:
        _need(self.first > 0 and self.later > 0, "a chunk has at least one frame")


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository. sha256: of its content, where it is known; else the hub's own word counts."""

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

    kind: str
    weights: str
    channels: int
    widths: tuple[int, ...]
    blocks: int
    spatial: int = 8
    temporal: int = 4
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    source: HubSource = HubSource()


@dataclass(frozen=True, slots=True)
class DitSpec:
    """The causal diffusion transformer. kind: which one; "wan" is the layout of Wan 2.1."""

    weights: str
    channels: int
    dim: int
    ffn: int
    heads: int
    layers: int
    text_dim: int
    text_len: int
    freq_dim: int = 256
    patch: int = 2
    eps: float = 1e-6
    source: HubSource = HubSource()
    kind: str = "wan"

    def __post_init__(self) -> None:
        even = self.heads > 0 and self.dim % (2 * self.heads) == 0
        _need(even, f"{self.dim} is no even multiple of {self.heads} heads")


@dataclass(frozen=True, slots=True)
class TextSpec:
    """The text encoder. `length` tokens of `dim` come out, whatever the prompt's length.

    tokenizer: a folder beside the weights, for encoders that read words.   words: where its files are from.
    place: "device", beside the denoiser; "cpu", mapped from the file and computed there in the file's own numbers;
           "drop", on the device, but only while a prompt is encoded.
    """

    kind: str
    weights: str
    dim: int
    length: int
    layers: int
    heads: int
    ffn: int
    vocab: int
    tokenizer: str = ""
    place: str = "device"
    source: HubSource = HubSource()
    words: HubSource = HubSource()

    def __post_init__(self) -> None:
        _need(self.place in ("device", "cpu", "drop"), f"place is device, cpu or drop, not {self.place!r}")


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """The key/value window, in latent frames: `slots` in all, the first `sinks` pinned.

    refresh:       a pinned frame less similar than this to the newest one is replaced by it; -1 never.
    sink_distance: how many latent frames a pinned frame may seem to lie behind the newest one, at most.
    """

    slots: int
    sinks: int
    sink_distance: int
    refresh: float = -1.0

    def __post_init__(self) -> None:
        _need(0 <= self.sinks < self.slots, f"{self.sinks} sinks leave no rolling slot among {self.slots}")


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """Flow matching: `timesteps` noisiest first, of which `steps` = k takes the first k.

    lead: the model is told a timestep this much below the noise mixed into a chunk (reference: 0.8 is called 700).
    """

    timesteps: tuple[int, ...]
    shift: float = 8.0
    lead: int = 100
    full_motion: float = 0.2
    memory: float = 0.1

    def __post_init__(self) -> None:
        _need(bool(self.timesteps), "a schedule has at least one timestep")
        _need(self.shift > 0 and self.full_motion > 0, "shift and full_motion are above 0")
        _need(0 <= self.memory <= 1, "memory is a share, 0 to 1")
        _need(self.timesteps != (0,), "0 cannot be the only timestep")

    def take(self, steps: int) -> tuple[int, ...]:
        """The timesteps for `steps`. A 0 at the end stays there, on top of them: it takes the last noise away."""
        noisy = self.timesteps[:-1] if self.timesteps[-1] == 0 else self.timesteps
        return noisy[:steps] + self.timesteps[len(noisy) :]


@dataclass(frozen=True, slots=True)
class LimitSpec:
    """The most rows and steps this preset may use, whatever the controls say; 0 is no limit."""

    rows: int = 0
    steps: int = 0

    def __post_init__(self) -> None:
        _need(self.rows >= 0 and self.steps >= 0, "limits are 0 or more")


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
    framewise:     on a CPU, the Wan codec's convolutions in two dimensions, those of doubled pictures at half the size.
    """

    attention: str = "torch"
    compiler: str = "none"
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
    looks: prompts this model is known to answer well, for surfaces to offer as one tap.
    leaner: the preset whose codec may stand in for this one's where memory runs out.
    """

    name: str
    title: str
    width: int
    height: int
    fps: float
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
        _need(self.fps > 0, "fps is above 0")

    @property
    def params(self) -> Params:
        """The live controls as this preset starts them, at revision 0."""
        return replace(Params().set_all(self.controls), revision=0)

    @property
    def unit(self) -> int:
        """Width and height are multiples of this: one token's side in pixels."""
        return self.codec.spatial * self.dit.patch

    def resized(self, width: int, height: int) -> Preset:
        """The same preset at another size. Raises BadPreset, naming the nearest size that works."""
        unit = self.unit
        near = [min(max(unit, round(side / unit) * unit), MAX_SIDE // unit * unit) for side in (width, height)]
        if near != [width, height]:
            wanted = f"multiples of {unit} up to {MAX_SIDE}"
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
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadPreset(f"{path.name} cannot be read: {error}", "compare it with configs/presets/tiny.toml") from error


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
    try:
        return kind(**values)
    except ValueError as error:
        raise BadPreset(f"{where}: {error}", "compare it with configs/presets/tiny.toml") from error
    except TypeError as error:
        missing = [f.name for f in fields(kind) if f.name not in values]
        raise BadPreset(f"{where}: a key is missing", f"one of: {', '.join(missing)}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint) and isinstance(value, dict):
        return _build(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_value(get_args(hint)[0], item, where) for item in value)
    if get_origin(hint) is Mapping and isinstance(value, dict):
        return MappingProxyType(dict(value))
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise BadPreset(f"{where} cannot be {value!r}", f"it is {getattr(hint, '__name__', hint)}")
    return value
