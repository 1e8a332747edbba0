"""What a student learns from is what it will be asked to do: the stream, to the bit."""

from dataclasses import replace

import pytest
import torch

from engine.chunk import Chunker
from engine.models.causal_dit import CausalDiT
from engine.session import Session
from engine.stream.kvcache import KVCache
from engine.stream.noise import timesteps_of
from engine.stream.noise_source import NoiseSource
from engine.stream.pace import plan_steps
from engine.stream.schedule import Schedule
from engine.train.distill.generator import Generator
from engine.train.distill.recall import Recall
from engine.train.distill.rollout import Scene, roll_out
from engine.train.distill.scenes import embed, film_footage, noise_shares
from engine.train.memory import ClipMemory
from tests.engine.small import PRESET, film, play, small_models
from tests.engine.stream.planned import PlannedBatch, begin
from tests.engine.train.distill.parts import generator, scene

F32 = torch.float32


class Overheard:
    """A codec that notes which latents a session had decoded."""

    def __init__(self, codec):
        self._codec, self.encode, self.latents = codec, codec.encode, []

    def decode(self, latents, state):
        self.latents.append(latents.clone())
        return self._codec.decode(latents, state)


@pytest.mark.parametrize("carry", [True, False])
@pytest.mark.parametrize(("steps", "rows"), [(1, 1), (2, 1), (4, 1), (2, 0), (4, 2), (3, 0)])
def test_a_rollout_is_what_a_live_session_plays(steps, rows, carry):
    controls = {**PRESET.controls, "steps": steps, "rows": rows, "carry": carry, "seed": 5, "prompt": "a cat in neon"}
    preset = replace(PRESET, controls=controls)
    models = small_models(preset)
    torch.nn.init.normal_(models.denoiser.head.head.weight, std=0.05)
    overheard = Overheard(models.codec)
    frames = film(44)  # eleven chunks: the window rolls, and sinks are renewed
    play(Session(replace(models, codec=overheard), preset), frames)

    footage = film_footage(pixels(frames), models, preset)
    shares = noise_shares(footage.moved, preset.params.noise, preset)
    given = Scene(footage.chunks, shares, embed(models, "a cat in neon"), 5, carry)
    student = Generator(preset.dit)
    student.load_state_dict(models.denoiser.state_dict())
    with torch.no_grad():
        video = roll_out(student, given, preset, steps, rows, F32)

    assert torch.equal(video, torch.cat(overheard.latents))


@pytest.mark.parametrize(("steps", "rows"), [(1, 1), (2, 1), (3, 3)])
def test_a_first_chunk_of_two_latents_rolls_out_as_it_streams(steps, rows):
    """As Wan's streams begin. The live parts, without the session around them."""
    student, given = generator(), scene(carry=True)
    given = replace(given, chunks=[torch.cat(given.chunks[:2]), *given.chunks[2:]], noise=given.noise[1:])
    live = CausalDiT(PRESET.dit)
    live.load_state_dict(student.state_dict())
    cache = KVCache(PRESET.window, PRESET.dit, 8, torch.device("cpu"), F32)
    stream = PlannedBatch(live, Schedule(PRESET.schedule), PRESET.window, cache)
    source, plan, done = NoiseSource(given.seed, torch.device("cpu")), plan_steps(steps, rows), []

    def renoise(like, step):
        return source.draw(like, step, True)

    with torch.no_grad():
        video = roll_out(student, given, PRESET, steps, rows, F32)
        context = live.context(given.prompt)
        for tag, (latents, noise) in enumerate(zip(given.chunks, given.noise, strict=True)):
            t = timesteps_of(noise, PRESET.schedule, steps)
            done += stream.step(torch.lerp(latents, renoise(latents, 0), noise), tag, t, plan, context, renoise)
            stream.note_stale_sink()
        done += stream.drain(t, plan, context, renoise)

    assert len(video) == 8
    assert torch.equal(video, torch.cat([lane.latent for lane in done]))


