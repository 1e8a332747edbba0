"""`latentcast download`: what a preset's models are made from, fetched from the hub, verified, and converted."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.process.interpreter import python
from bridge.weights import hub
from bridge.weights.hub import HubError, RemoteFile
from bridge.weights.progress import Bar, amount
from engine.checksum import checksum_path, is_damaged
from engine.paths import MODELS_VARIABLE, PACKAGE, models_folder
from engine.preset import HubFile, HubSource, Preset, load_preset

KINDS = {"wan": "vae", "taehv": "taehv", "umt5": "umt5"}  # of a preset -> as engine.convert calls them
ARRIVALS = "arrivals"  # the folder for what is not converted yet
LOCK = ".download.lock"


@dataclass(frozen=True, slots=True)
class Part:
    """One thing a preset needs in the models folder.

    kind: for engine.convert; a folder of files that are used as they are has none.
    damaged: what is at `target` is not what its checksum says.
    """

    source: HubSource
    target: Path
    kind: str = ""
    damaged: bool = False

    def wanted(self) -> list[HubFile]:
        """The files that are to be fetched for it."""
        if self.kind:
            return [] if self.target.is_file() and not self.damaged else list(self.source.files)
        return [file for file in self.source.files if not (self.target / Path(file.path).name).is_file()]


@dataclass(frozen=True, slots=True)
class Transfer:
    """One file to be fetched. `here` is where it lies already, in somebody else's cache."""

    part: Part
    offer: RemoteFile
    arrival: Path
    here: Path | None = None


def parts_of(preset: Preset, folder: Path) -> list[Part]:
    """Everything that is not part of the package, in the order in which it is best fetched: small things first."""
    kinds = (
        (preset.codec, KINDS.get(preset.codec.kind, "")),
        (preset.dit, "dit"),
        (preset.text, KINDS.get(preset.text.kind, "")),
    )
    models = [
        Part(spec.source, folder / spec.weights, kind) for spec, kind in kinds if not spec.weights.startswith(PACKAGE)
    ]
    words = [Part(preset.text.words, folder / preset.text.tokenizer)] if preset.text.tokenizer else []
    return [part for part in words + models if part.source.repo]


def download(name: str, to: Path | None = None, keep: bool = False) -> None:
    """Make `name` ready to run, below `to` or the usual models folder; what is there already is compared with its
    checksum, and fetched again only if it is damaged.

    keep: do not remove the authors' files once they are converted. Raises BadPreset and HubError; every file that is
    in its place then is whole.
    """
    preset, folder = load_preset(name), (to or models_folder()).expanduser().resolve()
    _check_sources(name, preset)
    bar = Bar()
    parts = [_checked(part, bar) for part in parts_of(preset, folder)]
    if any(part.wanted() for part in parts):
        with _locked(folder, bar):
            _fetch_all(name, parts, folder, keep, bar)
    bar.say(f"{name} is ready in {folder}: {_next_step(name, folder)}")


def _checked(part: Part, bar: Bar) -> Part:
    """The part, compared with its checksum if it has one: some seconds for a large file."""
    if not (part.kind and part.target.is_file() and checksum_path(part.target).is_file()):
        return part
    bar.say(f"checking {part.target}")
    try:
        damaged = is_damaged(part.target)
    except OSError as error:
        raise HubError(f"{part.target} cannot be read: {error.strerror}", "look at its permissions") from error
    if damaged:
        bar.say(f"{part.target} is damaged: it is fetched again")
    return replace(part, damaged=damaged)


def _fetch_all(name: str, parts: Sequence[Part], folder: Path, keep: bool, bar: Bar) -> None:
    for part in parts:
        if part.kind:  # what a conversion left that was killed; nobody else is at it now
            part.target.with_name(part.target.name + ".part").unlink(missing_ok=True)
    transfers = list(_transfers(parts, folder, bar))
    _check_room(transfers, folder)
    bar.announce(sum(_missing(transfer) for transfer in transfers), folder)
    with bar:
        for transfer in transfers:
            _run(transfer, name, keep, bar)
    arrivals = folder / ARRIVALS
    if arrivals.is_dir() and not any(arrivals.iterdir()):
        arrivals.rmdir()


