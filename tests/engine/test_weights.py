import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engine.errors import BadWeights
from engine.places import locate
from engine.weights import load_weights


@pytest.fixture
def module():
    return nn.Linear(3, 2)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTCAST_MODELS", str(tmp_path))
    return tmp_path


def test_half_precision_on_disk_becomes_what_the_module_is(module, folder):
    save_file({"weight": torch.ones(2, 3).half(), "bias": torch.zeros(2).half()}, folder / "m.safetensors")

    load_weights(module, "m.safetensors")

    assert module.weight.dtype == torch.float32
    assert (module.weight == 1).all()


@pytest.mark.parametrize(
    "tensors, word",
    [
        ({"weight": torch.ones(2, 3)}, "bias is missing"),
        ({"weight": torch.ones(2, 3), "bias": torch.zeros(2), "gate": torch.zeros(1)}, "gate is not part"),
        ({"weight": torch.ones(3, 2), "bias": torch.zeros(2)}, r"weight is \[3, 2\], not \[2, 3\]"),
        ({"weight": torch.full((2, 3), torch.nan), "bias": torch.zeros(2)}, "not numbers"),
    ],
)
def test_a_file_for_another_model_is_refused_and_changes_nothing(module, folder, tensors, word):
    before = module.weight.clone()
    save_file(tensors, folder / "m.safetensors")

    with pytest.raises(BadWeights, match=word):
        load_weights(module, "m.safetensors")

    assert torch.equal(module.weight, before)


def test_what_is_to_stay_in_its_file_is_fitted_without_being_read(folder, monkeypatch):
    save_file({"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, folder / "m.safetensors")
    monkeypatch.setattr("engine.weights.is_finite", lambda tensor: pytest.fail("it was read"))
    with torch.device("meta"):
        module, other = nn.Linear(3, 2), nn.Linear(4, 2)

    load_weights(module, "m.safetensors", unread=True)

    assert (module.weight == 1).all()
    with pytest.raises(BadWeights, match="not \\[2, 4\\]"):
        load_weights(other, "m.safetensors", unread=True)


@pytest.mark.parametrize("keep", [0, 5, 60, -4])
def test_a_truncated_file_is_refused_in_one_sentence(module, folder, keep):
    path = folder / "m.safetensors"
    save_file({"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, path)
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(BadWeights, match="cannot be read") as error:
        load_weights(module, "m.safetensors")

    assert "\n" not in str(error.value)


def test_missing_weights_say_where_they_were_looked_for(module, folder):
    with pytest.raises(BadWeights, match="absent"):
        load_weights(module, "absent.safetensors")


def test_packaged_weights_are_found_beside_the_code():
    assert locate("package:tiny/codec.safetensors").parent.name == "tiny"
