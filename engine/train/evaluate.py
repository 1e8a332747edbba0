"""How good the shipped weights are, measured through the same Session that plays live."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from engine.frame import Frame
from engine.models.small_codec import SmallCodec
from engine.preset import Preset, load_preset
from engine.session import open_session
from engine.train import measures
from engine.train.clips import Clip, to_tensor, unseen_clip
from engine.train.disk import keep
from engine.train.judge import Judge
from engine.train.looks import LOOKS, render
from engine.weights import load_weights

JSON = ("db", "recognition", "edges", "flicker")  # a look's figures in the line of JSON


@dataclass(frozen=True)
class Marks:
    """One look's figures; see `engine.train.measures` for what each means."""

    db: float
    recognition: float
    edges: float
    flicker: float
    warp: float


def evaluate(clip: Path | None, steps: int, frames: int, sheet: Path | None, as_json: bool, model: str = "tiny") -> str:
    """Play a clip through every look with `steps` steps and measure it. A table, or one line of JSON.

    mean_db is the mean of the looks' decibels without "natural", recognition and flicker_ratio (the looks' mean flicker
    against the codec's own) are over all of them. What cannot be measured, such as flicker where nothing is still, is
    not a number in the table and null in JSON.
    Raises ValueError for a file that holds no video or less than one chunk, and for a model of other looks.
    """
    preset = load_preset(model)
    if preset.codec.kind != "small":
        raise ValueError(f"{model} does not make these looks: evaluate measures tiny, and what was made of it")
    if sheet is not None:
        sheet.parent.mkdir(parents=True, exist_ok=True)
    frames -= frames % preset.codec.temporal
    source = unseen_clip(frames, preset.width, preset.height) if clip is None else read_clip(clip, preset, frames)
    codec = round_trip(source, preset)
    judge = _judge()
    played = {name: play(source, preset, name, steps) for name in LOOKS}
    looks = {name: _mark(name, out, source, judge) for name, out in played.items()}
    if sheet is not None:
        _write_sheet(sheet, source, played)
    summary = {
        "codec_db": measures.decibels(codec, source),
        "mean_db": float(np.mean([marks.db for name, marks in looks.items() if name != "natural"])),
        "recognition": float(np.mean([marks.recognition for marks in looks.values()])),
        "flicker_ratio": _ratio(looks, measures.flicker(codec, source)),
    }
    if as_json:
        each = {name: {key: _plain(getattr(marks, key)) for key in JSON} for name, marks in looks.items()}
        return json.dumps({**{name: _plain(value) for name, value in summary.items()}, "looks": each})
    return f"{steps} steps, {len(source)} frames\n" + _table(summary, looks, judge.held_out)


def _plain(value: float) -> float | None:
    """A figure as JSON has it, which knows no NaN."""
    return None if math.isnan(value) else round(value, 3)


@cache
def _judge() -> Judge:
    return Judge()


def play(source: Clip, preset: Preset, prompt: str, steps: int) -> Clip:
    """What the stream makes of a clip: same number of pictures, same size."""
    session = open_session(preset)
    session.update(preset.params.set_all({"prompt": prompt, "steps": steps, "rows": 1, "fade": 0.0}))
    pictures: list[Frame] = []
    for index, pixels in enumerate(source):
        session.push(Frame(np.ascontiguousarray(pixels), index / preset.fps, index))
        pictures += session.step()
    pictures += session.flush()
    return np.stack([picture.pixels for picture in pictures])


@torch.inference_mode()
def round_trip(source: Clip, preset: Preset) -> Clip:
    """The clip through the codec alone: the best any look could do."""
    codec = SmallCodec(preset.codec).eval()
    load_weights(codec, preset.codec.weights)
    latents, _ = codec.encode(to_tensor(source), None)
    frames, _ = codec.decode(latents, None)
    return ((frames.permute(0, 2, 3, 1) + 1) * 127.5).round().byte().numpy()


def read_clip(path: Path, preset: Preset, frames: int) -> Clip:
    """The first frames of a video, cropped to cover the preset's size."""
    width, height = preset.width, preset.height
    pictures = []
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                pictures.append(_cover(frame.to_ndarray(format="rgb24"), width, height))
                if len(pictures) == frames:
                    break
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"{path} cannot be read as a video: {error}") from error
    whole = len(pictures) - len(pictures) % preset.codec.temporal
    if not whole:
        raise ValueError(
            f"{path} has {len(pictures)} frames, and one chunk is {preset.codec.temporal}: take a longer clip"
        )
    return np.stack(pictures[:whole])


def _cover(picture: Clip, width: int, height: int) -> Clip:
    scale = max(width / picture.shape[1], height / picture.shape[0])
    size = max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale))
    picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    y, x = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[y : y + height, x : x + width]


def _mark(name: str, out: Clip, source: Clip, judge: Judge) -> Marks:
    return Marks(
        db=measures.decibels(out, render(name, source)),
        recognition=judge.recognise(out, name),
        edges=measures.edges(out, source),
        flicker=measures.flicker(out, source),
        warp=measures.warp_error(out, source),
    )


def _ratio(looks: dict[str, Marks], still: float) -> float:
    """Mean flicker over looks against the codec's own; a codec that hardly flickers counts as a tenth of a level."""
    return float(np.mean([marks.flicker for marks in looks.values()]) / max(still, 0.1))


def _table(summary: dict[str, float], looks: dict[str, Marks], held_out: float) -> str:
    lines = [f"{'look':15}{'dB':>7}{'named':>7}{'edges':>7}{'flicker':>9}{'warp':>7}"]
    lines += [
        f"{n:15}{m.db:7.2f}{m.recognition:7.2f}{m.edges:7.2f}{m.flicker:9.2f}{m.warp:7.2f}" for n, m in looks.items()
    ]
    lines.append("  ".join(f"{name} {value:.3f}" for name, value in summary.items()) + f"  judge {held_out:.3f}")
    return "\n".join(lines)


def _write_sheet(path: Path, source: Clip, played: dict[str, Clip]) -> None:
    """Per look, at three moments: what the model made; before them the input and the rendered look at the last one."""
    moments = [len(source) // 4, len(source) // 2, len(source) - 1]
    rows = [
        np.concatenate([source[-1], render(name, source[-1:])[0], *(out[i] for i in moments)], axis=1)
        for name, out in played.items()
    ]
    data = cv2.imencode(".png", np.concatenate(rows)[..., ::-1])[1].tobytes()
    keep({path: lambda part: part.write_bytes(data)})
