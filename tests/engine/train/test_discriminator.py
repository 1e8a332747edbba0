"""The network that pictures are held against learns to tell, and pulls only as hard as it is told to."""

import torch

from engine.train.discriminator import Discriminator, above, pairs, pull


def test_it_learns_to_tell_sharp_pictures_from_blurred_ones_by_what_was_asked():
    torch.manual_seed(0)
    rival = Discriminator(words=4)
    learn = torch.optim.AdamW(rival.parameters(), lr=3e-3)
    for _ in range(40):
        real, made, words = drawn(16)
        loss = above(rival(real, words), rival(made, words))
        learn.zero_grad()
        loss.backward()
        learn.step()
    real, made, words = drawn(64)

    assert (rival(real, words) > rival(made, words)).float().mean() > 0.9


def drawn(count):
    """Half ask for stripes, half for none: what is real for one is made for the other."""
    words = torch.eye(4)[torch.arange(count) % 2]
    stripes = torch.sign(torch.sin(torch.arange(32.0) + 6.28 * torch.rand(count, 1, 1, 1))).expand(count, 6, 32, 32)
    flat = torch.rand(count, 6, 1, 1).expand_as(stripes)
    asked = words[:, :1, None, None]
    return stripes * asked + flat * (1 - asked), flat * asked + stripes * (1 - asked), words


def test_frozen_it_answers_the_same_and_learns_nothing():
    rival, made = Discriminator(words=4), torch.rand(2, 6, 32, 32, requires_grad=True)
    words = torch.rand(2, 4)
    answer = rival.frozen(made, words)
    answer.mean().backward()

    assert torch.allclose(answer, rival(made, words), atol=1e-5)
    assert made.grad is not None and all(weight.grad is None for weight in rival.parameters())


def test_a_pair_is_two_neighbouring_frames():
    frames = torch.arange(8.0).view(1, 8, 1, 1, 1).expand(2, 8, 3, 4, 4)
    got = pairs(frames)

    assert got.shape == (8, 6, 4, 4)
    assert got[1, :, 0, 0].tolist() == [2, 2, 2, 3, 3, 3]


def test_a_pull_has_the_share_that_it_is_given_of_the_judges():
    pictures = torch.rand(1, 2, 3, 4, 4, requires_grad=True)
    judged, doubted = pictures.square().sum(), 100 * pictures.sin().sum()
    loss = pull(pictures, judged, doubted, 0.5)
    (pulled,) = torch.autograd.grad(loss, pictures)
    own, other = 2 * pictures.detach(), pictures.detach().cos()

    assert torch.allclose(pulled.norm() / own.norm(), torch.tensor(0.5), atol=1e-4)
    assert torch.allclose(pulled / pulled.norm(), other / other.norm(), atol=1e-4)
