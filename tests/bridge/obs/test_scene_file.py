"""`latentcast obs map` and a user's own bridge.toml."""

import tomllib

import pytest

from bridge.cli.commands import main
from bridge.obs import scene_file as module
from bridge.options import read_config

pytestmark = pytest.mark.extra("obs")
MINE = """# my show
input = "camera:1"   # the good one

[controls]
steps = 3            # looks better

[scenes."Break"]
# coffee
prompt = "ink"

[scenes.Game]        # the loud one
prompt = "neon"
steps = 1
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "folder" / "bridge.toml"


def run(*words):
    return main(["obs", "map", *words])


def test_a_first_scene_makes_the_file_and_the_run_reads_it(file, capsys):
    assert run("Scene 1", "--prompt", "neon", "--fade", "2", "--steps", "3", "--config", str(file)) == 0

    assert read_config(file).scenes == {"Scene 1": {"prompt": "neon", "fade": 2.0, "steps": 3}}
    assert read_config(file).follows_obs
    assert "Written to" in capsys.readouterr().out


def test_a_users_file_keeps_every_word_and_comment(file):
    file.parent.mkdir()
    file.write_text(MINE, "utf-8")

    assert run('Ende "gut"', "--prompt", "gold", "--config", str(file)) == 0
    assert run("Game", "--prompt", "thermal", "--no-carry", "--preset", "tiny", "--config", str(file)) == 0

    text = file.read_text("utf-8")
    for line in MINE.splitlines()[:9]:
        assert line in text
    scenes = tomllib.loads(text)["scenes"]
    assert scenes["Break"] == {"prompt": "ink"}
    assert scenes["Game"] == {"prompt": "thermal", "carry": False, "preset": "tiny"}
    assert scenes['Ende "gut"'] == {"prompt": "gold"}


def test_a_scene_is_forgotten(file, capsys):
    file.parent.mkdir()
    file.write_text(MINE, "utf-8")

    assert run("Game", "--forget", "--config", str(file)) == 0

    assert set(read_config(file).scenes) == {"Break"}
    assert run("Game", "--forget", "--config", str(file)) == 2
    assert "says nothing about a scene 'Game'" in capsys.readouterr().err
    assert run("Break", "--forget", "--config", str(file)) == 0
    assert not read_config(file).scenes
    assert "# my show" in file.read_text("utf-8")


def test_what_is_mapped_is_listed(file, capsys):
    run("Game", "--prompt", "neon", "--config", str(file))
    capsys.readouterr()

    assert run("--config", str(file)) == 0

    assert capsys.readouterr().out == "'Game': prompt neon\n"


@pytest.mark.parametrize(
    "words, said",
    [
        (["--steps", "9"], "steps cannot be 9"),
        (["--preset", "nothing"], "nothing"),
        (["--noise", "loud"], "noise takes a number"),
    ],
)
def test_a_mistake_changes_nothing(file, capsys, words, said):
    file.parent.mkdir()
    file.write_text(MINE, "utf-8")

    assert run("Game", *words, "--config", str(file)) == 2

    assert said in capsys.readouterr().err
    assert file.read_text("utf-8") == MINE


def test_a_file_with_a_mistake_in_it_is_not_touched(file, capsys):
    file.parent.mkdir()
    file.write_text("input = [", "utf-8")

    assert run("Game", "--prompt", "neon", "--config", str(file)) == 2

    assert "cannot be read" in capsys.readouterr().err
    assert file.read_text("utf-8") == "input = ["


@pytest.mark.parametrize(
    "text", ['# c\nscenes = { Break = { prompt = "ink" } }\n', 'scenes.Break.prompt = "ink" # c\nobs = true\n']
)
def test_scenes_in_a_form_that_cannot_be_added_to_are_left_as_they_are(file, capsys, text):
    file.parent.mkdir()
    file.write_text(text, "utf-8")

    assert run("Game", "--prompt", "neon", "--config", str(file)) == 2

    assert "a table of its own" in capsys.readouterr().err
    assert [path.name for path in file.parent.iterdir()] == ["bridge.toml"]
    assert file.read_text("utf-8") == text


def test_a_file_from_an_editor_that_marks_its_beginning_is_read_and_written(file):
    file.parent.mkdir()
    file.write_text(MINE, "utf-8-sig")

    assert run("Game", "--prompt", "gold", "--config", str(file)) == 0

    assert read_config(file).scenes["Game"] == {"prompt": "gold"}


def test_a_full_disk_leaves_the_old_file(file, monkeypatch, capsys):
    file.parent.mkdir()
    file.write_text(MINE, "utf-8")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    assert run("Game", "--prompt", "gold", "--config", str(file)) == 2

    assert "No space left" in capsys.readouterr().err
    assert file.read_text("utf-8") == MINE
    assert [path.name for path in file.parent.iterdir()] == ["bridge.toml"]


def test_a_link_stays_a_link(file, tmp_path):
    file.parent.mkdir()
    target = tmp_path / "dotfiles.toml"
    target.write_text(MINE, "utf-8")
    file.symlink_to(target)

    run("Game", "--prompt", "gold", "--config", str(file))

    assert file.is_symlink()
    assert read_config(target).scenes["Game"]["prompt"] == "gold"


@pytest.mark.parametrize(
    "line, word",
    [
        ("scenes = 3", "a table"),
        ('scenes.X = "neon"', "a table"),
        ("[scenes.X]\nsteps = 9", "1 to 4"),
        ("[scenes.X]\nstep = 1", "step"),
        ('[scenes.X]\npreset = "none"', "none"),
        ("obs_port = 70000", "obs-port"),
        ("obs = 1", "obs"),
    ],
)
def test_what_the_file_says_wrongly_of_obs_is_one_sentence(file, capsys, line, word):
    file.parent.mkdir()
    file.write_text(line, "utf-8")

    assert run("--config", str(file)) == 2

    assert word in capsys.readouterr().err
