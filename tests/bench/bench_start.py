"""How long `latentcast run` takes from the command to a picture: first the input's own, then the effect's.

python -m tests.bench.bench_start [--starts 5] [--json]

Processors' time counts all processes of the run up to the effect's first picture; other work on the machine hardly
changes it.
"""

from __future__ import annotations

import psutil

from bridge.rings.layout import COUNT, KINDS
from engine.clock import monotonic
from tests.bench.report import arguments, spread, tell
from tests.bridge.running import Running, until


def first_pictures() -> tuple[float, float, float]:
    """Seconds until the first picture of the input and of the effect, and processors' seconds until then."""
    began = monotonic()
    run = Running(source="testcard", program="bridge.cli.commands").watch()
    try:
        moments = {kind: until(lambda kind=kind: newest_is(run, kind)) - began for kind in ("input", "effect")}
        return moments["input"], moments["effect"], processor_time(run)
    finally:
        run.close()


def newest_is(run: Running, kind: str) -> float:
    """Now, if the newest picture in the output is of that kind; else 0."""
    ring = run.viewer.ring
    newest = ring._heads[(ring._words[COUNT] - 1) % ring.slots]
    return monotonic() if ring._words[COUNT] and ring._words[newest + 3] == KINDS[kind] else 0.0


def processor_time(run: Running) -> float:
    processes = [psutil.Process(run.process.pid), *run.children()]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    inputs, effects, processors = zip(*(first_pictures() for _ in range(options.starts)), strict=True)
    figures = {
        "input_s": spread(inputs, 2),
        "effect_s": spread(effects, 2),
        "processor_s": spread(processors, 2),
    }
    human = (
        f"{options.starts} starts: the input after {figures['input_s']['median']} s, the effect after "
        f"{figures['effect_s']['median']} s, {figures['processor_s']['median']} s of the processors until then"
    )
    tell("start", figures, n=options.starts, human=human, as_json=options.json, preset="tiny")


if __name__ == "__main__":
    main()
