"""A run's files are whole or not there, whatever happens while they are written."""

import sys

import pytest
import torch

from engine.train.disk import BadRun, keep, read_state


def broken(part):
    part.write_bytes(b"half")
    raise OSError(28, "No space left on device")


def test_of_several_files_all_are_written_or_none(tmp_path):
    first, second = tmp_path / "codec", tmp_path / "dit"
    first.write_text("old")

    with pytest.raises(BadRun, match="No space left") as caught:
        keep({first: lambda part: part.write_text("new"), second: broken})

    assert first.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["codec"]
    assert "make room" in caught.value.hint


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full, which Linux has")
def test_a_checkpoint_that_a_full_disk_cut_off_is_one_sentence(tmp_path):
    state = {"weights": torch.zeros(1000)}

    with pytest.raises(BadRun, match="cannot be written"):
        keep({tmp_path / "state.pt": lambda part: torch.save(state, "/dev/full")})

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half of one"])
def test_a_damaged_checkpoint_is_one_sentence(tmp_path, content):
    (tmp_path / "codec.pt").write_bytes(content)

    with pytest.raises(BadRun, match="codec.pt is no checkpoint"):
        read_state(tmp_path / "codec.pt")
