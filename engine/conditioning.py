"""The prompt and LoRAs of a stream: those that are wanted, those that are ready, and those in use."""

from __future__ import annotations

from engine.loras import Loras, parse_loras
from engine.models.build import Models
from engine.models.interfaces import Context
from engine.models.lora_loader import LoraLoader
from engine.params import Params
from engine.preset import Preset
from engine.prompt import Blend, parse_blend
from engine.stream.prompts import EmbeddingCache, PromptRequest, Submit
from engine.stream.work import Work


class Conditioning:
    """Prompts and LoRAs of one session: prepares those that are wanted, and applies those that a `Work` names.

    context: of the prompt in use, for cross-attention.   submit: runs slow work.
    """

    def __init__(self, models: Models, preset: Preset, submit: Submit) -> None:
        self._denoiser, self._spare = models.denoiser, parse_blend(preset.params.prompt)
        self._embeddings = EmbeddingCache(models.text, submit, device=models.device)
        self._loras = LoraLoader(models.loras, submit)
        self._loras.want(parse_loras(preset.params.lora))
        self._params = preset.params
        self.reset()

    def reset(self) -> None:
        """Forget the stream; encoded prompts, LoRA files and controls stay."""
        self._prompts = PromptRequest(self._embeddings, self._spare)
        self._prompts.want(parse_blend(self._params.prompt))
        self._on: Blend = ()
        self.context: Context = ()

    def want(self, params: Params) -> None:
        """Start to encode prompts and read files for `params`, on another thread if `submit` works so."""
        before, self._params = self._params, params
        if params.prompt != before.prompt:
            self._prompts.want(parse_blend(params.prompt))
        if params.lora != before.lora or self._loras.files_changed:
            self._loras.want(parse_loras(params.lora))

    def settle(self) -> tuple[Blend, Loras, bool]:
        """The newest prompt and LoRAs that are ready, and whether they are all that is wanted.

        A stream's first call waits for what was asked for.
        """
        prompt, loras = self._prompts.settle(), self._loras.settle(wait=not self._on)
        return prompt, loras, not (self._prompts.waiting or self._loras.waiting)

    def context_for(self, work: Work) -> Context:
        """The context of the work's prompt and LoRAs, made again if one of them changed. Waits if one is not ready."""
        changed = self._loras.attach(work.loras)
        if changed or work.prompt != self._on:
            embedding = self._embeddings.look_up(work.prompt, wait=True)
            assert embedding is not None  # it was waited for
            self.context, self._on = self._denoiser.context(embedding), work.prompt
        return self.context

    def take_problem(self) -> str:
        """One sentence on a control that could not be obeyed since the last call, or nothing."""
        return self._prompts.take_problem() or self._loras.take_problem()
