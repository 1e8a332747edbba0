"""`latentcast obs install`: in one step or not at all, and what is missing in one sentence."""

import shutil
import sys

import pytest

from bridge.cli.commands import main
from bridge.obs import install as module
from bridge.obs.install import CannotInstall, install, plugins_folder, uninstall

PLACE = {"linux": "latentcast/bin/64bit/latentcast.so", "win32": "latentcast/bin/64bit/latentcast.dll"}
HERE = PLACE.get(sys.platform, "latentcast.plugin")


@pytest.fixture
def built(tmp_path):
    library = tmp_path / "built.so"
    library.write_bytes(b"a plugin")
    return library


def test_a_plugin_is_put_where_obs_looks_and_taken_away_again(tmp_path, built, capsys):
    plugins = tmp_path / "plugins"
    for _ in range(2):
        assert main(["obs", "install", "--library", str(built), "--to", str(plugins)]) == 0
    assert "obs-filter" in capsys.readouterr().out
    assert [path.relative_to(plugins).as_posix() for path in plugins.rglob("*") if path.is_file()] == [HERE]

    for said in ("was taken from", "no plugin to take out"):
        assert main(["obs", "uninstall", "--to", str(plugins)]) == 0
        assert said in capsys.readouterr().out
    assert list(plugins.iterdir()) == []


def test_the_folder_is_this_user_s(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert plugins_folder() == tmp_path / "obs-studio" / "plugins"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("PROGRAMDATA", str(tmp_path))
    assert plugins_folder() == tmp_path / "obs-studio" / "plugins"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert plugins_folder().as_posix().endswith("Library/Application Support/obs-studio/plugins")


def test_a_macos_bundle_is_copied_whole(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "darwin")
    bundle = tmp_path / "latentcast.plugin"
    (bundle / "Contents" / "MacOS").mkdir(parents=True)
    (bundle / "Contents" / "MacOS" / "latentcast").write_bytes(b"code")
    for _ in range(2):
        where = install(tmp_path / "plugins", bundle)
        assert (where / "Contents" / "MacOS" / "latentcast").read_bytes() == b"code"
    assert uninstall(tmp_path / "plugins") == where


def test_a_library_that_is_not_there_changes_nothing(tmp_path, built):
    where = install(tmp_path / "plugins", built)

    with pytest.raises(CannotInstall, match="there is no"):
        install(tmp_path / "plugins", tmp_path / "missing.so")
    assert where.read_bytes() == b"a plugin"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is built by hand")
def test_missing_tools_are_named_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "cmake" else f"/usr/bin/{name}")

    with pytest.raises(CannotInstall, match="no cmake") as error:
        install(tmp_path)
    assert "libobs-dev" in error.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_system_on_which_it_is_not_built_says_where_to_read_on(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")

    with pytest.raises(CannotInstall, match="on Linux only") as error:
        install(tmp_path)
    assert "README" in error.value.hint


def test_a_build_that_does_not_end_is_one_sentence(monkeypatch):
    monkeypatch.setattr(module, "BUILD_TIMEOUT", 0.1)

    with pytest.raises(CannotInstall, match="did not finish"):
        module._run([sys.executable, "-c", "import time; time.sleep(60)"])


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cmake"), reason="needs cmake")
def test_a_machine_without_libobs_says_what_to_install(tmp_path, monkeypatch):
    fake = tmp_path / "sources"
    fake.mkdir()
    lines = ("cmake_minimum_required(VERSION 3.16)", "project(x NONE)", "find_package(libobs-of-nobody REQUIRED)")
    (fake / "CMakeLists.txt").write_text("\n".join(lines))
    monkeypatch.setattr(module, "SOURCES", (fake,))
    monkeypatch.setattr(module, "_check_tools", lambda: None)

    with pytest.raises(CannotInstall, match="no libobs") as error:
        install(tmp_path / "plugins")
    assert "libobs-dev" in error.value.hint
    assert not (tmp_path / "plugins").exists()
