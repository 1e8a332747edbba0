"""Where rollouts start: clips made on the fly for the embedded model, a folder of films for any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import av
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.models.build import Models
from engine.preset import Preset
from engine.stream.motion import motion
from engine.stream.noise import NoisePolicy
from engine.train.distill.rollout import Scene
from engine.train.distill.settings import BadSettings, Settings

Random = np.random.Generator
WHICH = 2**31 - 1  # no index of a scene: for what a whole batch has in common
CHECKED = 2**30  # batches from this number on are kept for checking


@dataclass(frozen=True)
class Footage:
    """A clip as a stream's chunks: their latents [T, C, h, w], and how much moves in each, None in the first."""

    chunks: Sequence[Tensor]
    moved: Sequence[float | None]


class Scenes(Protocol):
    """Draws scenes; number and index alone decide which, so that a run that resumes draws the same."""

    def draw(self, number: int, indices: range) -> list[Scene]:
        """Those of a batch's scenes that `indices` names; `indices.stop` is the size of the batch."""


class Clips(Protocol):
    """Draws footage and words for it, as `Scenes` does."""

    def draw(self, number: int, indices: range) -> list[tuple[Footage, str]]: ...


class DrawnScenes:
    """Footage and words become scenes: with noise as a session would mix it in, cut to a square now and then."""

    def __init__(self, clips: Clips, models: Models, preset: Preset, settings: Settings, seed: int) -> None:
        self._clips, self._models, self._preset = clips, models, preset
        self._settings, self._seed = settings, seed

    def draw(self, number: int, indices: range) -> list[Scene]:
        cut = bool(self._settings.side) and self._random(number, WHICH).random() >= self._settings.whole
        drawn = zip(indices, self._clips.draw(number, indices), strict=True)
        return [self._scene(footage, words, self._random(number, i), cut) for i, (footage, words) in drawn]

    def _scene(self, footage: Footage, words: str, random: Random, cut: bool) -> Scene:
        params, device = self._preset.params, self._models.device
        still = float(random.uniform(self._settings.noise[0], self._settings.noise[-1]))
        chunks = _cut(footage.chunks, self._settings.side, self._preset.dit.patch, random) if cut else footage.chunks
        return Scene(
            [chunk.to(device, torch.float32) for chunk in chunks],
            noise_shares(footage.moved, still, self._preset),
            embed(self._models, words),
            int(random.integers(2**31)),
            params.carry,
        )

    def _random(self, number: int, index: int) -> Random:
        return np.random.default_rng((self._seed, 7, number, index))


def noise_shares(moved: Sequence[float | None], still: float, preset: Preset) -> list[float]:
    """How much noise each chunk gets, as `engine.session` decides it: the first as much as a still picture."""
    spec = preset.schedule
    policy = NoisePolicy(still, preset.params.motion, spec.full_motion, spec.memory)
    shares: list[float] = []
    for much in moved:
        shares.append(still if much is None else policy.next(much, shares[-1]))
    return shares


@torch.no_grad()
def embed(models: Models, words: str) -> Tensor:
    """[1, L, D], float32."""
    return models.text.encode([words]).float()


@torch.no_grad()
def film_footage(pixels: Tensor, models: Models, preset: Preset) -> Footage:
    """Encode a clip [frames, 3, H, W] in [-1, 1], chunk by chunk as a session does."""
    chunks, moved, state = [], list[float | None](), None
    starts = [0, *range(preset.chunk.first, len(pixels), preset.chunk.later), len(pixels)]
    for start, stop in zip(starts, starts[1:], strict=False):
        part = pixels[start:stop]
        latents, state = models.codec.encode(part, state)
        chunks.append(latents)
        moved.append(None if start == 0 else motion(part, pixels[start - 1]).item())
    return Footage(chunks, moved)


