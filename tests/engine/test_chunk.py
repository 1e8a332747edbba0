import numpy as np
import torch

from engine.chunk import Chunker, to_bytes, to_pictures
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
