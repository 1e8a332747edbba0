import pytest

from engine.stream.pace import plan_steps


@pytest.mark.parametrize(
    "steps, rows, laid_out",
    [(1, 0, (1, 1)), (2, 0, (2, 1)), (4, 0, (4, 1)), (2, 1, (1, 2)), (4, 2, (2, 2)), (3, 2, (1, 3)), (2, 4, (2, 1))],
)
def test_rows_times_passes_are_the_steps(steps, rows, laid_out):
    plan = plan_steps(steps, rows)

    assert (plan.rows, plan.passes) == laid_out
    assert plan.steps == steps
