"""The reference's own classes, driven in this process on given weights, input and noise: StreamDiffusionV2 0.1.1.

Nothing of them is changed or copied. Two things are gone around, because they are not what is measured: constructors
that read published checkpoints from disk (the objects are made without them, and the same attributes set), and where
random numbers come from (`torch.randn_like` is answered from a list while their stream runs).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace
from unittest.mock import patch

import torch
from torch import Tensor, nn

from engine.preset import Preset

PACKAGE = "streamdiffusionv2"
VERSION = "0.1.1"
HINT = f"pip install -e '.[bench]' && pip install --no-deps {PACKAGE}=={VERSION}"


def missing() -> str:
    """Why the reference cannot be run here, in one sentence; empty if it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import_module("models.wan.causal_stream_inference")
    except ImportError as error:
        return f"the reference is not installed ({error.name or error}): {HINT}"
    origin = sys.modules["models"].__file__ or ""
    return "" if PACKAGE in _distribution(origin) else f"another package named `models` is in the way: {origin}"


def _distribution(origin: str) -> str:
    """What is said to be installed beside the package `models` at `origin`."""
    from pathlib import Path

    return " ".join(path.name for path in Path(origin).parents[1].glob(f"{PACKAGE}-{VERSION}*"))


class Peer:
    """Their stream over the weights of ours: first chunk, then one latent frame a call, `rows` = `steps`.

    dit: state dict in Wan's key names.   vae: likewise, or None to leave the codec out.   embedding: [1, L, D].
    """

    def __init__(
        self, preset: Preset, steps: int, dit: dict[str, Tensor], vae: dict[str, Tensor] | None, embedding: Tensor
    ) -> None:
        self._device, self._dtype = embedding.device, embedding.dtype
        self._frame = preset.tokens
        self.pipeline = self._make_pipeline(preset, steps, dit, embedding)
        self.vae = self._make_vae(preset, vae) if vae is not None else None
        self._at = self._processed = 0

    @torch.inference_mode()
    def start(self, noisy: Tensor, noise: list[Tensor]) -> Tensor:
        """The stream's first chunk [2, C, h, w]: every step at once -> clean latents."""
        self._at = len(noisy) * self._frame
        with answered(noise):
            clean: Tensor = self.pipeline.prepare(
                [""], self._device, self._dtype, noise=noisy[None], current_start=0, current_end=self._at
            )
        return clean[0]

    @torch.inference_mode()
    def step(self, noisy: Tensor, timestep: int, noise: list[Tensor]) -> Tensor | None:
        """One latent frame [1, C, h, w] into row 0 -> what leaves the last row, clean; None while the rows fill."""
        start, self._at = self._at, self._at + self._frame
        self._processed += 1
        with answered(noise):
            rows: Tensor = self.pipeline.inference_stream(noisy[None], start, self._at, timestep)
        return rows[-1] if self._processed >= len(rows) else None  # as their loop decodes

    @torch.inference_mode()
    def encode(self, pixels: Tensor) -> Tensor:
        """[T, 3, H, W] in [-1, 1] -> raw latents [T', C, h, w]."""
        assert self.vae is not None
        latents: Tensor = self.vae.stream_encode(pixels.transpose(0, 1)[None], None)
        return latents[0].transpose(0, 1).contiguous()

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Clean latents [T', C, h, w] -> pixels [T, 3, H, W] in [-1, 1]."""
        assert self.vae is not None
        z = latents.transpose(0, 1)[None]
        pixels: Tensor = self.vae.stream_decode(z, [self._mean.to(z), 1 / self._std.to(z)])
        return pixels[0].transpose(0, 1).clamp_(-1, 1)

    def _make_pipeline(self, preset: Preset, steps: int, dit: dict[str, Tensor], embedding: Tensor):
        stream, wrapper = (import_module(f"models.wan.{name}") for name in ("causal_stream_inference", "wan_wrapper"))
        pipeline = bare(stream.CausalStreamInferencePipeline)
        pipeline.device, pipeline.args = self._device, SimpleNamespace()
        pipeline.generator = self._make_generator(wrapper, preset, dit)
        pipeline.text_encoder = lambda text_prompts: {"prompt_embeds": embedding}
        times = [*preset.schedule.timesteps[:steps], 0]
        settings = SimpleNamespace(denoising_step_list=times, t2v=False, warp_denoising_step=False)
        pipeline._init_denoising_step_list(settings, self._device)
        pipeline.num_transformer_blocks, pipeline.num_heads = preset.dit.layers, preset.dit.heads
        pipeline.frame_seq_length, pipeline.num_frame_per_block = self._frame, 1
        pipeline.num_kv_cache, pipeline.kv_cache_length = preset.window.slots, preset.window.slots * self._frame
        pipeline.num_sink_tokens, pipeline.adapt_sink_threshold = preset.window.sinks, -1
        pipeline.kv_cache1 = pipeline.crossattn_cache = None
        return pipeline

    def _make_generator(self, wrapper, preset: Preset, dit: dict[str, Tensor]) -> nn.Module:
        spec = preset.dit
        generator = bare(wrapper.CausalWanDiffusionWrapper)
        generator.uniform_timestep, generator.seq_len = False, 32760
        generator.scheduler = wrapper.FlowMatchScheduler(
            shift=preset.schedule.shift, sigma_min=0.0, extra_one_step=True
        )
        generator.scheduler.set_timesteps(1000, training=True)
        generator.post_init()
        generator.model = wrapper.CausalWanModel(
            text_len=spec.text_len, in_dim=spec.channels, dim=spec.dim, ffn_dim=spec.ffn, freq_dim=spec.freq_dim,
            text_dim=spec.text_dim, out_dim=spec.channels, num_heads=spec.heads, num_layers=spec.layers, eps=spec.eps,
        )  # fmt: skip
        generator.model.load_state_dict(dit)
        generator.to(self._device, self._dtype).eval().requires_grad_(False)
        return generator

    def _make_vae(self, preset: Preset, weights: dict[str, Tensor]) -> nn.Module:
        codec, widths = preset.codec, preset.codec.widths
        vae = import_module("models.wan.wan_base.modules.vae").WanVAE_(
            dim=widths[0], z_dim=codec.channels, dim_mult=[width // widths[0] for width in widths],
            num_res_blocks=codec.blocks, attn_scales=[], temperal_downsample=[False, True, True],
        )  # fmt: skip
        vae.load_state_dict(weights)
        self._mean, self._std = torch.tensor(codec.mean), torch.tensor(codec.std)
        return vae.to(self._device, self._dtype).eval().requires_grad_(False)


def bare(kind: type[nn.Module]) -> nn.Module:
    """An object of `kind` whose own constructor, which reads checkpoints, has not run."""
    made = kind.__new__(kind)
    nn.Module.__init__(made)
    return made


@contextmanager
def answered(noise: list[Tensor]) -> Iterator[None]:
    """`torch.randn_like` answers from `noise`, oldest first; their warnings about flash-attn are kept quiet."""
    with patch("torch.randn_like", lambda like: noise.pop(0).reshape(like.shape)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
