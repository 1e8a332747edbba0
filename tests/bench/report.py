"""What every benchmark says at its end: one line for people, and with --json one line for programs."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="one line for programs, and nothing else")
    return parser


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Median and 95th percentile of some measurements."""
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"median": round(statistics.median(ordered), digits), "p95": round(p95, digits)}


def tell(
    bench: str, figures: Mapping[str, Any], *, n: int, human: str, as_json: bool, device: str = "cpu", preset: str = ""
) -> None:
    """Print the result: where it comes from, how many times it was measured, and the figures."""
    origin = {"bench": bench, "commit": commit(), "device": device, "preset": preset, "torch": torch_version(), "n": n}
    print(json.dumps({**origin, **figures}) if as_json else human)  # noqa: T201  a command's answer


def commit() -> str:
    """The checkout measured, "+" after it if it has changes of its own."""
    ask = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    answer = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "unknown"


def torch_version() -> str:
    """Read without importing it, which would take longer than some benchmarks."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return "none"
