"""The pictures of docs/obs.md: a real OBS without a screen, our clip in it, the filter on it, `latentcast run` behind.

python -m tests.bench.picture_obs docs/pictures
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from bridge.adapters.clip import Clip
from tests.bench.visible_obs import options, photograph, visible_obs
from tests.bridge.films import make_film
from tests.obs.lab import until
from tests.obs.plugin import add_filter, add_source, build, filter_settings

CANVAS = (640, 360)  # small: everything here is drawn by the processor
FILTER = "Latentcast effect"
FRAMES = 72


def film(folder: Path) -> Path:
    clip = Clip("")
    clip.open(*CANVAS)
    pictures = [clip._draw(index) for index in range(FRAMES)]
    return make_film(folder / "clip.mp4", FRAMES, Fraction(24), CANVAS, pictures=pictures)


def streams() -> bool:
    """Whether a run on the usual ports has an effect to show."""
    with suppress(OSError), urllib.request.urlopen("http://127.0.0.1:9512/api/status", timeout=5) as answer:
        return json.load(answer)["state"] == "streaming"
    return False


def main() -> None:
    target = options(__doc__)
    with tempfile.TemporaryDirectory() as folder, visible_obs(CANVAS) as obs:
        obs.install_plugin(build(Path(folder) / "build") / "latentcast.so")
        obs.start()
        add_source(obs, "Camera", "ffmpeg_source", local_file=str(film(Path(folder))), looping=True)
        until(lambda: obs.call("GetInputSettings", inputName="Camera"))
        add_filter(obs, "Camera", FILTER)
        command = filter_settings(obs, "Camera", FILTER)["command"].split()
        run = subprocess.Popen([sys.executable, "-m", "bridge.cli.commands", *command[1:], "--no-browser"])
        try:
            until(streams, target.wait, "the engine did not start")
            look = {"prompt": "comic"}
            obs.call("SetSourceFilterSettings", sourceName="Camera", filterName=FILTER, filterSettings=look)
            time.sleep(target.settle)
            photograph(obs, target.folder / "obs-window.jpg")
            obs.call("OpenInputFiltersDialog", inputName="Camera")
            time.sleep(target.settle)
            photograph(obs, target.folder / "obs-filter.jpg")
        finally:
            run.terminate()
            run.wait()


if __name__ == "__main__":
    main()
