"""How fast a preset streams: frames in, pictures out, nothing around it, and where the time of a chunk goes.

python -m tests.bench.bench_stream [--preset tiny] [--steps 2] [--rows 1] [--seconds 20] [--json]
"""

from __future__ import annotations

import time
from dataclasses import replace

from bridge.adapters.base import load_source
from engine.frame import Frame
from engine.preset import load_preset
from engine.threads import passive_openmp
from tests.bench.report import arguments, spread, tell


def film(preset, count):
    """The built-in clip's first `count` frames."""
    source = load_source("clip")
    source.open(preset.width, preset.height)
    frames = []
    while len(frames) < count:
        if (frame := source.read(1.0)) is not None:
            frames.append(frame)
    source.close()
    return frames


def stream(session, frames, length, seconds):
    """ms of each chunk and of each of its stages, over `seconds`, frames repeated for as long as it takes."""
    chunks, stages, index, end = [], {}, 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        for _ in range(length):
            session.push(Frame(frames[index % len(frames)].pixels, index / 20, index))
            index += 1
        began = time.perf_counter()
        session.step()
        chunks.append(1000 * (time.perf_counter() - began))
        for stage, ms in session.report.stages_ms.items():
            stages.setdefault(stage, []).append(ms)
    return chunks, stages


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    preset = load_preset(options.preset)
    params = replace(preset.params, steps=options.steps)
    params = params if options.rows is None else replace(params, rows=options.rows)
    passive_openmp()
    from engine.session import open_session

    session = open_session(preset)
    session.update(params)
    frames, length = film(preset, 40), preset.chunk.later
    stream(session, frames, preset.chunk.first, seconds=0.0)
    stream(session, frames, length, seconds=2.0)  # the window fills
    chunks, stages = stream(session, frames, length, options.seconds)
    fps = length * len(chunks) / (sum(chunks) / 1000)
    stages_ms = {stage: spread(ms)["median"] for stage, ms in stages.items()}
    shares = ", ".join(f"{stage} {ms:.0f} ms" for stage, ms in stages_ms.items())
    human = (
        f"{preset.name} {preset.width}x{preset.height}, {params.steps} steps: {fps:.1f} FPS, "
        f"chunk {spread(chunks)['median']} ms (p95 {spread(chunks)['p95']}): {shares}"
    )
    figures = {"fps": round(fps, 1), "steps": params.steps, "chunk_ms": spread(chunks), "stages_ms": stages_ms}
    tell("stream", figures, n=len(chunks), human=human, as_json=options.json, device=session.device, preset=preset.name)


if __name__ == "__main__":
    main()
