import pytest

from engine.errors import BadParam
from engine.params import Params


def test_a_slider_that_overshoots_is_clamped():
    assert Params().set("noise", 1.7).noise == 1.0


def test_text_from_osc_becomes_the_right_kind():
    assert Params().set("steps", "3").steps == 3


@pytest.mark.parametrize("sent, meant", [(True, True), (0.0, False), ("off", False), (1, True)])
def test_every_surface_has_its_own_idea_of_a_switch(sent, meant):
    assert Params().set("freeze", sent).freeze is meant


@pytest.mark.parametrize("name, value", [("noise", float("nan")), ("noise", "loud"), ("prompt", 3), ("freeze", "?")])
def test_nonsense_is_refused(name, value):
    with pytest.raises(BadParam, match=name):
        Params().set(name, value)


def test_an_unknown_control_names_the_known_ones():
    with pytest.raises(BadParam) as error:
        Params().set("nosie", 1)

    assert "noise" in error.value.hint
