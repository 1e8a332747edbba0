import pytest
import torch

from engine.preset import ScheduleSpec
from engine.stream.motion import motion
from engine.stream.noise import NoisePolicy, first_timestep, timesteps_of
from engine.stream.noise_source import NoiseSource


def test_still_picture_has_no_motion():
    frame = torch.rand(3, 8, 8)

    assert motion(frame.expand(4, 3, 8, 8), before=frame) == 0


def test_motion_is_the_largest_rms_step():
    before = torch.zeros(3, 8, 8)
    frames = torch.stack([torch.full((3, 8, 8), v) for v in (0.1, 0.4, 0.5)])

    assert motion(frames, before).item() == pytest.approx(0.3)


@pytest.mark.parametrize("amount, previous", [(0.0, 0.8), (0.05, 0.75), (0.2, 0.8), (3.0, 0.7)])
def test_follows_the_reference_formula(amount, previous):
    reference = (0.8 - 0.1 * min(amount / 0.2, 1)) * 0.9 + previous * 0.1

    assert NoisePolicy().next(amount, previous) == pytest.approx(reference)


def test_a_pull_beyond_the_noise_stops_at_none():
    assert NoisePolicy(still=0.2, pull=0.5, memory=0.0).next(1.0, 0.2) == 0.0


def test_refuses_noise_beyond_one():
    with pytest.raises(ValueError, match="noise policy"):
        NoisePolicy(still=1.2)


def test_the_model_is_told_a_timestep_below_the_noise():
    assert first_timestep(0.8, timestep_offset=100) == 700
    assert first_timestep(0.05, timestep_offset=100) == 0


def test_the_same_seed_draws_the_same_noise_and_the_next_draw_differs():
    like = torch.empty(2, 4, 3, 3)
    one, other = (NoiseSource(5, torch.device("cpu")) for _ in range(2))

    first = one.draw(like, step=0, carry=False)

    assert torch.equal(first, other.draw(like, step=0, carry=False))
    assert not torch.equal(first, one.draw(like, step=0, carry=False))


def test_carried_noise_stays_in_place_and_differs_by_step():
    source, like = NoiseSource(5, torch.device("cpu")), torch.empty(2, 4, 3, 3)

    field = source.draw(like, step=0, carry=True)

    assert torch.equal(field[0], field[1])
    assert torch.equal(field, source.draw(like, step=0, carry=True))
    assert not torch.equal(field, source.draw(like, step=1, carry=True))


@pytest.mark.parametrize(
    "timesteps, steps, told",
    [((700, 500, 400), 2, [700, 500]), ((700, 500, 0), 1, [700, 0]), ((900, 800, 400, 0), 3, [700, 700, 400, 0])],
)
def test_a_chunk_is_told_its_own_first_timestep_and_no_later_one_that_is_noisier(timesteps, steps, told):
    assert timesteps_of(0.8, ScheduleSpec(timesteps), steps) == told
