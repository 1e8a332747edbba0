"""The real engine on a machine whose memory ends at $TIGHT_BYTES of tensors: counted as they come and go."""

import os
import sys

from bridge.worker.main import main
from engine.measure import AllocationCounter

if __name__ == "__main__":
    with AllocationCounter("cpu", int(os.environ["TIGHT_BYTES"])):
        code = main()
    sys.exit(code)
