"""`python -m engine.train tiny`: from nothing to the weights that ship. `export` and `evaluate` besides."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from engine.errors import EngineError
from engine.threads import passive_openmp

RUNS = Path("runs")
STAGES = ("codec", "denoiser", "finish")
OPTIONAL_STAGE = "words"  # run if --stages names it
LEAST = 4  # frames that can be measured
ASSETS = Path(__file__).resolve().parents[1] / "assets"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 if it went well, 2 with one sentence if it could not."""
    asked = _parser().parse_args(arguments)
    try:
        asked.act(asked)
    except ModuleNotFoundError as error:
        return _refuse(f"training needs {error.name}", "pip install 'latentcast[train]'")
    except EngineError as error:
        return _refuse(str(error), error.hint)
    except (OSError, ValueError) as error:
        return _refuse(str(error), "see python -m engine.train --help")
    except KeyboardInterrupt:
        return _refuse("stopped", "the same command goes on from the last checkpoint")
    return 0


def _refuse(what: str, hint: str) -> int:
    sys.stderr.write(f"{what}; {hint}\n" if hint else f"{what}\n")
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine.train", description=__doc__)
    commands = parser.add_subparsers(required=True)
    tiny = commands.add_parser("tiny", help="train the embedded model: codec, denoiser and text, finish, export")
    tiny.add_argument("--run", type=Path, default=RUNS / "tiny", help="folder of checkpoints, curves and sheets")
    tiny.add_argument("--hours", type=_hours, help="end by the clock, in parts of a fifth, three fifths and a fifth")
    tiny.add_argument("--from-weights", type=Path, metavar="FOLDER", help="start from these, not from nothing")
    tiny.add_argument(
        "--stages",
        type=_stages,
        help="of codec,denoiser,finish; with --from-weights without the codec. "
        "Or words: the text encoder alone learns more words for what the model can do",
    )
    tiny.add_argument("--seed", type=_count, default=0)
    tiny.add_argument("--threads", type=_count, default=0, help="processor threads; 0 leaves the choice to torch")
    tiny.set_defaults(act=_train)
    export = commands.add_parser("export", help="write the newest averaged weights of a run as float16 safetensors")
    export.add_argument("--run", type=Path, default=RUNS / "tiny")
    export.add_argument("--to", type=Path, default=ASSETS / "tiny")
    export.set_defaults(act=_export)
    evaluate = commands.add_parser("evaluate", help="measure the shipped weights on a clip")
    evaluate.add_argument("--preset", default="tiny", help="another model of these looks, as distill leaves it")
    evaluate.add_argument("--clip", type=Path, help="a video file; without it, an animated picture never trained on")
    evaluate.add_argument("--steps", type=_span, default=(2,), help="1 to 4, from-to, or 1,3,4: a table for each")
    evaluate.add_argument("--frames", type=_frames, default=48, help="at most so many, from the clip's start")
    evaluate.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    evaluate.add_argument("--sheet", type=Path, help="also write a PNG: input, rendered look and model, one row a look")
    evaluate.set_defaults(act=_evaluate)
    _add_distill(commands.add_parser("distill", help="turn a model of many steps into a student of few"))
    return parser


def _stages(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not set(names) <= {*STAGES, OPTIONAL_STAGE}:
        raise argparse.ArgumentTypeError(f"the stages are {', '.join(STAGES)}, and {OPTIONAL_STAGE}")
    return names


def _span(text: str) -> tuple[int, ...]:
    """ "2", "1-4", "1,3,4" or a mixture of them."""
    steps: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not dash:
            last = first
        if not (first in tuple("1234") and last in tuple("1234") and first <= last):
            raise argparse.ArgumentTypeError(f"{text!r} is neither a number from 1 to 4 nor a span like 1-4 or 1,3,4")
        steps += range(int(first), int(last) + 1)
    return tuple(steps)


def _hours(text: str) -> float:
    hours = float(text)
    if not 0 < hours < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} hours are no time to train in; write 0.5 for half an hour")
    return hours


def _count(text: str) -> int:
    if int(text) < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return int(text)


def _frames(text: str) -> int:
    if int(text) < LEAST:
        raise argparse.ArgumentTypeError(f"{text} frames are too few: {LEAST} make one chunk")
    return int(text)


def _add_distill(distill: argparse.ArgumentParser) -> None:
    """Also runs under torchrun, which takes `--run` for an option of its own: hence `--folder`. See docs/distill.md."""
    distill.add_argument("--preset", default="tiny", help="the model to start from; also a .toml file")
    distill.add_argument("--teacher", help="another preset whose model teaches; by default --preset's own")
    distill.add_argument("--steps", type=int, default=2, help="denoising steps of the student")
    distill.add_argument(
        "--run", "--folder", type=Path, default=RUNS / "distill", help="folder of checkpoints, curves and the student"
    )
    distill.add_argument("--settings", type=Path, help="a TOML file of settings that differ from the usual")
    distill.add_argument("--clips", type=Path, help="a folder of videos; tiny makes its own")
    distill.add_argument("--prompts", type=Path, help="a text file with a prompt a line, for clips that bring none")
    distill.add_argument("--hours", type=_hours, help="end by the clock")
    distill.add_argument("--seed", type=_count, default=0)
    distill.add_argument("--threads", type=_count, default=0, help="processor threads; 0 leaves the choice to torch")
    distill.add_argument("--device", help="cpu, cuda or mps; the best there is by default")
    distill.set_defaults(act=_distill)


def _train(asked: argparse.Namespace) -> None:
    passive_openmp()
    from engine.train.run import train

    train(asked.run, asked.hours, asked.seed, asked.threads, asked.from_weights, asked.stages)
    _export(argparse.Namespace(run=asked.run, to=asked.run / "weights"))


def _export(asked: argparse.Namespace) -> None:
    from engine.train.export import export, export_preset

    sizes = export(asked.run, asked.to)
    parts = ", ".join(f"{name} {size / 2**20:.1f} MiB" for name, size in sizes.items())
    sys.stdout.write(f"{asked.to}: {parts}; {sum(sizes.values()) / 2**20:.1f} MiB in all\n")
    if asked.to.resolve() != ASSETS / "tiny":
        made = export_preset(asked.to)
        sys.stdout.write(f"{made}: play it with --preset {made}\n")


def _evaluate(asked: argparse.Namespace) -> None:
    from engine.train.evaluate import evaluate

    for steps in asked.steps:
        sheet = asked.sheet if steps == asked.steps[-1] else None
        sys.stdout.write(evaluate(asked.clip, steps, asked.frames, sheet, asked.json, asked.preset) + "\n")
        sys.stdout.flush()


def _distill(asked: argparse.Namespace) -> None:
    passive_openmp()
    from engine.train.distill.run import distill

    distill(
        asked.preset, asked.teacher, asked.run, asked.settings, asked.steps,
        asked.clips, asked.prompts, asked.hours, asked.seed, asked.threads, asked.device,
    )  # fmt: skip
    if "WORLD_SIZE" in os.environ:  # by torchrun: a thread of the group may still want an interpreter that is ending,
        sys.stdout.flush()  # and would abort it with everything done
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
