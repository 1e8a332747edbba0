import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engine.errors import BadPreset, BadWeights
from engine.frame import Frame
from engine.models.build import build, make_codec, make_denoiser, make_text
from engine.preset import load_preset
from engine.session import Session

SMALL = """
extends = "wan-1.3b"
width = 64
height = 48
[codec]
{codec}
[dit]
dim = 48
ffn = 64
heads = 2
layers = 2
text_dim = 32
text_len = 12
[text]
kind = "bytes"
dim = 32
length = 12
layers = 1
heads = 4
ffn = 48
vocab = 256
"""
CODECS = {"wan": "widths = [8, 8, 16, 16]", "taehv": 'kind = "taehv"\nwidths = [8, 8, 8, 16]'}


@pytest.fixture(params=CODECS)
def preset(request, tmp_path, monkeypatch):
    """The full-size preset with small numbers, and a folder of random weights that fit it."""
    monkeypatch.setenv("LATENTCAST_MODELS", str(tmp_path))
    path = tmp_path / "small.toml"
    path.write_text(SMALL.format(codec=CODECS[request.param]))
    preset = load_preset(str(path))
    makers = ((make_codec, preset.codec), (make_text, preset.text), (make_denoiser, preset.dit))
    for make, spec in makers:
        (tmp_path / spec.weights).parent.mkdir(exist_ok=True)
        save_file(random_weights(make(spec)), tmp_path / spec.weights)
    return preset


def random_weights(model):
    draw = torch.Generator().manual_seed(0)
    return {
        key: torch.randn(value.shape, generator=draw).mul(0.05).to(torch.bfloat16)
        for key, value in model.state_dict().items()
    }


def frames(preset, count):
    draw = np.random.default_rng(0)
    shape = (preset.height, preset.width, 3)
    return [Frame(draw.integers(0, 256, shape, dtype=np.uint8), index / 16, index) for index in range(count)]


def test_models_are_built_in_the_asked_for_type_with_nothing_left_unloaded(preset):
    models = build(preset, torch.device("cpu"), torch.float32)

    for model in (models.codec, models.denoiser):
        assert {(value.dtype, value.is_meta) for value in model.parameters()} == {(torch.float32, False)}
        assert not any(value.is_meta for value in model.buffers())
    assert models.text.encode(["a neon city"]).dtype == torch.float32


@pytest.mark.parametrize("rows", [1, 2])
def test_a_stream_through_the_wan_models_has_one_picture_for_every_frame(preset, rows):
    session = Session(build(preset, torch.device("cpu"), torch.float32), preset)
    session.update(preset.params.set("rows", rows))
    pictures = []
    for frame in frames(preset, 15):
        session.push(frame)
        pictures += session.step()
    pictures += session.flush()

    assert [picture.index for picture in pictures] == list(range(15))
    assert {picture.size for picture in pictures} == {(64, 48)}


def test_weights_that_were_never_fetched_are_one_sentence_with_a_way_out(preset, tmp_path):
    (tmp_path / preset.dit.weights).unlink()

    with pytest.raises(BadWeights, match=r"missing.*dit\.safetensors") as error:
        build(preset, torch.device("cpu"), torch.float32)

    assert "engine.convert" in error.value.hint
    assert "--preset tiny" in error.value.hint


def test_an_unknown_kind_names_the_known_ones(tmp_path):
    path = tmp_path / "odd.toml"
    path.write_text(SMALL.format(codec='kind = "odd"'))

    with pytest.raises(BadPreset, match="odd") as error:
        build(load_preset(str(path)), torch.device("cpu"), torch.float32)

    assert "taehv" in error.value.hint


def test_numbers_that_a_model_cannot_have_are_said_in_one_sentence():
    with pytest.raises(BadPreset, match="two levels"):
        make_codec(replace(load_preset("tiny").codec, widths=(8, 8, 8)))


STARTS = """
import sys, torch
if "torch._dynamo" in sys.modules:
    sys.exit("this torch brings its compiler along")
from engine.preset import load_preset
from engine.session import open_session
from bridge.worker.main import warm
preset = load_preset("tiny")
warm(open_session(preset, "cpu"), preset, preset.params)
sys.exit("the compiler was imported" if {"torch._dynamo", "sympy"} & set(sys.modules) else 0)
"""


def test_the_embedded_model_starts_without_importing_torchs_compiler():
    """Which takes as long as torch itself, and is not used."""
    ended = subprocess.run([sys.executable, "-c", STARTS], capture_output=True, text=True, check=False)
    if "along" in ended.stderr:
        pytest.skip(ended.stderr)

    assert ended.returncode == 0, ended.stderr
