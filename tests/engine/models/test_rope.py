import math

import pytest
import torch

from engine.models.rope import axis_sizes, rotate, rotation


@pytest.mark.parametrize("head_size", [64, 128])
@pytest.mark.parametrize("start", [0, 10**6, 10**12])
def test_however_long_the_stream_turns_depend_on_distances_only(head_size, start):
    near = rotation(torch.tensor([[0, 3, 50]]), (2, 3), head_size)
    far = rotation(torch.tensor([[start, start + 3, start + 50]]), (2, 3), head_size)

    first, then = near.view(3, 6, -1), far.view(3, 6, -1)
    torch.testing.assert_close(then[1:] / then[:1], first[1:] / first[:1], atol=2e-6, rtol=0)


def test_angles_are_those_of_the_method():
    time, height, width = axis_sizes(128)
    turns = rotation(torch.tensor([[5]]), (4, 6), 128)[0, :, 0].view(4, 6, -1)

    def angles(position, size):
        return [math.remainder(position * 10000.0 ** (-i / size), math.tau) for i in range(0, size, 2)]

    want = torch.tensor(angles(5, time) + angles(2, height) + angles(3, width))
    torch.testing.assert_close(turns[2, 3].angle(), want, atol=1e-5, rtol=0)


def test_turning_on_is_turning_by_the_sum():
    heads = torch.randn(1, 6, 2, 64)
    written, later = (rotation(torch.tensor([[frame]]), (2, 3), 64) for frame in (4, 11))
    drift = rotation(torch.tensor([[7]]), (1, 1), 64)

    torch.testing.assert_close(rotate(rotate(heads, written), drift), rotate(heads, later), atol=1e-5, rtol=0)
