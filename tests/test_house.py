"""What stands around the code: the pages agree with it, their links lead somewhere, and nothing is of one machine."""

import os
import re
import shlex
from pathlib import Path

import pytest

from bridge.cli.commands import build_parser
from bridge.cli.printing import span
from bridge.surfaces.osc.addresses import interpret, relative
from engine.params import CONTROLS, Params
from engine.preset import load_preset

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (".ci", ".github", "bridge", "configs", "docs", "engine", "plugins", "tests")
TEXT = {".md", ".py", ".toml", ".yml", ".html", ".js", ".css", ".svg", ".json", ""}
OF_ONE_MACHINE = re.compile(r"(?<![\w.}])/(?:work|tmp|root|opt|home|Users)/\w|\b[A-Z]:\\Users")
COMMAND_1 = "pip install -e . && latentcast run"
COMMAND_2 = "pip install -e '.[dev]' && pytest"


def house():
    """Every file of ours that people write."""
    folders = [ROOT / name for name in FOLDERS]
    files = [path for folder in folders for path in folder.rglob("*")] + list(ROOT.glob("[!.]*"))
    return sorted(path for path in files if path.is_file() and path.suffix in TEXT)


PAGES = [path for path in house() if path.suffix == ".md"]
README = (ROOT / "README.md").read_text("utf-8")
CONTROLS_PAGE = (ROOT / "docs" / "controls.md").read_text("utf-8")
COMMANDS = [(ROOT / "docs" / "commands.md").read_text("utf-8"), README]


def page_name(path):
    return str(path.relative_to(ROOT))


def lines_of_code(page):
    for block in re.findall(r"^```\n(.*?)^```", page, re.M | re.S):
        yield from (line.split("  #")[0].strip() for line in block.splitlines())


def controls_table():
    yield "| control | takes | starts at | what it does | obeyed by |"
    yield "|---|---|---|---|---|"
    for row in CONTROLS:
        start = {True: "on", False: "off"}.get(row.default, row.default) if row.kind == "bool" else row.default
        yield f"| `{row.name}` | {span(row)} | {start} | {row.help.replace('|', chr(92) + '|')} | {row.home} |"


def test_the_page_of_controls_shows_the_table_of_controls():
    table = re.search(r"<!-- controls: .*? -->\n(.*?)<!-- /controls -->", CONTROLS_PAGE, re.S)[1]
    wanted = "\n".join(controls_table())
    assert table.strip() == wanted, f"the table in docs/controls.md should be\n{wanted}"


def test_the_readme_names_the_looks_the_embedded_model_knows():
    said = re.search(r"^Looks: (.*?)\.$", README, re.M | re.S)[1]
    assert tuple(re.split(r",\s+", said)) == load_preset("tiny").looks


def test_the_two_commands_stand_in_the_readme_word_for_word():
    assert {COMMAND_1, COMMAND_2} <= set(lines_of_code(README))


def commands(program):
    lines = (line for page in COMMANDS for line in lines_of_code(page))
    return sorted({line for line in lines if line.startswith(f"{program} ")})


@pytest.mark.parametrize("line", commands("latentcast"))
def test_the_command_line_takes_what_the_pages_say(line):
    build_parser().parse_args(shlex.split(line)[1:])


@pytest.mark.parametrize("line", commands("oscsend"))
def test_osc_takes_what_the_readme_says(line):
    _, _, port, address, *rest = shlex.split(line)
    types, values = (rest[0], iter(rest[1:])) if rest else ("", iter(()))
    read = {"s": str, "f": float, "i": int}
    arguments = tuple(kind == "T" if kind in "TF" else read[kind](next(values)) for kind in types)
    assert port == "9510"
    assert address.endswith("/subscribe") or interpret(relative(address, "/latentcast"), arguments, Params())


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if not re.match(r"[a-z]+:|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page_name(page)} links to {target}"


def test_nothing_names_a_place_on_somebodys_machine():
    lines = ((path, line) for path in house() for line in path.read_text("utf-8").splitlines())
    assert not [f"{page_name(path)}: {line}" for path, line in lines if OF_ONE_MACHINE.search(line)]


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such permission")
def test_what_runs_in_ci_can_be_run():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
