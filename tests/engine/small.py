"""A model small enough to build in milliseconds, of the real parts, with random weights."""

from dataclasses import replace

import numpy as np
import torch

from engine.frame import Frame
from engine.models.build import Models
from engine.models.byte_text import ByteText
from engine.models.causal_dit import CausalDiT
from engine.models.small_codec import SmallCodec
from engine.preset import load_preset
from engine.session import Session

_TINY = load_preset("tiny")
PRESET = replace(
    _TINY,
    width=64,
    height=32,
    codec=replace(_TINY.codec, channels=8, widths=(8, 8), blocks=1, scale=4.0),
    dit=replace(_TINY.dit, channels=8, dim=48, ffn=64, heads=2, layers=2, text_dim=16, text_len=4),
    text=replace(_TINY.text, dim=16, length=4, layers=1, heads=2, ffn=16),
)


def small_models(preset=PRESET):
    torch.manual_seed(0)
    modules = SmallCodec(preset.codec), CausalDiT(preset.dit), ByteText(preset.text)
    for module in modules:
        module.eval().requires_grad_(False)
    return Models(*modules, torch.device("cpu"), torch.float32)


def small_session(preset=PRESET, params=None, **options):
    session = Session(small_models(preset), preset, **options)
    if params:
        session.update(preset.params.set_all(params))
    return session


def film(count, size=(PRESET.width, PRESET.height), fps=20.0, seed=1):
    """Frames of a smooth moving pattern."""
    rng = np.random.default_rng(seed)
    width, height = size
    base = rng.integers(40, 215, (height // 8 + 1, width // 8 + 1 + count, 3), np.uint8)
    wide = base.repeat(8, axis=0).repeat(8, axis=1)
    views = [np.ascontiguousarray(wide[:height, i : i + width]) for i in range(count)]
    return [Frame(view, time=i / fps, index=i) for i, view in enumerate(views)]


def play(session, frames):
    """Push every frame, stepping as a worker does, and flush."""
    pictures = []
    for frame in frames:
        session.push(frame)
        pictures += session.step()
    return pictures + session.flush()


def same(one, other):
    return len(one) == len(other) and all(
        np.array_equal(a.pixels, b.pixels) and (a.time, a.index) == (b.time, b.index)
        for a, b in zip(one, other, strict=True)
    )
