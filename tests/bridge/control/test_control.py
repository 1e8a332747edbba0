"""The desk that every surface talks to."""

import pytest

from bridge.control.control import BadAction, ControlState, EngineStatus
from engine.errors import BadParam, EngineError
from engine.preset import load_preset

TINY, WAN = (load_preset(name).params for name in ("tiny", "wan-1.3b"))


def desk(chosen=()):
    told = []
    control = ControlState(WAN, lambda *_: None, chosen)
    control.watch(told.append)
    return control, told


def test_another_model_starts_the_controls_that_nobody_has_set_as_it_likes_them():
    control, told = desk()

    control.start_from(TINY)

    assert (control.params.noise, control.params.carry, control.params.rows) == (0.71, True, 1)
    assert [(event.kind, set(event.data)) for event in told] == [("changed", {"prompt", "noise", "carry", "rows"})]
    control.start_from(WAN)
    assert (control.params.noise, control.params.carry, control.params.prompt) == (0.8, False, WAN.prompt)


def test_what_somebody_has_set_stays_whatever_model_runs():
    control, _ = desk(chosen=["carry"])
    control.set_all({"prompt": "neon", "noise": WAN.noise})

    control.start_from(TINY)

    assert (control.params.prompt, control.params.noise, control.params.carry) == ("neon", WAN.noise, WAN.carry)
    assert control.params.rows == TINY.rows


def test_a_change_is_one_revision_and_everybody_is_told_what_is_now():
    control, told = desk()

    params = control.set_all({"steps": "3", "noise": 7})

    assert (params.revision, control.params) == (1, params)
    assert [(event.kind, event.data, event.revision) for event in told] == [("changed", {"steps": 3, "noise": 1.0}, 1)]
    assert control.set("steps", 1).revision == 2


@pytest.mark.parametrize("values", [{"steps": "many"}, {"stops": 2}, {"noise": 0.5, "steps": None}])
def test_a_change_that_is_refused_in_part_is_no_change_at_all(values):
    control, told = desk()

    with pytest.raises(BadParam):
        control.set_all(values)

    assert (control.params, told) == (WAN, [])


def test_what_is_so_already_is_neither_a_revision_nor_news():
    control, told = desk()
    control.set("steps", 3)
    told.clear()

    control.set_all({"steps": 3.0, "prompt": control.params.prompt})
    control.set_all({})

    assert (control.params.revision, told) == (1, [])


def test_of_several_controls_only_those_that_moved_are_news():
    control, told = desk()

    control.set_all({"prompt": WAN.prompt, "steps": 4})

    assert [event.data for event in told] == [{"steps": 4}]


def test_a_surface_that_leaves_while_it_is_told_takes_no_news_from_the_others():
    control, _ = desk()
    heard = []
    leave = control.watch(lambda event: leave())
    control.watch(heard.append)

    control.set("steps", 4)
    control.set("steps", 1)

    assert [event.data for event in heard] == [{"steps": 4}, {"steps": 1}]


def test_a_surface_that_left_hears_no_more_and_may_leave_twice():
    control, told = desk()
    heard = []
    leave = control.watch(heard.append)
    control.set("steps", 4)
    leave()
    leave()
    control.set("steps", 1)

    assert (len(heard), len(told)) == (1, 2)


def test_a_surface_that_fails_takes_neither_the_change_nor_the_other_surfaces_down(caplog):
    control, before = desk()
    control.watch(lambda event: 1 / 0)
    after = []
    control.watch(after.append)

    control.set("steps", 4)
    control.publish(state="streaming")
    control.fail("the camera is gone", "input")

    assert control.params.steps == 4
    assert [event.kind for event in after] == [event.kind for event in before]
    assert [event.kind for event in after] == ["changed", "state", "status", "error"]
    assert [record.levelname for record in caplog.records] == ["ERROR"], "and it is logged once"


def test_the_status_is_news_once_and_its_state_and_what_was_applied_only_when_they_change():
    control, told = desk()

    control.publish(state="streaming", fps_in=20.0)
    control.publish(fps_in=30.0)
    control.publish(applied={"revision": 2, "frame": 70})

    assert [event.kind for event in told] == ["state", "status", "status", "applied", "status"]
    assert told[0].data == {"state": "streaming"}
    assert told[3].data == {"revision": 2, "frame": 70}
    assert (control.status.state, control.status.fps_in) == ("streaming", 30.0)


def test_an_action_is_carried_out_with_what_it_takes_and_nothing_else_is():
    done = []
    control = ControlState(WAN, lambda *what: done.append(what))

    control.do("output", "recorder", True)
    control.do("reset")

    assert done == [("output", ("recorder", True)), ("reset", ())]
    for action, arguments in (("output", ("recorder",)), ("output", (1, True)), ("reset", (1,)), ("rest", ())):
        with pytest.raises(BadAction) as error:
            control.do(action, *arguments)
        assert error.value.hint
    assert len(done) == 2


def test_an_action_that_fails_says_why_to_who_asked_and_changes_nothing():
    def perform(action, arguments):
        raise EngineError("there is no room", "take a smaller one")

    control = ControlState(WAN, perform)
    before = control.to_dict()

    with pytest.raises(EngineError, match="no room"):
        control.do("preset", "wan-14b")
    assert control.to_dict() == before


def test_the_status_of_the_whole_has_every_control_and_can_be_changed_by_nobody():
    control, _ = desk()
    control.publish(engine=EngineStatus(pid=7, preset="tiny"), latency_ms={"p50": 3.0})
    said = control.to_dict()

    assert said["params"] == {name: value for name, value in WAN.to_dict().items() if name != "revision"}
    assert (said["revision"], said["engine"]["pid"], said["latency_ms"]) == (0, 7, {"p50": 3.0})
    said["latency_ms"]["p50"] = said["params"]["steps"] = 99
    assert (control.status.latency_ms, control.params) == ({"p50": 3.0}, WAN)
