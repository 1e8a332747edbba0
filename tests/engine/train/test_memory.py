import pytest
import torch

from engine.models.causal_dit import CausalDiT
from engine.preset import DitSpec, WindowSpec
from engine.stream.kvcache import KVCache
from engine.train.memory import one_lane, two_lanes, window_mask
from tests.engine.stream.planned import begin

DIT = DitSpec("", channels=4, dim=24, ffn=32, heads=2, layers=2, text_dim=8, text_len=2, freq_dim=16)
WINDOW = WindowSpec(slots=6, sinks=3, sink_distance=6)
TOKENS = 4


@pytest.fixture
def dit():
    torch.manual_seed(0)
    dit = CausalDiT(DIT).eval().requires_grad_(False)
    torch.nn.init.normal_(dit.head.head.weight)
    return dit


def test_a_frame_sees_the_sinks_and_the_newest_frames():
    mask = window_mask(8, WINDOW)

    assert mask[7].tolist() == [True, True, True, False, False, True, True, True]
    assert mask[2].tolist() == [True, True, True, False, False, False, False, False]


def live(dit, passes, context):
    """What the rolling window shows: frame by frame, `passes` of (noisy [T, ..], timestep), the last one staying."""
    cache = KVCache(WINDOW, DIT, TOKENS, torch.device("cpu"), torch.float32)
    flows = []
    for frame in range(len(passes[0][0])):
        slot = frame if frame < 6 else 3 + frame % 3
        begin(cache, [[slot]], [[frame]], [min(frame + 1, 6)])
        flows.append([dit(x[None, frame : frame + 1], torch.full((1, 1), t), cache, context)[0, 0] for x, t in passes])
    return [torch.stack(step) for step in zip(*flows, strict=True)]


def test_a_clip_at_once_is_what_a_stream_of_one_step_sees(dit):
    clip, context = torch.randn(7, 4, 4, 4), dit.context(torch.randn(1, 2, 8))
    (want,) = live(dit, [(clip, 700.0)], context)

    got = dit(clip[None], torch.full((1, 7), 700.0), one_lane(range(7), TOKENS, WINDOW), context)[0]

    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_two_lanes_are_what_a_stream_of_two_passes_sees(dit):
    early, last = torch.randn(2, 7, 4, 4, 4)
    context = dit.context(torch.randn(1, 2, 8))
    want = torch.cat(live(dit, [(early, 700.0), (last, 500.0)], context))

    timesteps = torch.tensor([[700.0] * 7 + [500.0] * 7])
    got = dit(torch.cat([early, last])[None], timesteps, two_lanes(range(7), TOKENS, WINDOW), context)[0]

    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
