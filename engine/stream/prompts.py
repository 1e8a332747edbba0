"""From prompts to embeddings: encoded on another thread, cached, and blended."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import torch
from torch import Tensor

from engine.errors import EngineError
from engine.models.interfaces import TextEncoder
from engine.prompt import Blend

Submit = Callable[[Callable[[], Any]], "Future[Any]"]


def run_now(work: Callable[[], Any]) -> Future[Any]:
    """The `Submit` for callers that may wait: offline rendering, tests, encoders that take milliseconds."""
    done: Future[Any] = Future()
    done.set_result(work())
    return done


class NotEncoded(EngineError):
    """The text encoder failed over one prompt."""

    def __init__(self, text: str, error: BaseException) -> None:
        super().__init__(f"the prompt {text!r:.60} cannot be used ({error})", "write it in another way")


class EmbeddingCache:
    """Every prompt's embedding, encoded once. The newest `capacity` are kept, in the host's memory.

    device: where the blends that are looked up are to be.
    """

    def __init__(
        self, encoder: TextEncoder, submit: Submit = run_now, capacity: int = 64, device: torch.device | str = "cpu"
    ) -> None:
        self._encoder, self._submit, self._capacity, self._device = encoder, submit, capacity, device
        self._cached: dict[str, Future[Tensor]] = {}

    def look_up(self, blend: Blend, wait: bool) -> Tensor | None:
        """The weighted mean of the blend's embeddings, [1, L, D]; unless `wait`, None while one is being encoded.

        Raises NotEncoded if the encoder failed; the next time, it is asked again.
        """
        entries = [self._entry(text) for text, _ in blend]
        while len(self._cached) > max(self._capacity, len(blend)):  # never an entry that this call needs
            del self._cached[next(iter(self._cached))]
        if not (wait or all(entry.done() for entry in entries)):
            return None
        for entry, (text, _) in zip(entries, blend, strict=True):
            if (error := entry.exception()) is not None:
                self._cached.pop(text, None)
                raise NotEncoded(text, error) from error
        weighted = [entry.result().to(self._device) * weight for entry, (_, weight) in zip(entries, blend, strict=True)]
        return torch.stack(weighted).sum(dim=0)

    def _entry(self, text: str) -> Future[Tensor]:
        entry = self._cached.pop(text, None) or self._submit(lambda: self._encode(text))
        self._cached[text] = entry  # newest last
        return entry

    @torch.inference_mode()
    def _encode(self, text: str) -> Tensor:
        return self._encoder.encode([text]).cpu()  # the copy waits for the encoder; other CUDA streams would not


class PromptRequest:
    """The newest prompt that is encoded: the wanted one as soon as it is ready, until then the one before.

    A prompt that cannot be encoded is not tried again, and the one before it stays; before the first there is `spare`.
    """

    def __init__(self, embeddings: EmbeddingCache, spare: Blend) -> None:
        self._embeddings, self._spare = embeddings, spare
        self._problem = ""
        self._wanted: Blend | None = None
        self._usable: Blend = ()

    @property
    def waiting(self) -> bool:
        """True while the newest prompt is still being encoded and the old one plays on."""
        return self._wanted is not None

    def want(self, blend: Blend) -> None:
        """Want `blend`, as soon as it is encoded."""
        self._wanted = blend

    def settle(self) -> Blend:
        """The blend that can be used now. The first call waits until one is encoded."""
        first = not self._usable
        if self._wanted is not None and self._is_encoded(self._wanted, first):
            self._usable, self._wanted = self._wanted, None
        if not self._usable:
            self._embeddings.look_up(self._spare, wait=True)
            self._usable = self._spare
        return self._usable

    def take_problem(self) -> str:
        """One sentence on a prompt that could not be encoded since the last call, or nothing."""
        problem, self._problem = self._problem, ""
        return problem

    def _is_encoded(self, blend: Blend, first: bool) -> bool:
        try:
            return self._embeddings.look_up(blend, wait=first) is not None
        except NotEncoded as error:
            if isinstance(error.__cause__, EngineError) and first:
                raise error.__cause__ from error  # the encoder cannot work at all: its tokenizer is missing, say
            self._problem, self._wanted = error.sentence, None
        return False
