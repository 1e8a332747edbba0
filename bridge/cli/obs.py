"""The commands `latentcast obs ...`. Each function does one, and says what it did in plain sentences."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bridge.cli import printing
from bridge.obs import install
from bridge.obs.address import find_address
from bridge.obs.client import ObsClient
from bridge.obs.errors import ObsPasswordError
from bridge.obs.setup import SCENE, STATE, SetupOptions, remove, set_up
from bridge.obs.wire import PICTURE_PORT, PROGRAM_PORT, port_of
from bridge.options import config_path, read_config
from engine.params import CONTROLS, Control

MakeCommand = Callable[[Any, str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
AddControls = Callable[[argparse.ArgumentParser, Iterable[Control]], None]


def add_commands(commands: Any, command: MakeCommand, add_controls: AddControls) -> None:
    """Add `obs` and what belongs to it. command, add_controls: the command line's own ways to make a command."""
    obs = commands.add_parser("obs", help="set up a running OBS Studio", allow_abbrev=False)
    ours = obs.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=type(obs))
    for add in (_add_setup, _add_remove, _add_map, _add_plugin):
        add(ours, command, add_controls)


# ---- setup, remove


def _add_setup(ours: Any, command: MakeCommand, _: AddControls) -> None:
    setup = command(ours, "setup", _setup, "make a scene in OBS that shows our pictures")
    setup.add_argument("--scene", metavar="NAME", help=f"the scene's name ({SCENE})")
    setup.add_argument("--port", metavar="PORT", help=f"where `--out obs` listens ({PICTURE_PORT})")
    setup.add_argument("--program", action="store_true", help="have OBS's record button send the program to `--in obs`")
    setup.add_argument("--program-port", metavar="PORT", help=f"where `--in obs` listens ({PROGRAM_PORT})")
    setup.add_argument("--state", action="store_true", help="also make a text source that shows the state of the run")
    _add_address(setup)


def _add_remove(ours: Any, command: MakeCommand, _: AddControls) -> None:
    _add_address(command(ours, "remove", _remove, "undo `latentcast obs setup`, and only that"))


def _setup(given: argparse.Namespace) -> int:
    said = vars(given)
    wanted = SetupOptions(
        said.get("scene", SCENE),
        port_of(said.get("port", ""), PICTURE_PORT),
        "program" in said,
        port_of(said.get("program_port", ""), PROGRAM_PORT),
        "state" in said,
    )
    with connect(given) as obs:
        _say(set_up(obs, wanted))
    where = "" if wanted.port == PICTURE_PORT else f":{wanted.port}"
    back = "" if wanted.program_port == PROGRAM_PORT else f":{wanted.program_port}"
    text = f" --obs-text {STATE!r}" if wanted.state else ""
    _say([f"Now: latentcast run {f'--in obs{back} ' if wanted.program else ''}--out obs{where}{text}"])
    if not wanted.program:
        _say(["To send OBS's picture to latentcast: press Start Virtual Camera in OBS, and run with --in camera:N;"])
        _say(["or have the record button do it, with `latentcast obs setup --program`."])
    return 0


def _remove(given: argparse.Namespace) -> int:
    with connect(given) as obs:
        _say(remove(obs))
    return 0


# ---- map


def _add_map(ours: Any, command: MakeCommand, add_controls: AddControls) -> None:
    scenes = command(ours, "map", _map, "let a scene of OBS change the prompt or any other control")
    scenes.add_argument(
        "scene", metavar="SCENE", nargs="?", help="a scene's name; without one, what is mapped is listed"
    )
    scenes.add_argument("--forget", action="store_true", help="have this scene change nothing")
    scenes.add_argument("--preset", metavar="NAME", help="the model to run; changing it takes some seconds")
    add_controls(scenes, CONTROLS)


def _map(given: argparse.Namespace) -> int:
    from bridge.obs.scene_file import forget_scene, map_scene

    path: Path = getattr(given, "config", None) or config_path()
    names = ["preset", *(row.name for row in CONTROLS)]
    changes = {name: getattr(given, name) for name in names if name in given}
    if "scene" not in given:
        known = read_config(getattr(given, "config", None)).scenes
        _say([_line(scene, changes) for scene, changes in known.items()] or [f"{path} maps no scene."])
    elif "forget" in given:
        forget_scene(path, given.scene)
        _say([f"{given.scene!r} no longer changes anything."])
    elif changes:
        _say([_line(given.scene, map_scene(path, given.scene, changes)), f"Written to {path}; the next run uses it."])
    else:
        known = read_config(getattr(given, "config", None)).scenes
        _say([_line(given.scene, known.get(given.scene, {}))])
    return 0


def _line(scene: str, changes: Mapping[str, Any]) -> str:
    return f"{scene!r}: " + (", ".join(f"{name} {value}" for name, value in changes.items()) or "nothing")


# ---- install, uninstall


def _add_plugin(ours: Any, command: MakeCommand, _: AddControls) -> None:
    install = command(ours, "install", _install, "build the plugin and put it into this user's OBS")
    uninstall = command(ours, "uninstall", _uninstall, "take the plugin out of this user's OBS")
    install.add_argument("--library", type=Path, metavar="FILE", help="a plugin that is built already")
    for one in (install, uninstall):
        one.add_argument("--to", type=Path, metavar="FOLDER", help="OBS's folder of plugins, if it is another one")


def _install(given: argparse.Namespace) -> int:
    where = install.install(vars(given).get("to"), vars(given).get("library"))
    _say([f"The plugin is in {where}."])
    _say(["Start OBS again, add the filter Latentcast effect to a source, and run latentcast run --in obs-filter"])
    return 0


def _uninstall(given: argparse.Namespace) -> int:
    where = install.uninstall(vars(given).get("to"))
    _say([f"The plugin was taken from {where}." if where else "There was no plugin to take out."])
    return 0


# ---- what they share


def connect(given: argparse.Namespace) -> ObsClient:
    """A connection to the OBS that `given` means; at a terminal, a password that is missing is asked for."""
    port = port_of(vars(given).get("obs_port", ""), 0, nothing="the one in OBS's own settings")
    address = find_address(vars(given).get("obs_host", "127.0.0.1"), port)
    try:
        return ObsClient(address)
    except ObsPasswordError:
        if not sys.stdin.isatty():
            raise
    return ObsClient(replace(address, password=getpass.getpass("Password of OBS's WebSocket server: ")))


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--obs-host", metavar="HOST", help="where OBS runs (127.0.0.1)")
    parser.add_argument("--obs-port", metavar="PORT", help="port of OBS's WebSocket server (what OBS's own file says)")


def _say(sentences: Iterable[str]) -> None:
    printing.print_lines(sentences)
