"""The stream agrees with numbers taken from the reference implementation (tests/golden/README.md says how)."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.models.causal_dit import CausalDiT
from engine.preset import DitSpec, ScheduleSpec, WindowSpec
from engine.stream.kvcache import KVCache
from engine.stream.motion import motion
from engine.stream.noise import NoisePolicy, first_timestep
from engine.stream.pace import Plan, plan_steps
from engine.stream.schedule import Schedule
from tests.engine.stream.planned import PlannedBatch, begin

pytestmark = pytest.mark.golden
GOLDEN = Path(__file__).parents[2] / "golden"
DIT = DitSpec("", channels=16, dim=256, ffn=320, heads=2, layers=3, text_dim=64, text_len=512)
WINDOW = WindowSpec(slots=6, sinks=3, sink_distance=50)
GRID, TOKENS = (4, 6), 24
CLOSE = {"atol": 1e-4, "rtol": 0.0}


def golden(name):
    return load_file(GOLDEN / f"{name}.safetensors")


def cut(tensors, case):
    return {key.removeprefix(case + "."): value for key, value in tensors.items() if key.startswith(case + ".")}


@pytest.fixture(scope="module")
def model():
    dit = CausalDiT(DIT)
    dit.load_state_dict({key: value.float() for key, value in golden("dit_weights").items()})
    return dit.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def context(model):
    return model.context(golden("dit_prompt")["prompt_embeds"])


@pytest.fixture
def cache():
    return KVCache(WINDOW, DIT, TOKENS, torch.device("cpu"), torch.float32)


@pytest.fixture
def batch(model, cache):
    return PlannedBatch(model, Schedule(ScheduleSpec((700, 500))), WINDOW, cache)


class Recorded:
    """Hands out the Gaussian numbers the reference drew, in the order it drew them."""

    def __init__(self, *draws):
        self.draws = [draw for group in draws for draw in group]

    def __call__(self, like, step):
        return self.draws.pop(0).view_as(like)


def test_the_schedule_is_the_references():
    table, schedule = golden("scheduler_noise"), Schedule(ScheduleSpec((700,)))

    torch.testing.assert_close(schedule.sigmas, table["sched.sigmas"], **CLOSE)
    torch.testing.assert_close(schedule.timesteps, table["sched.timesteps"], **CLOSE)
    torch.testing.assert_close(schedule.sigma(table["sched.lookup_t"]), table["sched.lookup_sigma"], **CLOSE)


def test_mixing_noise_in_and_reading_the_clean_estimate_are_the_references():
    schedule = Schedule(ScheduleSpec((700,)))
    mixed, read = (cut(golden("scheduler_noise"), f"sched.{name}") for name in ("add_noise", "flow2x0"))

    torch.testing.assert_close(schedule.add_noise(mixed["x0"], mixed["noise"], mixed["t"]), mixed["out"], **CLOSE)
    torch.testing.assert_close(schedule.to_clean(read["xt"], read["flow"], read["t"]), read["out"], **CLOSE)


@pytest.mark.parametrize("name, dtype", [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_motion_sets_noise_and_timestep_as_the_reference_does(name, dtype):
    table, policy = golden("scheduler_noise"), NoisePolicy()
    clip = table["noise.clip_fp32"][0].transpose(0, 1).to(dtype)  # [41, 3, 32, 32]
    noise = 0.8

    for call, end in enumerate(range(9, 42, 4)):
        noise = policy.next(motion(clip[end - 4 : end], clip[end - 5]).item(), noise)
        assert noise == pytest.approx(table[f"noise.{name}.scale"][call].item(), abs=1e-4)
        assert first_timestep(noise, timestep_offset=100) == table[f"noise.{name}.step"][call]


def test_every_noise_has_the_references_timestep():
    table = golden("scheduler_noise")

    told = [first_timestep(scale, timestep_offset=100) for scale in table["noise.table.scale"].tolist()]

    assert told == [max(step, 0) for step in table["noise.table.step"].tolist()]


def test_the_inside_of_the_model_is_the_references(model, context, cache):
    want, seen = golden("dit_forward_internals"), {}
    for i, block in enumerate(model.blocks):
        block.register_forward_hook(lambda _m, _i, out, i=i: seen.__setitem__(f"block{i}.out", out.flatten(1, 2)))
        block.ffn.register_forward_hook(
            lambda _m, _i, out, i=i: seen.__setitem__(f"block{i}.ffn.out", out.flatten(1, 2))
        )
    model.head.register_forward_hook(lambda _m, _i, out: seen.__setitem__("head_out", out))
    schedule = Schedule(ScheduleSpec((700,)))

    for call, frames, timestep in (("call1", [0, 1], 700), ("call2", [2], 431)):
        t, x = torch.full((1, len(frames)), timestep), want["x"][:, frames]
        begin(cache, [frames], [frames], [frames[-1] + 1])
        clean = schedule.to_clean(x, model(x, t, cache, context), t)
        torch.testing.assert_close(clean, want[f"{call}.x0"], **CLOSE)
        for name, value in seen.items():
            torch.testing.assert_close(value, want[f"{call}.{name}"], **CLOSE)

    torch.testing.assert_close(by_token(cache.keys[0][:, :, :3]), want["kv.layer0.k"], **CLOSE)
    torch.testing.assert_close(by_token(cache.values[0][:, :, :3]), want["kv.layer0.v"], **CLOSE)
    torch.testing.assert_close(context[0][0][:, :, :24].transpose(1, 2), want["crossattn.layer0.k_first24"], **CLOSE)


@pytest.mark.parametrize("file, case", [("dit_nonbatch", "s1"), ("dit_nonbatch_fixed", "s2_fixed")])
def test_step_by_step_is_the_references(batch, cache, context, file, case):
    want = cut(golden(file), case)
    steps, latents = want["steps"].tolist(), want["noisy_in"][0]
    plan = plan_steps(len(steps), rows=1)
    renoise = Recorded(want.get("prepare.renoise", []), want.get("stream.renoise", []))

    (first,) = batch.step(latents[:2], 0, steps, plan, context, renoise)
    torch.testing.assert_close(first.latent[None], want["prepare.out"], **CLOSE)
    for call, timestep in enumerate(want["stream.first_timestep"].tolist()):
        chunk = latents[2 + call : 3 + call]
        (done,) = batch.step(chunk, call, [timestep, *steps[1:]], plan, context, renoise)
        torch.testing.assert_close(done.latent, want["stream.out"][0, call : call + 1], **CLOSE)

    assert_same_cache(cache, want)


@pytest.mark.parametrize("case", ["s1", "s2"])
def test_the_stream_batch_is_the_references(batch, cache, context, case):
    want = cut(golden("dit_streambatch"), case)
    steps, latents = want["steps"].tolist(), want["noisy_in"][0]
    plan = Plan(rows=len(steps), passes=1)
    # the reference draws a row's noise when it leaves the row above, we when it enters: so a stand-in draws first
    stand_in = torch.zeros(len(steps) - 1, *latents[:1].shape)
    renoise = Recorded(want.get("prepare.renoise", []), stand_in, want.get("stream.renoise", stand_in).flatten(0, 1))

    (first,) = batch.step(latents[:2], 0, steps, plan, context, renoise)
    torch.testing.assert_close(first.latent[None], want["prepare.out"], **CLOSE)
    for call, times in enumerate(want["stream.row_timesteps"].tolist()):
        done = batch.step(latents[2 + call : 3 + call], call, times, plan, context, renoise)
        assert len(done) == (call >= len(steps) - 1)
        if done:
            torch.testing.assert_close(done[0].latent, want["stream.rows_out"][call, -1], **CLOSE)

    assert_same_cache(cache, want)


@pytest.mark.parametrize("case", ["s1_w4", "s2_w5", "s3_w5", "s3", "s4", "s4_w8k4"])
def test_more_rows_and_other_windows_are_the_references(model, context, case):
    """Up to four rows; windows of 4, 5, 6 and 8 slots, the last with four sinks. As far as the window rolls over."""
    want = {key: value.float() for key, value in cut(golden("dit_streambatch_rows"), case).items()}
    (slots, sinks), steps = want["window"].int().tolist(), want["steps"].int().tolist()
    window, plan, latents = WindowSpec(slots, sinks, 50), Plan(rows=len(steps), passes=1), want["noisy_in"]
    cache = KVCache(window, DIT, TOKENS, torch.device("cpu"), torch.float32)
    batch = PlannedBatch(model, Schedule(ScheduleSpec(tuple(steps))), window, cache)
    stand_in = torch.zeros(len(steps) - 1, *latents[:1].shape)
    renoise = Recorded(want.get("prepare.renoise", []), stand_in, want.get("stream.renoise", stand_in).flatten(0, 1))

    (first,) = batch.step(latents[:2], 0, steps, plan, context, renoise)
    done = []
    for call, timestep in enumerate(want["stream.first_timestep"].int().tolist()):
        done += batch.step(latents[2 + call : 3 + call], call + 1, [timestep, *steps[1:]], plan, context, renoise)

    torch.testing.assert_close(first.latent, want["prepare.out"], **CLOSE)
    torch.testing.assert_close(torch.stack([chunk.latent for chunk in done]), want["stream.out"], **CLOSE)


def assert_same_cache(cache, want):
    if "final.kv.layer2.k" not in want:
        return
    torch.testing.assert_close(by_token(cache.keys[2]), want["final.kv.layer2.k"], **CLOSE)
    torch.testing.assert_close(by_token(cache.values[2]), want["final.kv.layer2.v"], **CLOSE)


def by_token(store):
    """[rows, N, slots, n, D] -> [rows, slots*n, N, D], as the reference keeps them."""
    return store.flatten(2, 3).transpose(1, 2)
