"""Nothing in a step waits for the device: no number is read back, no shape depends on a value."""

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.models.causal_dit import CausalDiT
from engine.models.wan_vae import WanVae
from engine.preset import CodecSpec, DitSpec, ScheduleSpec, WindowSpec
from engine.stream.kvcache import KVCache
from engine.stream.motion import motion
from engine.stream.pace import Plan
from engine.stream.schedule import Schedule
from tests.engine.small import film, play, small_session
from tests.engine.stream.planned import PlannedBatch

DIT = DitSpec("", channels=4, dim=24, ffn=32, heads=2, layers=2, text_dim=8, text_len=2)
CODEC = CodecSpec("wan", "", channels=4, widths=(8, 8, 8, 8), blocks=1)
WINDOW = WindowSpec(slots=4, sinks=2, sink_distance=6, refresh=0.5)
WAITS = {
    torch.ops.aten._local_scalar_dense.default,  # .item(), .tolist(), int(), a tensor's truth
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten._unique2.default,
    torch.ops.aten.equal.default,
}


class Watch(TorchDispatchMode):
    """Raises where an operation would make the host wait."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func not in WAITS, f"{func} waits for the device"
        assert not (func.namespace == "aten" and "index" in func.__name__ and _by_mask(args)), (
            "an index by truth values"
        )
        return func(*args, **(kwargs or {}))


def _by_mask(args):
    indices = args[1] if len(args) > 1 and isinstance(args[1], (list, tuple)) else ()
    return any(isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in indices)


def make(device, dtype):
    torch.manual_seed(3)
    model, codec = (module.to(device, dtype).eval() for module in (CausalDiT(DIT), WanVae(CODEC)))
    cache = KVCache(WINDOW, DIT, 4, device, dtype)
    batch = PlannedBatch(model, Schedule(ScheduleSpec((700, 500)), device), WINDOW, cache)
    return model, codec, batch


@torch.inference_mode()
def stream(device, watch, dtype=torch.float32):
    """Chunks through codec and stream batch until the window rolls, the last ones under `watch`."""
    model, codec, batch = make(device, dtype)
    context, states = model.context(torch.ones(1, 2, 8, device=device, dtype=dtype)), [None, None]
    for number in range(8):
        frames = torch.rand(4 if number else 5, 3, 32, 32).to(device, dtype, non_blocking=True)
        noise = torch.randn(2, 4, 4, 4).to(device, dtype, non_blocking=True)
        with watch() if number > 5 else torch.no_grad():
            motion(frames[1:], frames[0])
            latents, states[0] = codec.encode(frames, states[0])
            done = batch.step(
                latents, number, [700, 500], Plan(2, 1), context, lambda like, _, noise=noise: noise[: len(like)]
            )
            if done:
                _, states[1] = codec.decode(done[0].latent, states[1])
    return done


def test_a_step_reads_no_number_back():
    assert stream(torch.device("cpu"), Watch)


def test_the_watch_sees_what_it_looks_for():
    x = torch.ones(3)

    for wait in (lambda: x[0].item(), lambda: x.nonzero(), lambda: x[x > 0], lambda: bool(x.sum() > 1)):
        with pytest.raises(AssertionError), Watch():
            wait()


class Sent(TorchFunctionMode):
    """Counts tensors that are made of the host's own numbers: on a GPU, each is a copy of its own."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.count += func in (torch.tensor, torch.as_tensor, torch.scalar_tensor)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("plan", [Plan(1, 4), Plan(2, 2), Plan(4, 1)], ids=str)
def test_the_numbers_of_a_call_go_to_the_device_in_one_copy_whatever_its_rows_and_passes(plan):
    model, _, batch = make(torch.device("cpu"), torch.float32)
    context, counts = model.context(torch.ones(1, 2, 8)), []

    for number in range(12):
        with Sent() as sent:
            batch.step(
                torch.ones(1, 4, 4, 4),
                number,
                [700, 500, 400, 200],
                plan,
                context,
                lambda like, _: torch.ones_like(like),
            )
        counts.append(sent.count)

    assert counts == [1] * 12


class Copies(TorchDispatchMode):
    """Sizes of the tensors that operations make."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        known = {
            part.untyped_storage()._cdata for part in tree_leaves((args, kwargs)) if isinstance(part, torch.Tensor)
        }
        made = [part for part in tree_leaves(out) if isinstance(part, torch.Tensor)]
        self.sizes += [part.numel() for part in made if part.untyped_storage()._cdata not in known]
        return out


def test_a_full_window_is_read_where_it_lies_even_while_its_sinks_slide():
    """Else all keys of all layers would be copied in every pass, to turn three frames of them."""
    model, _, batch = make(torch.device("cpu"), torch.float32)
    context, size = model.context(torch.ones(1, 2, 8)), batch._cache.keys[0][0].numel()

    for number in range(12):
        with Copies() as copies:
            batch.step(torch.ones(1, 4, 4, 4), number, [700, 500], Plan(1, 2), context, lambda like, _: like)

    assert batch.batches[-1].rows[0].drift == (5, 5), "they slide"
    assert size not in copies.sizes


class Patient(TorchFunctionMode):
    """Raises where a copy is left to itself. MPS then reads the host's memory when it may be gone: pytorch#189690."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        assert not (kwargs or {}).get("non_blocking"), f"{func} leaves the copy to itself"
        return func(*args, **(kwargs or {}))


def test_on_other_devices_than_cuda_a_copy_is_waited_for():
    session = small_session(params={"steps": 2, "rows": 2})

    with Patient():
        assert len(play(session, film(40))) == 40


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_torch_itself_sees_no_wait():
    class Strict:
        def __enter__(self):
            torch.cuda.set_sync_debug_mode("error")

        def __exit__(self, *_):
            torch.cuda.set_sync_debug_mode("default")

    assert stream(torch.device("cuda"), Strict)
