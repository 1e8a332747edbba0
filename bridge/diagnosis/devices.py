"""Lists the devices that pictures can come from and go to. `python -m bridge.diagnosis.devices KIND`: a kind, as JSON.

Each kind is looked at in a process of its own: a driver that hangs or crashes affects only its own line.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from typing import NamedTuple

from bridge.adapters.base import DEVICE_LISTS, ONLY_ON, Device, list_devices
from bridge.errors import AdapterUnavailable
from bridge.process.interpreter import python

ANSWER_TIMEOUT = 20.0  # seconds; a library from a slow disk, and NDI listens for three


class Kind(NamedTuple):
    """One kind of device: what there is of it, or why there can be none and what to do."""

    name: str
    devices: tuple[Device, ...] = ()
    problem: str = ""
    fix: str = ""


def look(kinds: Iterable[str] = tuple(DEVICE_LISTS)) -> list[Kind]:
    """Look for all of these kinds at once. Raises nothing: what fails is a Kind with a problem."""
    processes = [(kind, _begin(kind)) for kind in kinds]
    return [_hear(kind, process) for kind, process in processes]


def here(kind: str) -> bool:
    """Whether this system can have devices of this kind at all."""
    return kind not in ONLY_ON or ONLY_ON[kind][0] == sys.platform


def _begin(kind: str) -> subprocess.Popen[bytes]:
    command = python("-m", "bridge.diagnosis.devices", kind)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def _hear(kind: str, process: subprocess.Popen[bytes]) -> Kind:
    with process:
        try:
            said, _ = process.communicate(timeout=ANSWER_TIMEOUT)
            body = json.loads(said.splitlines()[-1])
        except subprocess.TimeoutExpired:
            process.kill()
            return Kind(kind, (), f"{kind} gave no answer for {ANSWER_TIMEOUT:.0f} s", "end the program that uses it")
        except (ValueError, IndexError):  # it crashed
            fix = f"its library is broken: pip install --force-reinstall 'latentcast[{kind}]'"
            return Kind(kind, (), f"looking for {kind} ended with code {process.returncode}", fix)
    return Kind(kind, tuple(Device(*device) for device in body["devices"]), body["problem"], body["fix"])


def main(arguments: list[str]) -> int:
    """Be the process that looks for one kind."""
    found = Kind(arguments[0])
    try:
        found = found._replace(devices=tuple(list_devices(found.name)))
    except AdapterUnavailable as error:
        found = found._replace(problem=str(error), fix=error.hint)
    sys.stdout.write("\n" + json.dumps(found._asdict()) + "\n")  # after whatever a library may have printed
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
