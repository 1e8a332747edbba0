import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.process.protocol import BadLine, Beat, Failure, Report, Reset, SetParams, Stage, Stop, decode, encode
from engine.params import Params

MESSAGES = [
    SetParams({"prompt": 'neon "|" ünïcode\n', "steps": 2}),
    Reset(),
    Stop(),
    Stage("warming", "cpu", "tiny"),
    Beat(3),
    Report(7, 120, {"encode": 1.5}, backlog=2, dropped=9),
    Failure("the weights are cut short", "fetch them again"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_arrives_as_it_was_sent_in_one_line(message):
    line = encode(message)

    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert decode(line) == message


def test_a_snapshot_travels_whole():
    params = Params().set("prompt", "neon").set("mix", 0.25)

    assert Params(**decode(encode(SetParams(params.to_dict()))).values) == params


@pytest.mark.parametrize(
    "line", ["", "hello", "[]", "3", "null", "{}", '{"params": 3}', '{"report": {}}', '{"beat": 1, "x": 2}', '{"stage"']
)
def test_a_line_that_is_no_message_says_what_one_looks_like(line):
    with pytest.raises(BadLine) as error:
        decode(line)

    assert json.loads(error.value.hint.removeprefix("say "))


@given(st.text())
def test_whatever_is_typed_at_it_nothing_else_is_raised(text):
    try:
        decode(text)
    except BadLine as error:
        assert len(str(error)) < 200


def test_a_failure_reads_as_one_sentence_with_a_next_step():
    assert str(Failure("no camera", "plug one in")) == "no camera; plug one in"
    assert str(Failure("no camera")) == "no camera"
