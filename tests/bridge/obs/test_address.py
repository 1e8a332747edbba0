"""Where OBS keeps its port and password: files as OBS 29 and OBS 30 write them, on every system."""

import json
import sys
from pathlib import Path

import pytest

from bridge.obs.address import PASSWORD, ObsAddress, config_folders, find_address

INI = """\ufeff[General]
FirstRun=true
Percent=100%

[OBSWebSocket]
FirstLoad=false
ServerEnabled=true
ServerPort=4461
AuthRequired=true
ServerPassword=from-ini%1
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv(PASSWORD, raising=False)
    return tmp_path


def write_ini(folder, text=INI):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "global.ini").write_text(text, "utf-8")


def write_json(folder, **changes):
    known = {"auth_required": True, "server_enabled": True, "server_password": "from-json", "server_port": 4470}
    place = folder / "plugin_config" / "obs-websocket"
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps({**known, **changes}), "utf-8")


def test_without_obs_the_usual_port_is_tried(home):
    assert find_address() == ObsAddress()


def test_obs_29_has_it_in_its_ini(home):
    write_ini(home / ".config" / "obs-studio")

    assert find_address() == ObsAddress(port=4461, password="from-ini%1")


@pytest.mark.parametrize(
    "text",
    ["[]", "null", '{"server_enabled": true, "server_port": null}', '{"server_enabled": true, "server_port": 99999}'],
)
def test_a_file_that_makes_no_sense_is_passed_over(home, text):
    write_ini(home / ".config" / "obs-studio")
    write_json(home / ".config" / "obs-studio")
    (home / ".config" / "obs-studio" / "plugin_config" / "obs-websocket" / "config.json").write_text(text, "utf-8")

    assert find_address() == ObsAddress(port=4461, password="from-ini%1")


def test_the_file_of_obs_30_is_newer_than_the_ini_it_has_left_behind(home):
    write_ini(home / ".config" / "obs-studio")
    write_json(home / ".config" / "obs-studio")

    assert find_address() == ObsAddress(port=4470, password="from-json")


def test_a_half_written_file_is_passed_over(home):
    write_ini(home / ".config" / "obs-studio")
    write_json(home / ".config" / "obs-studio")
    (home / ".config/obs-studio/plugin_config/obs-websocket/config.json").write_text('{"server_port": 44')

    assert find_address().port == 4461


@pytest.mark.parametrize("folder", [".var/app/com.obsproject.Studio/config", "snap/obs-studio/current/.config"])
def test_flatpak_and_snap_have_folders_of_their_own(home, folder):
    write_json(home / folder / "obs-studio")

    assert find_address().password == "from-json"


def test_an_obs_whose_server_is_on_comes_before_one_whose_server_is_off(home):
    write_ini(home / ".config" / "obs-studio", INI.replace("ServerEnabled=true", "ServerEnabled=false"))
    write_json(home / "snap/obs-studio/current/.config/obs-studio")

    assert find_address().port == 4470


def test_that_the_server_is_off_is_known(home):
    write_json(home / ".config" / "obs-studio", server_enabled=False)

    assert not find_address().enabled
    assert find_address("studio-pc").enabled, "which is about another machine"


def test_a_port_that_is_named_is_taken_with_the_password_that_belongs_to_it(home):
    write_json(home / ".config" / "obs-studio")

    assert find_address(port=4470).password == "from-json"
    assert find_address(port=4471) == ObsAddress(port=4471)


def test_no_password_is_needed_where_obs_wants_none(home):
    write_json(home / ".config" / "obs-studio", auth_required=False)

    assert find_address().password == ""


def test_the_environment_wins(home, monkeypatch):
    write_json(home / ".config" / "obs-studio")
    monkeypatch.setenv(PASSWORD, "mine")

    assert find_address().password == "mine"


def test_a_password_is_not_shown():
    assert "secret" not in repr(ObsAddress(password="secret"))


@pytest.mark.parametrize(
    "system, part", [("win32", "AppData"), ("darwin", "Application Support"), ("linux", ".config")]
)
def test_every_system_has_its_place(home, monkeypatch, system, part):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.delenv("APPDATA", raising=False)

    first = next(config_folders())

    assert part in str(first)
    assert first.name == "obs-studio"
