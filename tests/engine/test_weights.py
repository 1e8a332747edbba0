import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engine.checksum import checksum_line, checksum_path, digest
from engine.convert.write import write
from engine.errors import BadWeights
from engine.paths import locate
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

    load_weights(module, "m.safetensors", lazy=True)

    assert (module.weight == 1).all()
    with pytest.raises(BadWeights, match="not \\[2, 4\\]"):
        load_weights(other, "m.safetensors", lazy=True)


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


def flip_a_bit(path, place=-1):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_one_flipped_bit_is_noticed_and_the_sentence_says_what_to_do(module, folder):
    path, before = folder / "m.safetensors", module.weight.clone()
    write({"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, path)
    flip_a_bit(path)

    with pytest.raises(BadWeights, match="damaged: it is not what its checksum says") as error:
        load_weights(module, "m.safetensors")

    assert "remove m.safetensors.sha256" in error.value.hint
    assert torch.equal(module.weight, before)
    (folder / "m.safetensors.sha256").unlink()
    load_weights(module, "m.safetensors")
    assert (module.weight == 1).all(), "what was changed on purpose can be used"


def test_every_bit_of_every_weight_counts(module, folder):
    path = folder / "m.safetensors"
    write({"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, path)
    whole = path.read_bytes()

    for place in range(len(whole)):
        flip_a_bit(path, place)
        with pytest.raises(BadWeights):
            load_weights(module, "m.safetensors")
        path.write_bytes(whole)
    load_weights(module, "m.safetensors")


@pytest.mark.parametrize("noted", ["", "no checksum at all", "0" * 64])
def test_a_checksum_that_is_itself_damaged_is_not_taken_for_a_good_one(module, folder, noted):
    write({"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, folder / "m.safetensors")
    (folder / "m.safetensors.sha256").write_text(noted)

    with pytest.raises(BadWeights, match="not what its checksum says"):
        load_weights(module, "m.safetensors")


def test_a_large_file_keeps_no_picture_waiting_for_its_checksum(module, folder, monkeypatch):
    write({"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, folder / "m.safetensors")
    monkeypatch.setattr("engine.weights.QUICK", 16)
    monkeypatch.setattr("engine.checksum.digest", lambda path: pytest.fail("all of it was read"))

    load_weights(module, "m.safetensors")


@pytest.mark.parametrize("name", ["codec", "dit", "text"])
def test_the_packaged_weights_are_what_their_checksums_say(name):
    weights = locate(f"package:tiny/{name}.safetensors")

    assert checksum_path(weights).read_text() == checksum_line(digest(weights), weights)
