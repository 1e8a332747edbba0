"""What is decided for each call, from controls and observations alone."""

import subprocess
import sys
from dataclasses import replace

import pytest

from engine.preset import LimitSpec, load_preset
from engine.stream.pace import Plan, plan_of
from engine.stream.plan import Observed, Planner
from engine.stream.work import BadWork, Work, from_json

PRESET = load_preset("tiny")
PARAMS = PRESET.params
INK, NEON = (("ink", 1.0),), (("neon", 1.0),)


def seen(number, **more):
    """What is observed of chunk `number` of a stream at 20 frames a second."""
    frames = range(4 * number, 4 * number + 4)
    return Observed(frames=4, stamps=tuple((index / 20, index) for index in frames), **{"prompt": INK, **more})


def plan(count, params=PARAMS, preset=PRESET, **more):
    planner = Planner(preset)
    works = [planner.next(params, seen(number, **more)) for number in range(count)]
    while (work := planner.drain(params)) is not None:
        works.append(work)
    return works


def test_planning_needs_no_torch():
    loaded = "import sys; import engine.stream.plan; print('torch' in sys.modules)"

    assert subprocess.check_output([sys.executable, "-c", loaded], text=True).strip() == "False"


@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_every_chunk_enters_once_leaves_once_and_does_every_step_once(steps, rows):
    works = plan(9, PARAMS.set_all({"steps": steps, "rows": rows}))
    told = {}

    for work in works:
        for row in work.batch.rows:
            if not row.idle:
                told.setdefault(row.tag, []).extend(row.timesteps)

    assert [tag for work in works for tag in work.batch.done] == list(range(9))
    assert all(len(timesteps) == steps and timesteps == sorted(timesteps)[::-1] for timesteps in told.values())
    assert sorted(told) == list(range(9))


def test_rows_do_the_steps_of_their_place_in_the_order_of_the_passes():
    batch = plan(3, PARAMS.set_all({"steps": 4, "rows": 2}))[1].batch

    assert [list(batch.steps(number)) for number in range(batch.passes)] == [[0, 2], [1, 3]]


def test_the_first_chunk_takes_all_its_steps_at_once():
    first = plan(1, PARAMS.set_all({"steps": 3, "rows": 3}))[0]

    assert (len(first.batch.rows), first.batch.passes, first.batch.done) == (1, 3, (0,))


def test_motion_lowers_the_noise_and_the_first_timestep_with_it():
    planner = Planner(PRESET)

    still, moving = (planner.next(PARAMS, seen(number, motion=amount)) for number, amount in enumerate([None, 9.0]))

    assert (still.noise, moving.noise) == (PARAMS.noise, pytest.approx(0.9 * 0.61 + 0.1 * 0.71))
    assert moving.batch.rows[0].timesteps[0] < still.batch.rows[0].timesteps[0]


# ---- who limits rows and steps


@pytest.mark.parametrize(
    ("asked", "limits", "room", "laid_out"),
    [
        ({"steps": 4, "rows": 0}, LimitSpec(), None, Plan(4, 1)),
        ({"steps": 4, "rows": 2}, LimitSpec(), None, Plan(2, 2)),
        ({"steps": 4, "rows": 0}, LimitSpec(rows=2), None, Plan(2, 2)),
        ({"steps": 4, "rows": 0}, LimitSpec(rows=2), 1, Plan(1, 4)),
        ({"steps": 4, "rows": 1}, LimitSpec(rows=2), 4, Plan(1, 4)),
        ({"steps": 4, "rows": 0}, LimitSpec(steps=3), 2, Plan(1, 3)),
        ({"steps": 2, "rows": 0}, LimitSpec(steps=3), 4, Plan(2, 1)),
        ({"steps": 2, "rows": 0}, LimitSpec(), 0, Plan(1, 2)),
    ],
)
def test_user_preset_and_memory_each_only_lower_what_the_one_before_left(asked, limits, room, laid_out):
    assert plan_of(replace(PRESET, limits=limits), PARAMS.set_all(asked), room) == laid_out


def test_a_limit_of_steps_takes_the_last_ones_and_not_the_first():
    works = plan(2, PARAMS.set_all({"steps": 4}), replace(PRESET, limits=LimitSpec(steps=2)))

    assert [len(row.timesteps) * len(work.batch.rows) for work in works for row in work.batch.rows] == [2, 2]


