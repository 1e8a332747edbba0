"""What runs inside the machine: our adapters at a real v4l2loopback. Prints what was seen as one line of JSON."""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

from bridge.adapters.base import list_devices, load_sink, load_source
from bridge.adapters.testcard import read_number
from bridge.children.blocking_child import BlockingChild
from bridge.media.slate import slate
from tests.vm.inside import TIMEOUT, Player, Seen, corners, failure, watch

RING, CAMERA = "lc-vm", "320x240@15"
CARD = slice(24, 216)  # the rows of the card in the camera's picture, between the bars of the letterbox
seen = Seen()


def look():
    seen["virtual"] = [device.uri for device in list_devices("virtualcam")]
    seen["cameras before"] = [device.uri for device in list_devices("camera")]
    player = Player(RING)
    arguments = ("--ring", RING, "--", f"virtualcam:{CAMERA},/dev/video9,slate=2")
    with BlockingChild("bridge.adapters.sink_main", *arguments) as ours:
        seen["name"] = ours.opened(TIMEOUT)
        seen["cameras"] = [device.uri for device in list_devices("camera")]
        source = load_source("camera:9")
        source.open(320, 240, 15)
        pictures = watch(source, 6)[5:]
        seen["rate"] = (len(pictures) - 1) / (pictures[-1][0] - pictures[0][0])
        seen["numbers"] = [read_number(picture[CARD]) for _, picture in pictures]
        seen["corners"] = corners(pictures[-1][1][CARD])
        seen["bars"] = int(max(pictures[-1][1][:20].max(), pictures[-1][1][-20:].max()))

        player.on = False
        pictures = watch(source, 6)
        seen["rate without news"] = (len(pictures) - 1) / (pictures[-1][0] - pictures[0][0])
        seen["slate"] = float(np.abs(pictures[-1][1].astype(int) - slate(320, 240)).mean())
        player.on = True
        pictures = watch(source, 3)
        seen["back"] = corners(pictures[-1][1][CARD])

        seen["second owner"] = failure(lambda: second("virtualcam:/dev/video9"))
        source.close()
    with BlockingChild("bridge.adapters.sink_main", *arguments) as again:
        seen["again"] = again.opened(TIMEOUT)
        again.kill()
    with BlockingChild("bridge.adapters.sink_main", *arguments) as again:
        seen["after a kill"] = again.opened(TIMEOUT)


def second(uri):
    with BlockingChild("bridge.adapters.sink_main", "--ring", RING, "--", uri) as child:
        child.opened(TIMEOUT)


def refuse():
    seen["not there"] = failure(lambda: load_sink("virtualcam:/dev/video33").open(64, 48, 30))
    null = os.path.join(tempfile.mkdtemp(), "video0")
    os.mknod(null, 0o020600, os.makedev(1, 3))
    seen["no camera"] = failure(lambda: load_sink(f"virtualcam:{null}").open(64, 48, 30))
    code = "import os, bridge.adapters.virtualcam; from bridge.adapters.base import *; os.setuid(65534)\n"
    code += "try: load_sink('virtualcam:/dev/video10').open(64, 48, 30)\n"
    code += "except AdapterUnavailable as error: print(error, '|', error.hint)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    seen["no permission"] = done.stdout.strip().split(" | ") if done.stdout else done.stderr[-500:]


def test_itself():
    """With long timeouts, since everything is slow in here."""
    code = "from bridge.cli import commands; from bridge.diagnosis import selftest, selftest_process\n"
    code += "selftest_process.run_apart = selftest_process.run_here\n"
    code += f"selftest.OPEN_TIMEOUT = selftest.FIND_TIMEOUT = selftest.FIRST_PICTURE_TIMEOUT = {TIMEOUT}\n"
    code += "commands.main(['selftest', 'virtualcam:320x240@15', '--size', '320x240', '--fps', '5', '--json'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout, done.stderr
    seen["selftest"] = {check["name"]: check["level"] for check in json.loads(done.stdout)["checks"]}


def without():
    subprocess.run(["/sbin/rmmod", "v4l2loopback"], check=True)
    seen["no module"] = failure(lambda: load_sink("virtualcam").open(64, 48, 30))
    seen["no module listed"] = failure(lambda: list_devices("virtualcam"))


if __name__ == "__main__":
    seen.tell(look, refuse, test_itself, without)
