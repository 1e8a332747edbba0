"""What Spout and Syphon do each in their own way, and the names that all such channels have."""

import threading

import numpy as np
import pytest

from bridge.adapters.base import load_sink, load_source
from bridge.adapters.channel import Channel
from bridge.errors import AdapterUnavailable
from engine.clock import monotonic
from engine.frame import Frame
from tests.bridge.adapters.doubles import spoutgl, syphon
from tests.bridge.adapters.others import another_program
from tests.bridge.films import numbered


@pytest.mark.parametrize(
    ("where", "channel"),
    [
        ("", Channel("")),
        ("Stage", Channel("Stage")),
        ("Scene, 2", Channel("Scene, 2")),
        ("Stage,flip", Channel("Stage", flip=True)),
        ("Scene, 2, swap,flip", Channel("Scene, 2", True, True)),
        (",flip", Channel("", flip=True)),
        ("flip", Channel("flip")),
    ],
)
def test_a_name_may_hold_commas_and_marks_come_last(where, channel):
    assert Channel.read(where) == channel


def test_a_name_that_spout_could_not_keep_is_refused():
    with pytest.raises(AdapterUnavailable, match="too long"):
        Channel.read("é" * 126)


@pytest.fixture
def spout(monkeypatch):
    spoutgl.install(monkeypatch)
    return spoutgl


@pytest.fixture
def mac(monkeypatch):
    syphon.install(monkeypatch)
    return syphon


def sending(uri, number=3):
    sink = load_sink(uri)
    sink.open(160, 96, fps=30)
    sink.send(Frame(numbered(number), monotonic(), number))
    return sink


def test_spout_gets_red_first_the_top_row_first_and_nothing_shines_through(spout):
    sink = sending("spout:Stage")

    pixels = spout.senders["Stage"].pixels
    assert np.array_equal(pixels[..., :3], numbered(3))
    assert (pixels[..., 3] == 255).all()
    sink.close()
    assert spout.senders == {}


def test_our_spout_sender_is_called_latentcast_unless_it_is_named(spout):
    sink = sending("spout")

    assert (sink.name, list(spout.senders)) == ("latentcast", ["latentcast"])
    sink.close()


def test_the_name_of_a_spout_sender_that_crashed_does_not_stop_ours_which_says_what_it_is_called_now(spout):
    spout.senders["latentcast"] = None
    sink = sending("spout")

    assert sink.name == "latentcast_1"
    sink.close()


def test_without_directx_11_it_says_what_to_do(spout, monkeypatch):
    monkeypatch.setattr(spout.SpoutSender, "works", False)

    with pytest.raises(AdapterUnavailable, match="cannot send from here") as error:
        load_sink("spout").open(64, 48, 30)
    assert "DirectX 11" in error.value.hint


def test_when_spouts_list_is_full_it_says_so(spout, monkeypatch):
    monkeypatch.setattr(spout.SpoutSender, "works", False)
    spout.senders.update({f"sender {n}": None for n in range(10)})

    with pytest.raises(AdapterUnavailable) as error:
        load_sink("spout").open(64, 48, 30)
    assert "raise the limit" in error.value.hint


def test_a_spout_sender_that_stops_working_is_lost_and_not_silent(spout, monkeypatch):
    sink = sending("spout")
    monkeypatch.setattr(spout.SpoutSender, "works", False)

    with pytest.raises(AdapterUnavailable, match="was lost"):
        sink.send(Frame(numbered(0), 0.0, 0))
    sink.close()


def test_without_a_name_spouts_active_sender_is_taken(spout):
    with another_program("spout", name="Active"):
        source = load_source("spout")
        source.open(160, 96)

        assert source.name == "Active"
        source.close()


def test_without_any_sender_it_says_to_start_one(spout, mac):
    for kind in ("spout", "syphon"):
        with pytest.raises(AdapterUnavailable, match="there is no S") as error:
            load_source(kind).open(64, 48)
        assert "start sending" in error.value.hint


def test_a_wrong_name_comes_with_the_right_ones(spout):
    with (
        another_program("spout", name="Stage"),
        pytest.raises(AdapterUnavailable, match="no Spout sender named Sage") as error,
    ):
        load_source("spout:Sage").open(64, 48)
    assert error.value.hint == "there are: Stage"


def test_a_held_spout_picture_is_no_news(spout):
    sink, source = sending("spout:Stage"), load_source("spout:Stage")
    source.open(160, 96)
    first = source.read(2.0)

    assert first is not None
    assert source.read(0.05) is None
    source.close()
    sink.close()


def test_syphons_surface_is_blue_first_the_bottom_row_first_and_nothing_shines_through(mac):
    sink = sending("syphon:Stage")

    (server,) = mac.machine
    assert np.array_equal(server.surface.bytes[::-1, :, 2::-1], numbered(3))
    assert (server.surface.bytes[..., 3] == 255).all()
    sink.close()
    assert mac.machine == []


def test_our_syphon_server_can_be_found_because_its_run_loop_is_turned(mac):
    sink = sending("syphon:Stage")

    assert mac.machine[0].announced
    sink.close()


@pytest.mark.parametrize("name", ["Stage", "Python", "Python/Stage"])
def test_a_syphon_server_is_found_by_its_name_its_program_or_both(mac, name):
    with another_program("syphon", name="Stage"):
        source = load_source(f"syphon:{name}")
        source.open(160, 96)

        assert source.name == "Stage"
        assert source.read(2.0) is not None
        source.close()


def test_a_mac_that_nobody_is_logged_in_at_says_so(mac, monkeypatch):
    monkeypatch.setattr(mac.SyphonMetalServer, "works", False)

    with pytest.raises(AdapterUnavailable, match="No Metal device is available") as error:
        load_sink("syphon").open(64, 48, 30)
    assert "logged in" in error.value.hint


@pytest.mark.extra("ndi")
def test_an_ndi_input_looks_for_its_sender_only_until_it_has_it(ndi_here):
    """Its thread, of cyndilib 0.1.3, waits 5 s at a time; to end it just when they are over frees a lock twice."""
    with another_program("ndi") as program:
        source = load_source(program.uri)
        source.open(64, 48)
        try:
            assert not [thread for thread in threading.enumerate() if "Finder" in type(thread).__name__]
            assert any(source.read(0.5) for _ in range(40))
        finally:
            source.close()
