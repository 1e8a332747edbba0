import json
import math
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadParam
from engine.params import CONTROLS, KINDS, Params, as_written, find_control
from engine.prompt import MAX_PROMPT

NUMBERS = [row for row in CONTROLS if row.kind in ("int", "float")]
WHOLE = [row for row in NUMBERS if row.kind == "int"]
SWITCHES = [row for row in CONTROLS if row.kind == "bool"]
TEXTS = [row for row in CONTROLS if row.kind == "str"]
TYPES = {"str": str, "int": int, "float": float, "bool": bool}

each_number = pytest.mark.parametrize("row", NUMBERS, ids=lambda row: row.name)
each_switch = pytest.mark.parametrize("row", SWITCHES, ids=lambda row: row.name)
each_control = pytest.mark.parametrize("row", CONTROLS, ids=lambda row: row.name)


def valid_value(row):
    """Values that a control takes as they are."""
    if row.kind == "int":
        return st.integers(row.low, row.high)
    if row.kind == "float":
        return st.floats(row.low, row.high)
    if row.kind == "bool":
        return st.booleans()
    return st.sampled_from(
        ["", "ghibli:0.8 | grain:0.3", "film"] if row.name == "lora" else ["", "ink", "ink:2 | neon"]
    )


valid_changes = st.fixed_dictionaries({}, optional={row.name: valid_value(row) for row in CONTROLS})


def refusal(name, value):
    before = Params()
    with pytest.raises(BadParam) as error:
        before.set(name, value)
    assert before == Params(), "what was there stays"
    assert error.value.hint
    return error.value


# ---- the table


def test_there_are_controls_of_every_kind():
    assert {row.kind for row in CONTROLS} == set(TYPES)
    assert {TYPES[row.kind] for row in CONTROLS} == set(KINDS)


def test_what_counts_changes_is_no_control():
    assert "revision" not in [row.name for row in CONTROLS]
    assert "no control named 'revision'" in str(refusal("revision", 7))


def test_controls_are_listed_in_the_order_they_are_declared():
    assert [row.name for row in CONTROLS] == [name for name in Params().to_dict() if name != "revision"]


def test_what_must_work_without_an_engine_is_obeyed_by_the_bridge():
    assert {row.name for row in CONTROLS if row.home == "bridge"} == {"mix", "bypass", "freeze", "privacy", "panic"}
    assert {row.home for row in CONTROLS} == {"engine", "bridge"}


@each_control
def test_a_control_is_found_by_its_name_and_starts_as_the_table_says(row):
    assert find_control(row.name) is row
    assert getattr(Params(), row.name) == row.default
    assert type(row.default) is TYPES[row.kind]


@each_control
def test_a_control_is_explained_in_one_sentence(row):
    assert row.help[0].isupper()
    assert row.help.endswith(".") and "\n" not in row.help
    assert row.name.isalpha() and row.name.islower(), "it is an OSC address, an option and a key"


@each_control
def test_a_control_takes_its_own_default(row):
    assert getattr(Params().set(row.name, row.default), row.name) == row.default


@each_number
def test_every_number_has_a_range_and_starts_inside_it(row):
    assert row.low <= row.default <= row.high
    assert row.low < row.high
    assert math.isfinite(row.low) and math.isfinite(row.high)


@pytest.mark.parametrize("row", SWITCHES + TEXTS, ids=lambda row: row.name)
def test_what_is_no_number_has_no_range_and_no_unit(row):
    assert (row.low, row.high, row.unit) == (None, None, "")


# ---- numbers


@each_number
def test_a_slider_that_overshoots_is_clamped(row):
    for beyond in (row.high + 1, 1e300, 10**300, math.inf, "1e999"):
        assert getattr(Params().set(row.name, beyond), row.name) == row.high
    for beyond in (row.low - 1, -1e300, -(10**300), -math.inf, "-1e999"):
        assert getattr(Params().set(row.name, beyond), row.name) == row.low


@each_number
def test_both_ends_of_a_range_can_be_set(row):
    for end in (row.low, row.high):
        assert getattr(Params().set(row.name, end), row.name) == end
        assert type(getattr(Params().set(row.name, end), row.name)) is TYPES[row.kind]


