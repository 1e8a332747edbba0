"""Flow matching: how much noise a timestep means, mixing it in, and reading the clean estimate out of a flow."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.preset import ScheduleSpec

STEPS = 1000  # training timesteps of every Wan model


class Schedule:
    """The shifted linear schedule of Wan: sigma' = 1 - i/1000, sigma = shift * sigma' / (1 + (shift - 1) * sigma').

    A timestep is looked up at the nearest one in the table, so that 700 means sigma .700232 and 0 means .007944.
    Source: StreamDiffusionV2 c5a0f20, models/wan/flow_match.py.
    """

    def __init__(self, spec: ScheduleSpec, device: torch.device | str = "cpu") -> None:
        linear = torch.linspace(1.0, 0.0, STEPS + 1)[:-1]
        sigmas = spec.shift * linear / (1 + (spec.shift - 1) * linear)
        self.timesteps = (sigmas * STEPS).to(device)  # [1000], falling
        self.sigmas = sigmas.to(device)

    def sigma(self, timesteps: Tensor) -> Tensor:
        """Share of noise 0..1 at each timestep, any shape, float32."""
        nearest = (self.timesteps - timesteps.to(self.timesteps)[..., None]).abs().argmin(-1)
        return self.sigmas[nearest]

    def add_noise(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Mix noise into clean latents [..., C, h, w] at timesteps [...]."""
        sigma = self.sigma(timesteps)[..., None, None, None]
        return ((1 - sigma) * clean + sigma * noise).to(clean.dtype)

    def to_clean(self, noisy: Tensor, flow: Tensor, timesteps: Tensor) -> Tensor:
        """Clean estimate from noisy latents [..., C, h, w] and the flow predicted at timesteps [...]."""
        high = torch.float32 if noisy.device.type == "mps" else torch.float64
        sigma = self.sigma(timesteps).to(high)[..., None, None, None]
        return (noisy.to(high) - sigma * flow.to(high)).to(noisy.dtype)
