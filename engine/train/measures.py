"""What is measured of a stylised clip. Clips are uint8 RGB [T, H, W, 3]; every difference is taken in float."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from engine.train.clips import Clip
from engine.train.looks import LUMA

STILL = 2.0  # of 255: a pixel whose blurred input moved less than this from frame to frame counts as still
SEEN_AGAIN = 8.0  # of 255: a pixel of the source that motion explains to within this is trusted


def decibels(clip: Clip, truth: Clip) -> float:
    """PSNR: 10 log10(255^2 / mean squared error), over all frames at once."""
    error = clip.astype(np.float32) - truth
    return float(10 * np.log10(255**2 / max(float(np.mean(error**2)), 1e-6)))


def flicker(clip: Clip, source: Clip) -> float:
    """Mean |frame - frame before| of `clip`, out of 255, over the pixels at which `source` is still.

    Still: |G * source_t - G * source_(t-1)| < STILL in every colour, G a Gaussian of 2 pixels, so that grain does not
    count. Not a number where nothing is still.
    """
    soft = np.stack([cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 2.0) for frame in source])
    still = (np.abs(np.diff(soft, axis=0)) < STILL).all(-1)
    change = np.abs(np.diff(clip.astype(np.float32), axis=0)).mean(-1)
    return float(change[still].mean()) if still.any() else float("nan")


def edges(clip: Clip, source: Clip) -> float:
    """Correlation of where the edges are, -1..1: of blurred gradient sizes of luma, mean over frames."""
    return float(np.mean([np.corrcoef(_edge_map(a), _edge_map(b))[0, 1] for a, b in zip(clip, source, strict=True)]))


def _edge_map(frame: Clip) -> Clip:
    gray = cv2.GaussianBlur(frame.astype(np.float32) @ LUMA, (0, 0), 1.0)
    size = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    return cv2.GaussianBlur(size, (0, 0), 2.0).ravel()


def warp_error(clip: Clip, source: Clip) -> float:
    """How far a clip is from moving as its source moves: mean |O_t - W(O_(t-1))|, out of 255, where W can be trusted.

    W moves each pixel along the optical flow of the *source* from t to t-1. Trusted: |G * S_t - G * W(S_(t-1))| <
    SEEN_AGAIN in every colour, G a Gaussian of 2 pixels: elsewhere something came into view, or the flow is wrong.
    Not a number where nothing is. After Lai et al. 2018, Learning Blind Video Temporal Consistency, with an absolute
    difference in place of a squared one.
    """
    errors = [_warp_pair(*frames) for frames in zip(clip[:-1], clip[1:], source[:-1], source[1:], strict=True)]
    found = [error for error in errors if not np.isnan(error)]
    return float(np.mean(found)) if found else float("nan")


def _warp_pair(before: Clip, after: Clip, seen_before: Clip, seen_after: Clip) -> float:
    grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (seen_after, seen_before)]
    find: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = find.calc(grays[0], grays[1], None)
    height, width = flow.shape[:2]
    place = flow + np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)

    def change(old: Clip, new: Clip) -> Clip:
        remap: Any = cv2.remap  # its types know no missing second map
        moved = remap(old.astype(np.float32), place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        return new.astype(np.float32) - np.asarray(moved)

    trusted = (np.abs(cv2.GaussianBlur(change(seen_before, seen_after), (0, 0), 2.0)) < SEEN_AGAIN).all(-1)
    return float(np.abs(change(before, after)).mean(-1)[trusted].mean()) if trusted.any() else float("nan")
