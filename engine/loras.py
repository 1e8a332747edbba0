"""Parses the control "lora": names of LoRA files, and the strength of each."""

from __future__ import annotations

import math
import re

from engine.errors import BadParam

MAX_STRENGTH = 4.0  # positive or negative; beyond it pictures are destroyed
MAX_LORAS = 8  # at a time
Loras = tuple[tuple[str, float], ...]
_NAME = re.compile(r"[\w][\w .+()-]{0,99}")  # a file's name, never a path
_EXAMPLE = 'write "ghibli:0.8 | film grain:0.3"; the files lie in the folder loras of the models folder'


def parse_loras(text: str) -> Loras:
    """Split "ghibli:0.8 | grain" into names and strengths; nothing is no LoRA, and a name alone counts 1.

    Raises BadParam for a name that cannot be a file's, the same name twice, and a strength beyond MAX_STRENGTH.
    """
    parts = [part.strip() for part in text.split("|") if part.strip()]
    loras = tuple(_one(part) for part in parts)
    names = [name for name, _ in loras]
    if len(set(names)) < len(names) or len(names) > MAX_LORAS:
        raise BadParam(f"{text!r:.80} names a LoRA twice, or more than {MAX_LORAS}", _EXAMPLE)
    return loras


def _one(part: str) -> tuple[str, float]:
    name, colon, strength = part.rpartition(":")
    try:
        number = float(strength) if colon else 1.0
    except ValueError:
        number = math.nan
    name = (name if colon else part).strip().removesuffix(".safetensors")
    if not _NAME.fullmatch(name) or not abs(number) <= MAX_STRENGTH:
        raise BadParam(f"{part!r:.80} is no LoRA and strength (-{MAX_STRENGTH:g} to {MAX_STRENGTH:g})", _EXAMPLE)
    return name, number
