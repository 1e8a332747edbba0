import torch

from engine.stream.schedule import Schedule
from engine.train.distill.score import Scores
from engine.train.distill.settings import Settings
from tests.engine.small import PRESET
from tests.engine.train.distill.parts import generator

CPU = torch.device("cpu")


def scores(carry=False, **settings):
    return Scores(PRESET, Settings(**settings), carry, CPU)


def seeded():
    return torch.Generator().manual_seed(0)


def test_a_noised_video_is_the_forward_process_of_its_noise():
    video = torch.randn(3, 4, 8, 4, 8)

    noisy, noise, t = scores(times=(500, 200)).noised(video, seeded())

    sigma = Schedule(PRESET.schedule).sigma(t)[..., None, None, None]
    torch.testing.assert_close(noisy, (1 - sigma) * video + sigma * noise)
    assert set(t.flatten().tolist()) <= {500, 200} and (t == t[:, :1]).all()


def test_noise_that_a_stream_carries_stays_in_place_here_too():
    video = torch.randn(1, 4, 8, 4, 8)

    still = scores(carry=True).noised(video, seeded())[1]
    fresh = scores(carry=False).noised(video, seeded())[1]

    assert torch.equal(still[:, 0], still[:, 3]) and not torch.equal(fresh[:, 0], fresh[:, 3])


def test_without_times_timesteps_come_from_everywhere_and_mostly_from_where_the_schedule_spends_its_steps():
    t = scores().noised(torch.zeros(4000, 1, 1, 1, 1), seeded())[2].flatten().float()

    assert t.min() >= 20 and t.max() <= 980
    assert t.median() > 800  # half of the shares lie above 8 * .5 / (1 + 7 * .5) = .89


def test_guidance_leads_away_from_the_negative_prompt():
    model, noisy = generator(), torch.randn(1, 3, 8, 4, 8)
    t, prompt, other = torch.full((1, 3), 500), torch.randn(1, 4, 16), torch.randn(1, 4, 16)
    plain = scores()
    wanted, unwanted = (plain.clean(model, noisy, t, words, None) for words in (prompt, other))

    guided = scores(guidance=3.0).clean(model, noisy, t, prompt, other)

    torch.testing.assert_close(guided, unwanted + 3 * (wanted - unwanted))


def test_a_causal_score_knows_no_future_and_a_score_of_whole_clips_does():
    model, noisy = generator(), torch.randn(1, 4, 8, 4, 8)
    t, prompt = torch.full((1, 4), 500), torch.randn(1, 4, 16)
    changed = noisy.clone()
    changed[:, 3] += 1

    with torch.no_grad():
        causal, whole = (
            (s.clean(model, noisy, t, prompt, None) - s.clean(model, changed, t, prompt, None))[:, 0].abs().max()
            for s in (scores(causal=True), scores(causal=False))
        )

    assert causal < 1e-5 < whole
