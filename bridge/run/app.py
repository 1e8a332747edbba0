"""`latentcast run`: rings, processes, playout and surfaces, started and ended in the right order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import webbrowser
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from threading import Thread
from typing import Any

from bridge.children.engine_link import EngineLink
from bridge.children.supervisor import module_command
from bridge.control.control import ControlState, Event, OutputStatus
from bridge.control.metrics import Meter
from bridge.control.state import run_state
from bridge.media.pacing import BURST
from bridge.obs.address import find_address
from bridge.options import RunOptions
from bridge.playout.playout import Playout
from bridge.process import terminal
from bridge.process.protocol import END_TIMEOUT, Report
from bridge.rings.layout import slots_for
from bridge.rings.ring import RingWriter, sweep
from bridge.run.input import Input
from bridge.run.live_line import LiveLine
from bridge.run.outputs import Outputs
from bridge.surfaces.obs_scenes import ObsSurface
from bridge.surfaces.osc.surface import OscSurface
from bridge.surfaces.web.surface import WebSurface
from engine.errors import EngineError
from engine.preset import Preset, load_preset

ENGINE = "bridge.worker.main"  # a module to run
CHECK_EVERY = 0.1  # seconds between two looks at the state
PUBLISH_EVERY = 5  # looks
SWITCH_INTERVAL = 0.0005  # seconds a thread may keep the interpreter while the playout waits; Python's own 5 ms add up


def run(options: RunOptions, engine: str = ENGINE) -> int:
    """Run until Ctrl-C, SIGTERM, or the end of `options.duration`; the exit code.

    Raises EngineError for what cannot be started, with nothing left behind.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    terminal.write_in_background()
    return asyncio.run(_run(options, engine))


async def _run(options: RunOptions, engine: str) -> int:
    told, again = asyncio.Event(), asyncio.Event()
    _on_signals(lambda: (again if told.is_set() else told).set())
    run = Run(options, engine)
    tasks = [asyncio.create_task(work) for work in (told.wait(), run.keep_looking(), run.start())]
    waiting, looking, starting = tasks
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if starting in done:
            await starting
            done, _ = await asyncio.wait(
                {waiting, looking}, timeout=options.duration, return_when=asyncio.FIRST_COMPLETED
            )
        if looking in done:
            await looking
    finally:
        told.set()  # a Ctrl-C from now on is about the end
        starting.cancel()
        await run.end(again)
        looking.cancel()
    return 0