def pixels(frames):
    chunker = Chunker(replace(PRESET.chunk, first=len(frames)))
    for frame in frames:
        chunker.push(frame)
    return chunker.take().pixels(torch.device("cpu"), F32)


@pytest.mark.parametrize(("steps", "rows"), [(1, 1), (3, 1), (2, 2)])
def test_a_gradient_changes_nothing_about_the_video(steps, rows):
    student, given = generator(), scene()

    learnt = roll_out(student, given, PRESET, steps, rows, F32, learn=True)
    with torch.no_grad():
        played = roll_out(student, given, PRESET, steps, rows, F32)

    assert learnt.requires_grad and not played.requires_grad
    assert torch.equal(learnt, played)


@pytest.mark.parametrize(("steps", "rows"), [(1, 1), (2, 1), (2, 2)])
def test_computing_blocks_twice_gives_the_same_gradients(steps, rows):
    grads = []
    for recompute in (False, True):
        student = generator(recompute=recompute)
        roll_out(student, scene(), PRESET, steps, rows, F32, learn=True).square().sum().backward()
        grads.append({name: weight.grad for name, weight in student.named_parameters()})

    assert all(torch.equal(grads[1][name], grad) for name, grad in grads[0].items())
    assert all(grad.abs().sum() > 0 for grad in grads[0].values())


def test_the_gradient_of_one_chunk_is_that_of_the_plain_model():
    given, student = scene(chunks=1), generator()
    roll_out(student, given, PRESET, 1, 1, F32, learn=True).square().sum().backward()
    grads = [weight.grad.clone() for weight in student.parameters()]
    student.zero_grad()

    asked = []
    roll_out(lambda *call: asked.append(call) or student(*call), given, PRESET, 1, 1, F32)
    noisy, t, _, prompt = asked[0]
    flow = student(noisy, t, ClipMemory(torch.zeros(1, 1, dtype=torch.int64), None), prompt)
    Schedule(PRESET.schedule).to_clean(noisy, flow, t).square().sum().backward()

    for got, weight in zip(grads, student.parameters(), strict=True):
        torch.testing.assert_close(got, weight.grad, rtol=1e-4, atol=1e-5)


def test_a_step_does_not_answer_for_the_one_before_it():
    early, last, calls = generator(seed=1), generator(seed=2), []

    def by_pass(*call):
        calls.append(call)
        return (early if len(calls) % 2 else last)(*call)

    roll_out(by_pass, scene(chunks=3), PRESET, 2, 1, F32, learn=True).square().sum().backward()

    assert all(weight.grad is None for weight in early.parameters())
    assert all(weight.grad.abs().sum() > 0 for weight in last.parameters())


def test_a_chunk_does_not_answer_for_its_past():
    past, now, calls = generator(seed=1), generator(seed=2), []

    def by_chunk(*call):
        calls.append(call)
        return (past if len(calls) < 5 else now)(*call)

    video = roll_out(by_chunk, scene(chunks=6), PRESET, 1, 1, F32, learn=True)
    video[4:].square().sum().backward()

    assert all(weight.grad is None or not weight.grad.any() for weight in past.parameters())
    assert all(weight.grad.any() for weight in now.parameters())


def test_a_block_computed_again_sees_the_past_as_it_was():
    recall = Recall(PRESET.window, PRESET.dit, 2, torch.device("cpu"), F32)
    begin(recall, [[0]], [[0]], [1])
    look = recall.look()
    new = torch.ones(1, 2, PRESET.dit.heads, PRESET.dit.dim // PRESET.dit.heads)
    first = look.extend(0, new, new, torch.neg)[0].clone()
    begin(recall, [[1]], [[1]], [2])
    recall.look().extend(0, 2 * new, 2 * new, torch.neg)

    assert torch.equal(look.extend(0, new, new, torch.neg)[0], first)
    assert torch.equal(recall.look().extend(0, 2 * new, 2 * new, torch.neg)[0].transpose(1, 2)[0, :2], -new[0])
