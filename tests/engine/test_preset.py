from dataclasses import fields

import pytest

from engine.errors import BadPreset
from engine.models.build import CODECS, TEXT_ENCODERS
from engine.preset import CodecSpec, TextSpec, load_preset, preset_names


def test_tiny_describes_a_model_and_starts_its_controls():
    preset = load_preset("tiny")

    assert (preset.width, preset.height, preset.size_multiple) == (320, 192, 16)
    assert preset.params.revision == 0
    assert preset.params.carry is True


@pytest.mark.parametrize("name", ["tinny", "", "tinny.toml", "a" * 300 + ".toml", "a\0.toml", "\ud800.toml"])
def test_an_unknown_preset_names_the_known_ones(name):
    with pytest.raises(BadPreset) as error:
        load_preset(name)

    assert "tiny" in error.value.hint


def test_a_size_that_does_not_fit_names_the_nearest_that_does():
    with pytest.raises(BadPreset, match="multiples of 16") as error:
        load_preset("tiny").resized(333, 190)

    assert "336x192" in error.value.hint


@pytest.mark.parametrize(
    "line, word",
    [
        ("wdith = 3", "wdith"),
        ('width = "wide"', "width"),
        ("[window]\nslots = 6.5", "slots"),
        ('[controls]\nsteps = "many"', "steps"),
        ("[window]\nslots = 3\nsinks = 3", "no rolling slot"),
        ("[schedule]\ntimesteps = []", "at least one timestep"),
        ("[dit]\nheads = 7", "7 heads"),
        ("[[[", "cannot be read"),
        ("", "missing"),
    ],
)
def test_a_file_that_describes_nothing_runnable_is_refused(tmp_path, line, word):
    path = tmp_path / "mine.toml"
    head = 'extends = "tiny"\n' if line else 'title = "empty"\n'
    path.write_text(head + line)

    with pytest.raises(BadPreset, match=word):
        load_preset(str(path))


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("fps = 'fast'", "give a number"),
        ("[dit]\nheads = [4]", "give a whole number"),
        ("[accel]\ngraphs = 1", "give true or false"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_the_kind_to_give(tmp_path, line, hint):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "tiny"\n' + line)

    with pytest.raises(BadPreset) as error:
        load_preset(str(path))

    assert error.value.hint == hint


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("", "fps = 0"),
        ("", "fps = inf"),
        ("", f"fps = 1{'0' * 400}"),
        ("", "width = -320"),
        ("", 'leaner = "nobody"'),
        ("chunk", "first = 0"),
        ("chunk", "first = 3"),
        ("chunk", "later = 6"),
        ("chunk", "later = 16"),  # four latents, and three slots that roll
        ("chunk", "later = 100000"),
        ("codec", "spatial = 0"),
        ("codec", "temporal = 0"),
        ("codec", "scale = nan"),
        ("codec", "scale = 0"),
        ("codec", "widths = [0, -1]"),
        ("codec", f"widths = [{'8, ' * 1000}]"),
        ("codec", 'kind = "taehv"'),
        ("codec", 'kind = "wan"\nwidths = [8, 8, 16, 16]\ntemporal = 3'),
        ("codec", "blocks = 1000000"),
        ("codec", "channels = 16"),
        ("codec", "std = [1.0]"),
        ("codec", 'kind = "jpeg"'),
        ("dit", "patch = 0"),
        ("dit", "eps = -1"),
        ("dit", "heads = 0"),
        ("dit", "layers = 100000000"),
        ("dit", "dim = 1073741824"),
        ("dit", "freq_dim = 255"),
        ("text", "dim = 64"),
        ("text", "heads = 3"),
        ("text", "vocab = 100"),
        ("text", 'place = "moon"'),
        ("window", "slots = 100000000"),
        ("window", "sinks = -1"),
        ("window", "sink_distance = -9"),
        ("window", "refresh = nan"),
        ("schedule", "timesteps = [-5, 99999999]"),
        ("schedule", "timesteps = [700, 0, 500]"),
        ("schedule", "timesteps = [700, 700]"),
        ("schedule", "shift = 1e308"),
        ("schedule", "full_motion = 0"),
        ("schedule", "memory = 2.0"),
        ("controls", "steps = 99"),
        ("controls", "steps = true"),
        ("controls", "noise = nan"),
        ("accel", 'compiler = "gcc"'),
        ("accel", f"attention = {'[' * 3000}"),
    ],
)
def test_numbers_that_no_model_can_have_are_refused_in_one_sentence_with_a_next_step(tmp_path, section, line):
    path = tmp_path / "mine.toml"
    path.write_text(f'extends = "tiny"\n{f"[{section}]" * bool(section)}\n{line}\n')

    with pytest.raises(BadPreset) as error:
        load_preset(str(path))

    assert error.value.hint
    assert "\n" not in error.value.sentence
    assert len(error.value.sentence) < 400


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_that_is_shipped_loads(name):
    assert load_preset(name).name == name


@pytest.mark.parametrize(
    ("name", "first", "later", "latents"),
    [("tiny", 4, 8, (1, 2)), ("wan-1.3b", 1, 8, (1, 2)), ("wan-1.3b", 9, 4, (3, 1))],
)
def test_a_chunk_becomes_whole_latents(name, first, later, latents):
    codec = load_preset(name).codec

    assert (codec.latents(first), codec.latents(later)) == latents


def test_the_kinds_that_a_preset_may_name_are_those_that_can_be_built():
    choices = {
        spec: next(row.metadata["choices"] for row in fields(spec) if row.name == "kind")
        for spec in (CodecSpec, TextSpec)
    }

    assert set(choices[CodecSpec]) == set(CODECS)
    assert set(choices[TextSpec]) == set(TEXT_ENCODERS)


def test_a_size_that_no_ring_could_hold_is_refused():
    with pytest.raises(BadPreset, match="up to 4096") as error:
        load_preset("tiny").resized(8192, 192)

    assert "4096x192" in error.value.hint


def test_a_child_changes_only_what_it_names(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "tiny"\n[window]\nslots = 5\n')

    child, parent = load_preset(str(path)), load_preset("tiny")

    assert child.window.slots == 5
    assert child.window.sinks == parent.window.sinks
    assert child.dit == parent.dit
