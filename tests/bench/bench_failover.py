"""What a viewer sees of an engine that is killed again and again.

python -m tests.bench.bench_failover [--kills 10] [--program bridge.cli.commands] [--json]
"""

from __future__ import annotations

import os
import signal
import time

from engine.clock import monotonic
from tests.bench.report import arguments, spread, tell
from tests.bridge.running import FPS, Running, alive, until


def kill_once(run):
    """Kill the engine; seconds of the longest gap in the output, and until the engine's pictures were back."""
    before = run.state("streaming", within=60)
    moment = monotonic()
    os.kill(before["engine"]["pid"], signal.SIGKILL)
    until(lambda: run.status()["engine"]["restarts"] > before["engine"]["restarts"], within=60)
    after = run.state("streaming", within=60)
    back = monotonic() - moment
    assert after["params"] == before["params"], "the same controls"
    return run.viewer.gap(moment), back


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--program", default="bridge.cli.commands", help="module that is `latentcast`")
    options = parser.parse_args()
    run = Running(program=options.program).watch()
    try:
        run.state("streaming", within=60)
        gaps, backs = zip(*(kill_once(run) for _ in range(options.kills)), strict=True)
        device, children = run.status()["engine"]["device"], run.children()
        ended = run.end()
        time.sleep(1.0)  # Python's own tracker of shared memory ends after the run
        left = run.left_over() + [child.cmdline() for child in alive(children)]
    finally:
        run.close()
    figures = {
        "gap_frames": spread([gap * FPS for gap in gaps], 2),
        "longest_gap_ms": round(1000 * max(gaps)),
        "back_s": spread(backs, 2),
        "end_s": round(ended, 2),
        "left_behind": len(left),
    }
    human = (
        f"{options.kills} kills: longest gap in the output {figures['longest_gap_ms']} ms of {1000 / FPS:.0f} a frame, "
        f"the engine's pictures back after {figures['back_s']['median']} s, ended in {figures['end_s']} s, "
        f"{left or 'nothing'} left in shared memory or running"
    )
    tell("failover", figures, n=options.kills, human=human, as_json=options.json, device=device, preset="tiny")


if __name__ == "__main__":
    main()
