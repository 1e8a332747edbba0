"""What a URI stands for, and what is said where its adapter cannot be had."""

import sys

import pytest

from bridge.adapters import base
from bridge.adapters.base import SINKS, AdapterUnavailable, load_sink, load_source


def test_an_unknown_output_names_the_known_ones():
    with pytest.raises(AdapterUnavailable) as error:
        load_sink("sprout:x")

    assert "recorder" in error.value.hint


def test_what_is_no_known_input_is_taken_for_a_file_and_the_hint_names_the_others():
    with pytest.raises(AdapterUnavailable, match="sprout:x does not exist") as error:
        load_source("sprout:x").open(64, 48)

    assert "testcard" in error.value.hint


def test_a_missing_driver_breaks_only_its_own_adapter(monkeypatch):
    monkeypatch.setattr(base, "SINKS", {"gone": "bridge.adapters.gone:Gone", **SINKS})

    with pytest.raises(AdapterUnavailable, match="gone needs bridge.adapters.gone"):
        load_sink("gone:")
    load_sink("memory").close()


def test_what_belongs_to_another_system_says_so(monkeypatch):
    monkeypatch.setattr(base, "ONLY_ON", {"spout": ("plan9", "Plan 9")})

    with pytest.raises(AdapterUnavailable, match="spout is there on Plan 9 only") as error:
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
