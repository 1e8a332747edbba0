import json
from functools import cache

import pytest

from engine.train import evaluate, looks
from engine.train.__main__ import main
from engine.train.judge import Judge

TWO = {name: looks.LOOKS[name] for name in ("natural", "thermal")}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(evaluate, "LOOKS", TWO)
    monkeypatch.setattr(evaluate, "_judge", cache(lambda: Judge(10, 2)))


def test_one_line_of_json_holds_every_figure(small, capsys):
    assert main(["evaluate", "--frames", "8", "--steps", "1", "--json"]) == 0
    line = capsys.readouterr().out

    assert line.count("\n") == 1
    found = json.loads(line)
    assert set(found) == {"codec_db", "mean_db", "recognition", "flicker_ratio", "looks"}
    assert set(found["looks"]["thermal"]) == {"db", "recognition", "edges", "flicker"}


def test_the_shipped_codec_is_good_enough_to_look_at(small, capsys):
    main(["evaluate", "--frames", "8", "--steps", "1", "--json"])

    assert json.loads(capsys.readouterr().out)["codec_db"] > 25


def test_several_numbers_of_steps_give_a_table_each(small, capsys):
    assert main(["evaluate", "--frames", "8", "--steps", "1-2"]) == 0
    table = capsys.readouterr().out

    assert [line for line in table.splitlines() if "frames" in line] == ["1 steps, 8 frames", "2 steps, 8 frames"]
    assert "warp" in table


@pytest.mark.parametrize("steps", ["0", "5", "3-1", "x", ""])
def test_steps_that_cannot_be_are_refused(steps, capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--steps", steps])
    assert "from 1 to 4" in capsys.readouterr().err


def test_a_file_that_is_no_video_is_one_sentence(tmp_path, capsys):
    path = tmp_path / "notes.txt"
    path.write_text("not a film")

    assert main(["evaluate", "--clip", str(path)]) == 2
    assert "cannot be read as a video" in capsys.readouterr().err
