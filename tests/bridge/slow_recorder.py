"""`bridge.adapters.sink_main` on a slow machine: a recording's file takes $CLOSES_IN seconds to be closed."""

import os
import sys
import time

from bridge.adapters import sink_main
from bridge.adapters.recorder import Recorder

close = Recorder.close


def slowly(self):
    time.sleep(float(os.environ["CLOSES_IN"]))
    close(self)


if __name__ == "__main__":
    Recorder.close = slowly
    sys.exit(sink_main.main())
