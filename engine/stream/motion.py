"""How much a picture moves, measured between neighbouring frames."""

from __future__ import annotations

import torch
from torch import Tensor


def motion(frames: Tensor, before: Tensor) -> Tensor:
    """Largest RMS change between neighbouring frames, as a 0-d tensor on their device (no sync).

    frames: [T, 3, H, W] in [-1, 1].   before: [3, H, W], the frame just ahead of them.
    """
    run = torch.cat([before[None], frames])  # [T+1, 3, H, W]
    change = (
        (run[1:] - run[:-1]).square().mean(dim=(1, 2, 3), dtype=torch.float32)
    )  # float16 cannot sum a million values exactly
    return change.to(run.dtype).sqrt().max()
