"""`latentcast`, with the engine of inverting_engine.py in place of the real one.

Where $CLOSES_IN is set, recordings are those of slow_recorder.py.
"""

import os
import sys
from functools import partial

from bridge.children.supervisor import module_command
from bridge.cli import commands
from bridge.run import app, outputs

if __name__ == "__main__":
    app.run = partial(app.run, engine="tests.bridge.inverting_engine")
    if "CLOSES_IN" in os.environ:
        outputs.module_command = lambda module, *rest: module_command("tests.bridge.slow_recorder", *rest)
    sys.exit(commands.main())