@pytest.mark.parametrize("row", NUMBERS, ids=lambda row: row.name)
@given(data=st.data())
def test_a_number_inside_its_range_is_taken_as_it_is_by_whatever_type_it_comes(row, data):
    value = data.draw(valid_value(row))

    for sent in (value, float(value), repr(value), f" {value!r} "):
        taken = getattr(Params().set(row.name, sent), row.name)
        assert (taken, type(taken)) == (value, TYPES[row.kind])


@pytest.mark.parametrize("row", WHOLE, ids=lambda row: row.name)
@given(data=st.data())
def test_a_whole_number_between_two_steps_of_a_slider_is_the_nearer_one(row, data):
    value = data.draw(st.floats(row.low, row.high))

    taken = getattr(Params().set(row.name, value), row.name)

    assert type(taken) is int
    assert abs(taken - value) <= 0.5


@pytest.mark.parametrize("value", [math.nan, "nan", "loud", "", "0,5", None, [], {}, 1j, 10**400], ids="{!r:.9}".format)
@each_number
def test_what_is_no_number_is_refused_by_a_number(row, value):
    error = refusal(row.name, value)

    assert str(error).startswith(f"{row.name} takes {'a whole number' if row.kind == 'int' else 'a number'}, not ")
    assert error.hint == row.help


# ---- switches


@pytest.mark.parametrize("sent", [True, 1, 1.0, "1", "1.0", "on", "ON", "true", "True"], ids=repr)
@each_switch
def test_every_surface_has_its_own_way_to_say_on(row, sent):
    assert getattr(Params().set(row.name, sent), row.name) is True


@pytest.mark.parametrize("sent", [False, 0, 0.0, "0", "0.0", "off", "OFF", "false", "False"], ids=repr)
@each_switch
def test_every_surface_has_its_own_way_to_say_off(row, sent):
    on = Params().set(row.name, True)

    assert getattr(on.set(row.name, sent), row.name) is False


@pytest.mark.parametrize("value", ["?", "", "yes", 2, 0.5, -1, math.nan, None, [], [True], {}], ids=repr)
@each_switch
def test_what_is_neither_on_nor_off_is_refused_by_a_switch(row, value):
    error = refusal(row.name, value)

    assert str(error).startswith(f"{row.name} takes a switch (on or off), not ")
    assert error.hint == row.help


# ---- texts


@pytest.mark.parametrize("value", [3, 3.5, True, None, ["ink"], {"text": "ink"}, b"ink"], ids=repr)
@pytest.mark.parametrize("row", TEXTS, ids=lambda row: row.name)
def test_what_is_no_text_is_refused_by_a_text(row, value):
    error = refusal(row.name, value)

    assert str(error) == f"{row.name} takes text, not {value!r}"
    assert error.hint == row.help


@pytest.mark.parametrize("text", ["a\0b", "\0", "half a fox \ud83e", "\udc00"], ids=ascii)
@pytest.mark.parametrize("row", TEXTS, ids=lambda row: row.name)
def test_text_that_cannot_travel_is_refused(row, text):
    """OSC and C end a string at its NUL, and half a surrogate pair has no bytes."""
    assert str(refusal(row.name, text)).startswith(f"{row.name} takes text, not ")


@pytest.mark.parametrize("prompt", ["", "ein Fuchs 🦊", " two\nlines of it ", "at 12:30", "x" * MAX_PROMPT], ids=len)
def test_a_prompt_is_kept_word_for_word(prompt):
    assert Params().set("prompt", prompt).prompt == prompt


def test_a_prompt_is_refused_from_the_first_character_too_many():
    error = refusal("prompt", "x" * (MAX_PROMPT + 1))

    assert str(MAX_PROMPT + 1) in str(error) and str(MAX_PROMPT) in error.hint


@pytest.mark.parametrize("prompt", ["ink:-1 | neon", "ink:nan | neon", "ink:0 | neon:0", " | "])
def test_a_blend_that_does_not_add_up_is_refused_before_it_reaches_the_engine(prompt):
    assert "weigh" in str(refusal("prompt", prompt))


@pytest.mark.parametrize("loras", ["../secret", "film:5", "film | film"])
def test_loras_that_cannot_be_read_are_refused_before_they_reach_the_engine(loras):
    assert "the folder loras" in refusal("lora", loras).hint


def test_a_value_of_any_length_is_refused_in_a_sentence_of_one_line():
    for name in ("noise", "freeze"):
        assert len(str(refusal(name, "x\n" * 10**6))) < 150
        assert "\n" not in str(refusal(name, "x\n" * 10**6))


