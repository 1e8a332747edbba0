"""Scores: in which direction a noised video becomes likelier, for the teacher and for the student's own videos.

Notation. A video x is [B, T, C, h, w], t a timestep, s = sigma(t) of the schedule, e Gaussian noise of x's shape, and

    x_t = (1 - s) x + s e                                                         (the forward process)
    m(x_t, t, c) = x_t - s v(x_t, t, c)                                           (a model's clean estimate)

A model trained by squared error has m = E[x | x_t, c], and with Tweedie's formula its score, the gradient of the log
density of x_t under prompt c, is

    score(x_t, t, c) = -(x_t - (1 - s) m(x_t, t, c)) / s^2                         [B, T, C, h, w]

The teacher's m is fixed. The critic's is trained all along on what the student makes, by flow matching:

    loss = mean |v(x_t, t, c) - (e - x)|^2                                        (since x_t - s (e - x) = x)

Only the difference of two scores at one x_t is ever needed, and there x_t drops out:

    critic's score - teacher's score = (1 - s) / s^2 * (m_critic - m_teacher).

What that means for a model that translates video, such as `tiny`. It was trained on two kinds of input: a noised
*source* at the first step's timesteps, and a noised *look* at those of the later steps. Only of the second kind is it
the clean estimate of a density, that of videos in look c given their past; at the first step's timesteps it answers a
question about another picture, and Tweedie's formula says nothing. So its scores are compared at the later steps'
timesteps alone (`Settings.times` = 500, 400, 200): whether the student's video is a likely video in look c. That it is
still a video *of the source* no score of this teacher can see; the teacher's own rollout of the same scene and the same
noise sees it (`loss.regression`), so for such a teacher the two go together. A model that was trained on everything
from noise to picture (Wan) has a score at all timesteps, and `times` stays empty.

Noise that stays in place is used where the preset's streams carry theirs. Then e is one field for all T frames, and m
is what it is for the teacher: the estimate of frames whose noise is the same.

Sources: Song et al. 2021, arXiv:2011.13456; Lipman et al. 2023, arXiv:2210.02747; Yin et al. 2024, arXiv:2405.14867.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.preset import Preset
from engine.stream.schedule import STEPS, Schedule
from engine.train.distill.generator import Generator
from engine.train.distill.settings import Settings
from engine.train.memory import ClipMemory, one_lane

EDGE = 0.02  # share of timesteps at either end that are left out: there is nothing to be told apart there


class Scores:
    """Draws noised videos and asks models for clean estimates of them.

    preset: of the videos.   carry: whether noise stays in place from frame to frame.
    """

    def __init__(self, preset: Preset, settings: Settings, carry: bool, device: torch.device) -> None:
        self._preset, self._settings, self._carry = preset, settings, carry
        self._schedule = Schedule(preset.schedule, device)

    def noised(self, video: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """A video [B, T, C, h, w] at a timestep drawn for each: x_t, the noise, and timesteps [B, T], whole numbers."""
        t = self._times(video.shape[0], random)[:, None].expand(video.shape[:2]).to(video.device)
        shape = (video.shape[0], 1, *video.shape[2:]) if self._carry else video.shape
        noise = torch.randn(shape, generator=random).to(video.device).expand_as(video)
        return self._schedule.add_noise(video, noise, t), noise, t

    def flow(self, model: Generator, noisy: Tensor, t: Tensor, prompt: Tensor) -> Tensor:
        """v [B, T, C, h, w] of a whole video at once."""
        return model(noisy, t, self._memory(noisy), prompt).float()

    def clean(self, model: Generator, noisy: Tensor, t: Tensor, prompt: Tensor, negative: Tensor | None) -> Tensor:
        """m [B, T, C, h, w]; with a negative prompt guided: m(negative) + guidance * (m(prompt) - m(negative))."""
        guess = self._schedule.to_clean(noisy, self.flow(model, noisy, t, prompt), t)
        if negative is None:
            return guess
        other = self._schedule.to_clean(noisy, self.flow(model, noisy, t, negative), t)
        return other + self._settings.guidance * (guess - other)

    def _times(self, count: int, random: torch.Generator) -> Tensor:
        if self._settings.times:
            return torch.tensor(self._settings.times)[
                torch.randint(len(self._settings.times), (count,), generator=random)
            ]
        share, shift = torch.rand(count, generator=random), self._preset.schedule.shift
        shifted = shift * share / (1 + (shift - 1) * share)
        return (STEPS * shifted.clamp(EDGE, 1 - EDGE)).long()

    def _memory(self, video: Tensor) -> ClipMemory:
        """All frames at one timestep; a causal model sees the past at that timestep too."""
        frames, tokens = video.shape[1], video.shape[-1] * video.shape[-2] // self._preset.dit.patch**2
        if self._settings.causal:
            return one_lane(range(frames), tokens, self._preset.window).to(video.device)
        return ClipMemory(torch.arange(frames, device=video.device)[None], None)
