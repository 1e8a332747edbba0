"""What 16 bits ask of the models, on devices that are not here: few of them add halves up in more than halves."""

import pytest
import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from engine.models.wan_vae import Norm
from tests.engine.accel.test_no_wait import stream

HALF = torch.float16
SUMS = {"mean", "sum", "linalg_vector_norm", "var", "std", "cumsum", "prod"}
MANY = 8


class Sums(TorchDispatchMode):
    """Raises where many numbers are added up and the sum, which may be beyond the largest half, is one."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in SUMS and args[0].numel() > MANY * out.numel():
            assert out.dtype != HALF, f"{func} of {list(args[0].shape)} in halves"
        return out


class Fused(TorchFunctionMode):
    """Raises where attention is asked of a layout that no fused kernel takes: on CUDA it would then be the slow one."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.scaled_dot_product_attention:
            assert all(part.stride(-1) == 1 for part in args[:3]), "a token's channels are not side by side"
        return func(*args, **(kwargs or {}))


def test_no_sum_over_many_numbers_is_kept_in_halves():
    assert stream(torch.device("cpu"), Sums, HALF)


def test_the_watch_sees_what_it_looks_for():
    with pytest.raises(AssertionError), Sums():
        torch.ones(64, dtype=HALF).mean()


def test_every_attention_can_be_computed_by_a_fused_kernel():
    assert stream(torch.device("cpu"), Fused)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_nothing_has_no_direction_and_stays_nothing(dtype):
    norm = Norm(4).to(dtype)

    assert norm(torch.zeros(1, 4, 1, 2, 2, dtype=dtype)).eq(0).all()


def test_a_long_vector_of_halves_has_its_length():
    long = torch.full((1, 4, 1, 1, 1), 30_000.0, dtype=HALF)

    assert torch.allclose(Norm(4).to(HALF)(long), torch.ones_like(long), atol=1e-2)
