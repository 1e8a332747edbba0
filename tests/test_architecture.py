"""The shape of the house, kept true by a test: who may import whom, and how large a room may grow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("engine", "bridge")
FILES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))

# package or module -> the first-party names it may import; longest match wins
MAY_IMPORT = {
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
        "engine.places",
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
    "engine.places": set(),
    "engine.prompt": {"engine.errors"},
    "engine.loras": {"engine.errors"},
    "engine.params": {"engine.errors", "engine.loras", "engine.prompt"},
    "engine.preset": {"engine.errors", "engine.params"},
    "bridge": {
        "bridge",
        "engine.checksum",
        "engine.clock",
        "engine.frame",
        "engine.params",
        "engine.preset",
        "engine.errors",
        "engine.places",
        "engine.prompt",
    },
    "bridge.adapters": {
        "bridge.adapters",
        "bridge.errors",
        "bridge.media.bitmap_font",
        "bridge.media.movie",
        "bridge.obs.wire",
        "bridge.media.pacing",
        "bridge.media.paths",
        "bridge.media.part",
        "bridge.media.picture",
        "bridge.process.pipe",
        "bridge.process.protocol",
        "bridge.rings.ring",
        "bridge.media.slate",
        "bridge.process.terminal",
        "engine.clock",
        "engine.frame",
        "engine.params",
    },
    "bridge.surfaces": {
        "bridge.surfaces",
        "bridge.access.addresses",
        "bridge.control.control",
        "bridge.errors",
        "bridge.obs",
        "bridge.rings.ring",
        "bridge.access.tokens",
        "engine.clock",
        "engine.errors",
        "engine.params",
        "engine.preset",
        "engine.prompt",
    },
    "bridge.worker.main": {"bridge", "engine"},
    "bridge.worker.fallback": {"bridge", "engine"},
    "bridge.cli.render": {"bridge", "engine"},
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
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def inside(name, package):
    return name == package or name.startswith(package + ".")


def first_party_imports(tree):
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that grep finds them"
            names = [node.module]
        yield from (n for n in names if n.split(".")[0] in PACKAGES)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_point_inward(path):
    name = module_name(path)
    rule = max((r for r in MAY_IMPORT if inside(name, r)), key=len)
    for target in first_party_imports(ast.parse(path.read_text("utf-8"))):
        assert any(inside(target, allowed) for allowed in MAY_IMPORT[rule]), f"{name} must not import {target}"


@pytest.mark.parametrize("path", sorted((ROOT / "bridge" / "surfaces").glob("*.py")), ids=module_name)
def test_no_surface_knows_another(path):
    kind = f"bridge.surfaces.{path.stem.partition('_')[0]}"
    for target in first_party_imports(ast.parse(path.read_text("utf-8"))):
        assert target.startswith(kind) or not inside(target, "bridge.surfaces")


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_rooms_stay_small(path):
    text = path.read_text("utf-8")
    assert text.count("\n") <= MAX_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, f"{node.name} does too much"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_there_is_one_clock(path):
    """Python's own ticks every 15.6 ms on Windows."""
    assert module_name(path) == "engine.clock" or "time.monotonic" not in path.read_text("utf-8")


@pytest.mark.parametrize("module", LIGHT)
def test_loads_without_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
