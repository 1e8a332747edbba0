from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import BadWeights
from engine.models.umt5 import Umt5, clean
from engine.preset import TextSpec
from tests.extras import need

need("wan")
GOLDEN = Path(__file__).parents[2] / "golden"
CLOSE = {"atol": 1e-4, "rtol": 0.0}
SPEC = TextSpec("umt5", "", dim=32, length=12, layers=2, heads=4, ffn=48, vocab=100, tokenizer="words")


@pytest.fixture(scope="module")
def recorded():
    return load_file(GOLDEN / "t5_tiny.safetensors")


@pytest.fixture(scope="module")
def encoder(recorded):
    encoder = Umt5(SPEC)
    prefix = "weights."
    encoder.load_state_dict({k.removeprefix(prefix): v for k, v in recorded.items() if k.startswith(prefix)})
    return encoder.eval().requires_grad_(False)


@pytest.fixture
def words(tmp_path, monkeypatch):
    """A tokenizer where the preset looks for it."""
    from tests.engine.models.words import save_tokenizer

    save_tokenizer(tmp_path / "words")
    monkeypatch.setenv("LATENTCAST_MODELS", str(tmp_path))


@pytest.fixture
def fresh(encoder, words):
    encoder.__dict__.pop("tokenizer", None)
    yield encoder
    encoder.__dict__.pop("tokenizer", None)


@pytest.mark.golden
def test_words_become_the_references_embeddings(encoder, recorded):
    embedded = encoder.embed(recorded["ids"], recorded["mask"])

    torch.testing.assert_close(embedded, recorded["out_zeropadded"], **CLOSE)


@pytest.mark.golden
def test_what_is_not_padded_need_not_be_computed(encoder, recorded):
    for row in range(2):
        count = int(recorded["mask"][row].sum())
        short = encoder.embed(recorded["ids"][row : row + 1, :count], recorded["mask"][row : row + 1, :count])
        torch.testing.assert_close(short[0], recorded["out_raw"][row, :count], **CLOSE)


def test_every_prompt_has_one_size_and_nothing_after_its_words(fresh):
    embedded = fresh.encode(["a neon city in rain", "rain", ""])

    assert embedded.shape == (3, 12, 32)
    filled = embedded.abs().sum(-1) > 0
    assert filled.sum(-1).tolist() == [6, 2, 1]  # the words and the end of the text


def test_a_prompt_means_the_same_alone_and_beside_a_longer_one(fresh):
    together = fresh.encode(["a neon city in rain", "rain"])

    torch.testing.assert_close(fresh.encode(["rain"])[0], together[1], atol=1e-5, rtol=0)


def test_a_prompt_too_long_is_cut(fresh):
    assert fresh.encode(["rain " * 40]).shape == (1, 12, 32)


@pytest.mark.parametrize(
    "typed, read",
    [
        ("  neon\n\tcity ", "neon city"),
        ("&amp;lt;b&amp;gt;", "<b>"),
        ("cafÃ©", "café"),
    ],
)
def test_a_prompt_is_cleaned_before_it_is_read(typed, read):
    assert clean(typed) == read


def test_a_missing_tokenizer_is_one_sentence(encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTCAST_MODELS", str(tmp_path))

    with pytest.raises(BadWeights, match="tokenizer is missing") as error:
        encoder.encode(["rain"])

    assert "umt5-xxl" in error.value.hint


def test_a_folder_without_a_tokenizer_is_one_sentence(encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTCAST_MODELS", str(tmp_path))
    (tmp_path / "words").mkdir()

    with pytest.raises(BadWeights, match="no readable tokenizer"):
        encoder.encode(["rain"])
