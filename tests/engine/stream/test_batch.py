import copy

import pytest
import torch

from engine.models.causal_dit import CausalDiT
from engine.preset import DitSpec, ScheduleSpec, WindowSpec
from engine.stream.kvcache import KVCache
from engine.stream.noise_source import NoiseSource
from engine.stream.pace import Plan
from engine.stream.schedule import Schedule
from tests.engine.stream.planned import PlannedBatch, begin

DIT = DitSpec("", channels=4, dim=24, ffn=32, heads=2, layers=2, text_dim=8, text_len=2)
WINDOW = WindowSpec(slots=4, sinks=2, sink_distance=6)
TIMES = [700, 500, 400, 200]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return CausalDiT(DIT).eval().requires_grad_(False)


def make(model, window=WINDOW):
    cache = KVCache(window, DIT, 4, torch.device("cpu"), torch.float32)
    return PlannedBatch(model, Schedule(ScheduleSpec(tuple(TIMES))), window, cache), cache


def still(like, step):
    """Noise that depends on the step alone, so that rows and passes draw the same."""
    return NoiseSource(1, like.device).draw(like, step, carry=True)


def run(batch, model, chunks, plan):
    context, done = model.context(torch.ones(1, 2, 8)), []
    for tag, chunk in enumerate(chunks):
        done += batch.step(chunk, tag, TIMES[: plan.steps], plan, context, still)
    return done + batch.drain(TIMES[: plan.steps], plan, context, still)


def chunks(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, 4, 4, 4, generator=generator) for _ in range(count)]


def by_hand(model, latents, slots, steps):
    """The stream batch's definition, written the slow way: every step of every chunk alone, one cache per step.

    The first chunk takes all its steps on one cache, which every step then has a copy of.
    """
    context, schedule, first = model.context(torch.ones(1, 2, 8)), Schedule(ScheduleSpec(tuple(TIMES))), make(model)[1]
    caches, finished = [first] * steps, []
    for position, (clean, slot) in enumerate(zip(latents, slots, strict=True)):
        drift = max(0, position - WINDOW.sink_distance)  # sinks 0 and 1 are frames 0 and 1
        for step, cache in enumerate(caches):
            t = torch.full((1, 1), TIMES[step])
            noisy = clean if step == 0 else schedule.add_noise(clean, still(clean, step), t[0])
            begin(cache, [slot], [[position]], [min(position + 1, WINDOW.slots)], drift)
            clean = schedule.to_clean(noisy[None], model(noisy[None], t, cache, context), t)[0]
        finished.append(clean)
        if position == 0:
            caches = [copy.deepcopy(first) for _ in range(steps)]
    return finished


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_batching_steps_gives_what_running_each_step_alone_gives(model, steps):
    latents, (batch, _) = chunks(12), make(model)

    done = run(batch, model, latents, Plan(steps, 1))

    for lane, clean in zip(done, by_hand(model, latents, batch.slots, steps), strict=True):
        torch.testing.assert_close(lane.latent, clean, atol=1e-5, rtol=0)


@pytest.mark.parametrize("plan", [Plan(1, 3), Plan(3, 1), Plan(2, 2)], ids=str)
def test_every_chunk_leaves_once_and_in_order(model, plan):
    assert [lane.tag for lane in run(make(model)[0], model, chunks(9), plan)] == list(range(9))


def test_one_step_is_the_same_whichever_way_it_is_laid_out(model):
    rows, passes = (run(make(model)[0], model, chunks(7), Plan(1, 1)) for _ in range(2))

    assert all(torch.equal(a.latent, b.latent) for a, b in zip(rows, passes, strict=True))


