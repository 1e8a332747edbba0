"""Rows that are added while a stream plays, against the definition: each row is a stream of its own, of one step."""

import copy

import pytest
import torch

from engine.models.causal_dit import CausalDiT
from engine.preset import ScheduleSpec
from engine.stream.pace import Plan
from engine.stream.schedule import Schedule
from tests.engine.stream.test_batch import DIT, TIMES, chunks, make, still

SCHEDULE = Schedule(ScheduleSpec(tuple(TIMES)))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return CausalDiT(DIT).eval().requires_grad_(False)


def alone(row, step, latent, position, context):
    """One chunk through the stream of one step that a row is."""
    noisy = latent if step == 0 else SCHEDULE.add_noise(latent, still(latent, step), torch.tensor([TIMES[step]]))
    (done,) = row.step(noisy, position, [TIMES[step]], Plan(1, 1), context, still)
    return done.latent


def by_definition(model, latents, raised_at, before, after):
    """Every chunk, finished, where rows rise from `before` to `after` as chunk `raised_at` enters.

    All rows begin as copies of the stream of the first chunk, which takes its steps at once. A row that is added begins
    as a copy of what was the last row.
    """
    context, first = model.context(torch.ones(1, 2, 8)), make(model)[0]
    (done,) = first.step(latents[0], 0, TIMES[:before], Plan(1, before), context, still)
    rows, finished, waiting = [copy.deepcopy(first) for _ in range(before)], [done.latent], {}
    for call in range(1, len(latents) + after):
        if call == raised_at:
            rows += [copy.deepcopy(rows[-1]) for _ in range(after - before)]
        if call < len(latents):
            waiting[call] = (0, latents[call])
        for position, (step, latent) in sorted(waiting.items()):
            out = alone(rows[step], step, latent, position, context)
            waiting[position] = (step + 1, out)
            if step + 1 == len(rows):
                finished.append(out)
                del waiting[position]
    return finished


@pytest.mark.parametrize("before, after", [(1, 3), (2, 3), (2, 4), (3, 4)])
@pytest.mark.parametrize("raised_at", [2, 9], ids=["while the window fills", "later"])
def test_rows_that_are_added_live_leave_every_chunk_what_it_is_by_definition(model, raised_at, before, after):
    latents, (batch, _), done = chunks(16), make(model), []
    context = model.context(torch.ones(1, 2, 8))

    for tag, latent in enumerate(latents):
        steps = before if tag < raised_at else after
        done += batch.step(latent, tag, TIMES[:steps], Plan(steps, 1), context, still)
    done += batch.drain(TIMES[:after], Plan(after, 1), context, still)

    wanted = by_definition(model, latents, raised_at, before, after)
    assert [lane.tag for lane in done] == list(range(16))
    for lane, latent in zip(done, wanted, strict=True):
        torch.testing.assert_close(lane.latent, latent, atol=1e-5, rtol=0)
