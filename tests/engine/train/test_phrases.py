import numpy as np
import pytest

from engine.models.byte_text import MAX_BYTES, spell
from engine.train.looks import LOOKS
from engine.train.phrases import WORDS, draw_phrase
from engine.train.wishes import Wish


def test_every_look_can_be_asked_for():
    assert set(WORDS) == set(LOOKS)


def test_no_word_asks_for_two_looks():
    words = [spell(word) for look in WORDS.values() for word in look]

    assert len(words) == len(set(words))


@pytest.mark.parametrize("look", LOOKS)
def test_phrases_vary_and_stay_short(look):
    random = np.random.default_rng(0)
    phrases = {draw_phrase(Wish(look), random) for _ in range(200)}

    assert len(phrases) > 60
    assert max(len(spell(phrase).encode()) for phrase in phrases) < MAX_BYTES
    assert sum(map(len, phrases)) / len(phrases) < 60


def test_natural_is_also_what_words_without_a_look_mean():
    random = np.random.default_rng(0)

    assert "" in {draw_phrase(Wish("natural"), random) for _ in range(100)}
