# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes generated.h: the table of controls, the looks, and the words of the slate, so that a build needs no Python.

python -m plugins.obs.generate   (or: python plugins/obs/generate.py, in the root of a checkout)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bridge.media.bitmap_font import HIGH, dots  # noqa: E402  after the path
from engine.params import CONTROLS, Control  # noqa: E402
from engine.preset import load_preset  # noqa: E402

TARGET = Path(__file__).with_name("generated.h")
TYPES = {"str": "OSC_TEXT", "float": "OSC_NUMBER", "int": "OSC_WHOLE", "bool": "OSC_SWITCH"}
PRESET = load_preset("tiny")


def quoted(text: str) -> str:
    """A C string; the table is ASCII."""
    assert text.isascii(), text
    return json.dumps(text)


def row(control: Control) -> str:
    start = getattr(PRESET.params, control.name)
    text, number = (start, 0) if control.kind == "str" else ("", float(start))
    words = [quoted(control.name), quoted(control.name.capitalize()), quoted(control.help), quoted(control.unit)]
    numbers = [f"{value or 0:.10g}" for value in (control.low, control.high, number)]
    return f"\t{{{', '.join([*words, TYPES[control.kind], *numbers, quoted(text)])}}},"


def letters(name: str, text: str) -> list[str]:
    rows = dots(text)
    words = [f"0x{sum(int(dot) << place for place, dot in enumerate(reversed(line))):x}" for line in rows.tolist()]
    return [
        f"#define SLATE_{name}_COLUMNS {rows.shape[1]}",
        f"static const uint64_t SLATE_{name}[] = {{{', '.join(words)}}};",
    ]


def header() -> str:
    """The whole file."""
    return "\n".join(
        [
            "// SPDX-License-Identifier: GPL-2.0-or-later",
            "// Made by generate.py from engine/params.py; not edited by hand.",
            "#pragma once",
            "",
            '#include "osc.h"',
            "",
            "struct control_row {",
            "\tconst char *name, *label, *help, *unit;",
            "\tenum osc_type type;",
            "\tdouble low, high, start;",
            "\tconst char *start_text;",
            "};",
            "",
            f"#define CONTROL_COUNT {len(CONTROLS)}",
            "static const struct control_row CONTROLS[CONTROL_COUNT] = {",
            *map(row, CONTROLS),
            "};",
            "",
            f"#define LOOK_COUNT {len(PRESET.looks)}",
            f"static const char *const LOOKS[LOOK_COUNT] = {{{', '.join(map(quoted, PRESET.looks))}}};",
            "",
            f"#define SLATE_LETTER_HEIGHT {HIGH}",
            *letters("TITLE", "latentcast"),
            *letters("STATE", "waiting"),
            "",
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(header(), encoding="utf-8", newline="\n")
