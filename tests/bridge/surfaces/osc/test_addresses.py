"""What OSC addresses mean, without a socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.surfaces.osc.addresses import BadAddress, Change, control_values, interpret
from engine.errors import BadParam
from engine.params import CONTROLS, Params

RANGED = [row for row in CONTROLS if row.low is not None]
PLAIN = [row for row in CONTROLS if row.low is None]

each_ranged = pytest.mark.parametrize("row", RANGED, ids=lambda row: row.name)


def turned(row, value):
    """The controls after a fader that sends 0 to 1 was moved there."""
    change = interpret(f"norm/{row.name}", (value,), Params())
    assert isinstance(change, Change) and set(change.values) == {row.name}
    return Params().set_all(change.values)


@each_ranged
def test_a_fader_from_0_to_1_spans_the_whole_range_and_no_more(row):
    ends = [getattr(turned(row, value), row.name) for value in (-0.5, 0.0, 1.0, 1.5)]

    assert ends == [row.low, row.low, row.high, row.high]


@each_ranged
@given(place=st.floats(0, 1))
def test_a_fader_is_told_the_place_it_was_moved_to(row, place):
    params = turned(row, place)

    told = control_values(params, row.name)

    assert told[row.name] == (getattr(params, row.name),)
    step = 0.5 / (row.high - row.low) if row.kind == "int" else 0.0
    assert told[f"norm/{row.name}"][0] == pytest.approx(place, abs=step + 1e-9)


@pytest.mark.parametrize("row", PLAIN, ids=lambda row: row.name)
def test_what_has_no_range_has_no_fader(row):
    assert set(control_values(Params(), row.name)) == {row.name}
    with pytest.raises(BadAddress, match=f"{row.name} has no range") as error:
        interpret(f"norm/{row.name}", (0.5,), Params())
    assert f"/{row.name}" in error.value.hint


@each_ranged
@pytest.mark.parametrize("value", ["x", float("nan")], ids=repr)
def test_a_fader_that_sends_no_number_is_refused_by_its_name(row, value):
    with pytest.raises(BadParam, match=row.name) as error:
        Params().set_all(interpret(f"norm/{row.name}", (value,), Params()).values)
    assert error.value.hint == row.help
