import io

from rich.console import Console

from bridge.control.control import ControlState
from bridge.run import live_line
from bridge.run.live_line import LiveLine
from engine.params import Params


def line(terminal, prompt="neon [rain]"):
    control = ControlState(Params(prompt=prompt), lambda action, arguments: None)
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
    return LiveLine(control, console), control, console.file


def test_without_a_terminal_a_line_is_written_at_each_change_of_state_and_now_and_then(monkeypatch):
    live, control, file = line(terminal=False)
    live.start()
    for state in ("loading", "loading", "streaming", "streaming"):
        control.publish(state=state)
        live.refresh()
    assert [text.split()[0] for text in file.getvalue().splitlines()] == ["loading", "streaming"]

    monkeypatch.setattr(live_line, "PLAIN_EVERY", 0.0)
    live.refresh()
    live.stop()
    assert len(file.getvalue().splitlines()) == 3


def test_the_line_says_what_an_operator_looks_for():
    live, control, file = line(terminal=False)
    control.publish(
        state="streaming", fps_in=29.97, fps_out=19.8, latency_ms={"p50": 312.4, "p95": 350.0, "p99": 401.6}
    )
    live.refresh()

    for words in ("streaming", "in 30.0", "out 19.8 fps", "312 ms", "p99 402", "neon [rain]"):
        assert words in file.getvalue()


def test_a_prompt_of_several_lines_moves_no_cursor():
    live, _, file = line(terminal=False, prompt="neon\r\nrain\x1b[2J\x9b2J 🦊")
    live.refresh()

    assert file.getvalue().endswith("neon  rain [2J 2J 🦊\n")
    assert "\x1b" not in file.getvalue()


def test_in_a_terminal_it_is_one_line_that_goes_away_and_what_was_said_stays():
    live, control, file = line(terminal=True)
    live.start()
    control.publish(state="streaming")
    live.refresh()
    live.say("engine: it was ended by signal 9")
    live.refresh()
    live.stop()
    live.stop()

    assert "engine: it was ended by signal 9\n" in file.getvalue()
    assert "streaming" in file.getvalue()
