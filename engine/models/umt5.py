"""Wan's text encoder, umT5, computed by the transformers library; weight files keep Wan's key names.

Source: Wan 2.1 wan/modules/t5.py and tokenizers.py.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from engine.errors import BadPreset, BadWeights
from engine.paths import locate
from engine.preset import TextSpec

BUCKETS, REACH = 32, 128  # of relative positions: number of buckets, and the distance from which all share one
TOKENIZER = "the tokenizer files of google/umt5-xxl"
NAMES = {  # Wan's -> those of transformers, less ".weight"; * is the layer
    "token_embedding": "embed_tokens",
    "blocks.*.norm1": "block.*.layer.0.layer_norm",
    "blocks.*.attn.q": "block.*.layer.0.SelfAttention.q",
    "blocks.*.attn.k": "block.*.layer.0.SelfAttention.k",
    "blocks.*.attn.v": "block.*.layer.0.SelfAttention.v",
    "blocks.*.attn.o": "block.*.layer.0.SelfAttention.o",
    "blocks.*.pos_embedding.embedding": "block.*.layer.0.SelfAttention.relative_attention_bias",
    "blocks.*.norm2": "block.*.layer.1.layer_norm",
    "blocks.*.ffn.gate.0": "block.*.layer.1.DenseReluDense.wi_0",
    "blocks.*.ffn.fc1": "block.*.layer.1.DenseReluDense.wi_1",
    "blocks.*.ffn.fc2": "block.*.layer.1.DenseReluDense.wo",
    "norm": "final_layer_norm",
}


class Umt5(nn.Module):
    """Implements `TextEncoder`. Only the prompt's own tokens are computed; padding is zero, as the denoiser expects."""

    def __init__(self, spec: TextSpec) -> None:
        super().__init__()
        self.spec = spec
        self.stack = _stack(spec)
        self.register_state_dict_post_hook(_to_wan)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_from_wan)  # type: ignore[no-untyped-call]

    def encode(self, texts: Sequence[str]) -> Tensor:
        """n texts -> [n, length, dim]; what does not fit into `length` tokens is cut off.

        Raises BadWeights if the tokenizer is not there.
        """
        tokens = self.tokenizer(
            [clean(text) for text in texts],
            padding="longest",
            truncation=True,
            max_length=self.spec.length,
            return_tensors="pt",
        )
        device = self.stack.embed_tokens.weight.device
        rows = self.embed(tokens["input_ids"].to(device), tokens["attention_mask"].to(device))
        return F.pad(rows, (0, 0, 0, self.spec.length - rows.shape[1]))

    def embed(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """tokens [n, l], mask [n, l] with 1 for a word -> [n, l, dim], zero where the mask is."""
        seen: Tensor = self.stack(input_ids=tokens, attention_mask=mask).last_hidden_state
        return seen * mask[..., None].to(seen.dtype)

    @cached_property
    def tokenizer(self) -> Any:
        """Read from the models folder when the first prompt comes."""
        from transformers import AutoTokenizer

        folder = locate(self.spec.tokenizer)
        if not folder.is_dir():
            raise BadWeights(f"the tokenizer is missing: {folder}", f"put {TOKENIZER} there")
        try:
            return AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise BadWeights(f"{folder} holds no readable tokenizer", f"put {TOKENIZER} there") from error


def clean(text: str) -> str:
    """Repair broken characters, decode HTML entities (twice: `&amp;lt;`), and reduce white space to single blanks."""
    import ftfy

    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split())


def key_names(layers: int) -> dict[str, str]:
    """Every key in Wan's name -> in transformers' name."""
    wide = {wan: theirs for wan, theirs in NAMES.items() if "*" not in wan}
    for layer in range(layers):
        wide |= {k.replace("*", str(layer)): v.replace("*", str(layer)) for k, v in NAMES.items() if "*" in k}
    return {f"{wan}.weight": f"{theirs}.weight" for wan, theirs in wide.items()}


def _stack(spec: TextSpec) -> Any:
    try:
        from transformers import UMT5Config, UMT5EncoderModel
    except ImportError as error:
        raise BadPreset("this preset's text encoder needs transformers", "pip install 'latentcast[wan]'") from error
    config = UMT5Config(
        vocab_size=spec.vocab,
        d_model=spec.dim,
        d_kv=spec.dim // spec.heads,
        d_ff=spec.ffn,
        num_layers=spec.layers,
        num_heads=spec.heads,
        relative_attention_num_buckets=BUCKETS,
        relative_attention_max_distance=REACH,
        feed_forward_proj="gated-gelu",
        layer_norm_epsilon=1e-6,
        dropout_rate=0.0,
    )
    return UMT5EncoderModel(config).encoder  # not the model around it, which has a second copy of the embedding


def _to_wan(module: Any, state: dict[str, Tensor], prefix: str, _metadata: Any) -> None:
    for wan, theirs in key_names(module.spec.layers).items():
        state[prefix + wan] = state.pop(f"{prefix}stack.{theirs}")


def _from_wan(module: Any, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    for wan, theirs in key_names(module.spec.layers).items():
        if prefix + wan in state:
            state[f"{prefix}stack.{theirs}"] = state.pop(prefix + wan)
