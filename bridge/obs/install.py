"""Builds the OBS plugin from its C sources and puts it where this user's OBS looks. No root, nothing half-written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bridge.errors import BridgeError

NAME = "latentcast"
_HERE = Path(__file__).resolve().parents[1]
SOURCES = (_HERE / "plugin_obs", _HERE.parent / "plugins" / "obs")  # in a wheel; in a checkout
APT = "sudo apt install build-essential cmake libobs-dev libsimde-dev"
OTHERS = "Fedora: obs-studio-devel, Arch: obs-studio, each with cmake and gcc"
LOG = "latentcast-obs-build-"
BUILD_TIMEOUT = 300.0  # seconds for a build, which takes five


class CannotInstall(BridgeError):
    """The plugin cannot be built or put in its place."""


def plugins_folder() -> Path:
    """Where OBS looks for the plugins of this user (on Windows, of everybody); whether or not it is there."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "obs-studio" / "plugins"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "obs-studio" / "plugins"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "obs-studio" / "plugins"


def install(plugins: Path | None = None, library: Path | None = None) -> Path:
    """Put `library`, or one built now, into OBS's folder of plugins; where it lies. Raises CannotInstall.

    Doing it again replaces it in one step, also while OBS runs.
    """
    target = _target(plugins or plugins_folder())
    if library is not None:
        if not library.exists():
            raise CannotInstall(f"there is no {library}", "name a plugin that was built, or leave --library out")
        return _put(library, target)
    _check_tools()
    with tempfile.TemporaryDirectory(prefix="latentcast-obs-") as folder:
        return _put(build(Path(folder)), target)


def uninstall(plugins: Path | None = None) -> Path | None:
    """Take it away again; what was removed, or None if it was not there. Raises CannotInstall."""
    home = _home(plugins or plugins_folder())
    if not home.exists():
        return None
    try:
        shutil.rmtree(home)
    except OSError as error:
        raise CannotInstall(f"{home} cannot be removed: {error}", "close OBS, and try again") from error
    return home


def build(folder: Path) -> Path:
    """Build the plugin in `folder`; the library. Raises CannotInstall, naming a file with all that was said."""
    sources = next((path for path in SOURCES if (path / "CMakeLists.txt").is_file()), None)
    if sources is None:
        raise CannotInstall("the plugin's sources are not part of this installation", "pip install latentcast anew")
    generator = ["-G", "Ninja"] if not shutil.which("make") and shutil.which("ninja") else []
    _run(["cmake", "-S", str(sources), "-B", str(folder), *generator])
    _run(["cmake", "--build", str(folder)])
    return folder / f"{NAME}.so"


def _check_tools() -> None:
    if sys.platform != "linux":
        where = "plugins/obs/README.md says how to build it here; then name it with --library"
        raise CannotInstall("the plugin is built by this command on Linux only", where)
    lacking = [name for name in ("cmake", "cc") if not shutil.which(name)]
    if not shutil.which("make") and not shutil.which("ninja"):
        lacking.append("make")
    if lacking:
        raise CannotInstall(f"no {', '.join(lacking)} to build the plugin with", f"{APT} ({OTHERS})")


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        hint = "end what else keeps this machine busy, and try again"
        raise CannotInstall(f"{command[0]} did not finish within {BUILD_TIMEOUT:.0f} s", hint) from error
    if done.returncode == 0:
        return
    said = done.stdout + done.stderr
    if "libobs" in said and command[1] == "-S":
        raise CannotInstall("no libobs to build the plugin against", f"{APT} ({OTHERS})")
    handle, log = tempfile.mkstemp(prefix=LOG, suffix=".log", text=True)  # a name of its own: /tmp is everybody's
    with open(handle, "w", encoding="utf-8") as file:
        file.write(said)
    raise CannotInstall("the plugin cannot be built on this machine", f"{log} has what the compiler said")


def _home(plugins: Path) -> Path:
    return plugins / (f"{NAME}.plugin" if sys.platform == "darwin" else NAME)


def _target(plugins: Path) -> Path:
    if sys.platform == "darwin":
        return _home(plugins)  # a bundle, which is a folder
    return _home(plugins) / "bin" / "64bit" / (NAME + (".dll" if sys.platform == "win32" else ".so"))


def _put(library: Path, target: Path) -> Path:
    """Copy beside the target first, so that OBS never finds half a plugin."""
    fresh = target.with_name(f".{target.name}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if library.is_dir():
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(library, fresh)
            shutil.rmtree(target, ignore_errors=True)
        else:
            shutil.copy(library, fresh)
        fresh.replace(target)
    except OSError as error:
        raise CannotInstall(f"{target} cannot be written: {error}", "close OBS, or name a folder with --to") from error
    return target
