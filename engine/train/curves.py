"""Loss curves as a picture."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def draw_curves(folder: Path, stage: str) -> None:
    """Turn <folder>/<stage>.jsonl into <folder>/<stage>.png, one panel per loss."""
    path = folder / f"{stage}.jsonl"
    notes = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    names = [name for name in notes[0] if name not in ("step", "seconds")] if notes else []
    if not names:
        return
    figure, panels = plt.subplots(1, len(names), figsize=(4 * len(names), 3), squeeze=False)
    for panel, name in zip(panels[0], names, strict=True):
        panel.plot([note["step"] for note in notes], [note[name] for note in notes], linewidth=0.8)
        panel.set(title=f"{stage}: {name}", xlabel="step")
    figure.tight_layout()
    figure.savefig(folder / f"{stage}.png", dpi=100)
    plt.close(figure)
