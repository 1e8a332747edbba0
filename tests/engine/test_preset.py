import pytest

from engine.errors import BadPreset
from engine.preset import load_preset


def test_tiny_describes_a_model_and_starts_its_controls():
    preset = load_preset("tiny")

    assert (preset.width, preset.height, preset.unit) == (320, 192, 16)
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
        ("[chunk]\nfirst = 0", "at least one frame"),
        ("[schedule]\ntimesteps = []", "at least one timestep"),
        ("[schedule]\nmemory = 2.0", "a share"),
        ("[dit]\nheads = 7", "7 heads"),
        ("fps = 0", "above 0"),
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
