"""What a stream remembers of its beginning, however long ago that was."""

import torch

from engine.models.causal_dit import CausalDiT
from engine.preset import DitSpec, WindowSpec
from engine.stream.pace import Plan
from tests.engine.stream.test_batch import chunks, make, run

DISTANCE = 8
WINDOW = WindowSpec(slots=5, sinks=3, sink_distance=DISTANCE)


def test_beyond_the_sink_distance_the_sinks_are_seen_as_they_were_at_it_one_frame_apart():
    """In a model of one layer what is remembered of a frame depends on that frame alone. So the newest frame of a long
    stream sees what it would see in one that ends at the sink distance and has the same beginning and end.
    """
    torch.manual_seed(3)
    model = CausalDiT(DitSpec("", channels=4, dim=24, ffn=32, heads=2, layers=1, text_dim=8, text_len=2)).eval()
    latents, rolling = chunks(20), WINDOW.slots - WINDOW.sinks
    short = latents[: DISTANCE + 1 - rolling] + latents[-rolling:]

    with torch.no_grad():
        long, ending = (run(make(model, WINDOW)[0], model, part, Plan(1, 1)) for part in (latents, short))

    torch.testing.assert_close(long[-1].latent, ending[-1].latent, atol=1e-5, rtol=0)
