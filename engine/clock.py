"""The one clock of the project: what every frame's stamp and every deadline is read from."""

from __future__ import annotations

import time

# CLOCK_MONOTONIC on Linux, mach_absolute_time on macOS, QueryPerformanceCounter on Windows: the clocks of OBS
# and of our plugin. `time.monotonic` is the same but for Windows before Python 3.13, where it ticks every 15.6 ms.
monotonic = time.perf_counter
"""Seconds that never go back, the same for all processes of a machine, and finer than a millisecond on every system."""
