"""The one line in the terminal that says how things stand."""

from __future__ import annotations

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bridge.control.control import ControlState
from engine.clock import monotonic

PLAIN_EVERY = 5.0  # seconds between lines where they cannot be overwritten
_BLANK = dict.fromkeys([*range(32), *range(127, 160)], " ")  # what would move the cursor; a prompt may have lines
_COLOURS = {"streaming": "green", "degraded": "yellow", "failover": "yellow", "error": "red"}


class LiveLine:
    """Redraws one line in a terminal; writes a line now and then, and at each change of state, into anything else."""

    def __init__(self, control: ControlState, console: Console | None = None) -> None:
        self._control = control
        self._console = console or Console()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._said = ("", 0.0)  # state and moment of the last plain line

    def start(self) -> None:
        if self._console.is_terminal:
            self._live.start()

    def stop(self) -> None:
        """Leave the terminal as it was. Twice is fine."""
        self._live.stop()

    def say(self, sentence: str, style: str = "") -> None:
        """Write a line that stays."""
        self._console.print(Text(sentence, style), soft_wrap=True)

    def refresh(self) -> None:
        """Show how things stand now."""
        state, now = self._control.status.state, monotonic()
        if self._live.is_started:
            self._live.update(self._line(), refresh=True)
        elif state != self._said[0] or now - self._said[1] >= PLAIN_EVERY:
            self._said = (state, now)
            self._console.print(self._line(), soft_wrap=True)

    def _line(self) -> Text:
        status = self._control.status
        latency = status.latency_ms
        line = Text(f"{status.state:<9}", _COLOURS.get(status.state, "cyan"), no_wrap=True, overflow="ellipsis")
        line.append(f"  in {status.fps_in:4.1f}  out {status.fps_out:4.1f} fps", "default")
        line.append(f"  latency {latency['p50']:.0f} ms, p99 {latency['p99']:.0f}", "default")
        return line.append(f"  {self._control.params.prompt.translate(_BLANK)}", "bold")
