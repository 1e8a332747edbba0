"""The presets describe exactly the models that were published: keys, shapes, parameters. No weight is in memory."""

import json
from pathlib import Path

import pytest

from engine.models.build import make_codec, make_denoiser, make_text
from engine.preset import load_preset

MANIFESTS = Path(__file__).parents[2] / "golden" / "manifests"
PUBLISHED = [
    ("wan-1.3b", lambda preset: make_denoiser(preset.dit), "wan2.1_t2v_1.3b", 1_418_996_800),
    ("wan-14b", lambda preset: make_denoiser(preset.dit), "wan2.1_t2v_14b", 14_288_491_584),
    ("wan-1.3b", lambda preset: make_codec(preset.codec), "wan2.1_vae", 126_892_531),
    ("wan-1.3b-fast", lambda preset: make_codec(preset.codec), "taehv", 11_315_539),
    ("wan-1.3b", lambda preset: make_text(preset.text), "umt5_xxl_enc", 5_680_910_336),
]


@pytest.mark.golden
@pytest.mark.parametrize("name, make, manifest, parameters", PUBLISHED, ids=[row[2] for row in PUBLISHED])
def test_keys_shapes_and_parameters_are_the_published_ones(name, make, manifest, parameters):
    model = make(load_preset(name))

    published = json.loads((MANIFESTS / f"{manifest}.json").read_text())
    assert {key: list(value.shape) for key, value in model.state_dict().items()} == {
        key: shape for key, (shape, _) in published.items()
    }
    assert sum(value.numel() for value in model.parameters()) == parameters
    assert all(value.is_meta for value in model.parameters())
