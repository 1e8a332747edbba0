"""A self-test in a process of its own: `python -m bridge.diagnosis.selftest_process LOOP`, a selftest.Loop as JSON.

A driver that crashes or hangs then ends this process only, and the command reports it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from typing import NamedTuple

from bridge.adapters.base import EXTRAS
from bridge.diagnosis.doctor import Check
from bridge.diagnosis.selftest import FIND_TIMEOUT, FIRST_PICTURE_TIMEOUT, OPEN_TIMEOUT, Loop, play
from bridge.diagnosis.selftest_report import judge
from bridge.errors import BridgeError
from bridge.process.interpreter import python
from bridge.process.protocol import FINISH_TIMEOUT
from engine.errors import EngineError

MARGIN = 30.0  # seconds beyond what both ends may take; a library from a slow disk


class Outcome(NamedTuple):
    """source: the input that was read.   checks: what was found."""

    source: str
    checks: list[Check]


def run_apart(loop: Loop) -> Outcome:
    """Test a pair of adapters apart from this process. Raises BridgeError, also where a library crashes or hangs."""
    with subprocess.Popen(
        python("-m", "bridge.diagnosis.selftest_process", json.dumps(asdict(loop))), stdout=subprocess.PIPE
    ) as process:
        try:
            said, _ = process.communicate(
                timeout=OPEN_TIMEOUT + FIND_TIMEOUT + FIRST_PICTURE_TIMEOUT + FINISH_TIMEOUT + 2 * loop.seconds + MARGIN
            )
        except subprocess.TimeoutExpired:
            process.kill()
            raise BridgeError(
                f"the test of {loop.sink} did not finish in time", "end other programs that use it, try again"
            ) from None
    try:
        body = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        raise BridgeError(*_crash(loop, process.returncode)) from None
    if "error" in body:
        raise BridgeError(body["error"], body["hint"])
    return Outcome(body["source"], [Check(*check) for check in body["checks"]])


def run_here(loop: Loop) -> Outcome:
    """Test a pair of adapters here. Raises BridgeError if either end does not open."""
    seen = play(loop)
    return Outcome(seen.source, list(judge(loop, seen)))


def _crash(loop: Loop, code: int) -> tuple[str, str]:
    extras = {uri.partition(":")[0] for uri in (loop.source, loop.sink)} & set(EXTRAS)
    install = f"pip install --force-reinstall 'latentcast[{','.join(sorted(extras))}]'" if extras else "see `doctor`"
    return f"a library crashed in the test of {loop.sink} (code {code})", f"try again; if it does so again, {install}"


def main(arguments: list[str]) -> int:
    """Be the process that tests."""
    body: dict[str, object]
    try:
        body = run_here(Loop(**json.loads(arguments[0])))._asdict()
    except EngineError as error:
        body = {"error": str(error), "hint": error.hint}
    except KeyboardInterrupt:
        return 130
    sys.stdout.write("\n" + json.dumps(body) + "\n")  # after whatever a library may have printed
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