# ---- names


def test_an_unknown_control_is_said_with_those_there_are():
    error = refusal("nosie", 1)

    assert str(error) == "there is no control named 'nosie'"
    assert error.hint == "known: " + ", ".join(row.name for row in CONTROLS)


@pytest.mark.parametrize("name", ["", "Noise", "noise ", "set", "to_dict", "__class__", "\0", "x\n" * 10**6], ids=len)
def test_nothing_but_a_control_has_a_name(name):
    error = refusal(name, 1)

    assert len(str(error)) < 150 and "\n" not in str(error)


# ---- what somebody wrote: a file, a command line


@given(valid_changes)
def test_what_is_written_in_range_is_taken_as_a_surfaces_would_be(values):
    texts = {name: repr(value) if type(value) in (int, float) else value for name, value in values.items()}

    assert as_written(values) == as_written(texts) == values
    assert [type(value) for value in as_written(texts).values()] == [type(value) for value in values.values()]


@each_number
def test_a_number_written_out_of_range_is_refused_with_the_range_and_not_clamped(row):
    for end in (row.low, row.high):
        assert as_written({row.name: end}) == {row.name: end}
    for beyond in (row.low - 0.01, row.high + 0.01, str(row.high + 1), math.inf, -math.inf):
        with pytest.raises(BadParam, match=f"^{row.name} cannot be {beyond}$") as error:
            as_written({"prompt": "ink", row.name: beyond})
        assert error.value.hint == f"give {row.low:g} to {row.high:g}"


@pytest.mark.parametrize("value", [2.6, "1.5"])
def test_a_fraction_written_where_a_whole_number_belongs_is_refused_and_not_rounded(value):
    with pytest.raises(BadParam, match=f"^steps cannot be {value}$") as error:
        as_written({"steps": value})
    assert error.value.hint == "give a whole number"
    assert as_written({"steps": 2.0}) == {"steps": 2}


@each_number
@pytest.mark.parametrize("switch", [True, False])
def test_a_switch_written_in_a_numbers_place_is_refused(row, switch):
    with pytest.raises(BadParam, match=f"^{row.name} takes .* number, not {switch}$") as error:
        as_written({row.name: switch})
    assert error.value.hint == row.help


@pytest.mark.parametrize(("name", "value"), [("nosie", 1), ("noise", math.nan), ("prompt", 3), ("lora", "../x")])
def test_what_no_surface_may_say_may_not_be_written_either(name, value):
    with pytest.raises(BadParam):
        as_written({"steps": 3, name: value})


# ---- snapshots


def test_each_change_is_a_revision_even_one_to_the_same_value():
    params = Params()

    for count in range(1, 4):
        params = params.set("noise", 0.5)
        assert params.revision == count


@given(valid_changes)
def test_several_changes_are_one_revision_and_touch_nothing_else(values):
    before = Params(revision=41)

    after = before.set_all(values)

    assert after.revision == (42 if values else 41)
    assert after.to_dict() == before.to_dict() | values | {"revision": after.revision}


@pytest.mark.parametrize(("name", "value"), [("nosie", 1), ("noise", "loud"), ("prompt", 3), ("lora", "../x")])
@given(values=valid_changes, place=st.integers(0, 20))
def test_of_several_changes_all_are_made_or_none(name, value, values, place):
    before, changes = Params(revision=41), [row for row in values.items() if row[0] != name]
    changes.insert(place, (name, value))

    with pytest.raises(BadParam):
        before.set_all(dict(changes))

    assert before == Params(revision=41)


@given(valid_changes)
def test_a_snapshot_written_as_json_is_read_back_the_same(values):
    snapshot = Params(revision=41).set_all(values)

    read = json.loads(json.dumps(snapshot.to_dict(), allow_nan=False))

    assert Params(**read) == snapshot
    assert read.pop("revision") == snapshot.revision
    assert replace(Params().set_all(read), revision=snapshot.revision) == snapshot


@pytest.mark.parametrize("name", [*Params().to_dict(), "another"])
def test_a_chunk_sees_one_snapshot_from_start_to_end(name):
    snapshot = Params()
    later = snapshot.set("noise", 0.2)

    with pytest.raises((FrozenInstanceError, TypeError)):
        setattr(snapshot, name, 1)
    assert (snapshot.noise, later.noise) == (Params().noise, 0.2)
