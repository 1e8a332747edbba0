"""The desk that every surface talks to."""

from bridge.control import ControlState
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