def frames_for(latents: int, preset: Preset) -> int:
    """How many frames a rollout of at least `latents` latent frames is made of: whole chunks."""
    opening = -(-preset.chunk.first // preset.codec.temporal)
    later = preset.chunk.later // preset.codec.temporal
    return preset.chunk.first + preset.chunk.later * max(0, -(-(latents - opening) // later))


def _cut(chunks: Sequence[Tensor], side: int, patch: int, random: Random) -> list[Tensor]:
    """The same square of every chunk, on whole tokens; no larger than the picture."""
    rooms = [max(0, size - side) // patch for size in chunks[0].shape[-2:]]
    y, x = (patch * int(random.integers(room + 1)) for room in rooms)
    return [chunk[..., y : y + side, x : x + side] for chunk in chunks]


class Films:
    """Pieces of a folder's video files, from anywhere within them; words for one from NAME.txt, or of all prompts."""

    def __init__(
        self, folder: Path, prompts: Sequence[str], models: Models, preset: Preset, settings: Settings, seed: int
    ) -> None:
        self._files = sorted(path for path in folder.glob("**/*") if path.suffix.lower() in SUFFIXES)
        self._prompts, self._models, self._preset, self._seed = prompts, models, preset, seed
        self._frames = frames_for(settings.frames, preset)
        if not self._files:
            raise BadSettings(f"{folder} holds no video", f"it takes files that end in {', '.join(sorted(SUFFIXES))}")

    def draw(self, number: int, indices: range) -> list[tuple[Footage, str]]:
        return [self._draw(np.random.default_rng((self._seed, 3, number, index))) for index in indices]

    def _draw(self, random: Random) -> tuple[Footage, str]:
        file = self._files[int(random.integers(len(self._files)))]
        frames = read_piece(file, self._frames, float(random.random()), self._preset)
        pixels = frames.to(self._models.device, self._models.dtype)
        return film_footage(pixels, self._models, self._preset), self._words(file, random)

    def _words(self, file: Path, random: Random) -> str:
        own = file.with_suffix(".txt")
        prompts = read_prompts(own) if own.is_file() else self._prompts
        if not prompts:
            raise BadSettings(f"nothing says what {file.name} should become", f"write {own.name}, or give --prompts")
        return prompts[int(random.integers(len(prompts)))]


SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi"}


def read_prompts(file: Path) -> list[str]:
    """One prompt a line. Raises BadSettings if there is none."""
    try:
        prompts = [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"{file} cannot be read: {error}", "it is a text file with one prompt a line") from error
    if not prompts:
        raise BadSettings(f"{file} holds no prompt", "write one a line")
    return prompts


def read_piece(file: Path, frames: int, where: float, preset: Preset) -> Tensor:
    """`frames` frames [frames, 3, H, W] in [-1, 1] of a video, cropped to cover the preset's size.

    where: 0 starts at the first frame, 1 as late as there are enough. A video that is too short is played to and fro.
    Raises BadSettings for a file that is no video.
    """
    pictures: list[Tensor] = []
    try:
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            spare = float((stream.duration or 0) * (stream.time_base or 0)) - frames / float(stream.average_rate or 25)
            if spare > 0:
                container.seek(int(where * spare * 1_000_000))
            for frame in container.decode(stream):
                pictures.append(_cover(torch.from_numpy(frame.to_ndarray(format="rgb24")), preset))
                if len(pictures) == frames:
                    break
    except (av.FFmpegError, IndexError, OSError) as error:
        raise BadSettings(f"{file} cannot be read as a video: {error}", "take it out of the folder") from error
    if not pictures:
        raise BadSettings(f"{file} holds no picture", "take it out of the folder")
    ring = [*pictures, *pictures[-2:0:-1]]
    return torch.stack([ring[i % len(ring)] for i in range(frames)])


def _cover(picture: Tensor, preset: Preset) -> Tensor:
    """uint8 [H, W, 3] of any size -> [3, height, width] in [-1, 1], cut to the preset's shape and then scaled."""
    height, width = picture.shape[:2]
    scale = min(width / preset.width, height / preset.height)
    tall, wide = max(1, round(preset.height * scale)), max(1, round(preset.width * scale))
    y, x = (height - tall) // 2, (width - wide) // 2
    part = picture[y : y + tall, x : x + wide].permute(2, 0, 1)[None].float()
    fitted = F.interpolate(part, (preset.height, preset.width), mode="bilinear", antialias=True)[0]
    return fitted.clamp(0, 255) * (2 / 255) - 1
