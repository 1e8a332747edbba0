"""Where and in what precision to compute, and how long it took."""

import pytest
import torch

from engine.device import StageClock, pick_device, pick_dtype
from engine.errors import DeviceUnavailable
from engine.preset import load_preset
from engine.session import load_models


@pytest.mark.parametrize("real, dtype", [(True, torch.bfloat16), (False, torch.float16)])
def test_a_gpu_that_only_emulates_bfloat16_computes_in_float16(real, dtype, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: real or including_emulation)

    assert pick_dtype(torch.device("cuda")) == dtype
    assert pick_dtype(torch.device("cpu")) == torch.float32


@pytest.mark.parametrize(
    "system, dtype", [((13, 7), torch.float32), ((14, 0), torch.bfloat16), ((26, 1), torch.bfloat16)]
)
def test_a_mac_computes_in_bfloat16_where_its_system_has_it_and_never_in_float16(system, dtype, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda *version: system >= version)

    assert pick_dtype(torch.device("mps")) == dtype


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


def test_streams_and_events_are_made_on_the_card_that_was_asked_for(monkeypatch):
    """Where no card is current that holds the tensors, nothing waits for their copies."""
    current = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr("engine.session.pick_dtype", lambda place: torch.bfloat16)
    monkeypatch.setattr("engine.session.preflight", lambda *_: None)
    monkeypatch.setattr("engine.session.build", lambda preset, place, dtype: [*current, place])
    monkeypatch.setattr("engine.session.accelerate", lambda models, preset: models)

    assert load_models(load_preset("tiny"), "cuda:1") == [torch.device("cuda:1")] * 2


def test_time_between_two_stages_is_nobodys(monkeypatch):
    moments = iter([0.0, 1.0, 4.0, 6.0, 7.0])
    monkeypatch.setattr("engine.device.time.perf_counter", lambda: next(moments))
    clock = StageClock(torch.device("cpu"))
    for stage in ("encode", "", "denoise", "decode"):
        clock.mark(stage)

    assert clock.read(clock.end()) == {"encode": 1000.0, "denoise": 2000.0, "decode": 1000.0}
