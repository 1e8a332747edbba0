"""`latentcast`, with the engine of inverting_engine.py in place of the real one."""

import sys
from functools import partial

from bridge import app, cli

if __name__ == "__main__":
    app.run = partial(app.run, engine="tests.bridge.inverting_engine")
    sys.exit(cli.main())
