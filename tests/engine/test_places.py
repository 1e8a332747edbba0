"""Where weights lie on each of the three systems."""

from pathlib import Path

import platformdirs
import pytest
from platformdirs import macos, unix, windows

from engine.places import cache_folder, locate, models_folder

SYSTEMS = {
    unix.Unix: ".cache/latentcast",
    macos.MacOS: "Library/Caches/latentcast",
    windows.Windows: "AppData/Local/latentcast",
}


@pytest.fixture(params=SYSTEMS, ids=lambda system: system.__name__)
def folder(request, tmp_path, monkeypatch):
    """Where this system keeps what can be fetched again, for a user with an empty home."""
    for name in ("XDG_CACHE_HOME", "LATENTCAST_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "AppData" / "Local"))
    monkeypatch.setattr(windows, "get_win_folder", windows.get_win_folder_from_env_vars)
    monkeypatch.setattr(platformdirs, "PlatformDirs", request.param)
    return tmp_path / SYSTEMS[request.param]


def test_weights_lie_in_the_systems_cache_folder(folder):
    assert cache_folder() == models_folder() == folder
    assert locate("wan/vae.safetensors") == folder / "wan" / "vae.safetensors"


def test_weights_that_an_earlier_version_downloaded_elsewhere_are_found(folder, tmp_path, monkeypatch):
    former = tmp_path / "elsewhere"
    monkeypatch.setattr("engine.places._former_cache_folder", lambda: former)
    assert cache_folder() == folder

    former.mkdir()
    assert locate("wan/vae.safetensors") == former / "wan" / "vae.safetensors"

    folder.mkdir(parents=True)
    assert cache_folder() == folder


def test_another_folder_can_be_named(folder, monkeypatch):
    monkeypatch.setenv("LATENTCAST_MODELS", "/somewhere")

    assert locate("dit.safetensors") == Path("/somewhere/dit.safetensors")
