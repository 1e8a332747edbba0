import pytest

from engine.errors import BadParam
from engine.prompt import join_blend, parse_blend


def test_a_plain_prompt_is_a_blend_of_one():
    assert parse_blend(" a cat at 12:30 ") == (("a cat at 12:30", 1.0),)


def test_weights_are_made_to_sum_to_one():
    assert parse_blend("watercolor:3 | neon") == (("watercolor", 0.75), ("neon", 0.25))


def test_writing_a_blend_and_reading_it_gives_it_back():
    blend = (("ink", 0.25), ("gold", 0.75))

    assert parse_blend(join_blend(blend)) == blend


@pytest.mark.parametrize("prompt", ["a:-1 | b", "a:nan | b", "a:0 | b:0", "a:inf | b", " | ", "x" * 5000])
def test_weights_that_do_not_add_up_are_refused(prompt):
    with pytest.raises(BadParam) as error:
        parse_blend(prompt)

    assert error.value.hint
