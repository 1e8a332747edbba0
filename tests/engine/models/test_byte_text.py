import pytest
import torch

from engine.models.byte_text import ByteText, spell
from engine.preset import TextSpec


@pytest.fixture
def text():
    torch.manual_seed(0)
    return ByteText(TextSpec("bytes", "", dim=16, length=3, layers=1, heads=2, ffn=32, vocab=256)).eval()


def test_every_text_becomes_the_same_number_of_tokens(text):
    assert text.encode(["neon", "", "a very long wish " * 50, "水彩"]).shape == (4, 3, 16)


def test_company_in_the_batch_changes_nothing(text):
    alone = text.encode(["neon"])
    together = text.encode(["neon", "a much longer text than that"])[:1]

    torch.testing.assert_close(alone, together)


def test_case_and_blanks_do_not_matter(text):
    assert torch.equal(text.encode(["  Neon   City "]), text.encode(["neon city"]))


@pytest.mark.parametrize(
    "asked, same",
    [
        ("Peinture À l'Huile", "peinture a l'huile"),
        ("WÄRMEBILD", "warmebild"),
        ("чертёж", "чертеж"),
        ("ne\u0301on", "néon"),
        ("İNK", "ink"),
    ],
)
def test_accents_do_not_matter(text, asked, same):
    assert torch.equal(text.encode([asked]), text.encode([same]))


@pytest.mark.parametrize("letters", ["ガ", "만화", "水彩", "มา", "हिन्दी"])
def test_marks_that_make_another_letter_stay(letters):
    assert spell(letters) == letters


def test_a_long_prompt_is_read_to_its_239th_byte(text):
    begin = "x" * 238

    assert not torch.equal(text.encode([begin + "neon"]), text.encode([begin + "y"]))
    assert torch.equal(text.encode([begin + "neon"]), text.encode([begin + "nature"]))


def test_different_words_differ(text):
    neon, gold = text.encode(["neon", "gold"])

    assert not torch.allclose(neon, gold, atol=1e-3)


def test_embeddings_have_one_size_so_that_they_blend(text):
    sizes = text.encode(["neon", "", "watercolor of a cat"]).square().mean(-1)

    torch.testing.assert_close(sizes, torch.ones_like(sizes), rtol=0.01, atol=0.01)
