"""What a stream is told: the prompt and the LoRAs that are wanted, those that can be used, and those that are on."""

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
    """Prompts and LoRAs of one session, on their way from wanted to on.

    context: what cross-attention reads of the prompt that is on.   submit: runs what takes long.
    """

    def __init__(self, models: Models, preset: Preset, submit: Submit) -> None:
        self._denoiser, self._spare = models.denoiser, parse_blend(preset.params.prompt)
        self._embeddings = EmbeddingCache(models.text, submit, device=models.device)
        self._loras = LoraLoader(models.loras, submit)
        self._loras.aim(parse_loras(preset.params.lora))
        self._params = preset.params
        self.reset()

    def reset(self) -> None:
        """Forget the stream; what is encoded, read and wanted stays."""
        self._prompts = PromptRequest(self._embeddings, self._spare)
        self._prompts.aim(parse_blend(self._params.prompt))
        self._on: Blend = ()
        self.context: Context = ()

    def aim(self, params: Params) -> None:
        """Want what `params` ask for: prompts are encoded and files read, aside if that is how `submit` works."""
        before, self._params = self._params, params
        if params.prompt != before.prompt:
            self._prompts.aim(parse_blend(params.prompt))
        if params.lora != before.lora or self._loras.mended:
            self._loras.aim(parse_loras(params.lora))

    def settle(self) -> tuple[Blend, Loras, bool]:
        """The newest prompt and LoRAs that can be used, and whether they are all that is wanted.

        A stream's first call waits for what was asked for.
        """
        prompt, loras = self._prompts.settle(), self._loras.settle(wait=not self._on)
        return prompt, loras, not (self._prompts.waiting or self._loras.waiting)

    def put_on(self, work: Work) -> Context:
        """The context of the work's prompt under its LoRAs, made anew where one of them changed. Waits if it must."""
        changed = self._loras.put_on(work.loras)
        if changed or work.prompt != self._on:
            embedding = self._embeddings.look_up(work.prompt, wait=True)
            assert embedding is not None  # it was waited for
            self.context, self._on = self._denoiser.context(embedding), work.prompt
        return self.context

    def take_problem(self) -> str:
        """One sentence on a control that could not be obeyed since the last call, or nothing."""
        return self._prompts.take_problem() or self._loras.take_problem()
