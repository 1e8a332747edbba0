"""A distillation small enough for a test, of the real parts."""

from dataclasses import replace

import av
import numpy as np
import torch
from safetensors.torch import save_file

from engine.train.distill.checkpoint import _toml
from engine.train.distill.generator import Generator
from engine.train.distill.rollout import Scene
from engine.train.distill.settings import Settings
from tests.engine.small import PRESET, film, small_models

SETTINGS = Settings(
    steps=2, rows=1, frames=4, batch=2, updates=6, warm_up=3, teacher_steps=3, times=(500, 200), check_every=3,
)  # fmt: skip
SMALL = replace(
    PRESET,
    width=32,
    height=32,
    codec=replace(PRESET.codec, channels=4),
    dit=replace(PRESET.dit, channels=4, dim=24, ffn=32, layers=1),
    window=replace(PRESET.window, slots=3, sinks=1),
)


def generator(preset=PRESET, recompute=False, seed=0):
    """The small preset's transformer with random weights whose flow is not nothing."""
    torch.manual_seed(seed)
    made = Generator(preset.dit, recompute)
    torch.nn.init.normal_(made.head.head.weight, std=0.05)
    return made


def scene(preset=PRESET, chunks=8, seed=0, carry=True):
    """Random latents to start from, of one latent frame a chunk."""
    random = torch.Generator().manual_seed(seed)
    shape = 1, preset.dit.channels, preset.height // 8, preset.width // 8
    return Scene(
        [torch.randn(shape, generator=random) for _ in range(chunks)],
        [0.75 - 0.01 * (number % 3) for number in range(chunks)],
        torch.randn(1, preset.dit.text_len, preset.dit.text_dim, generator=random),
        seed,
        carry,
    )


class SameScenes:
    """Scenes that know their number, for a distiller without a codec."""

    def __init__(self, preset, chunks):
        self.preset, self.chunks = preset, chunks

    def draw(self, number, indices):
        return [scene(self.preset, self.chunks, seed=100 * (number % 2**20) + index) for index in indices]


def write_preset(folder, preset=PRESET):
    """The small preset as a file, with its random weights beside it."""
    models = small_models(preset)
    torch.nn.init.normal_(models.denoiser.head.head.weight, std=0.05)
    for name, module in (("codec", models.codec), ("dit", models.denoiser), ("text", models.text)):
        save_file(module.state_dict(), folder / f"{name}.safetensors")
    located = replace(
        preset,
        codec=replace(preset.codec, weights=str(folder / "codec.safetensors")),
        text=replace(preset.text, weights=str(folder / "text.safetensors")),
    )
    (folder / "small.toml").write_text(_toml(located, folder / "dit.safetensors", 2))
    return folder / "small.toml"


def write_film(path, frames=40, size=(96, 64)):
    """A video file of a moving pattern."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for picture in film(frames, size):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture.pixels), "rgb24")))
        container.mux(stream.encode())
    return path
