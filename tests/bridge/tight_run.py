"""`latentcast`, with the engine of tight_engine.py: the real one, short of memory."""

import sys
from functools import partial

from bridge.cli import commands
from bridge.run import app

if __name__ == "__main__":
    app.run = partial(app.run, engine="tests.bridge.tight_engine")
    sys.exit(commands.main())
