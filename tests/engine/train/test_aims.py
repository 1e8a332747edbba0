"""What a colour has to mean to a denoiser is found by trying, and never makes it worse."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from engine.models.causal_dit import CausalDiT
from engine.models.small_codec import SmallCodec
from engine.preset import load_preset
from engine.train.aims import Aims, Seeker
from engine.train.wishes import Wish

WISHES = [Wish("gold", "red"), Wish("gold", "blue")]


@pytest.fixture
def seeker(monkeypatch):
    """A small denoiser, whose weights are not nothing, under the eyes of a seeker."""
    monkeypatch.setattr("engine.train.aims.CLIPS", 2)
    tiny = load_preset("tiny").resized(64, 48)
    preset = replace(
        tiny,
        codec=replace(tiny.codec, channels=6, widths=(8, 8), blocks=1),
        dit=replace(tiny.dit, channels=6, dim=24, ffn=32, heads=2, layers=1, text_dim=16, text_len=2),
        text=replace(tiny.text, dim=16, length=2, layers=1, heads=2, ffn=16),
    )
    torch.manual_seed(0)
    dit = CausalDiT(preset.dit)
    torch.nn.init.normal_(dit.head.head.weight, std=0.2)
    codec = SmallCodec(preset.codec).requires_grad_(False)

    def made(steps):
        return Seeker(preset, codec, dit.state_dict(), steps, 0, torch.device("cpu"))

    return made


def known():
    return F.layer_norm(torch.randn(2, 2, 16, generator=torch.Generator().manual_seed(1)), (16,))


def test_what_is_found_brings_the_denoiser_nearer_to_the_coloured_look(seeker):
    seek = seeker(steps=30)
    found = seek.seek(WISHES, known())

    targets = [seek.targets(wish) for wish in WISHES]
    before, after = ([seek.worth(e, t) for e, t in zip(given, targets, strict=True)] for given in (known(), found))
    assert sum(after) < sum(before) and all(late <= early for early, late in zip(before, after, strict=True))
    torch.testing.assert_close(found, F.layer_norm(found, (16,)), atol=1e-3, rtol=1e-3)


def test_what_is_no_better_is_left_as_it_was(seeker, monkeypatch):
    seek = seeker(steps=3)
    worths = iter([2.0, 1.0, 1.0, 2.0])  # found, known, found, known
    monkeypatch.setattr(seek, "worth", lambda embedding, targets: next(worths))

    found = seek.seek(WISHES, known())

    assert torch.equal(found[0], known()[0]) and not torch.equal(found[1], known()[1])


def test_a_colour_moves_its_own_look_alone():
    aims = Aims(2, 16)
    aims.set(Wish("gold", "red"), torch.ones(2, 16))

    moves = aims([Wish("gold", "red", "soft"), Wish("gold", "blue"), Wish("ink", "red"), Wish("gold")])

    assert moves[0].eq(1).all() and not moves[1:].any()
