"""The model card's two sheets, of a photograph never trained on under a moving camera: looks in time, and steps.

python -m tests.bench.picture_sheets docs/pictures   # writes looks-in-motion.jpg and steps.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from engine.preset import load_preset
from engine.threads import passive_openmp

FRAMES = 48
MOMENTS = (12, 28, 47)  # frames: moving, moving elsewhere, at rest
STEPPED = ("pencil sketch", "neon")
MOST_BYTES = 150_000
LABEL, PAPER, INK = 22, 250, 40


def row(pictures, name, width):
    """Pictures side by side, each `width` wide, with a name above."""
    height = round(pictures[0].shape[0] * width / pictures[0].shape[1])
    small = [cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) for picture in pictures]
    label = np.full((LABEL, width * len(small), 3), PAPER, np.uint8)
    cv2.putText(label, name, (3, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.48, (INK,) * 3, 1, cv2.LINE_AA)
    return np.concatenate([label, np.concatenate(small, axis=1)])


def beside(rows, columns):
    """Rows in `columns` columns with a gap between them."""
    gap = np.full((rows[0].shape[0], 10, 3), PAPER, np.uint8)
    lines = []
    for start in range(0, len(rows), columns):
        parts = [part for cell in rows[start : start + columns] for part in (cell, gap)]
        lines.append(np.concatenate(parts[:-1], axis=1))
    return np.concatenate(lines)


def save(path, sheet):
    """As good a JPEG as fits into MOST_BYTES."""
    for quality in range(90, 30, -4):
        fine, data = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        if fine and len(data) <= MOST_BYTES:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.tobytes())
            return
    raise SystemExit(f"{path} would be larger than {MOST_BYTES} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    passive_openmp()
    from engine.train.clips import unseen_clip
    from engine.train.evaluate import play

    preset = load_preset("tiny")
    source = unseen_clip(FRAMES, preset.width, preset.height)
    looks = [look for look in preset.looks if look != "natural"]
    moments = {look: play(source, preset, look, 2)[list(MOMENTS)] for look in looks}
    save(folder / "looks-in-motion.jpg", beside([row(moments[look], look, 208) for look in looks], 2))
    lines = []
    for look in STEPPED:
        last = [play(source, preset, look, steps)[-1] for steps in (1, 2, 3, 4)]
        lines.append(row([source[-1], *last], f"input; {look} in 1, 2, 3, 4 steps", 256))
    save(folder / "steps.jpg", beside(lines, 1))


if __name__ == "__main__":
    main()
