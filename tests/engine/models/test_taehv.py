from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.models.causal import CausalState, run
from engine.models.taehv import Taehv
from engine.preset import CodecSpec

GOLDEN = Path(__file__).parents[2] / "golden"
CLOSE = {"atol": 1e-4, "rtol": 0.0}
SPEC = CodecSpec("taehv", "", channels=16, widths=(64, 64, 128, 256), blocks=3)


@pytest.fixture(scope="module")
def recorded():
    return load_file(GOLDEN / "taehv.safetensors")


@pytest.fixture(scope="module")
def codec():
    codec = Taehv(SPEC)
    codec.load_state_dict({key: recipe(key, value.shape) for key, value in codec.state_dict().items()})
    return codec.eval().requires_grad_(False)


def recipe(key, shape):
    """The weights that the recorded numbers were made with: drawn from the key's own name."""
    draws = np.random.Generator(np.random.PCG64(crc32(key.encode()))).standard_normal(shape.numel())
    scale = 0.05 if key.endswith("bias") else 0.7 * (2 / shape[1:].numel()) ** 0.5
    return torch.from_numpy(draws.astype(np.float32)).reshape(shape) * scale


def in_pieces(run, whole, lengths):
    state, parts = None, []
    for piece in whole.split(lengths):
        part, state = run(piece, state)
        parts.append(part)
    return torch.cat(parts)


@pytest.mark.golden
def test_a_whole_clip_is_encoded_as_the_reference_does(codec, recorded):
    latents = run(codec.encoder, recorded["enc_in"][0], CausalState(None))

    torch.testing.assert_close(latents[None], recorded["enc_out"], **CLOSE)


@pytest.mark.golden
def test_a_whole_clip_is_decoded_as_the_reference_does(codec, recorded):
    pictures = run(codec.decoder, recorded["z"][0], CausalState(None))

    torch.testing.assert_close(pictures[None], recorded["decode_video_raw_unit_range"], **CLOSE)


@pytest.mark.golden
@pytest.mark.parametrize("lengths", [(2, 1, 1, 1, 1), (1, 5), (3, 3)])
def test_a_stream_is_decoded_as_the_reference_decodes_the_whole(codec, recorded, lengths):
    pictures = in_pieces(codec.decode, recorded["z"][0], lengths)

    whole = (recorded["decode_video_raw_unit_range"][0, 3:] * 2 - 1).clamp(-1, 1)
    torch.testing.assert_close(pictures, whole, **CLOSE)


@pytest.mark.golden
def test_the_references_own_stream_is_met_for_as_long_as_it_remembers_everything(codec, recorded):
    """It shows four pictures for the first two latents, and from the fourth call on it has forgotten the first."""
    pictures, _ = codec.decode(recorded["z"][0], None)

    for call, four in enumerate(pictures[1:13].split(4)):
        torch.testing.assert_close(four[None], recorded[f"wrapper_stream.chunk{call}"], **CLOSE)


@pytest.mark.parametrize("lengths", [(5, 4, 4), (1, 12), (9, 4)])
def test_any_split_of_the_frames_gives_the_same_latents(codec, lengths):
    frames = torch.rand(13, 3, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1

    whole, _ = codec.encode(frames, None)

    torch.testing.assert_close(in_pieces(codec.encode, frames, lengths), whole, atol=1e-5, rtol=0)


def test_a_first_chunk_of_five_frames_is_two_latents_and_five_frames_again(codec):
    latents, _ = codec.encode(torch.zeros(5, 3, 32, 48), None)
    pictures, state = codec.decode(latents, None)
    later, _ = codec.decode(latents[:1], state)

    assert latents.shape == (2, 16, 4, 6)
    assert (len(pictures), len(later)) == (5, 4)


def test_latents_leave_the_encoder_with_the_presets_mean_and_deviation(codec):
    raw = Taehv(CodecSpec("taehv", "", 16, SPEC.widths, SPEC.blocks, mean=(0.5,) * 16, std=(2.0,) * 16))
    raw.load_state_dict(codec.state_dict())
    frames = torch.zeros(1, 3, 32, 48)

    torch.testing.assert_close(raw.encode(frames, None)[0], codec.encode(frames, None)[0] * 2 + 0.5)


def test_frames_that_would_end_inside_a_latent_are_refused(codec):
    with pytest.raises(ValueError, match="mid-latent"):
        codec.encode(torch.zeros(4, 3, 32, 48), None)
