"""The command line: reads what was asked for, calls who can do it, and says in one sentence why not."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from bridge.cli import obs, printing
from bridge.client import NotRunning, ask, ask_status
from bridge.diagnosis import devices
from bridge.diagnosis.doctor import examine
from bridge.errors import BridgeError
from bridge.media.paths import why_no_file
from bridge.options import BadOption, RunOptions, read_config
from bridge.process import terminal
from bridge.process.loading import INTERRUPTED, loading
from bridge.process.termination import graceful_termination
from engine.errors import EngineError
from engine.params import CONTROLS, Control
from engine.preset import Preset, load_preset

USER_ERROR = 2
DAMAGED = 3  # what was asked for is done, with less than was hoped for


class Parser(argparse.ArgumentParser):
    """argparse, except that a mistake is an error like every other: one sentence, and a next step."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """What a command does not know is its own mistake, and its own help says what it knows."""
        given, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return given, unknown

    def error(self, message: str) -> NoReturn:
        raise BadOption(message, f"see `{self.prog} --help`")


class Version(argparse.Action):
    """Says which version this is; looked up only when somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        printing.print_line(f"latentcast {version('latentcast')}")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    terminal.protect_streams()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        given = build_parser().parse_args(arguments)
        code: int = given.command(given)
        terminal.check_written()
        return code
    except EngineError as error:
        printing.print_error(error)
        return USER_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        terminal.finish()


def build_parser() -> Parser:
    """Every command and option; those for live controls come from the table."""
    parser = Parser(prog="latentcast", description="Live generative video.", allow_abbrev=False)
    parser.add_argument("--version", action=Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=Parser)

    run = _command(commands, "run", _run, "run live: from an input through the engine to the outputs")
    _add_run_options(run)
    _add_model_options(run, CONTROLS)
    _add_instance_options(run)

    render = _command(commands, "render", _render, "stylise a video file, or make one from words")
    render.epilog = "Exit code 3: OUT is whole, but part of IN was damaged and could not be read."
    film: Any = {"type": Path, "nargs": "?", "default": None}
    render.add_argument("source", metavar="IN", help="the video to read", **film)
    render.add_argument("target", metavar="OUT", help="the video to write; its sound is the input's", **film)
    render.add_argument("--out", type=Path, default=None, metavar="FILE", help="the video to write, instead of OUT")
    render.add_argument("--seconds", dest="duration", metavar="N", help="how long, for a preset that takes no input")
    _add_model_options(render, [row for row in CONTROLS if row.home == "engine"])  # a file has no live picture to mix

    status = _command(commands, "status", _status, "show the state of the running instance")
    preset = _command(commands, "preset", _preset, "change the running instance's model, or list what there is")
    preset.add_argument("name", metavar="NAME", nargs="?", help="the preset to run")
    download = _command(commands, "download", _download, "download the weights of a preset and convert them")
    download.add_argument("name", metavar="PRESET", help="`latentcast preset` lists them")
    download.add_argument(
        "--to", type=Path, metavar="FOLDER", help="store them in this folder instead of the usual one"
    )
    download.add_argument("--keep", action="store_true", help="keep the authors' files after conversion")
    doctor = _command(commands, "doctor", _doctor, "check this machine, and say how to fix what is missing")
    doctor.add_argument("--preset", metavar="NAME", help="the model to check")
    listing = _command(commands, "devices", _devices, "list cameras, rings and other programs, with the URI of each")
    selftest = _command(
        commands, "selftest", _selftest, "send a test card out and back in, and report what changed on the way"
    )
    _add_selftest_options(selftest)
    controls = _command(commands, "controls", _controls, "list the live controls")
    obs.add_commands(commands, _command, _add_controls)
    for command in (status, preset, doctor):
        _add_instance_options(command)
    for command in (status, doctor, listing, selftest, controls):
        command.add_argument("--json", action="store_true", help="print JSON, for programs")
    return parser


