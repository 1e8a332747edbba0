"""What a student's video is worth: likely under the teacher, and close to the teacher's own."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-6


def matching(video: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """Distribution matching: a scalar whose gradient by `video` is the step that lowers KL(student || teacher).

    video: [B, T, C, h, w], with a gradient.   real, fake: clean estimates of the noised video by teacher and critic.

    The gradient of the divergence is E[(1 - s) (critic's score - teacher's score)], in the notation of
    `engine.train.distill.score`; it is weighted so that all timesteps count alike:

        g = (fake - real) / mean |video - real|        mean over T, C, h, w,     loss = 1/2 |video - (video - g)|^2

    with (video - g) held constant, as a mean over all numbers: d loss / d video = g / number of them.
    Source: Yin et al. 2024, arXiv:2311.18828, equations 7 and 8; arXiv:2405.14867.
    """
    with torch.no_grad():
        size = (video - real).abs().mean((1, 2, 3, 4), keepdim=True)
        aim = video - (fake - real) / (size + EPSILON)
    return 0.5 * (video - aim).square().mean()


def regression(video: Tensor, target: Tensor, worth: Tensor | float = 1.0) -> Tensor:
    """Squared error to the teacher's rollout of the same scene [B, T, C, h, w], relative to what is in that video.

    That is its spread, and a tenth of its energy so that a flat video is not divided by nothing.
    worth: weight of each latent channel [C, 1, 1], where some are known to matter more in the picture.
    Source of the idea: Yin et al. 2024, arXiv:2412.07772 (CausVid), initialisation from the teacher's trajectories.
    """
    spread = (worth * (target - target.mean((1, 3, 4), keepdim=True)).square()).mean((1, 2, 3, 4))
    energy = (worth * target.square()).mean((1, 2, 3, 4))
    error = (worth * (video - target).square()).mean((1, 2, 3, 4))
    return (error / (spread + 0.1 * energy + EPSILON)).mean()


def flow_matching(flow: Tensor, noise: Tensor, video: Tensor, worth: Tensor | float = 1.0) -> Tensor:
    """What the critic learns by: mean squared error of the flow [B, T, C, h, w] that leads from `video` to `noise`.

    worth: as the teacher was trained by, [C, 1, 1]. A small model has to choose what to get right; if critic and
    teacher choose differently, their scores differ where the videos do not.
    """
    return (worth * (flow - (noise - video)).square()).mean()
