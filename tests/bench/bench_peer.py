"""Side by side with the reference: the same random weights, input and noise, chunk by chunk in turn, in one process.

python -m tests.bench.bench_peer [--json] [--case NAME ...] [--chunks 12]

It uses StreamDiffusionV2 0.1.1 as published, if it is there, and installs nothing. That package pins an older torch and
numpy, so it is added without what it asks for; what of that is imported is in the extra:

    pip install -e '.[bench]' && pip install --no-deps streamdiffusionv2==0.1.1
    taskset -c 0 python -m tests.bench.bench_peer --json

flash-attn is used by the reference where it is installed (CUDA only); without it, it falls back to torch's attention by
itself. tests/bench/peer.py says what is gone around. Every case is a stream whose window is full before time is taken.
`ratio` is the median over chunks of theirs / ours; `agree` is whether what comes out is equal: to 1e-4 in float32 (1e-3
for pixels, which a codec's depth spreads), and in bfloat16 to a relative error of 5 percent, the size of that format's
own rounding over such depth. `share` is where our time goes.
"""

from __future__ import annotations

import statistics
import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.preset import Preset, load_preset
from engine.threads import passive_openmp
from tests.bench.report import arguments, tell

WARM = 8  # chunks until the window has rolled over at least once
ROUGH = 0.05


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the answer. dtype: "float32" or "bfloat16"; codec: pixels in and out, else latents."""

    name: str
    width: int
    height: int
    steps: int
    dtype: str
    codec: bool = False
    full: bool = False  # the published 1.3B dimensions

    @property
    def preset(self) -> Preset:
        """The published preset with as many steps as rows; a quarter as wide and six layers deep unless `full`."""
        wan = load_preset("wan-1.3b")
        wan = replace(wan, window=replace(wan.window, refresh=-1.0), width=self.width, height=self.height)
        wan = replace(wan, accel=replace(wan.accel, channels_last=not self.full), controls={"steps": self.steps})
        if self.full:
            return wan
        dit = replace(wan.dit, dim=384, ffn=2240, heads=3, layers=6, text_dim=1024)
        text, codec = replace(wan.text, dim=dit.text_dim), replace(wan.codec, widths=(24, 48, 96, 96))
        return replace(wan, dit=dit, text=text, codec=codec)


SMALL = (
    Case("small-256-rows1-f32", 256, 256, 1, "float32"),
    Case("small-256-rows2-f32", 256, 256, 2, "float32"),
    Case("small-256-rows1-bf16", 256, 256, 1, "bfloat16"),
    Case("small-256-rows2-bf16", 256, 256, 2, "bfloat16"),
    Case("small-512-rows2-bf16", 512, 512, 2, "bfloat16"),
    Case("small-128-rows2-codec-f32", 128, 128, 2, "float32", codec=True),
    Case("small-128-rows2-codec-bf16", 128, 128, 2, "bfloat16", codec=True),
    Case("small-256-rows2-codec-f32", 256, 256, 2, "float32", codec=True),
    Case("small-256-rows2-codec-bf16", 256, 256, 2, "bfloat16", codec=True),
)
LEAST = (Case("least-64-rows2-codec-f32", 64, 64, 2, "float32", codec=True),)  # to see that all of it works
FULL = tuple(
    Case(f"1.3b-{width}x{height}-rows{steps}-bf16", width, height, steps, "bfloat16", codec=True, full=True)
    for width, height in ((832, 480), (512, 512))
    for steps in (1, 2, 3, 4)
)


class Measured(NamedTuple):
    """ms per chunk of either, in pairs, the largest relative and absolute difference, and our stages."""

    ours: list[float]
    theirs: list[float]
    far: float
    off: float
    stages: dict[str, float]


def measure(case: Case, chunks: int) -> Measured:
    """Stream `chunks` through both after the window is full, each chunk through one and then the other."""
    import torch

    from tests.bench.ours import Ours, material
    from tests.bench.peer import Peer

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = getattr(torch, case.dtype)
    weights, film = material(case.preset, case.steps, case.codec, WARM + chunks, device, dtype)
    ours = Ours(case.preset, case.steps, weights)
    theirs = Peer(case.preset, case.steps, weights.dit, weights.vae if case.codec else None, weights.embedding)
    clock = timer(device)
    mine, other, far, off = [], [], 0.0, 0.0
    for number, chunk in enumerate(film):
        pairs = [(ours, mine), (theirs, other)]
        out = {}
        for runner, times in pairs if number % 2 else reversed(pairs):
            began = clock()
            out[runner] = pass_through(runner, chunk, case.codec)
            times.append(clock() - began)
        if number >= case.steps and out[ours] is not None:
            a, b = out[ours].double(), out[theirs].double()
            far = max(far, float((a - b).norm() / b.norm()))
            off = max(off, float((a - b).abs().max()))
    return Measured(mine[WARM:], other[WARM:], far, off, ours.shares(WARM))


def pass_through(runner, chunk, codec: bool):
    """One chunk in, what comes out; the same words for ours and theirs."""
    noisy = chunk.mix(runner.encode(chunk.pixels)) if codec else chunk.noisy
    clean = (
        runner.step(noisy, chunk.timestep, list(chunk.noise))
        if chunk.number
        else runner.start(noisy, list(chunk.noise))
    )
    if clean is None:
        return None
    return runner.decode(clean) if codec else clean


def timer(device) -> Callable[[], float]:
    """Milliseconds, once the device has done what it was given; on a CPU of this thread, whatever else runs there."""
    import torch

    def now() -> float:
        if device.type != "cuda":
            return 1000 * time.thread_time()
        torch.cuda.synchronize()
        return 1000 * time.perf_counter()

    return now


def report(case: Case, got: Measured, as_json: bool, device: str) -> bool:
    """One case, one line; whether both agree."""
    ratio = statistics.median(theirs / ours for ours, theirs in zip(got.ours, got.theirs, strict=True))
    limit = 1e-3 if case.codec else 1e-4
    agree = got.off <= limit if case.dtype == "float32" else got.far <= ROUGH
    figures = {
        "case": case.name,
        "ratio": round(ratio, 2),
        "agree": agree,
        "ours_ms": round(statistics.median(got.ours), 1),
        "theirs_ms": round(statistics.median(got.theirs), 1),
        "difference": float(f"{got.off if case.dtype == 'float32' else got.far:.2g}"),
        "share": got.stages,
    }
    shares = ", ".join(f"{stage} {share:.0%}" for stage, share in got.stages.items())
    human = (
        f"{case.name}: {figures['ratio']} times the reference's speed, {figures['ours_ms']} ms against "
        f"{figures['theirs_ms']} ms a chunk; {'equal' if agree else 'NOT EQUAL'} ({figures['difference']}); {shares}"
    )
    tell("peer", figures, n=len(got.ours), human=human, as_json=as_json, device=device, preset="wan-1.3b")
    return agree


def some(text: str) -> int:
    """A whole number from 1 on: a median of nothing is none."""
    if (number := int(text)) < 1:
        raise ArgumentTypeError(f"{number} leave nothing to compare; say 1 or more")
    return number


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument(
        "--case", action="append", choices=[case.name for case in SMALL + FULL + LEAST], help="only this one"
    )
    parser.add_argument("--chunks", type=some, default=12, help="of each case, after the window is full")
    options = parser.parse_args()
    passive_openmp()
    import torch

    torch.set_num_threads(1)  # of the CPU, for both

    from tests.bench.peer import missing

    if why := missing():
        print(f"bench_peer: skipped: {why}", file=sys.stderr)  # noqa: T201  a command's answer
        return 3
    gpu = torch.cuda.is_available()
    chosen = (
        [case for case in SMALL + FULL + LEAST if case.name in options.case] if options.case else FULL if gpu else SMALL
    )
    device = torch.cuda.get_device_name() if gpu else "cpu"
    agreed = True
    for case in chosen:
        agreed = report(case, measure(case, options.chunks), options.json, device) and agreed
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