@contextmanager
def _locked(folder: Path, bar: Bar) -> Iterator[None]:
    """One download at a time into a folder; another waits, and finds done what the first one did.

    The file that is locked stays: were it removed while somebody waits for it, a third one would lock a new one.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            bar.say(f"another download into {folder} is under way: this one goes on when that has ended")
            lock.acquire()
    except NotImplementedError:
        pass  # a disk without locks, as filelock 3 says it; whatever two at once would mix up, the digests show
    except OSError as error:
        what = f"{folder} cannot be written: {error.strerror or error}"
        raise HubError(what, "choose another folder with --to") from error
    try:
        yield
    finally:
        lock.release()


def most_at_once(steps: Iterable[tuple[int, bool]]) -> int:
    """Bytes that the files take at most, if each (size, converted) is fetched, converted to as much, and removed."""
    kept = most = 0
    for size, converted in steps:
        most = max(most, kept + size * (2 if converted else 1))
        kept += size
    return most


def _check_sources(name: str, preset: Preset) -> None:
    if all(spec.weights.startswith(PACKAGE) for spec in (preset.codec, preset.dit, preset.text)):
        raise HubError(f"{name} needs no download: its weights came with latentcast", f"latentcast run --preset {name}")
    if not all(
        spec.weights.startswith(PACKAGE) or spec.source.repo for spec in (preset.codec, preset.dit, preset.text)
    ):
        raise HubError(f"{name} does not say where its weights are from", "add a [dit.source], as wan-1.3b has")


def _transfers(parts: Iterable[Part], folder: Path, bar: Bar) -> Iterator[Transfer]:
    for part in parts:
        for file in part.wanted():
            bar.say(f"looking for {file.path} in {part.source.repo}")
            here = hub.cached(part.source, file)
            offer = _offer_of(here, part.source, file) if here else hub.look_up(part.source, file)
            yield Transfer(part, offer, folder / ARRIVALS / f"{offer.digest}{Path(file.path).suffix}", here)


def _offer_of(here: Path, source: HubSource, file: HubFile) -> RemoteFile:
    """A file in the hub's cache is called by its digest, behind a link."""
    return RemoteFile(f"{source.repo}/{file.path}", "", here.stat().st_size, file.sha256 or here.resolve().name)


def _missing(transfer: Transfer) -> int:
    """Bytes still to be fetched."""
    if transfer.here or transfer.arrival.is_file():
        return 0
    part = transfer.arrival.with_name(transfer.arrival.name + ".part")
    return max(0, transfer.offer.size - (part.stat().st_size if part.is_file() else 0))


def _check_room(transfers: Iterable[Transfer], folder: Path) -> None:
    need = most_at_once((transfer.offer.size, bool(transfer.part.kind)) for transfer in transfers)
    exists = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(exists).free
    if free < need:
        what = f"{exists} has {amount(free)} free, and fetching and converting takes {amount(need)}"
        raise HubError(what, "make room, or choose another disk with --to")


def _run(transfer: Transfer, preset: str, keep: bool, bar: Bar) -> None:
    source, part = transfer.here or transfer.arrival, transfer.part
    file = Path(transfer.offer.name).name
    with bar.file(file, transfer.offer.size) as on_bytes:
        if transfer.here or transfer.arrival.is_file():
            hub.verify(transfer.offer, source)
            on_bytes(transfer.offer.size)
        else:
            hub.fetch(transfer.offer, transfer.arrival, on_bytes)
    if part.kind:
        bar.say(f"converting {file}")
        _convert(source, part, preset)
    else:
        _place(source, part.target / file)
    if not keep:
        transfer.arrival.unlink(missing_ok=True)


def _convert(source: Path, part: Part, preset: str) -> None:
    """In a process of its own: the bridge never loads torch."""
    dtype = ["--dtype", part.source.dtype] if part.source.dtype else []
    command = python("-m", "engine.convert", str(source), str(part.target), "--kind", part.kind, "--preset", preset)
    done = subprocess.run([*command, *dtype], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it ended without an error message"])[-1]
        raise HubError(f"{part.target.name} cannot be made: {said}", "")


def _place(source: Path, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, part)
        os.replace(part, target)
    except OSError as error:
        if part.is_file():
            part.unlink()
        raise HubError(f"{target} cannot be written: {error.strerror}", "choose another folder with --to") from error


def _next_step(name: str, folder: Path) -> str:
    command = f"latentcast run --preset {name}"
    return command if folder == models_folder().resolve() else f"{MODELS_VARIABLE}={folder} {command}"
