import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadParam
from engine.loras import MAX_LORAS, MAX_STRENGTH, parse_loras

words = st.text(st.sampled_from("abcXYZ019äß .+()-_"), min_size=1, max_size=30).map(str.strip)
names = words.filter(lambda word: word and word[0].isalnum() and not word.endswith(".safetensors"))


@given(st.dictionaries(names, st.floats(-MAX_STRENGTH, MAX_STRENGTH), max_size=MAX_LORAS))
def test_names_and_strengths_come_as_they_were_written(loras):
    written = " | ".join(f"{name}: {strength!r}" for name, strength in loras.items())

    assert parse_loras(written) == tuple(loras.items())


@pytest.mark.parametrize("strength", [MAX_STRENGTH, -MAX_STRENGTH, 0.0])
def test_a_strength_goes_to_the_strongest_either_way(strength):
    assert parse_loras(f"film:{strength}") == (("film", strength),)


@pytest.mark.parametrize("strength", ["4.001", "-4.001", "inf", "-inf", "nan", "", "loud", "0,5"])
def test_a_strength_beyond_the_strongest_is_refused(strength):
    with pytest.raises(BadParam, match="-4 to 4") as error:
        parse_loras(f"grain | film:{strength}")

    assert "the folder loras" in error.value.hint


def test_as_many_loras_as_there_may_be_are_taken_and_one_more_is_refused():
    written = [f"film {number}" for number in range(MAX_LORAS + 1)]

    assert len(parse_loras("|".join(written[:-1]))) == MAX_LORAS
    with pytest.raises(BadParam, match=f"more than {MAX_LORAS}"):
        parse_loras("|".join(written))


@pytest.mark.parametrize("twice", ["film | film", "film:0.2 | grain | film", "film | film.safetensors", "film| film "])
def test_a_lora_that_is_named_twice_is_refused(twice):
    with pytest.raises(BadParam, match="twice"):
        parse_loras(twice)


@pytest.mark.parametrize("name", ["x" * 100, "film.v2", "Ölfarbe (fein)", "a+b", "7"])
def test_a_files_name_is_taken_with_or_without_its_ending(name):
    assert parse_loras(name) == parse_loras(f" {name}.safetensors ") == ((name, 1.0),)


@pytest.mark.parametrize(
    "name", ["x" * 101, "../film", "/film", "a/b", "a\\b", "C:\\film", ".film", "-film", "a\nb", "a\0b", ":1", "*", "~"]
)
def test_a_path_or_what_can_be_no_files_name_is_refused(name):
    with pytest.raises(BadParam, match="is no LoRA") as error:
        parse_loras(name)

    assert len(str(error.value)) < 150
    assert "the folder loras" in error.value.hint


@pytest.mark.parametrize("nothing", ["", " ", "|", " | | "])
def test_nothing_is_no_lora(nothing):
    assert parse_loras(nothing) == ()
