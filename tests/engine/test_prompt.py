import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadParam
from engine.prompt import MAX_PROMPT, join_blend, parse_blend

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="|"), max_size=20).map(str.strip)
blends = st.lists(st.tuples(texts, st.floats(1e-3, 1e3)), min_size=2, max_size=6)


@pytest.mark.parametrize(
    "prompt", ["a cat at 12:30", "rain:", ":", "neon:0.3", "", "ink:-1", "x" * (MAX_PROMPT - 2)], ids=len
)
def test_a_plain_prompt_is_a_blend_of_one(prompt):
    assert parse_blend(prompt) == parse_blend(f" {prompt} ") == ((prompt, 1.0),)


def test_weights_are_made_to_sum_to_one():
    assert parse_blend("watercolor:3 | neon") == (("watercolor", 0.75), ("neon", 0.25))


@pytest.mark.parametrize(
    ("prompt", "blend"),
    [
        ("ink | gold", (("ink", 0.5), ("gold", 0.5))),
        ("  ink : 3|gold:1e0  ", (("ink", 0.75), ("gold", 0.25))),
        ("at 12:30:1 | ratio 4:x", (("at 12:30", 0.5), ("ratio 4:x", 0.5))),
        ("ink:0 | gold:2", (("ink", 0.0), ("gold", 1.0))),
        ("ink:4 |", (("ink", 1.0),)),
        ("| ink || gold |", (("ink", 0.5), ("gold", 0.5))),
        (":1 | ink", (("", 0.5), ("ink", 0.5))),
    ],
)
def test_a_weight_follows_the_last_colon_and_a_part_without_one_weighs_1(prompt, blend):
    assert parse_blend(prompt) == blend


@given(blends)
def test_writing_a_blend_and_reading_it_gives_it_back_up_to_the_weights_factor(blend):
    total = sum(weight for _, weight in blend)

    read = parse_blend(join_blend(tuple(blend)))

    assert [text for text, _ in read] == [text for text, _ in blend]
    assert [weight for _, weight in read] == pytest.approx([weight / total for _, weight in blend], rel=1e-4)
    assert sum(weight for _, weight in read) == pytest.approx(1)


@given(texts)
def test_one_text_is_written_without_its_weight_and_read_back(text):
    assert parse_blend(join_blend(((text, 0.3),))) == ((text, 1.0),)


def test_a_text_that_holds_a_bar_stays_one_text_when_it_is_written():
    assert join_blend((("rain|snow", 1.0),)) == "rain snow"
    assert parse_blend(join_blend((("rain|snow", 0.25), ("ink", 0.75)))) == (("rain snow", 0.25), ("ink", 0.75))


@pytest.mark.parametrize("prompt", ["a:0 | b:0", "a:inf | b", "a:1e308 | b:1e308", " | ", "|"])
def test_weights_that_do_not_add_up_are_refused(prompt):
    with pytest.raises(BadParam, match="do not add up") as error:
        parse_blend(prompt)

    assert error.value.hint == 'write "watercolor:0.7 | neon:0.3"'


@pytest.mark.parametrize("weight", ["-1", "-0.001", "nan", "-inf"])
def test_a_weight_below_zero_is_refused_however_much_the_others_weigh(weight):
    with pytest.raises(BadParam, match=f"cannot weigh {weight}$") as error:
        parse_blend(f"a: {weight} | b:5")

    assert error.value.hint == "weights start at 0"


@pytest.mark.parametrize("prompt", ["x" * (MAX_PROMPT + 1), "x" * 1000 + " | " + "y" * 1000, " " * 5000], ids=len)
def test_a_prompt_is_refused_from_the_first_character_too_many(prompt):
    with pytest.raises(BadParam, match=f"of {len(prompt)} characters is too long") as error:
        parse_blend(prompt)

    assert error.value.hint == f"use at most {MAX_PROMPT}"
