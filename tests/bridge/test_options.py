from pathlib import Path

import platformdirs
import pytest
from platformdirs import macos, unix, windows

from bridge.options import BadOption, RunOptions, config_path, read_config
from engine.errors import EngineError

SHIPPED = Path(__file__).parents[2] / "configs" / "bridge.toml"


@pytest.fixture
def write(tmp_path):
    path = tmp_path / "bridge.toml"

    def write(text):
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_shipped_file_says_what_happens_without_it():
    assert read_config(SHIPPED) == RunOptions()


def test_a_users_own_file_is_found_by_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert read_config() == RunOptions()

    config_path().parent.mkdir()
    config_path().write_text('preset = "big"\nsize = "640x384"\n[controls]\nsteps = 3', encoding="utf-8")

    assert read_config() == RunOptions(preset="big", size=(640, 384), controls={"steps": 3})


SYSTEMS = {
    unix.Unix: ".config/latentcast/bridge.toml",
    macos.MacOS: "Library/Application Support/latentcast/bridge.toml",
    windows.Windows: "AppData/Roaming/latentcast/bridge.toml",
}


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.__name__)
def test_a_users_own_file_lies_where_the_system_keeps_settings_and_is_found_at_its_former_place(
    system, tmp_path, monkeypatch
):
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path / "AppData" / "Roaming"))
    monkeypatch.setattr(windows, "get_win_folder", windows.get_win_folder_from_env_vars)
    monkeypatch.setattr(platformdirs, "PlatformDirs", system)
    usual, former = tmp_path / SYSTEMS[system], tmp_path / ".config" / "latentcast" / "bridge.toml"
    assert config_path() == usual

    former.parent.mkdir(parents=True)
    former.write_text('preset = "big"', encoding="utf-8")
    assert read_config().preset == "big"

    usual.parent.mkdir(parents=True, exist_ok=True)
    usual.write_text('preset = "small"', encoding="utf-8")
    assert read_config().preset == "small"


def test_the_command_line_adds_to_the_files_controls(write):
    options = read_config(write("[controls]\nsteps = 3\nseed = 7"))

    assert options.changed({"controls": {"steps": "1"}}).controls == {"steps": 1, "seed": 7}


@pytest.mark.parametrize(
    "line, word",
    [
        ('prest = "tiny"', "prest"),
        ('size = "320"', "320x192"),
        ("size = 320", "size"),
        ('size = "²x²"', "size"),
        ("outputs = 3", "outputs"),
        ("outputs = [3]", "outputs"),
        ("osc_port = 70000", "osc-port"),
        ("osc_port = true", "osc-port"),
        ("fps = nan", "fps"),
        ("fps = 0", "fps"),
        ("duration = inf", "duration"),
        ('browser = "yes"', "browser"),
        ('host = ""', "host"),  # which a system takes for every address it has
        ('token = ""', "8 to 128 letters"),
        ('token = "short"', "8 to 128 letters"),
        ('token = "with a space"', "8 to 128 letters"),
        ('token = "schlüsselwort"', "8 to 128 letters"),
        ('token = "semi;colons"', "8 to 128 letters"),
        ('token = "12345678\\n"', "8 to 128 letters"),
        ("token = 12345678", "quotes"),
        ('osc_host = ""', "osc-host"),
        ('root = "no slash"', "root"),
        ("controls = 3", "controls"),
        ("[controls]\nsteps = 9", "1 to 4"),
        ("[controls]\nstep = 2", "step"),
        ("[controls]\nnoise = nan", "noise"),
        ("[controls]\nsteps = true", "steps takes a whole number"),
        ('[scenes."Break"]\nseed = false', "seed takes a whole number"),
        (f"fps = 1{'0' * 400}", "fps"),
        ("[[[", "cannot be read"),
        (f"input = {'[' * 3000}", "nested too deeply"),
        (f"fps = {'1' * 5000}", "cannot be read"),
    ],
)
def test_a_wrong_line_is_named_in_one_sentence_with_a_next_step(write, line, word):
    with pytest.raises(EngineError) as error:
        read_config(write(line))

    assert word in f"{error.value} {error.value.hint}"
    assert error.value.hint
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "host, meant", [("[::]", "::"), ("::1", "::1"), (" 0.0.0.0 ", "0.0.0.0"), ("studio", "studio")]
)
def test_a_host_may_be_written_as_in_an_address(host, meant):
    options = RunOptions().changed({"host": host, "osc_host": host})

    assert (options.host, options.osc_host) == (meant, meant)


def test_a_token_is_not_shown_with_the_other_options():
    assert "a-token-of-mine" not in repr(RunOptions().changed({"token": "a-token-of-mine"}))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadOption, match="missing.toml"):
        read_config(tmp_path / "missing.toml")