class Run:
    """Everything that is there while `latentcast run` is, and how the parts know of each other."""

    def __init__(self, options: RunOptions, engine: str = ENGINE) -> None:
        self.options = options
        self.preset = _sized(load_preset(options.preset), options)
        self.control = ControlState(self.preset.params.set_all(options.controls), self._perform, options.controls)
        self.rings = {"in": f"lc-{os.getpid()}-in", "wet": f"lc-{os.getpid()}-wet", "out": options.ring}
        self._engine = engine
        self.fps = options.fps or self.preset.fps
        self.meter = Meter()
        self.line = LiveLine(self.control)
        self.engine = EngineLink(
            self._engine_command(options.preset),
            self.control.params,
            on_report=self._reported,
            on_failure=lambda reason: self.control.fail(reason, "engine"),
            on_stage=self._look,
            on_progress=lambda progress: self.line.say(f"engine: {progress}", "dim"),
        )
        self.input = Input(self.rings["in"], options.fps, lambda reason: self.control.fail(reason, "input"))
        self.outputs = Outputs(self.rings["out"], self.fps, lambda name, reason: self.control.fail(reason, name))
        self.osc = OscSurface(self.control, options.osc_host, options.osc_port, options.feedback_port, options.root)
        self.web = WebSurface(
            self.control, self.rings["in"], self.rings["out"], options.host, options.web_port, options.token
        )
        self.obs = ObsSurface(
            self.control,
            lambda: find_address(options.obs_host, options.obs_port),
            options.scenes,
            options.obs_text,
            self.line.say,
            options.feeds_obs,
        )
        self.playout: Playout | None = None
        self._streamed = False  # pictures were seen since an engine was last asked for
        self._owned = ExitStack()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start everything. Raises EngineError; `stop` then undoes what was done."""
        self.control.watch(self._watch)
        sweep()
        for name in self.rings.values():
            self._owned.enter_context(_make_ring(name, self.preset))
        await self.osc.start()
        await self.web.start()
        if self.options.follows_obs:
            await self.obs.start()
        self.line.start()
        self.engine.start()
        dry, wet, out = self.rings.values()
        self.playout = Playout(dry, wet, out, lambda: self.control.params, self.meter, self._burst)
        self.playout.start()
        await self.outputs.open(self.options.outputs)
        if self.preset.input or self.options.input:
            await self.input.open(self.options.input)
        for sentence in self._where():
            self.line.say(sentence)
        if self.options.browser:
            Thread(target=self._open_browser, name="browser", daemon=True).start()  # some return when they are closed

    async def end(self, again: asyncio.Event) -> None:
        """Stop. Files that take long to finish are waited for until `again` is set, from when on people know of it."""
        stopping = asyncio.create_task(self.stop())
        done, _ = await asyncio.wait({stopping}, timeout=END_TIMEOUT)
        if not done and self.outputs.finishing:
            files = ", ".join(output.file for output in self.outputs.finishing)
            self.line.say(f"finishing {files}; Ctrl-C again stops at once and leaves an unfinished file")
            again.clear()
            asking = asyncio.create_task(again.wait())
            await asyncio.wait({stopping, asking}, return_when=asyncio.FIRST_COMPLETED)
            asking.cancel()
            self.outputs.kill()
        await stopping

    async def stop(self) -> None:
        """End everything and leave nothing in shared memory; in about two seconds, if no file takes long to finish."""
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(*(part.stop() for part in (self.outputs, self.input, self.engine)))
        finally:
            if self.playout is not None:
                self.playout.stop()
            self._owned.close()
            await asyncio.gather(*(part.stop() for part in (self.osc, self.web, self.obs)))
            self.line.stop()

    def _open_browser(self) -> None:
        with suppress(OSError, webbrowser.Error):
            if webbrowser.open(self.web.link):
                return
        self.line.say("no browser could be opened; open the address yourself", "yellow")

    def _where(self) -> Iterator[str]:
        """Where everything is, and who besides this machine can now do what."""
        link, *others = self.web.links
        yield f"web page {link}, OSC on port {self.osc.port}, pictures in the ring {self.rings['out']}"
        if others:
            yield f"also {', '.join(others)}"
        if self.web.is_open:
            yield "anyone with that address sees the camera and can change every control; nobody else can"
        if self.osc.is_open:
            yield f"anyone who reaches UDP port {self.osc.port} can change every control: OSC has no passwords"

    # ---- actions

    def _perform(self, action: str, arguments: tuple[Any, ...]) -> None:
        actions: Mapping[str, Callable[..., None]] = {
            "reset": self.engine.reset,
            "restart": self._restart,
            "preset": self._change_preset,
            "input": lambda uri: self._begin(self.input.replace(uri), "input"),
            "output": self.outputs.switch,
            "record": self.outputs.record,
        }
        actions[action](*arguments)
        self._look()

    def _change_preset(self, name: str) -> None:
        """Run another model at the size the pictures have; outputs never change theirs."""
        self.preset = load_preset(name).resized(self.preset.width, self.preset.height)
        self.control.start_from(self.preset.params)
        if self.playout is not None:
            self.playout.burst = self._burst
        self._restart(self._engine_command(name))
        if self.preset.input and not self.input.uri:
            self._begin(self.input.open(""), "input")

    @property
    def _burst(self) -> int:
        """Pictures that the engine finishes at once."""
        return max(BURST, self.preset.chunk.later)

    def _restart(self, command: Sequence[str] | None = None) -> None:
        self._streamed = False
        self.engine.restart(command)

    def _engine_command(self, preset: str) -> list[str]:
        size = f"{self.preset.width}x{self.preset.height}"
        rings = ["--inbox", self.rings["in"], "--outbox", self.rings["wet"]]
        return module_command(self._engine, "--preset", preset, "--size", size, *rings)

    def _begin(self, work: Coroutine[Any, Any, Any], where: str = "run") -> None:
        """Do something that takes time; if it fails, people are told."""
        task = asyncio.create_task(self._attempt(work, where))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attempt(self, work: Coroutine[Any, Any, Any], where: str) -> None:
        try:
            await work
        except EngineError as error:
            self.control.fail(error.sentence, where)

    # ---- news

    def _watch(self, event: Event) -> None:
        if event.kind == "changed":
            self.engine.update(self.control.params)
        elif event.kind == "error":
            self.line.say(f"{event.data['where']}: {event.data['reason']}", "yellow")

    def _reported(self, report: Report) -> None:
        self.meter.report(report)
        if report.frame is not None and report.revision != self.control.status.applied["revision"]:
            self.control.publish(applied={"revision": report.revision, "frame": report.frame})

    async def keep_looking(self) -> None:
        """Tell the surfaces how things stand, until cancelled."""
        while True:
            for _ in range(PUBLISH_EVERY):
                self._look()
                await asyncio.sleep(CHECK_EVERY)
            self.control.publish(**self.meter.fields())
            self.line.refresh()

    def _look(self) -> None:
        """Tell everybody at once if the state, or which parts there are, is not as before."""
        stale = self.playout is None or self.playout.holding or self.playout.dry
        state = run_state(
            self.engine.stage,
            failed=self.engine.failed,
            streamed=self._streamed,
            stale=stale,
            dry=self.playout is not None and self.playout.dry,
        )
        self._streamed = self._streamed or state == "streaming"
        engine = replace(self.engine.status, preset=self.preset.name)  # what was asked for, even before it says so
        outputs = (OutputStatus(self.rings["out"], "ring"), OutputStatus("web", "web"), *self.outputs.status)
        self._tell_finishing(outputs)
        news = {"state": state, "engine": engine, "input": self.input.uri, "outputs": outputs}
        if any(getattr(self.control.status, name) != value for name, value in news.items()):
            self.control.publish(**news)

    def _tell_finishing(self, outputs: Sequence[OutputStatus]) -> None:
        """A file that begins to be finished is news for the terminal; other surfaces show it while it lasts."""
        for output in outputs:
            if output.state == "finishing" and output not in self.control.status.outputs:
                self.line.say(f"{output.name}: finishing {output.file}")


def _sized(preset: Preset, options: RunOptions) -> Preset:
    return preset.resized(*options.size) if options.size else preset


def _make_ring(name: str, preset: Preset) -> RingWriter:
    return RingWriter.create(name, preset.width, preset.height, slots_for(preset.width, preset.height))


def _on_signals(callback: Callable[[], None]) -> None:
    """Call `callback` on this loop when we are told to end; Windows has no loop.add_signal_handler."""
    loop = asyncio.get_running_loop()

    def tell(*_: object) -> None:
        with suppress(RuntimeError):  # the loop has ended already: an impatient second Ctrl-C
            loop.call_soon_threadsafe(callback)

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, tell)
