"""The shape of the house, kept true by a test: who may import whom, and how large a room may grow."""

import ast
import graphlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[1]
PACKAGES = ("engine", "bridge")
FILES = sorted(p for package in PACKAGES for p in (HERE / package).rglob("*.py"))

# what a room of the bridge may use of the engine, which is no torch
VOCABULARY = {
    f"engine.{name}" for name in ("checksum", "clock", "errors", "frame", "params", "paths", "preset", "prompt")
}
# room of bridge/ -> the rooms it may import, itself and ROOT aside; a room stands below all that import it
ROOMS = {
    "process": set(),
    "access": set(),
    "media": set(),
    "rings": set(),
    "control": {"process"},
    "obs": {"media"},
    "weights": {"process"},
    "adapters": {"process", "rings", "media", "obs"},
    "worker": {"process", "rings", "media"},
    "children": {"process", "control"},
    "playout": {"control", "rings", "media"},
    "surfaces": {"control", "rings", "obs", "access"},
    "diagnosis": {"process", "rings", "media", "obs", "adapters", "children"},
    "run": {"process", "control", "rings", "media", "obs", "children", "playout", "surfaces"},
    "cli": {"process", "media", "obs", "weights", "diagnosis", "run"},
}
ROOT = {
    "errors": set(),
    "options": {"errors"},
    "client": {"errors", "options", "access", "control"},
}  # beside the rooms
TORCH = ("bridge.worker.main", "bridge.worker.fallback", "bridge.cli.render")  # may use all of the engine

# module or package of the engine -> the names of ours it may import; longest match wins
ENGINE = {
    "engine": {"engine"},
    "engine.stream": {
        "engine.stream",
        "engine.errors",
        "engine.preset",
        "engine.prompt",
        "engine.params",
        "engine.frame",
        "engine.models.interfaces",
        "engine.models.rope",
    },
    "engine.models": {
        "engine.models",
        "engine.errors",
        "engine.loras",
        "engine.paths",
        "engine.preset",
        "engine.weights",
    },
    "engine.accel": {"engine.accel", "engine.errors", "engine.models", "engine.preset", "engine.stream.pace"},
    "engine.convert": {
        "engine.convert",
        "engine.checksum",
        "engine.errors",
        "engine.models.build",
        "engine.preset",
        "engine.weights",
    },
    "engine.checksum": set(),
    "engine.errors": set(),
    "engine.paths": set(),
    "engine.prompt": {"engine.errors"},
    "engine.loras": {"engine.errors"},
    "engine.params": {"engine.errors", "engine.loras", "engine.prompt"},
    "engine.preset": {"engine.errors", "engine.params"},
}
LIGHT = (
    "engine.checksum",
    "engine.clock",
    "engine.frame",
    "engine.params",
    "engine.preset",
    "engine.threads",
    "bridge.cli.commands",
    "bridge.run.app",
    "bridge.diagnosis.selftest",
)
MAX_LINES = 400
MAX_FUNCTION_LINES = 60


def module_name(path):
    return ".".join(path.relative_to(HERE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path) for path in FILES}


def inside(name, package):
    return name == package or name.startswith(package + ".")


def imports(path):
    """The modules of ours that a file imports, wherever in it: `from a.b import c` is a.b.c if that is a module."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that grep finds them"
            deeper = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in deeper]
        yield from (name for name in names if name.split(".")[0] in PACKAGES)


def room(name):
    """The room of a module of the bridge; for one beside the rooms, its own name."""
    return name.split(".")[1]


def may_import(name, target):
    if inside(name, "engine"):
        rule = max((rule for rule in ENGINE if inside(name, rule)), key=len)
        return any(inside(target, allowed) for allowed in ENGINE[rule])
    if inside(target, "engine"):
        return name in TORCH or any(inside(target, allowed) for allowed in VOCABULARY)
    allowed = ROOT[room(name)] if room(name) in ROOT else {*ROOMS[room(name)], *ROOT, room(name)}
    return room(target) in allowed


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_point_inward(path):
    name = module_name(path)
    for target in imports(path) if "." in name else ():
        assert may_import(name, target), f"{name} must not import {target}"


def test_every_file_of_the_bridge_is_in_a_room():
    files = {path.stem for path in (HERE / "bridge").glob("*.py")} - {"__init__"}
    folders = {path.parent.name for path in (HERE / "bridge").glob("*/__init__.py")}
    assert files == set(ROOT)
    assert folders == set(ROOMS)


def test_rooms_stand_on_floors():
    """Whoever sorts them so that each imports only those before it, can."""
    order = list(graphlib.TopologicalSorter(ROOMS).static_order())
    assert set(order) == set(ROOMS)
    assert all(order.index(below) < order.index(above) for above in ROOMS for below in ROOMS[above])


def test_no_two_modules_import_each_other():
    graph = {module_name(path): set(imports(path)) for path in FILES}
    assert not [(one, other) for one in graph for other in graph[one] if one in graph.get(other, ()) and one < other]


def test_no_room_may_import_what_it_does_not():
    """The table above says what is so, and not what once was."""
    used = {(room(name), room(target)) for name, target in crossings()}
    assert {(one, other) for one in ROOMS for other in ROOMS[one]} <= used


def crossings():
    for path in FILES:
        name = module_name(path)
        if name.startswith("bridge."):
            yield from ((name, target) for target in imports(path) if target.startswith("bridge."))


@pytest.mark.parametrize("path", sorted((HERE / "bridge" / "surfaces").rglob("*.py")), ids=module_name)
def test_no_surface_knows_another(path):
    kind = module_name(path).split(".")[:3]
    for target in imports(path):
        assert not inside(target, "bridge.surfaces") or target.split(".")[:3] == kind


def report():
    """Rooms, files a room, imports between rooms, longest file and function: `python -m tests.test_architecture`."""
    between = Counter((room(name), room(target)) for name, target in crossings() if room(name) != room(target))
    for name in (*ROOMS, *ROOT):
        files = [path for path in FILES if inside(module_name(path), f"bridge.{name}")]
        arrows = ", ".join(f"{other} {count}" for (one, other), count in sorted(between.items()) if one == name)
        yield f"bridge.{name:<10} {len(files):>3} files   imports {arrows or 'nothing of the bridge'}"
    yield f"{len(between)} kinds of imports between rooms, {between.total()} imports"
    yield f"longest file: {max((lines(path), module_name(path)) for path in FILES)}"
    yield f"longest function: {max(found for path in FILES for found in functions(path))}"


def lines(path):
    return path.read_text("utf-8").count("\n")


def functions(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.end_lineno - node.lineno + 1, f"{module_name(path)}.{node.name}"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_rooms_stay_small(path):
    assert lines(path) <= MAX_LINES
    for length, name in functions(path):
        assert length <= MAX_FUNCTION_LINES, f"{name} does too much"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_there_is_one_clock(path):
    """Python's own ticks every 15.6 ms on Windows."""
    assert module_name(path) == "engine.clock" or "time.monotonic" not in path.read_text("utf-8")


@pytest.mark.parametrize("module", LIGHT)
def test_loads_without_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=HERE).returncode == 0


if __name__ == "__main__":
    print(*report(), sep="\n")  # noqa: T201  a command's answer
