import pytest

from engine.params import find_control
from engine.stream.pace import plan_steps

STEPS, ROWS = (find_control(name) for name in ("steps", "rows"))
EVERY = [(steps, rows) for steps in range(STEPS.low, STEPS.high + 1) for rows in range(ROWS.low, ROWS.high + 1)]

every_layout = pytest.mark.parametrize(("steps", "rows"), [*EVERY, (6, 4), (12, 5), (7, 6)])


@pytest.mark.parametrize(
    "steps, rows, laid_out",
    [(1, 0, (1, 1)), (2, 0, (2, 1)), (4, 0, (4, 1)), (2, 1, (1, 2)), (4, 2, (2, 2)), (3, 2, (1, 3)), (2, 4, (2, 1))],
)
def test_rows_times_passes_are_the_steps(steps, rows, laid_out):
    plan = plan_steps(steps, rows)

    assert (plan.rows, plan.passes) == laid_out
    assert plan.steps == steps


@every_layout
def test_whatever_is_asked_for_every_step_is_done_and_no_row_is_too_many(steps, rows):
    plan = plan_steps(steps, rows)

    assert plan.rows * plan.passes == plan.steps == steps
    assert 1 <= plan.rows <= (rows or steps)


@every_layout
def test_no_more_rows_could_share_the_steps_evenly(steps, rows):
    """Fewer would do as well, but each row less is a call more for every chunk."""
    plan = plan_steps(steps, rows)

    assert not [more for more in range(plan.rows + 1, (rows or steps) + 1) if steps % more == 0]


@pytest.mark.parametrize("steps", range(STEPS.low, STEPS.high + 1))
def test_one_row_is_step_by_step_and_none_asked_for_is_one_row_a_step(steps):
    alone, batch = plan_steps(steps, 1), plan_steps(steps, 0)

    assert (alone.rows, alone.passes) == (1, steps)
    assert (batch.rows, batch.passes) == (steps, 1)


@every_layout
def test_laying_out_again_what_was_laid_out_changes_nothing(steps, rows):
    plan = plan_steps(steps, rows)

    assert plan_steps(plan.steps, plan.rows) == plan
