"""A run of the product beside a real OBS, as a user starts it: real processes, real engine, embedded model."""

import subprocess
import sys

from tests.bridge.running import ROOT, Running
from tests.obs.lab import until

PRODUCT = "bridge.cli.commands"


def command(obs, *words, **options):
    """`latentcast ...` in the world of that OBS, which it finds by itself; what it printed, and its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", PRODUCT, *words],
        cwd=ROOT,
        env={**obs.environment, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )
    return done.returncode, done.stdout + done.stderr


class Beside(Running):
    """A run of the product in the world of an OBS. source: as after --in."""

    def __init__(self, obs, *options, source="testcard"):
        import os

        before = dict(os.environ)
        os.environ.update(obs.environment)
        try:
            super().__init__(*options, source=source, program=PRODUCT)
        finally:
            os.environ.clear()
            os.environ.update(before)

    def shown(self, obs, look, source, within=60.0, what="OBS never showed it"):
        """Wait until `look` is true of a screenshot of OBS, as long as the run goes on."""

        def seen(picture):
            assert self.process.poll() is None, self.process.communicate()
            return look(picture)

        return obs.shows(seen, source, within, what)

    def kill_engine(self):
        engine = next(child for child in self.children() if "bridge.worker.main" in " ".join(child.cmdline()))
        engine.kill()

    def prompt(self, wanted, within=60.0):
        until(lambda: self.status()["params"]["prompt"] == wanted, within, lambda: self.status()["params"])
