"""Applies a preset's accelerations to plain models, in a fixed order. With all of them off, nothing is changed."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from engine.accel import attention, compile, fp8, framewise, gelu
from engine.accel.cudagraph import Capture, GraphedCodec, GraphedDenoiser, capture
from engine.accel.precision import Bfloat16Codec, bfloat16_is_faster
from engine.models.build import Models, build_codec
from engine.models.causal_dit import CausalDiT
from engine.models.interfaces import VideoCodec
from engine.models.wan_vae import WanVae
from engine.preset import AccelSpec, Preset
from engine.stream.pace import plan_of


def accelerate(models: Models, preset: Preset) -> Models:
    """`models` as the switches of `preset.accel` ask for. Weights are changed in place: build them for one use.

    Raises BadPreset and DeviceUnavailable for what is not there.
    """
    spec = preset.accel
    models = replace(models, codec=accelerate_codec(models.codec, spec, models.device))
    if isinstance(denoiser := models.denoiser, CausalDiT):
        if spec.fp8:
            fp8.apply(denoiser)
        attention.apply(denoiser, spec.attention, call_shape(preset))
        if spec.exp_gelu and models.device.type == "cpu":
            gelu.apply(denoiser)
        if spec.compiler != "none":
            compile.apply(denoiser, spec.compiler)
    if uses_graphs(spec, models.device):
        models = graphed(models)
    return models


def with_codec(models: Models, preset: Preset) -> Models:
    """Models of `accelerate` with the codec of `preset`, made as fast; as they are if it is theirs already.

    Raises as `build` and `accelerate` do.
    """
    if getattr(models.codec, "spec", None) == preset.codec:
        return models
    codec = build_codec(preset.codec, models.device, models.dtype)
    codec = accelerate_codec(codec, preset.accel, models.device)
    return replace(models, codec=GraphedCodec(codec) if uses_graphs(preset.accel, models.device) else codec)


def uses_graphs(spec: AccelSpec, device: torch.device) -> bool:
    """Whether work is recorded and replayed as CUDA graphs."""
    return spec.graphs and device.type == "cuda"


def accelerate_codec(codec: VideoCodec, spec: AccelSpec, device: torch.device) -> VideoCodec:
    """A plain codec as the switches ask for, but for graphs. Its weights are changed in place."""
    if not isinstance(codec, nn.Module):
        return codec
    if spec.channels_last:
        use_channels_last(codec)
    half = spec.half_codec and device.type == "cpu" and bfloat16_is_faster()
    if half:
        codec.to(torch.bfloat16)
    if spec.framewise and device.type == "cpu" and isinstance(codec, WanVae):
        framewise.apply(codec)
    return Bfloat16Codec(codec) if half else codec


def graphed(models: Models, capture: Capture = capture) -> Models:
    """The same models, recorded and replayed as CUDA graphs."""
    denoiser = GraphedDenoiser(models.denoiser, models.loras, capture)
    return replace(models, codec=GraphedCodec(models.codec, capture), denoiser=denoiser)


def call_shape(preset: Preset) -> tuple[int, int, int]:
    """Rows, queries and keys of attention in a full window, with the preset's own controls."""
    tokens = preset.tokens
    rows = plan_of(preset, preset.params).rows
    latents = -(-preset.chunk.later // preset.codec.temporal)
    return rows, latents * tokens, preset.window.slots * tokens


def use_channels_last(codec: nn.Module) -> None:
    """Lay out the weights of a codec's convolutions as channels_last, which their fastest kernels read."""
    for layer in codec.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d):
            flat = isinstance(layer, nn.Conv2d)
            layout = torch.channels_last if flat else torch.channels_last_3d
            layer.weight.data = layer.weight.data.contiguous(memory_format=layout)
