import pytest
import torch

from engine.models.causal_dit import CausalDiT
from engine.preset import DitSpec, ScheduleSpec, WindowSpec
from engine.stream.schedule import Schedule
from engine.train.memory import one_lane
from engine.train.start import prepare

DIT = DitSpec("", channels=6, dim=48, ffn=32, heads=2, layers=2, text_dim=8, text_len=2, freq_dim=16)
SCHEDULE = ScheduleSpec(timesteps=(700, 500))


@pytest.mark.parametrize("timestep, noise", [(700.0, 0.8), (500.0, 0.5)])
def test_before_any_training_the_picture_comes_through(timestep, noise):
    torch.manual_seed(0)
    dit = CausalDiT(DIT).requires_grad_(False)
    clean = 8 * torch.randn(1, 3, 6, 8, 8)
    prepare(dit, clean.square().mean((0, 1, 3, 4)), SCHEDULE)
    noisy = torch.lerp(clean, torch.randn_like(clean), noise)
    t = torch.full((1, 3), timestep)

    flow = dit(noisy, t, one_lane(range(3), 16, WindowSpec(6, 3, 6)), dit.context(torch.randn(1, 2, 8)))
    guess = Schedule(SCHEDULE).to_clean(noisy, flow, t)

    assert torch.corrcoef(torch.stack([guess.flatten(), clean.flatten()]))[0, 1] > 0.8
    assert (guess - clean).square().mean() < 0.5 * clean.square().mean()