def _command(commands: Any, name: str, function: Any, help: str) -> Parser:
    made: Parser = commands.add_parser(
        name,
        help=help,
        description=help[:1].upper() + help[1:] + ".",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    made.set_defaults(command=function)
    made.add_argument(
        "--config", type=Path, metavar="FILE", help="read options from this file instead of the usual one"
    )
    return made


def _add_run_options(parser: Parser) -> None:
    add = parser.add_argument
    inputs = "camera:N, FILE, testcard, clip, or ring, spout, syphon, ndi :NAME, obs or obs-filter; see `devices`"
    add("--in", dest="input", metavar="URI", help=inputs)
    outputs = "recorder:FILE, virtualcam, obs, or ring, spout, syphon, ndi :NAME; may be repeated"
    add("--out", dest="outputs", metavar="URI", action="append", help=outputs)
    add("--fps", metavar="F", help="pictures per second to take from the input")
    add("--duration", metavar="SECONDS", help="stop after this many seconds")
    add("--no-browser", dest="browser", action="store_const", const=False, help="do not open the web page")
    add("--osc-host", metavar="HOST", help="address of the OSC port (127.0.0.1: this machine only; no passwords!)")
    add("--osc-port", metavar="PORT", help="UDP port for OSC in (9510)")
    add("--feedback-port", metavar="PORT", help="UDP port of this machine for OSC out (9511)")
    add("--root", metavar="ADDRESS", help="what OSC addresses begin with (/latentcast)")
    add("--ring", metavar="NAME", help="the shared-memory ring of the output (latentcast-out)")
    add("--obs", action="store_const", const=True, help="follow the scenes of OBS Studio; also on if any is mapped")
    add("--obs-host", metavar="HOST", help="where OBS runs (127.0.0.1)")
    add("--obs-port", metavar="PORT", help="port of OBS's WebSocket server (what OBS's own file says)")
    add("--obs-text", metavar="SOURCE", help="a text source of OBS that shows the state of the run")


def _add_selftest_options(parser: Parser) -> None:
    add = parser.add_argument
    add("source", metavar="IN", nargs="?", default="", help="the input that shows the card; alone, it names both ends")
    add("sink", metavar="OUT", nargs="?", default="", help="the output to send it to (a ring)")
    add("--size", metavar="WxH", help="of the card, in pixels (640x360)")
    add("--fps", metavar="F", help="pictures per second to send (30)")
    add("--duration", metavar="SECONDS", help="how long to measure (4)")


def _add_instance_options(parser: Parser) -> None:
    add = parser.add_argument
    add("--host", metavar="HOST", help="address of the web page's port (127.0.0.1: this machine only)")
    add("--web-port", metavar="PORT", help="TCP port of the web page (9512)")
    add("--token", metavar="TEXT", help="token for the web page; with another --host there is always one")


def _add_model_options(parser: Parser, rows: Iterable[Control]) -> None:
    parser.add_argument("--preset", metavar="NAME", help="the model (tiny); `latentcast preset` lists them")
    parser.add_argument("--size", metavar="WxH", help="pixels, instead of the preset's own size")
    _add_controls(parser, rows)


def _add_controls(parser: argparse.ArgumentParser, rows: Iterable[Control]) -> None:
    group = parser.add_argument_group("initial values of the live controls")
    for row in rows:
        help = f"{row.help} ({printing.span(row)})".replace("%", "%%")
        if row.kind == "bool":
            group.add_argument(f"--{row.name}", action=argparse.BooleanOptionalAction, help=row.help.replace("%", "%%"))
        else:
            group.add_argument(f"--{row.name}", metavar={"str": "TEXT", "int": "N"}.get(row.kind, "X"), help=help)


def _options(given: argparse.Namespace) -> RunOptions:
    """What the configuration file says, and over it what the command line says."""
    names = {row.name for row in CONTROLS}
    values = {name: value for name, value in vars(given).items() if name in RunOptions.__dataclass_fields__}
    values["controls"] = {name: value for name, value in vars(given).items() if name in names}
    return read_config(getattr(given, "config", None)).changed(values)


def _sized(options: RunOptions) -> Preset:
    preset = load_preset(options.preset)
    return preset.resized(*options.size) if options.size else preset


def _run(given: argparse.Namespace) -> int:
    options = _options(given)
    _sized(options)
    with loading():
        from bridge.run import app  # late: the other commands need none of it

    return app.run(options.changed({"browser": options.browser and _can_open_browser()}))


def _render(given: argparse.Namespace) -> int:
    source, target = given.source, given.target or given.out
    if given.target and given.out:
        raise BridgeError(f"two output files: {given.target} and {given.out}", "name one of them")
    if target is None:
        raise BridgeError("no output file", "latentcast render IN OUT, or --out FILE")
    options = _options(given)
    preset = _sized(options)
    params = preset.params.set_all(options.controls)
    seconds = options.duration or 0.0 if "duration" in given else 0.0
    _check_films(preset, source, target, seconds)
    with loading():
        from bridge.cli import render  # late, because it loads torch

    loss = ""
    with (
        graceful_termination(),
        printing.progress(f"{source.name if source else 'words'} -> {target.name}") as on_progress,
    ):
        if source:
            loss = render.render(source, target, preset, params, on_progress)
        else:
            render.render_from_words(target, seconds, preset, params, on_progress)
    if not loss:
        return 0
    printing.print_error(BridgeError(loss, f"{target} holds all that could be"))
    return DAMAGED


def _check_films(preset: Preset, source: Path | None, target: Path, seconds: float) -> None:
    """Raises BridgeError for films that do not go with the preset or with each other."""
    if not preset.input and (source or not seconds):
        raise BridgeError(f"{preset.name} makes a film from words alone", f"--out {target} --seconds 10, and no input")
    if preset.input and (seconds or not source):
        raise BridgeError(f"{preset.name} needs a film to start from", f"latentcast render IN {target}")
    if source and (problem := why_no_file(source)):
        raise BridgeError(problem, "name a video that exists")
    if source and os.path.exists(target) and target.samefile(source):
        raise BridgeError(f"{target} would overwrite its own input", "name another output")


def _download(given: argparse.Namespace) -> int:
    from bridge.weights.download import download  # late: the other commands need none of it

    download(given.name, getattr(given, "to", None), keep="keep" in given)
    return 0


def _status(given: argparse.Namespace) -> int:
    status = ask_status(_options(given))
    printing.print_json(status) if "json" in given else printing.print_status(status)
    return 0


def _controls(given: argparse.Namespace) -> int:
    rows = [row._asdict() | {"kind": row.kind} for row in CONTROLS]
    printing.print_json(rows) if "json" in given else printing.print_controls()
    return 0


def _preset(given: argparse.Namespace) -> int:
    options = _options(given)
    if "name" in given:
        load_preset(given.name)
        ask(options, "POST", "/api/actions/preset", {"arguments": [given.name]})
        return 0
    try:
        running = ask_status(options)["engine"]["preset"]
    except NotRunning:
        running = ""
    printing.print_presets(running)
    return 0


def _doctor(given: argparse.Namespace) -> int:
    checks = list(examine(_options(given)))
    if "json" in given:
        printing.print_json([check._asdict() for check in checks])
    else:
        printing.print_checks(checks)
    return int(any(check.level == "fail" for check in checks))


def _devices(given: argparse.Namespace) -> int:
    kinds = devices.look()
    printing.print_json([kind._asdict() for kind in kinds]) if "json" in given else printing.print_devices(kinds)
    return 0


def _selftest(given: argparse.Namespace) -> int:
    with loading():
        from bridge.diagnosis import selftest, selftest_process  # late: the other commands need none of it

    options = RunOptions().changed({name: vars(given)[name] for name in ("size", "fps", "duration") if name in given})
    source, sink = selftest.choose(given.source, given.sink)
    loop = selftest.Loop(source, sink, *(options.size or selftest.SIZE), options.fps or 30, options.duration or 4)
    source, checks = selftest_process.run_apart(loop)
    if "json" in given:
        printing.print_json({"in": source, "out": sink, "checks": [check._asdict() for check in checks]})
    else:
        printing.print_checks(checks)
    return int(any(check.level == "fail" for check in checks))


def _can_open_browser() -> bool:
    """Somebody sits in front of this: a terminal, and a screen for the browser."""
    screen = sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(screen) and sys.stdout.isatty()


if __name__ == "__main__":
    sys.exit(main())
