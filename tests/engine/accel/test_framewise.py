"""The Wan codec's layers for a CPU beside the plain ones, and beside the reference's numbers."""

import copy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from engine.accel import framewise
from engine.accel.apply import accelerate
from engine.measure import _codec_bytes as coding
from engine.models.build import make_codec
from engine.models.wan_vae import WanVae
from engine.preset import AccelSpec, load_preset
from tests.engine.models.test_wan_vae import CLOSE, DECODED, ENCODED, GOLDEN, in_pieces
from tests.engine.small import PRESET, small_models


@pytest.fixture(scope="module")
def stream():
    return load_file(GOLDEN / "vae_stream.safetensors")


@pytest.fixture(scope="module")
def plain(stream):
    spec = load_preset("wan-1.3b").codec
    mean, std = (tuple(stream[name].tolist()) for name in ("mean", "std"))
    codec = WanVae(replace(spec, widths=(8, 16, 32, 32), mean=mean, std=std))
    codec.load_state_dict({key: value.float() for key, value in load_file(GOLDEN / "vae_weights.safetensors").items()})
    return codec.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def quick(plain):
    return quickened(plain)


def quickened(codec):
    models = replace(small_models(), codec=copy.deepcopy(codec))
    return accelerate(models, replace(PRESET, accel=AccelSpec(framewise=True))).codec


def frames_of(stream):
    return stream["video"][0].transpose(0, 1)


@pytest.mark.golden
def test_frame_by_frame_a_stream_is_coded_as_the_reference_does(quick, stream):
    latents = in_pieces(quick.encode, frames_of(stream), ENCODED)
    frames = in_pieces(quick.decode, stream["z_model_space"][0].transpose(0, 1), DECODED)

    want = [stream[f"stream_encode.chunk{call}.raw_mu"][0] for call in range(len(ENCODED))]
    torch.testing.assert_close(latents.transpose(0, 1), torch.cat(want, 1), **CLOSE)
    want = [stream[f"stream_decode.chunk{call}.unclamped"][0].clamp(-1, 1) for call in range(len(DECODED))]
    torch.testing.assert_close(frames.transpose(0, 1), torch.cat(want, 1), **CLOSE)


@pytest.mark.parametrize("lengths", [(1, 4, 4, 4, 4, 4), (9, 12), (21,)])
def test_frame_by_frame_any_split_gives_the_same(quick, plain, stream, lengths):
    frames = frames_of(stream)
    latents, _ = plain.encode(frames, None)
    pictures, _ = plain.decode(latents, None)
    first, *later = lengths

    torch.testing.assert_close(in_pieces(quick.encode, frames, lengths), latents, atol=1e-5, rtol=0)
    latent_lengths = (1 + (first - 1) // 4, *(length // 4 for length in later))
    torch.testing.assert_close(in_pieces(quick.decode, latents, latent_lengths), pictures, atol=1e-5, rtol=0)


def test_in_bfloat16_it_is_no_further_from_the_exact_pictures_than_the_plain_codec(plain, stream):
    half = copy.deepcopy(plain).to(torch.bfloat16)
    exact, _ = plain.decode(plain.encode(frames_of(stream), None)[0], None)
    far = []

    for codec in (half, quickened(half)):
        latents = in_pieces(codec.encode, frames_of(stream).bfloat16(), ENCODED)
        pictures = in_pieces(codec.decode, latents, (2, 1, 1, 2))
        far.append(float((pictures.float() - exact).norm() / exact.norm()))

    assert 0 < far[1] < 1.1 * far[0] < 0.1


def test_a_state_can_be_replayed_and_holds_no_more_than_it_must(quick, stream):
    frames = frames_of(stream)
    _, state = quick.encode(frames[:5], None)
    before = [kept.clone() for kept in state]

    again = [quick.encode(frames[5:9], state)[0] for _ in range(2)]

    assert torch.equal(*again)
    assert all(torch.equal(kept, was) for kept, was in zip(state, before, strict=True))
    assert all(kept.untyped_storage().nbytes() == kept.nbytes for kept in state)


def test_it_takes_little_more_memory_than_the_plain_codec():
    """Neighbours in time are joined for one frame at a time; for a whole chunk that would be twice as much and more."""
    preset, meta = replace(load_preset("wan-1.3b"), width=64, height=64), torch.device("meta")
    codec = make_codec(preset.codec).to(meta, torch.float32).requires_grad_(False)

    plain = coding(codec, preset, torch.float32)
    framewise.apply(codec)
    quick = coding(codec, preset, torch.float32)

    assert quick[0] == plain[0]
    assert all(some < 1.5 * much for some, much in zip(quick[1], plain[1], strict=True)), "encoding, decoding"


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 6)])
def test_a_doubled_picture_is_convolved_at_half_its_size(size):
    torch.manual_seed(3)
    layers = nn.Sequential(nn.Upsample(scale_factor=2.0, mode="nearest-exact"), nn.Conv2d(6, 4, 3, padding=1))
    x = torch.randn(2, 6, *size)

    torch.testing.assert_close(framewise.Doubling(layers[1])(x), layers(x), atol=1e-5, rtol=0)


def test_every_layer_of_the_codec_is_found(quick, plain):
    """Plain layers that were overlooked would give the same numbers, slowly."""
    slow = nn.Conv3d | nn.SiLU | nn.Upsample

    assert not [name for name, layer in quick.named_modules() if isinstance(layer, slow)]
    assert [name for name, layer in plain.named_modules() if isinstance(layer, slow)], "and the plain one is left as is"


def test_other_codecs_are_left_as_they_are():
    models = small_models()

    assert accelerate(models, replace(PRESET, accel=AccelSpec(framewise=True))) == models
