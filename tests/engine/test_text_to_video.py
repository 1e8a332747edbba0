"""Words in, video out: the one loop without an input picture."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.frame import Frame
from engine.models.build import Models
from engine.models.byte_text import ByteText
from engine.models.causal_dit import CausalDiT
from engine.models.wan_vae import WanVae
from engine.preset import ScheduleSpec, load_preset
from engine.session import Session
from engine.stream.kvcache import KVCache
from engine.stream.noise_source import NoiseSource
from engine.stream.schedule import Schedule
from tests.engine.small import film, play, same
from tests.engine.stream.planned import begin

WAN, TINY = load_preset("wan-1.3b-t2v"), load_preset("tiny")
PRESET = replace(
    WAN,
    width=32,
    height=16,
    codec=replace(WAN.codec, widths=(8, 8, 8, 8), blocks=1),
    dit=replace(WAN.dit, dim=48, ffn=64, heads=2, layers=2, text_dim=16, text_len=4),
    text=replace(TINY.text, dim=16, length=4, layers=1, heads=2, ffn=16),
)
SIZE = (PRESET.width, PRESET.height)


@pytest.fixture(scope="module")
def models():
    torch.manual_seed(0)
    modules = WanVae(PRESET.codec), CausalDiT(PRESET.dit), ByteText(PRESET.text)
    for module in modules:
        module.eval().requires_grad_(False)
    return Models(*modules, torch.device("cpu"), torch.float32)


def session(models, preset=PRESET, **params):
    made = Session(models, preset)
    made.update(preset.params.set_all(params))
    return made


def ticks(count):
    """Frames that show nothing."""
    return [Frame(np.zeros((PRESET.height, PRESET.width, 3), np.uint8), i / PRESET.fps, i) for i in range(count)]


def test_the_preset_is_the_published_one():
    parent = load_preset("wan-1.3b")

    assert not WAN.input
    assert WAN.schedule.take(4) == (1000, 750, 500, 250, 0)
    assert WAN.schedule.take(2) == (1000, 750, 0), "the last noise is taken away whatever the steps"
    assert (WAN.window.slots, WAN.chunk.first, WAN.chunk.later) == (21, 9, 12)
    assert (WAN.dit, WAN.codec, WAN.text) == (parent.dit, parent.codec, parent.text)


@pytest.mark.parametrize("rows", [0, 1])
def test_every_picture_comes_once_in_order_with_its_time(models, rows):
    wanted = ticks(50)  # a first chunk, three more, and part of a fifth

    pictures = play(session(models, rows=rows), wanted)

    assert [(p.index, p.time) for p in pictures] == [(t.index, t.time) for t in wanted]
    assert all(picture.size == SIZE for picture in pictures)


def test_what_the_pushed_frames_show_does_not_matter(models):
    assert same(play(session(models), ticks(21)), play(session(models), film(21, size=SIZE, fps=PRESET.fps)))


def test_same_seed_same_bits_and_another_seed_another_film(models):
    one, again, other = (play(session(models, seed=seed), ticks(21)) for seed in (3, 3, 4))

    assert same(one, again)
    assert not same(one, other)


@pytest.mark.parametrize("rows", [0, 1])
def test_after_reset_it_is_as_new(models, rows):
    used = session(models, rows=rows)
    fresh = play(session(models, rows=rows), ticks(33))
    play(used, ticks(29))

    used.reset()

    assert same(play(used, ticks(33)), fresh)


def test_a_new_prompt_changes_the_next_chunk_and_the_report_says_so(models):
    plain, told, pictures = play(session(models), ticks(33)), session(models), []

    for tick in ticks(33):
        if tick.index == 21:
            told.update(replace(PRESET.params, prompt="a dog", fade=0.0, revision=7))
        told.push(tick)
        if done := told.step():
            pictures += done
            assert told.report.revision == (7 if tick.index >= 21 else 0)
            assert told.report.frame == done[0].index
            assert "encode" not in told.report.stages_ms, "there is nothing to encode"

    assert same(pictures[:21], plain[:21])
    assert not np.array_equal(pictures[21].pixels, plain[21].pixels)


def test_steps_and_noise_change_live_and_no_picture_is_lost(models):
    live, pictures = session(models), []

    for tick in ticks(57):
        if tick.index % 12 == 0:
            live.update(replace(PRESET.params, steps=1 + tick.index // 12 % 4, rows=tick.index // 12 % 3, noise=0.2))
        live.push(tick)
        pictures += live.step()

    assert [p.index for p in pictures + live.flush()] == list(range(57))


def test_a_stream_is_its_definition_step_by_step(models):
    """Noise of the shape of three latent frames, five passes with fresh noise between, one decode: written out."""
    count, seed = 4, 11
    pictures = play(session(models, seed=seed, rows=1), ticks(9 + 12 * (count - 1)))
    source, schedule = NoiseSource(seed, torch.device("cpu")), Schedule(ScheduleSpec(PRESET.schedule.timesteps))
    cache = KVCache(PRESET.window, PRESET.dit, 2, torch.device("cpu"), torch.float32)
    context = models.denoiser.context(models.text.encode([PRESET.params.prompt]))
    state, shown = None, []

    for chunk in range(count):
        places = list(range(3 * chunk, 3 * chunk + 3))
        clean = source.draw(torch.empty(3, 16, 2, 4), 0, carry=False)
        begin(cache, [places], [places], [places[-1] + 1])
        for step, timestep in enumerate([1000, 750, 500, 250, 0]):
            t = torch.full((1, 3), timestep)
            noisy = clean if step == 0 else schedule.add_noise(clean, source.draw(clean, step, False), t[0])
            clean = schedule.to_clean(noisy[None], models.denoiser(noisy[None], t, cache, context), t)[0]
        pixels, state = models.codec.decode(clean, state)
        shown += list(pixels.permute(0, 2, 3, 1))

    assert len(shown) == len(pictures)
    for pixels, picture in zip(shown, pictures, strict=True):
        assert np.abs((pixels.numpy() + 1) * 127.5 - picture.pixels).max() <= 0.51


def test_the_stream_batch_gives_each_chunk_what_its_steps_alone_give(models):
    """Five rows against five passes: with the window still filling and one carried noise, the first chunk is equal."""
    batch, alone = (play(session(models, rows=rows, carry=True), ticks(9 + 12 * 8)) for rows in (0, 1))

    assert same(batch[:9], alone[:9]), "a stream's first chunk takes all its steps at once in either"
    assert [p.index for p in batch] == [p.index for p in alone]
