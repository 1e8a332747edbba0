from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.models.wan_vae import WanVae
from engine.preset import CodecSpec

GOLDEN = Path(__file__).parents[2] / "golden"
CLOSE = {"atol": 1e-4, "rtol": 0.0}
ENCODED, DECODED = (5, 4, 4, 8), (2, 1, 1, 2)  # how the recorded stream was split


@pytest.fixture(scope="module")
def stream():
    return load_file(GOLDEN / "vae_stream.safetensors")


@pytest.fixture(scope="module")
def codec(stream):
    mean, std = (tuple(stream[name].tolist()) for name in ("mean", "std"))
    codec = WanVae(CodecSpec("wan", "", channels=16, widths=(8, 16, 32, 32), blocks=2, mean=mean, std=std))
    codec.load_state_dict({key: value.float() for key, value in load_file(GOLDEN / "vae_weights.safetensors").items()})
    return codec.eval().requires_grad_(False)


def in_pieces(run, whole, lengths):
    state, parts = None, []
    for piece in whole.split(lengths):
        part, state = run(piece, state)
        parts.append(part)
    return torch.cat(parts)


@pytest.mark.golden
def test_a_stream_is_encoded_as_the_reference_does(codec, stream):
    state = None
    for call, frames in enumerate(stream["video"][0].transpose(0, 1).split(ENCODED)):
        latents, state = codec.encode(frames, state)
        torch.testing.assert_close(latents.transpose(0, 1)[None], stream[f"stream_encode.chunk{call}.raw_mu"], **CLOSE)


@pytest.mark.golden
def test_a_stream_is_decoded_as_the_reference_does(codec, stream):
    state = None
    for call, latents in enumerate(stream["z_model_space"][0].transpose(0, 1).split(DECODED)):
        frames, state = codec.decode(latents, state)
        want = stream[f"stream_decode.chunk{call}.unclamped"].clamp(-1, 1)
        torch.testing.assert_close(frames.transpose(0, 1)[None], want, **CLOSE)


@pytest.mark.parametrize("lengths", [(1, 4, 4, 4, 4, 4), (9, 12), (5, 16), (1, 20)])
def test_any_split_of_the_frames_gives_the_same_latents_and_pictures(codec, stream, lengths):
    frames = stream["video"][0].transpose(0, 1)
    latents, _ = codec.encode(frames, None)
    pictures, _ = codec.decode(latents, None)
    first, *later = lengths

    assert pictures.shape == frames.shape
    torch.testing.assert_close(in_pieces(codec.encode, frames, lengths), latents)
    latent_lengths = (1 + (first - 1) // 4, *(length // 4 for length in later))
    torch.testing.assert_close(in_pieces(codec.decode, latents, latent_lengths), pictures)


def test_a_state_can_be_replayed(codec, stream):
    frames = stream["video"][0].transpose(0, 1)
    latents, state = codec.encode(frames[:5], None)
    _, decoding = codec.decode(latents, None)

    again = [codec.encode(frames[5:9], state)[0] for _ in range(2)]
    pictures = [codec.decode(again[0], decoding)[0] for _ in range(2)]

    assert torch.equal(*again)
    assert torch.equal(*pictures)


def test_what_is_remembered_is_no_larger_than_it_must_be(codec, stream):
    _, state = codec.encode(stream["video"][0].transpose(0, 1), None)

    assert all(kept.untyped_storage().nbytes() == kept.nbytes for kept in state)


@pytest.mark.parametrize("count, started", [(4, False), (5, True), (0, False), (2, True)])
def test_frames_that_would_end_inside_a_latent_are_refused(codec, count, started):
    state = codec.encode(torch.zeros(1, 3, 32, 48), None)[1] if started else None

    with pytest.raises(ValueError, match="mid-latent"):
        codec.encode(torch.zeros(count, 3, 32, 48), state)
