import numpy as np
import pytest
import torch

from engine.chunk import Chunk, Chunker, to_bytes, to_pictures
from engine.frame import Frame
from engine.preset import ChunkSpec
from tests.engine.small import film


def chunker(**options):
    return Chunker(ChunkSpec(first=5, later=4), **options)


def pixels(chunk):
    return chunk.pixels(torch.device("cpu"), torch.float32)


def test_the_first_chunk_has_its_own_length():
    source, lengths = chunker(), []

    for frame in film(17):
        source.push(frame)
        if (chunk := source.take()) is not None:
            lengths.append(len(chunk.frames))

    assert lengths == [5, 4, 4, 4]


def test_the_rest_is_filled_up_and_only_real_frames_are_stamped():
    source = chunker()
    for frame in film(7):
        source.push(frame)
    source.take()

    rest = source.take_rest()

    assert len(rest.frames) == 4
    assert [index for _, index in rest.stamps] == [5, 6]
    assert torch.equal(pixels(rest)[1], pixels(rest)[3])
    assert source.take_rest() is None


def test_pixels_survive_the_way_there_and_back():
    source, frames = chunker(), film(5)
    for frame in frames:
        source.push(frame)
    chunk = source.take()

    pictures = to_pictures(to_bytes(pixels(chunk)), chunk.stamps)

    assert pixels(chunk).min() >= -1 and pixels(chunk).max() <= 1
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(pictures, frames, strict=True))


def every_level():
    """A chunk in which every level of a pixel occurs."""
    levels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    return Chunk((Frame(levels[..., None].repeat(3, axis=-1), time=0.0, index=0),), ((0.0, 0),))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_pixels_are_rounded_once_to_the_numbers_a_model_computes_in(dtype):
    exact = torch.arange(256, dtype=torch.float64).view(8, 32) * (2 / 255) - 1

    seen = every_level().pixels(torch.device("cpu"), dtype)

    assert seen.dtype == dtype
    unavoidable = (exact.to(dtype).double() - exact).abs()
    assert ((seen[0, 0].double() - exact).abs() <= unavoidable + 1e-6).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_picture_is_the_nearest_level_to_what_the_model_made(dtype):
    made = torch.linspace(-1.1, 1.1, 3 * 64 * 64).view(1, 3, 64, 64).to(dtype)

    picture = to_bytes(made)

    levels = (made.double().clamp(-1, 1) + 1) * 127.5
    assert (picture.permute(0, 3, 1, 2) - levels).abs().max() <= 0.5 + 1e-4
