"""What the shipped text encoder understands: a phrase must lie nearer to its look's own name than to any other's."""

import pytest
import torch

from engine.models.byte_text import ByteText
from engine.preset import load_preset
from engine.weights import load_weights

PHRASES = {
    "watercolor": ("a watercolour", "watercolors of my dog", "my room, in watercolor", "acuarela", "ein aquarell"),
    "oil painting": ("paint it in oil", "oil paintings", "a horse in oil on canvas", "ölgemälde von zwei leuten"),
    "pencil sketch": ("sketchy pencil", "pencil drawings of us", "bleistift skizze", "un croquis de mi casa"),
    "ink": ("black ink on paper", "india ink, a city", "tusche"),
    "comic": ("me as a comic book hero", "comics style", "a cartoon of a cat", "bande dessinée", "マンガ"),
    "neon": ("tokyo in neon lights", "neon sign please", "lights, neon, city", "néon", "ＮＥＯＮ", "ne\u0301on 🎉"),
    "night": ("the street at night", "night time, please", "nacht", "a garden by moonlight"),
    "thermal": ("thermal cam", "through a thermal camera", "infrared vision", "wärmebild von mir"),
    "blueprint": ("blue prints of a house", "blueprint drawing", "a technical drawing of my bike", "blaupause"),
    "pixel art": ("8 bit pixel art game", "pixels everywhere", "art made of pixels", "retro video game"),
    "mosaic": ("a roman mosaic floor", "mosaics", "mosaik aus steinen"),
    "gold": ("a statue of pure gold", "golden me", "cast in gold, a bird", "aus gold"),
    "natural": (
        *("", "no effect at all", "original picture", "qwkjzx", "hello world", "welcome to my stream", "what is this"),
        *("bonjour tout le monde", "guten abend", "こんにちは", "horror movie", "🙂🙂🙂", "\N{DRAGON FACE}"),
    ),
}
PAIRS = [(look, phrase) for look, phrases in PHRASES.items() for phrase in phrases]


@pytest.fixture(scope="module")
def text():
    preset = load_preset("tiny")
    encoder = ByteText(preset.text)
    load_weights(encoder, preset.text.weights)
    return encoder.eval()


@pytest.fixture(scope="module")
def nearest(text):
    @torch.inference_mode()
    def look_of(phrase):
        names = list(PHRASES)
        known, asked = text.encode(names).flatten(1), text.encode([phrase]).flatten(1)
        return names[torch.cosine_similarity(known, asked).argmax()]

    return look_of


@pytest.mark.parametrize("look, phrase", PAIRS)
def test_a_phrase_asks_for_its_look(nearest, look, phrase):
    assert nearest(phrase) == look


@pytest.mark.parametrize(
    "phrase", ["soft watercolor", "red neon", "a strong blue comic", "neon in green", "vivid gold"]
)
def test_colours_and_strengths_do_not_hide_the_look(nearest, phrase):
    assert nearest(phrase) in phrase


@torch.inference_mode()
def test_a_colour_changes_what_is_asked_for(text):
    plain, red, rot, blue = text.encode(["neon", "red neon", "rotes neon", "blue neon"]).flatten(1)

    def apart(a, b):
        return float(1 - torch.cosine_similarity(a, b, dim=0))

    assert apart(red, rot) < 0.5 * min(apart(red, blue), apart(red, plain))
