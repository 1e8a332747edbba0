import pytest
import torch

from engine.models.small_codec import SmallCodec
from engine.preset import CodecSpec
from engine.train.linear import fit_linear

SPEC = CodecSpec("small", "", channels=6, widths=(8, 12), blocks=2, scale=3.0)


@pytest.fixture
def codec():
    torch.manual_seed(0)
    codec = SmallCodec(SPEC).eval()
    for half in (codec.encoder, codec.decoder):  # as after training: the corrections do something
        last = half.leave if isinstance(half.leave, torch.nn.Conv2d) else half.leave[0]
        torch.nn.init.normal_(last.weight, std=0.1)
    return codec.requires_grad_(False)


def in_pieces(run, whole, cuts):
    state, parts = None, []
    for piece in whole.tensor_split(cuts):
        part, state = run(piece, state)
        parts.append(part)
    return torch.cat(parts)


@pytest.mark.parametrize("cuts", [[4], [4, 8, 12], [8, 12]])
def test_any_split_of_the_frames_gives_the_same_latents_and_pictures(codec, cuts):
    frames = torch.rand(16, 3, 32, 48) * 2 - 1
    latents, _ = codec.encode(frames, None)
    pictures, _ = codec.decode(latents, None)

    torch.testing.assert_close(in_pieces(codec.encode, frames, cuts), latents)
    torch.testing.assert_close(in_pieces(codec.decode, latents, [cut // 4 for cut in cuts]), pictures)


def test_four_frames_become_one_latent_and_four_frames_again(codec):
    latents, _ = codec.encode(torch.zeros(8, 3, 32, 48), None)
    pictures, _ = codec.decode(latents, None)

    assert latents.shape == (2, 6, 4, 6)
    assert pictures.shape == (8, 3, 32, 48)


def test_a_state_can_be_replayed(codec):
    first, second = torch.rand(2, 4, 3, 32, 48)
    _, state = codec.encode(first, None)

    once, _ = codec.encode(second, state)
    again, _ = codec.encode(second, state)

    assert torch.equal(once, again)


def test_the_future_does_not_reach_back(codec):
    frames = torch.rand(8, 3, 32, 48)
    changed = torch.cat([frames[:4], 1 - frames[4:]])

    assert torch.equal(codec.encode(frames, None)[0][:1], codec.encode(changed, None)[0][:1])


def test_pictures_stay_in_range(codec):
    pictures, _ = codec.decode(torch.randn(1, 6, 4, 6) * 100, None)

    assert pictures.abs().max() <= 1


@pytest.mark.parametrize("shape", [(5, 3, 32, 48), (4, 3, 30, 48)])
def test_what_does_not_fill_whole_latents_is_refused(codec, shape):
    with pytest.raises(ValueError, match="do not fill"):
        codec.encode(torch.zeros(shape), None)


def test_a_still_picture_stays_still_before_any_training():
    codec = SmallCodec(SPEC)
    scenes, drifts = torch.nn.functional.interpolate(torch.randn(800, 3, 6, 6), (32, 32), mode="bilinear").chunk(2)
    clips = torch.stack([scenes + 0.1 * time * drifts for time in range(4)], dim=1).tanh()  # [400, 4, 3, 32, 32]
    fit_linear(codec, clips.flatten(1, 2)[:, None])
    still = clips[0, :1].expand(8, -1, -1, -1)

    pictures, _ = codec.decode(codec.encode(still, None)[0], None)

    assert pictures.diff(dim=0).abs().max() < 0.1
    assert (pictures - still).square().mean() < 0.4 * still.square().mean()
