import json
from functools import cache

import pytest

from engine.train import evaluate, looks
from engine.train.__main__ import main
from engine.train.judge import Judge
from tests.engine.train.distill.parts import write_film

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


def test_any_numbers_of_steps_can_be_named(small, capsys):
    assert main(["evaluate", "--frames", "4", "--steps", "1,3-4"]) == 0

    table = capsys.readouterr().out
    assert [line.split()[0] for line in table.splitlines() if "frames" in line] == ["1", "3", "4"]


def test_what_cannot_be_measured_is_null_in_json_and_nothing_else_is(small, monkeypatch, tmp_path, capsys):
    write_film(tmp_path / "noise.mp4", 8)
    monkeypatch.setattr("engine.train.measures.STILL", 0.0)  # nowhere is still

    assert main(["evaluate", "--clip", str(tmp_path / "noise.mp4"), "--frames", "8", "--steps", "1", "--json"]) == 0

    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["flicker_ratio"] is None and found["looks"]["thermal"]["flicker"] is None
    assert found["looks"]["thermal"]["db"] > 10


def test_a_clip_of_one_frame_is_one_sentence(tmp_path, capsys):
    write_film(tmp_path / "short.mp4", 1)

    assert main(["evaluate", "--clip", str(tmp_path / "short.mp4")]) == 2
    assert "has 1 frames, and one chunk is 4" in capsys.readouterr().err


def test_a_model_of_other_looks_is_refused(capsys):
    assert main(["evaluate", "--preset", "wan-1.3b"]) == 2
    assert "does not make these looks" in capsys.readouterr().err


def test_a_sheet_is_a_picture_in_whatever_folder(small, tmp_path):
    assert main(["evaluate", "--frames", "4", "--steps", "1", "--sheet", str(tmp_path / "new" / "sheet")]) == 0

    assert (tmp_path / "new" / "sheet").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("steps", ["0", "5", "3-1", "x", "", "1,", "2-", "1,9"])
def test_steps_that_cannot_be_are_refused(steps, capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--steps", steps])
    assert "from 1 to 4" in capsys.readouterr().err


def test_a_file_that_is_no_video_is_one_sentence(tmp_path, capsys):
    path = tmp_path / "notes.txt"
    path.write_text("not a film")

    assert main(["evaluate", "--clip", str(path)]) == 2
    assert "cannot be read as a video" in capsys.readouterr().err


@pytest.mark.parametrize("frames", ["0", "3", "-4", "many"])
def test_fewer_frames_than_a_chunk_are_refused(frames, capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", f"--frames={frames}"])
    assert "argument --frames" in capsys.readouterr().err
