"""What the command line prints: tables for people, JSON for programs, one sentence for a mistake."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bridge.diagnosis.devices import Kind
from bridge.diagnosis.doctor import Check
from engine.clock import monotonic
from engine.errors import EngineError
from engine.params import CONTROLS, Control
from engine.preset import load_preset, preset_names

PLAIN_EVERY = 5.0  # seconds between lines of progress where there is no terminal
MARKS = {"ok": Text("ok", "green"), "note": Text("note", "yellow"), "fail": Text("fail", "bold red")}
Progressed = Callable[[int, int | None], None]  # frames done, frames in all if known


def print_error(error: EngineError) -> None:
    """What went wrong, and what to do now."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    console.print(f"latentcast: {error}")
    if error.hint:
        console.print(f"  {error.hint}")


def print_line(text: str) -> None:
    """One sentence, as it is."""
    Console(soft_wrap=True, highlight=False, markup=False).print(text)


def print_json(data: Any) -> None:
    """For programs: one document, whatever the terminal."""
    sys.stdout.write(json.dumps(data, indent=2) + "\n")


def print_lines(lines: Iterable[str]) -> None:
    """Plain sentences, one a line."""
    for line in lines:
        print_line(line)


def print_controls() -> None:
    """The table of live controls."""
    table = _table("control", "takes", "default", "")
    for row in CONTROLS:
        table.add_row(row.name, span(row), _value(row.default), row.help)
    Console().print(table)


def print_presets(running: str = "") -> None:
    """What can be run, and what runs."""
    table = _table("preset", "size", "")
    for name in preset_names():
        preset = load_preset(name)
        mark = Text(" (running)", "green") if name == running else Text()
        table.add_row(Text(name) + mark, f"{preset.width}x{preset.height}", preset.title)
    Console().print(table)


def print_status(status: Mapping[str, Any]) -> None:
    """How a running instance stands."""
    latency, engine, applied = status["latency_ms"], status["engine"], status["applied"]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_row("state", status["state"])
    table.add_row("input", f"{status.get('input', '')}  {status['fps_in']:.1f} fps")
    table.add_row("output", f"{status['fps_out']:.1f} fps, {status['dropped']} dropped")
    table.add_row("latency", ", ".join(f"{name} {value:.0f} ms" for name, value in latency.items()))
    table.add_row("engine", f"{engine['preset']} on {engine['device'] or '-'}, {engine['restarts']} restarts")
    table.add_row("applied", f"revision {applied['revision']} of {status['revision']}, at frame {applied['frame']}")
    for output in status["outputs"]:
        table.add_row(output["kind"], f"{output['name']}  {_how(output)}")
    for name, value in status["params"].items():
        table.add_row(name, _value(value))
    Console(markup=False).print(table)


def _how(output: Mapping[str, Any]) -> str:
    """How an output is doing, and what it writes."""
    state = "ok" if output["state"] == "streaming" else output["state"]
    return " ".join(filter(None, (output["error"] or state, output["file"])))


def print_checks(checks: Sequence[Check]) -> None:
    """What the doctor found, with one line of help for each finding that needs it."""
    fixes = ["" if check.level == "ok" else check.fix for check in checks]
    rows = [(MARKS[check.level], Text(check.name), Text(check.found)) for check in checks]
    _print_rows([(*row, Text(fix, "cyan")) for row, fix in zip(rows, fixes, strict=True)])


def print_devices(kinds: Sequence[Kind]) -> None:
    """What there is to take pictures from and send them to, with what to type, or the cure if there can be none."""
    rows = [(Text("kind", "bold"), Text("type this", "bold"), Text(), Text())]
    for kind in kinds:
        name = Text(kind.name)
        rows += [(name, Text(device.uri), Text(device.what), Text()) for device in kind.devices]
        if kind.problem:
            rows.append((name, Text("-"), Text(kind.problem, "yellow"), Text(kind.fix, "cyan")))
        elif not kind.devices:
            rows.append((name, Text("-"), Text("none", "dim"), Text()))
    _print_rows(rows)


def _print_rows(rows: Sequence[tuple[Text, Text, Text, Text]]) -> None:
    """Two columns and a sentence, under it a line to type, which the terminal may break but we do not: it is copied."""
    console = Console(soft_wrap=True, highlight=False)
    first, second = (max((row[place].cell_len for row in rows), default=0) + 2 for place in (0, 1))
    for mark, name, said, fix in rows:
        line = Text.assemble(mark, " " * (first - mark.cell_len), name, " " * (second - name.cell_len), said)
        line.rstrip()
        console.print(line)
        if fix:
            console.print(Text(" " * (first + second)) + fix)


@contextmanager
def progress(what: str) -> Iterator[Progressed]:
    """A bar with the time that is left; plain lines now and then where there is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_progress(what, console)
        return
    columns = (TextColumn(what), BarColumn(None), MofNCompleteColumn(), TextColumn("{task.speed:.1f} fps"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(what, total=None, speed=0.0)
        started = monotonic()

        def advance(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total, speed=done / max(monotonic() - started, 1e-6))

        yield advance


def span(row: Control) -> str:
    """What a control takes, in a few characters."""
    if row.low is None or row.high is None:
        return {"str": "text", "bool": "on, off"}.get(row.kind, row.kind)
    low, high = (int(end) if end == int(end) else end for end in (row.low, row.high))
    return f"{low} to {high} {row.unit}".rstrip()


def _plain_progress(what: str, console: Console) -> Progressed:
    started = told = monotonic()
    last = 0  # frames, as they were told

    def advance(done: int, total: int | None) -> None:
        nonlocal told, last
        now = monotonic()
        if done == last or (now - told < PLAIN_EVERY and done != total):
            return
        told, last = now, done
        left = f", {(total - done) * (now - started) / done:.0f} s left" if total and done else ""
        console.print(f"{what}: {done} of {total or 'unknown'} frames{left}", highlight=False)

    return advance


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=column not in ("", "takes"), overflow="fold")
    return table


def _value(value: Any) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else f"{value}"
