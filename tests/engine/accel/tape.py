"""In the place of CUDA's recorder, on any device: what was recorded is run again on the same memory, by no Python."""

import gc
import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map


class Lent:
    """A tensor that the recorded work found and did not make: a graph knows its address, and keeps nothing alive."""

    def __init__(self, tensor):
        self._storage = weakref.ref(tensor.untyped_storage())
        self._place = tensor.storage_offset(), tensor.size(), tensor.stride()
        self._like = tensor.new_empty(0)

    def tensor(self):
        storage = self._storage()
        assert storage is not None, f"the graph reads memory that was given back, of {list(self._place[1])}"
        return torch.empty_like(self._like).set_(storage, *self._place)


class Recording(TorchDispatchMode):
    """Every operation between entering and leaving."""

    def __init__(self):
        super().__init__()
        self._calls, self._own = [], weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = tree_map(self._kept, (args, kwargs or {}))
        out = func(*args, **(kwargs or {}))
        known = {id(part.untyped_storage()) for part in tensors((args, kwargs))}
        made = [part if id(part.untyped_storage()) not in known else None for part in tensors(out)]
        self._own.update(part.untyped_storage() for part in made if part is not None)
        self._calls.append((func, given, made))
        return out

    def again(self):
        for func, given, made in self._calls:
            args, kwargs = tree_map(lambda part: part.tensor() if isinstance(part, Lent) else part, given)
            for place, part in zip(made, tensors(func(*args, **kwargs)), strict=True):
                if place is not None:  # neither a view nor written in place
                    place.copy_(part)

    def _kept(self, part):
        strange = isinstance(part, torch.Tensor) and part.untyped_storage() not in self._own
        return Lent(part) if strange else part


class Tape:
    """Called as `cudagraph.capture` is; counts what it did, and which recordings somebody still holds."""

    def __init__(self):
        self.recorded = self.replayed = 0
        self._recordings = weakref.WeakSet()

    @property
    def held(self):
        """Recordings that can still be replayed; each keeps the memory it computes in."""
        gc.collect()
        return len(self._recordings)

    def __call__(self, work):
        self.recorded += 1
        work()  # first outside, as the real one does
        with Recording() as recording:
            out = work()
        self._recordings.add(recording)

        def again():
            self.replayed += 1
            recording.again()
            return out

        return again


def tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def memory_in_use():
    """Bytes of all tensors that somebody holds, wherever in this process."""
    gc.collect()
    held = [each for each in gc.get_objects() if type(each) in (torch.Tensor, torch.nn.Parameter) and each.is_cpu]
    return sum({part.data_ptr(): part.nbytes() for part in (each.untyped_storage() for each in held)}.values())
