"""`latentcast obs ...`: what the command line does for OBS Studio."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bridge import obs_install, show

Make = Callable[[Any, str, Any, str], argparse.ArgumentParser]


def add_obs_commands(commands: Any, make: Make) -> None:
    """Add the group. make: adds one command to subparsers, given its name, function and help."""
    obs = make(commands, "obs", None, "OBS Studio: put the plugin in, take it out")
    verbs = obs.add_subparsers(title="commands", required=True, metavar="WHAT", parser_class=type(obs))
    _add_plugin(verbs, make)


def _add_plugin(verbs: Any, make: Make) -> None:
    install = make(verbs, "install", _install, "build the plugin and put it into this user's OBS")
    uninstall = make(verbs, "uninstall", _uninstall, "take the plugin out of this user's OBS")
    install.add_argument("--library", type=Path, metavar="FILE", help="a plugin that is built already")
    for command in (install, uninstall):
        command.add_argument("--to", type=Path, metavar="FOLDER", help="OBS's folder of plugins, if it is another one")


def _install(given: argparse.Namespace) -> int:
    values = vars(given)
    where = obs_install.install(values.get("to"), values.get("library"))
    show.print_line(f"The plugin is in {where}.")
    show.print_line(
        "Start OBS again, add the filter Latentcast effect to a source, and run latentcast run --in obs-filter"
    )
    return 0


def _uninstall(given: argparse.Namespace) -> int:
    where = obs_install.uninstall(vars(given).get("to"))
    show.print_line(f"The plugin was taken from {where}." if where else "There was no plugin to take out.")
    return 0