def test_fewer_rows_let_chunks_out_early_and_more_rows_lose_none(model):
    batch, _ = make(model)
    context, tags = model.context(torch.ones(1, 2, 8)), []

    for tag, chunk in enumerate(chunks(20)):
        plan = [Plan(4, 1), Plan(1, 2), Plan(3, 1), Plan(2, 2)][tag // 5]
        tags += [lane.tag for lane in batch.step(chunk, tag, TIMES[: plan.steps], plan, context, still)]

    assert tags + [lane.tag for lane in batch.drain(TIMES[:4], Plan(2, 2), context, still)] == list(range(20))


@pytest.mark.endurance
def test_two_thousand_latent_frames_neither_jump_nor_grow(model):
    """The same picture for ever settles: the sinks slide along, and nothing happens at frame 50 or 1024."""
    batch, cache = make(model)
    context, chunk = model.context(torch.ones(1, 2, 8)), chunks(1)[0]
    out, sizes = [], set()

    for tag in range(2000):
        sizes.add(sum(part.numel() for part in cache.keys + cache.values) if tag > 1 else 0)
        out += [lane.latent for lane in batch.step(chunk, tag, TIMES[:2], Plan(2, 1), context, still)]

    settled = torch.stack(out[20:])
    assert settled.isfinite().all()
    torch.testing.assert_close(settled, settled[:1].expand_as(settled), atol=1e-4, rtol=0)
    assert len(sizes - {0}) == 1


def test_a_stream_equals_the_reference_up_to_the_sink_distance_and_slides_after(model):
    near, far = (make(model, WindowSpec(4, 2, distance)) for distance in (8, 10_000))
    latents = chunks(30)

    slid, grown = (run(batch, model, latents, Plan(1, 1)) for batch, _ in (near, far))

    assert all(torch.equal(a.latent, b.latent) for a, b in zip(slid[:9], grown[:9], strict=True))
    assert not torch.equal(slid[9].latent, grown[9].latent)


def test_a_sink_that_no_longer_resembles_the_stream_is_written_over_by_the_next_chunk(model):
    window = WindowSpec(4, 2, 6, refresh=0.99)
    batch, cache = make(model, window)
    context = model.context(torch.ones(1, 2, 8))

    for tag, chunk in enumerate(chunks(8)):
        batch.step(chunk, tag, TIMES[:1], Plan(1, 1), context, still)
        batch.note_stale_sink()

    slots = [slot for (slot,) in batch.slots]
    assert slots[:4] == [0, 1, 2, 3], "only a full window is refreshed"
    assert all(slot < window.sinks for slot in slots[4:])
    assert cache.similarity().shape == (2,)


def test_after_a_new_prompt_the_sinks_are_renewed_once_the_rolling_slots_are(model):
    batch, _ = make(model)
    context = model.context(torch.ones(1, 2, 8))

    for tag, chunk in enumerate(chunks(12)):
        if tag == 5:
            batch.renew_sinks()
        batch.step(chunk, tag, TIMES[:1], Plan(1, 1), context, still)

    assert batch.slots == [[slot] for slot in (0, 1, 2, 3, 2, 3, 2, 0, 1, 3, 2, 3)]


def test_the_sinks_wait_for_the_rolling_slots_and_no_longer_where_a_chunk_fills_several(model):
    batch, _ = make(model, WindowSpec(slots=8, sinks=2, sink_distance=12))
    context, chunk = model.context(torch.ones(1, 2, 8)), torch.ones(3, 4, 4, 4)

    for tag in range(7):
        if tag == 3:
            batch.renew_sinks()
        batch.step(chunk, tag, TIMES[:1], Plan(1, 1), context, still)

    assert batch.slots[3:5] == [[3, 4, 5], [6, 7, 2]], "two chunks fill the six rolling slots"
    assert [each[0] for each in batch.slots[5:]] == [0, 1]


def test_sinks_that_still_resemble_the_stream_stay(model):
    batch, _ = make(model, WindowSpec(4, 2, 6, refresh=-0.99))
    context, chunk = model.context(torch.ones(1, 2, 8)), chunks(1)[0]

    for tag in range(8):
        batch.step(chunk, tag, TIMES[:1], Plan(1, 1), context, still)
        batch.note_stale_sink()

    assert batch.slots == [[slot] for slot in (0, 1, 2, 3, 2, 3, 2, 3)]
