import pytest
import torch

from engine.device import pick_device
from engine.errors import DeviceUnavailable


@pytest.mark.parametrize("name", ["cpu:1", "cpu:x", "cuda:99", "tpu", "meta", "cuda:0:0", "a graphics card"])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(name):
    with pytest.raises(DeviceUnavailable) as error:
        pick_device(name)

    assert repr(name) in str(error.value)
    assert "cpu" in error.value.hint


def test_the_best_device_is_taken_unless_one_is_named():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device().type in ("cuda", "mps", "cpu")


def test_a_card_is_known_by_its_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    assert (pick_device(), pick_device("cuda:1")) == (torch.device("cuda"), torch.device("cuda:1"))
    with pytest.raises(DeviceUnavailable):
        pick_device("cuda:2")
