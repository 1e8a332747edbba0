"""The engine process: frames in, pictures out. The only module that joins the rings to a Session."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np

from bridge.options import parse_size
from bridge.process import terminal
from bridge.process.pipe import Pipe
from bridge.process.protocol import GAVE_UP, Failure, Report, Stage
from bridge.rings.ring import RingReader, RingWriter
from bridge.worker.chunk_limit import SETUP_TIMEOUT, ChunkLimit
from bridge.worker.fallback import FallbackRun, ScaledSession
from bridge.worker.intake import Intake
from bridge.worker.roles import Control, Inbox, OpenSession, Outbox, Session
from bridge.worker.ticks import Ticks
from engine.clock import monotonic
from engine.errors import EngineError
from engine.frame import Frame
from engine.memory import TooLarge
from engine.params import Params
from engine.preset import Preset, load_preset
from engine.stream.pace import plan_of
from engine.stream.window import chunks_until_full
from engine.threads import lower_priority, passive_openmp, yield_to_stream

log = logging.getLogger("engine")


def run(
    session: Session, inbox: Inbox, outbox: Outbox, control: Control, limit: ChunkLimit, timeout: float = 0.1
) -> None:
    """Serve one stream until told to stop.

    Controls take effect between chunks, never inside one. Nothing is caught here: an error ends the
    process, and bridge.children.supervisor reports it, restarts the engine and keeps the outputs alive meanwhile.
    """
    intake, taken, behind = Intake(), 0, 0.0
    while not control.stopping:
        obey(session, control, limit)
        if (frame := inbox.next(timeout=timeout)) is not None and intake.takes(frame.time, inbox.newest_time):
            session.push(frame)
            taken += 1
            behind = inbox.newest_time - frame.time
        began, before = monotonic(), session.report
        for picture in session.step():
            outbox.write(picture)
        if (report := session.report) is not None and report is not before:
            limit.learn(monotonic() - began)
            intake.learn(taken, monotonic() - began, behind)
            taken = 0
            control.say(_report(report, intake.dropped + inbox.missed))
            if report.problem:
                control.say(Failure(report.problem))


def obey(session: Session, control: Control, limit: ChunkLimit) -> None:
    """Do what was asked for since the last chunk, and say how long the next one may take."""
    if control.take_reset():
        session.reset()
    if (params := control.latest()) is not None:
        session.update(params)
        limit.expect(params)
    control.beat(limit.seconds(session.report.revision if session.report else 0))


def warm(session: Session, preset: Preset, params: Params, say: Callable[[str], None] = lambda progress: None) -> float:
    """Run some grey chunks, so that allocation, tuning and the first prompt do not delay the first real one.

    Two are enough, unless kernels are compiled or graphs recorded: then the window must be full in the last one.
    say: called before each chunk with how far it is; compiling may take a minute, and then one is told.
    Returns the seconds that the slowest chunk took.
    """
    session.update(params)
    grey = np.full((preset.height, preset.width, 3), 128, np.uint8)
    chunks, index, slowest = warm_chunks(preset, params), 0, 0.0
    for number in range(chunks):
        say(f"compiling, {number + 1} of {chunks}" if chunks > 2 else f"{number + 1} of {chunks}")
        for _ in range(preset.chunk.later if number else preset.chunk.first):
            session.push(Frame(grey, monotonic(), index))
            index += 1
        began = monotonic()
        for _ in session.step():
            pass
        slowest = max(slowest, monotonic() - began)
    session.reset()
    return slowest


def warm_chunks(preset: Preset, params: Params) -> int:
    """How many chunks bring every shape of a stream: two, or until the window is full and every row is in it."""
    if not rebuilds(preset):
        return 2
    return chunks_until_full(preset, plan_of(preset, params)) + 1


def rebuilds(preset: Preset) -> bool:
    """Whether a new shape needs a new kernel or graph, which takes long to make."""
    return preset.accel.compiler != "none" or preset.accel.graphs


def serve(options: argparse.Namespace, pipe: Pipe, open_session: OpenSession) -> None:
    """Load, warm up and stream, saying so. Raises EngineError and BridgeError for what cannot work."""
    pipe.say(Stage("loading", preset=options.preset))
    preset = load_preset(options.preset)
    if options.size:
        preset = preset.resized(*options.size)
    pipe.listen(preset.params)
    with ExitStack() as stack:
        inbox = stack.enter_context(RingReader(options.inbox))
        outbox = stack.enter_context(RingWriter.attach(options.outbox))
        aside = ThreadPoolExecutor(1, "prompts", yield_to_stream)  # encodes prompts while the old one plays on
        stack.callback(aside.shutdown, wait=False, cancel_futures=True)
        fallback = FallbackRun(preset, pipe)
        while not pipe.stopping:
            try:
                stream(fallback, inbox, outbox, lambda preset: open_session(preset, aside))
            except (RuntimeError, MemoryError) as error:
                fallback.check(error)
            else:
                return
            fallback.step_down()  # here, where nothing refers to what has failed any more


def stream(
    fallback: FallbackRun, inbox: RingReader, outbox: RingWriter, open_session: Callable[[Preset], Session]
) -> None:
    """Open a session with the current fallback, warm it up and run it until told to stop. Raises what it raises."""
    preset, pipe = fallback.preset, fallback.pipe
    pipe.beat(SETUP_TIMEOUT)
    session = ScaledSession(open_session(preset), (preset.width, preset.height), (outbox.width, outbox.height))
    pipe.say(Stage("warming", session.device, preset.name))

    def tell(progress: str) -> None:
        pipe.say(Stage("warming", session.device, preset.name, progress))

    params = fallback.all_controls()
    limit = ChunkLimit(warm(session, preset, params, tell), params, rebuilds(preset))
    inbox.latest()  # what the camera saw meanwhile is old by now
    pipe.say(Stage("streaming", session.device, preset.name))
    run(session, inbox if preset.input else Ticks(preset.width, preset.height, preset.fps), outbox, fallback, limit)


class RealEngine:
    """The real engine. Its import takes seconds, so it happens only now that the bridge has heard from us.

    The weights are loaded once, whatever becomes of the streams on them.
    """

    def __init__(self) -> None:
        self._models: Any = None
        lower_priority()
        passive_openmp()

    def __call__(self, preset: Preset, aside: Executor) -> Session:
        from engine.accel.apply import with_codec
        from engine.measure import is_out_of_memory
        from engine.session import Session, load_models

        try:
            self._models = with_codec(self._models, preset) if self._models else load_models(preset)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):  # smaller pictures would not make the weights smaller
                raise TooLarge(f"the weights of {preset.name} do not fit", "use a smaller --preset") from error
            raise
        session: Any = Session(self._models, preset, submit=aside.submit)
        return session  # type: ignore[no-any-return]


def main(arguments: list[str] | None = None, open_session: OpenSession | None = None) -> int:
    """Be the engine process; the exit code says whether to try again (1) or not (GAVE_UP)."""
    terminal.protect_streams()
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    options = parse(arguments)
    pipe = Pipe.on_stdio()
    try:
        serve(options, pipe, open_session or RealEngine())
    except EngineError as error:
        pipe.say(Failure(str(error), error.hint))
        return GAVE_UP
    except Exception as error:  # a process wall: whatever it is, the bridge is told and starts us again
        log.exception("the engine failed")
        pipe.say(Failure(f"{type(error).__name__}: {error}", "the engine is started again"))
        return 1
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("bridge.worker.main", description=__doc__)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--size", type=parse_size, help="WIDTHxHEIGHT; the preset's own if left out")
    parser.add_argument("--inbox", required=True, help="name of the ring frames come from")
    parser.add_argument("--outbox", required=True, help="name of the ring pictures go to")
    return parser.parse_args(arguments)


def _report(report: Any, dropped: int) -> Report:
    """The session's own report as the bridge reads it, with how many frames were left out before they reached it."""
    stages_ms = {stage: round(ms, 3) for stage, ms in report.stages_ms.items()}
    return Report(report.revision, report.frame, stages_ms, report.backlog, dropped)


if __name__ == "__main__":
    sys.exit(main())
