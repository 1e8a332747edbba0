"""From the authors' files to a film: a transformer of the published widths and little depth, with random weights."""

import pytest
import torch

from bridge.cli.commands import main
from engine.convert.__main__ import main as convert
from engine.convert.fit import KINDS
from engine.preset import load_preset
from tests.bridge.films import make_film, read_film
from tests.bridge.small_wan import SMALL, random_weights
from tests.extras import need

need("wan")
PRESET = f"""{SMALL}
[dit]
layers = 1
text_dim = 64
"""
LAYOUT = {
    "dit": lambda tensors: {"generator": {f"model.{key}": value for key, value in tensors.items()}},
    "vae": lambda tensors: tensors,
    "umt5": lambda tensors: tensors,
}


@pytest.fixture
def preset(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTCAST_MODELS", str(tmp_path / "models"))
    path = tmp_path / "shallow.toml"
    path.write_text(PRESET)
    return load_preset(str(path))


@pytest.mark.process
def test_published_checkpoints_are_converted_loaded_and_render_a_film(preset, tmp_path, capsys):
    from tests.engine.models.words import save_tokenizer

    shallow = str(tmp_path / "shallow.toml")
    for kind, spec in (("dit", preset.dit), ("vae", preset.codec), ("umt5", preset.text)):
        torch.save(LAYOUT[kind](dict(random_weights(KINDS[kind].shapes(preset)))), tmp_path / f"{kind}.pt")
        target = tmp_path / "models" / spec.weights
        assert convert([str(tmp_path / f"{kind}.pt"), str(target), "--kind", kind, "--preset", shallow]) == 0
    save_tokenizer(tmp_path / "models" / preset.text.tokenizer)
    film = make_film(tmp_path / "in.mp4", count=11, size=(128, 96))

    asked = ["render", str(film), str(tmp_path / "out.mp4"), "--preset", shallow, "--prompt", "a neon city in rain"]
    assert main(asked) == 0

    pictures = [pixels for pixels, _ in read_film(tmp_path / "out.mp4")]
    assert len(pictures) == 11
    assert all(pixels.shape == (48, 64, 3) and pixels.std() > 1 for pixels in pictures)


def test_without_the_weights_a_render_ends_with_one_sentence(preset, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("engine.measure.free_bytes", lambda device: 2**40)  # else its size is what is said first
    film = make_film(tmp_path / "in.mp4", count=2)

    assert main(["render", str(film), str(tmp_path / "out.mp4"), "--preset", "wan-1.3b"]) != 0

    said = " ".join(capsys.readouterr().err.split())
    assert "weights are missing" in said and "latentcast download" in said
    assert not (tmp_path / "out.mp4").exists()
