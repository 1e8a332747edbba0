"""Make one of latentcast's weight files from a checkpoint as its authors publish it.

The file is compared with the model key by key, every key is reported, and nothing is written unless all of them fit.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from engine.convert.checkpoint import read_checkpoint
from engine.convert.fit import KINDS, Fit, fit, guess
from engine.convert.write import NUMBERS, write
from engine.errors import BadWeights, EngineError
from engine.preset import load_preset


def main(arguments: list[str] | None = None) -> int:
    """Convert one file; 0 if it was written, 2 with one sentence if it does not fit."""
    asked = _parser().parse_args(arguments)
    try:
        convert(asked.source, asked.target, asked.kind, asked.preset, asked.dtype)
    except EngineError as error:
        sys.stderr.write(f"{error.sentence}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("stopped; nothing was written\n")
        return 2
    except BrokenPipeError:  # `... | head`: who reads the report has had enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stderr.write("the report could not be shown to its end; nothing was written\n")
        return 2
    return 0


def convert(source: Path, target: Path, kind: str, preset: str | None = None, dtype: str | None = None) -> None:
    """Read `source`, report every key, write `target` (safetensors) if it is whole.

    preset: whose model it should be; the kind's own by default.   dtype: of NUMBERS; as they are by default.
    Raises BadWeights or BadPreset.
    """
    if target.suffix != ".safetensors" or target.resolve() == source.resolve():
        raise BadWeights(f"{target} cannot be written", "OUT is a new file and its name ends in .safetensors")
    name = preset or KINDS[kind].preset
    wanted = KINDS[kind].shapes(load_preset(name))
    found = read_checkpoint(source)
    fitted = fit(found, wanted, KINDS[kind].grows)
    sys.stdout.writelines(f"{line}\n" for line in fitted.lines())
    if not fitted.whole:
        raise BadWeights(f"{source} is not the {kind} of {name}: {fitted.summary}", _advice(kind, guess(found), fitted))
    size = write(fitted.tensors, target, NUMBERS[dtype] if dtype else None)
    sys.stdout.write(f"{target}: {fitted.summary}, {size / 2**20:.1f} MiB{f' as {dtype}' if dtype else ''}\n")


def _advice(kind: str, seen: str | None, fitted: Fit) -> str:
    if seen not in (kind, None):
        return f"it looks like --kind {seen}"
    if fitted.misshapen:
        return "choose the --preset whose size it has"
    return "it is another model, or a part of one"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine.convert", description=__doc__)
    parser.add_argument("source", metavar="IN", type=Path, help="a .pt, .pth or .safetensors file")
    parser.add_argument("target", metavar="OUT", type=Path, help="the .safetensors file to write")
    parser.add_argument("--kind", required=True, choices=KINDS, help="transformer, codec, text encoder or small codec")
    parser.add_argument("--preset", metavar="NAME", help="whose model it is (wan-1.3b; for taehv wan-1.3b-fast)")
    parser.add_argument("--dtype", choices=NUMBERS, help="what to store the numbers as; as they are if left out")
    return parser


if __name__ == "__main__":
    sys.exit(main())
