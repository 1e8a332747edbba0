"""The embedded model's text encoder: bytes in, a fixed number of tokens out. No tokenizer, any language."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.preset import TextSpec

MAX_BYTES = 240
ACCENTS = range(0x300, 0x370)  # marks on Latin, Greek and Cyrillic letters; those of other scripts make other letters
PICTURES = ("So", "Sk", "Cn", "Co", "Cs")  # emoji, their skin tones, and what Unicode has not named yet
START, PAD = 1, 0  # bytes that no prompt contains; with START an empty prompt has one token


class ByteText(nn.Module):
    """Implements `TextEncoder`. Letters are read in groups of up to nine, then compared without positions.

    So "neon city" and "city in neon" are nearly the same thing, and a misspelt word still resembles itself. `length`
    learned queries read the result. All embeddings have the same size, so that they can be blended and faded linearly.
    """

    def __init__(self, spec: TextSpec) -> None:
        super().__init__()
        self.spec = spec
        self.letters = nn.Embedding(spec.vocab, spec.dim)
        self.groups = nn.ModuleList(nn.Conv1d(spec.dim, spec.dim, 5, padding=2) for _ in range(2))
        self.blocks = nn.ModuleList(TextBlock(spec) for _ in range(spec.layers))
        self.queries = nn.Parameter(nn.init.normal_(torch.empty(spec.length, spec.dim), std=spec.dim**-0.5))
        self.read = TextAttention(spec)
        self.leave = nn.Linear(spec.dim, spec.dim)

    def encode(self, texts: Sequence[str]) -> Tensor:
        """n texts -> [n, length, dim]. Case, accents, emoji, blanks and what follows 239 bytes do not matter."""
        letters = torch.tensor(_pad([_to_bytes(text) for text in texts]), device=self.queries.device)
        seen = letters != PAD  # [n, bytes]
        x = self.letters(letters)
        for group in self.groups:
            x = x + F.gelu(group((x * seen[..., None]).mT).mT)
        for block in self.blocks:
            x = block(x, seen)
        queries = self.queries.expand(len(texts), -1, -1)
        out = self.leave(queries + self.read(queries, x, seen))
        return F.layer_norm(out, out.shape[-1:])


class TextBlock(nn.Module):
    """Attention among letter groups, then a feed-forward."""

    def __init__(self, spec: TextSpec) -> None:
        super().__init__()
        self.attention = TextAttention(spec)
        self.ffn = nn.Sequential(
            nn.LayerNorm(spec.dim), nn.Linear(spec.dim, spec.ffn), nn.GELU(), nn.Linear(spec.ffn, spec.dim)
        )

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        x = x + self.attention(x, x, seen)
        out: Tensor = x + self.ffn(x)
        return out


class TextAttention(nn.Module):
    """Queries [n, q, C] look at letters [n, k, C], those that are `seen` [n, k]."""

    def __init__(self, spec: TextSpec) -> None:
        super().__init__()
        self.heads = spec.heads
        self.norm_query, self.norm_key = nn.LayerNorm(spec.dim), nn.LayerNorm(spec.dim)
        self.q, self.k, self.v, self.o = (nn.Linear(spec.dim, spec.dim) for _ in range(4))

    def forward(self, queries: Tensor, letters: Tensor, seen: Tensor) -> Tensor:
        near, far = self.norm_query(queries), self.norm_key(letters)
        q, k, v = (self._split(part) for part in (self.q(near), self.k(far), self.v(far)))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None, None])
        out: Tensor = self.o(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)


def spell(text: str) -> str:
    """A normal form, equal for spellings that mean the same: "À l'HUILE" and "a l'huile", "Wärmebild" and "warmebild".

    No case, no accents, one form for each sign (NFKC), single blanks, and no pictographs, which the model
    does not know.
    """
    apart = unicodedata.normalize("NFKD", text).casefold()
    whole = unicodedata.normalize("NFKC", "".join(sign for sign in apart if ord(sign) not in ACCENTS))
    words = "".join(" " if unicodedata.category(sign) in PICTURES else sign for sign in whole)
    return " ".join(words.split())


def _to_bytes(text: str) -> list[int]:
    known = (byte for byte in spell(text).encode("utf-8", "replace") if byte > START)
    return [START, *known][:MAX_BYTES]


def _pad(rows: list[list[int]]) -> list[list[int]]:
    width = max(len(row) for row in rows)
    return [row + [PAD] * (width - len(row)) for row in rows]