# ---- prompts, LoRAs and revisions


def test_a_revision_counts_once_nothing_of_it_is_on_its_way():
    planner, newer = Planner(PRESET), replace(PARAMS, revision=7)

    works = [planner.next(newer if number else PARAMS, seen(number, settled=number != 1)) for number in range(3)]

    assert [work.revision for work in works] == [0, 0, 7]


def test_a_prompt_fades_by_the_frames_own_time_and_the_sinks_are_renewed_after_it():
    planner, params = Planner(PRESET), PARAMS.set("fade", 0.3)

    works = [planner.next(params, seen(number, prompt=NEON if number > 7 else INK)) for number in range(20)]

    weights = [dict(work.prompt).get("neon", 0.0) for work in works[7:12]]
    assert weights == pytest.approx([0.0, 0.0, 2 / 3, 1.0, 1.0])
    written = [work.batch.rows[0].slots[0] for work in works]
    rolling = PRESET.window.slots - PRESET.window.sinks
    assert [number for number, slot in enumerate(written) if slot < 3] == [0, 1, 2] + [
        10 + rolling + n for n in range(3)
    ]


def test_loras_that_change_renew_the_sinks_too():
    planner = Planner(PRESET)

    works = [planner.next(PARAMS, seen(n, loras=(("film", 0.5),) if n > 7 else ())) for n in range(14)]

    assert [work.loras for work in works][7:9] == [(), (("film", 0.5),)]
    assert {work.batch.rows[0].slots[0] for work in works[11:14]} == {0, 1, 2}


# ---- sinks


def test_sinks_slide_once_the_newest_frame_is_farther_than_their_distance():
    drifts = [work.batch.rows[0].drift for work in plan(10, PARAMS.set_all({"steps": 1}))]

    assert PRESET.window.sink_distance == 6
    assert drifts == [(0, 0, 0)] * 7 + [(1, 1, 1), (2, 2, 2), (3, 3, 3)]


def test_a_renewed_sink_begins_anew_and_the_others_slide_on():
    planner, params = Planner(PRESET), PARAMS.set_all({"steps": 1})

    works = [planner.next(params, seen(n, similarity=(0.99, 0.9, 0.99) if n == 10 else ())) for n in range(13)]

    assert works[10].batch.rows[0].slots == (1,)
    assert [work.batch.rows[0].drift for work in works[10:]] == [(4, 0, 4), (5, 0, 5), (6, 0, 6)]


def test_each_row_counts_its_own_sinks():
    """A chunk that renews a sink does so in row 0 now, and in row 1 a call later."""
    planner, params = Planner(PRESET), PARAMS.set_all({"steps": 2, "rows": 2})

    works = [planner.next(params, seen(n, similarity=(0.9, 0.99, 0.99) if n == 10 else ())) for n in range(12)]

    assert [[row.drift[0] for row in work.batch.rows] for work in works[9:]] == [[3, 2], [0, 3], [0, 0]]


# ---- written down


def test_a_work_survives_json_to_the_last_bit():
    works = plan(9, PARAMS.set_all({"steps": 4, "rows": 2, "noise": 0.1 + 0.2, "seed": 2**31 - 1}), motion=1 / 3)

    assert [from_json(work.to_json()) for work in works] == works
    assert all(isinstance(from_json(work.to_json()), Work) for work in works)
    assert max(len(work.to_json()) for work in works) < 2000


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"batch": 3}', '{"batch": {"rows": [{}]}}', "null"])
def test_what_is_no_work_is_refused_in_one_sentence(line):
    with pytest.raises(BadWork, match="no recorded work") as error:
        from_json(line)

    assert error.value.hint


def test_no_fewer_fields_than_a_work_has_are_taken_for_one():
    line = plan(1)[0].to_json().replace('"carry"', '"carries"')

    with pytest.raises(BadWork):
        from_json(line)


def test_sinks_wait_from_the_moment_a_prompt_is_aimed_at():
    """Not from the first change of the picture: a sink that is too unlike is not written over in between."""
    planner, params = Planner(PRESET), PARAMS.set("fade", 0.3)

    for number in range(8):
        planner.next(params, seen(number))
    aimed = planner.next(params, seen(8, prompt=NEON, similarity=(0.1, 0.9, 0.9)))

    assert aimed.prompt == INK
    assert aimed.batch.rows[0].slots[0] >= PRESET.window.sinks
