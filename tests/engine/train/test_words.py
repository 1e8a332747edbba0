"""What the shipped text encoder understands: a phrase must lie nearer to its look's own name than to any other's."""

import pytest
import torch

from engine.models.byte_text import ByteText
from engine.preset import load_preset
from engine.weights import load_weights

PHRASES = {
    "watercolor": (
        "a watercolour",
        "watercolors of my dog",
        "my room, in watercolor",
        "acuarela",
        "ein aquarell",
        "AQUARELLE",
    ),
    "oil painting": (
        *("paint it in oil", "oil paintings", "a horse in oil on canvas", "ölgemälde von zwei leuten", "OLGEMALDE"),
        *("peinture a l'huile", "une peinture à l'huile de mon chat", "oleo", "un cuadro al oleo", "olio"),
    ),
    "pencil sketch": (
        *("sketchy pencil", "pencil drawings of us", "bleistift skizze", "un croquis de mi casa", "crayon"),
        *("dessin au crayon", "un dessin de ma mère au crayon", "lapiz", "gezeichnet mit bleistift"),
    ),
    "ink": ("black ink on paper", "india ink, a city", "tusche"),
    "comic": (
        *("me as a comic book hero", "comics style", "a cartoon of a cat", "bande dessinée", "マンガ"),
        *("bande dessinee", "i want to be a comic book hero"),
    ),
    "neon": ("tokyo in neon lights", "neon sign please", "lights, neon, city", "néon", "ＮＥＯＮ", "ne\u0301on 🎉"),
    "night": ("the street at night", "night time, please", "nacht", "a garden by moonlight"),
    "thermal": (
        *("thermal cam", "through a thermal camera", "infrared vision", "wärmebild von mir", "warmebild"),
        "camara termica",
    ),
    "blueprint": ("blue prints of a house", "blueprint drawing", "a technical drawing of my bike", "blaupause"),
    "pixel art": ("8 bit pixel art game", "pixels everywhere", "art made of pixels", "retro video game"),
    "mosaic": ("a roman mosaic floor", "mosaics", "mosaik aus steinen", "mosaique", "a mozaic"),
    "gold": ("a statue of pure gold", "golden me", "cast in gold, a bird", "aus gold"),
    "natural": (
        *("", "no effect at all", "original picture", "qwkjzx", "hello world", "welcome to my stream", "what is this"),
        *("bonjour tout le monde", "guten abend", "こんにちは", "horror movie", "🙂🙂🙂", "\N{DRAGON FACE}"),
        *("привет", "你好", "où est la gare", "déjà vu", "schöne grüße", "starting soon", "el niño"),
        "i had breakfast with my brother and then we went to the park, where we met a man with a small dog",
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


PROSE = (
    "today we are going to talk about the weather, and while we do so please show all that you can see as {look}, and "
    "go on with it until somebody tells you to stop"
)


@pytest.mark.parametrize("look", [look for look in PHRASES if look != "natural"])
def test_a_look_is_found_in_long_prose(nearest, look):
    assert nearest(PROSE.format(look=look)) == look


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
