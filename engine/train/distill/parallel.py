"""One process or many: who am I, how are weights shared out, and what do all agree on.

Source: Zhao et al. 2023, arXiv:2304.11277 (FSDP); torch.distributed.fsdp.fully_shard.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from engine.device import pick_device
from engine.models.causal_dit import CausalDiT


@dataclass(frozen=True)
class World:
    """This process among `size` of them. Started by torchrun, models are sharded; otherwise `mesh` is None."""

    rank: int
    size: int
    device: torch.device
    mesh: DeviceMesh | None = None

    @staticmethod
    def join(device: str | None = None) -> World:
        """Meet the other processes that torchrun started, if it did: over NCCL on GPUs, over gloo on processors."""
        if "WORLD_SIZE" not in os.environ:
            return World(0, 1, pick_device(device))
        place = pick_device(device)
        if place.type == "cuda":
            place = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(place)
        distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
        size = distributed.get_world_size()
        return World(distributed.get_rank(), size, place, init_device_mesh(place.type, (size,)))

    def leave(self) -> None:
        """Part from the others."""
        if self.mesh is not None:
            distributed.destroy_process_group()

    @property
    def leads(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def shard(self, model: CausalDiT, bf16: bool) -> None:
        """Share a model's weights out, block by block, and put them on the device. Whole weights on the processor in.

        bf16: gather and compute in bfloat16; the shards, their gradients' sums and the optimiser stay float32.
        """
        if self.mesh is None:
            model.to(self.device)
            return
        half = torch.bfloat16 if bf16 else None
        policy = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=torch.float32)
        for part in (*model.blocks, model):  # the last one too gives its weights back after each call, to be averaged
            fully_shard(part, mesh=self.mesh, mp_policy=policy, reshard_after_forward=True)

    def precision(self, bf16: bool) -> contextlib.AbstractContextManager[Any]:
        """Where models compute in bfloat16 without being sharded.

        Nothing is cached: a cast made in a pass without a gradient would be used again in the one that needs it.
        """
        if bf16 and self.mesh is None:
            return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)
        return contextlib.nullcontext()

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """Each value's mean over all processes."""
        if self.mesh is None:
            return values
        sums = torch.tensor(list(values.values()), dtype=torch.float64).to(self.device, torch.float32)
        distributed.all_reduce(sums)
        return dict(zip(values, (sums / self.size).tolist(), strict=True))

    def agree(self, number: float) -> float:
        """What the leading process says, on all of them: clocks differ, and nobody may go on alone."""
        if self.mesh is None:
            return number
        said = torch.tensor(number, device=self.device)
        distributed.broadcast(said, 0)
        return said.item()

    def wait(self) -> None:
        """Until all are here."""
        if self.mesh is not None:
            distributed.barrier()


def whole(weight: Any, of: Tensor | None = None) -> Tensor:
    """A weight in one piece, on the processor; all processes must ask. of: the local part to gather in its place."""
    if not hasattr(weight, "full_tensor"):
        return (weight if of is None else of).detach().cpu()
    from torch.distributed.tensor import DTensor

    part = weight.to_local() if of is None else of
    again = DTensor.from_local(part, weight.device_mesh, weight.placements, shape=weight.shape, stride=weight.stride())
    gathered: Tensor = again.full_tensor().detach().cpu()
    return gathered


def norm_clipped(module: nn.Module, limit: float) -> float:
    """Scale a module's gradients so that their norm over all processes is at most `limit`; returns what it was."""
    norm: Any = nn.utils.clip_grad_norm_(module.parameters(), limit)
    return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
