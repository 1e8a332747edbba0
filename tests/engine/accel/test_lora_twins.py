"""LoRAs on accelerated models: put on, moved and taken off while a stream runs, as on plain ones."""

from dataclasses import replace

import pytest

from engine.accel import compile
from engine.accel.apply import accelerate
from engine.accel.cudagraph import GraphedDenoiser
from engine.preset import AccelSpec
from engine.session import Session
from tests.engine.accel.tape import Tape
from tests.engine.accel.test_twins import CPU, decibels
from tests.engine.models.test_lora import folder, write_lora  # noqa: F401
from tests.engine.small import PRESET, film, small_models

CHANGES = {24: "a:1", 40: "a:0.5", 56: ""}


def show(models):
    """A film through which a LoRA comes, gets weaker, and goes."""
    session, params, pictures = Session(models, PRESET), PRESET.params, []
    session.update(params)
    for frame in film(72):
        if frame.index in CHANGES:
            params = params.set("lora", CHANGES[frame.index])
            session.update(params)
        session.push(frame)
        pictures += session.step()
    return pictures + session.flush()


def switched(**accel):
    return accelerate(small_models(), replace(PRESET, accel=AccelSpec(**accel)))


@pytest.fixture
def plain(folder):  # noqa: F811
    models = small_models()
    write_lora(folder / "a.safetensors", models.denoiser)
    return show(models)


def test_a_recorded_step_is_recorded_anew_when_a_lora_comes_or_goes_and_not_when_it_moves(plain):
    models, tape = small_models(), Tape()
    graphed = replace(models, denoiser=GraphedDenoiser(models.denoiser, models.loras, tape))

    assert decibels(show(graphed), plain) > 100
    assert tape.recorded == 3, "the window was full, it came, it went"


def test_a_lora_is_put_on_8_bit_layers_too(plain):
    assert decibels(show(switched(fp8=True)), plain) > 30
    assert decibels(show(switched()), plain) > 100


@pytest.mark.skipif(bool(compile._lacking(CPU)), reason="torch.compile needs a C++ compiler here")
@pytest.mark.filterwarnings("ignore")  # of the compiler, about itself
def test_compiled_blocks_see_a_lora_come_and_go(plain):
    assert decibels(show(switched(compiler="inductor")), plain) > 70
