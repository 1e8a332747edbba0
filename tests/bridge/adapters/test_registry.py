"""What a URI stands for, and what is said where its adapter cannot be had."""

import sys
from contextlib import closing

import pytest

from bridge.adapters import base
from bridge.adapters.base import SINKS, load_sink, load_source
from bridge.errors import AdapterUnavailable
from tests.bridge.films import make_film


def test_an_unknown_output_names_the_known_ones():
    with pytest.raises(AdapterUnavailable) as error:
        load_sink("sprout:x")

    assert "recorder" in error.value.hint
    assert "memory" not in error.value.hint, "which only tests have"


def test_what_is_no_known_input_is_taken_for_a_file_and_the_hint_names_the_others():
    with pytest.raises(AdapterUnavailable, match="sprout:x does not exist") as error:
        load_source("sprout:x").open(64, 48)

    assert "testcard" in error.value.hint


@pytest.mark.parametrize("address", ["http://host/", "rtsp://camera:554/live", "https://example.org/film.mp4"])
def test_an_address_is_refused_as_one(address):
    with pytest.raises(AdapterUnavailable, match="addresses are not played") as error:
        load_source(address)

    assert error.value.hint


def test_a_drive_is_no_address():
    with pytest.raises(AdapterUnavailable, match="does not exist"):
        load_source("C://film.mp4").open(64, 48)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no /dev")
def test_a_device_is_not_called_missing():
    with pytest.raises(AdapterUnavailable, match="/dev/zero is not a file"):
        load_source("/dev/zero").open(64, 48)


def test_a_tilde_is_the_home_folder_where_no_shell_has_read_it(tmp_path, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    make_film(tmp_path / "film.mp4", count=2)

    with closing(load_source("~/film.mp4")) as source:
        source.open(64, 48)
        assert source.read(1.0).size == (64, 48)
    assert load_sink("recorder:~/show.mp4").path == tmp_path / "show.mp4"
    with pytest.raises(AdapterUnavailable, match="does not exist"):
        load_source("~nobody-of-that-name/film.mp4").open(64, 48)


def test_a_missing_driver_breaks_only_its_own_adapter(monkeypatch):
    monkeypatch.setattr(base, "SINKS", {"gone": "bridge.adapters.gone:Gone", **SINKS})

    with pytest.raises(AdapterUnavailable, match="gone needs bridge.adapters.gone"):
        load_sink("gone:")
    load_sink("memory").close()


def test_what_belongs_to_another_system_says_so(monkeypatch):
    monkeypatch.setattr(base, "ONLY_ON", {"spout": ("plan9", "Plan 9")})

    with pytest.raises(AdapterUnavailable, match="spout works on Plan 9 only") as error:
        load_sink("spout:x")
    assert "ring:NAME" in error.value.hint


@pytest.mark.parametrize("kind", base.EXTRAS)
def test_a_library_that_is_not_installed_names_the_extra_that_brings_it(monkeypatch, kind):
    library = {"virtualcam": "pyvirtualcam", "spout": "SpoutGL", "syphon": "syphon", "ndi": "cyndilib"}[kind]
    monkeypatch.setattr(base, "ONLY_ON", {})
    monkeypatch.delitem(sys.modules, SINKS[kind].partition(":")[0], raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    for name in [name for name in sys.modules if name.startswith(f"{library}.")]:
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(AdapterUnavailable, match=f"{kind} needs {library}") as error:
        load_sink(f"{kind}:")
    assert error.value.hint == f"pip install 'latentcast[{kind}]'"
