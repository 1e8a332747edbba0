"""
OBS's scenes turn knobs: whenever the program scene changes, what bridge.toml says of it is done. OBS may be started
later, restarted or closed: it is looked for as long as the run lasts, and nothing here can hold the picture up.

A thread of its own owns the connection. The event loop owns the desk, and is only ever told what to do on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, Literal

from bridge.control.control import ControlState
from bridge.errors import BridgeError
from bridge.obs.address import ObsAddress
from bridge.obs.client import ObsClient
from bridge.obs.errors import ObsPasswordError, ObsRefused, ObsUnreachable
from bridge.obs.setup import hangs, wake
from engine.errors import EngineError
from engine.preset import load_preset

FIRST_WAIT, LONGEST_WAIT = 0.5, 5.0  # seconds between two attempts, doubling
CHECK_EVERY = 1.0  # seconds between two looks at whether the text is still true, and the picture still moves
PRESET_DELAY = 0.5  # seconds a scene has to stay before its preset is run: another model takes seconds to load
SCENE_EVENTS = (  # after which another scene may be on; OBS is asked which, so that what is done last is true
    "SceneTransitionStarted",
    "CurrentProgramSceneChanged",
    "CurrentSceneCollectionChanged",
    "StudioModeStateChanged",
    "SceneNameChanged",
)
LEAVING = "ExitStarted"
News = Literal["scene", "lost", "quiet"]  # another scene may be on; it is over; nothing for a while
log = logging.getLogger(__name__)
Changes = Mapping[str, Any]


class ObsSurface:
    """Follows the OBS that `find` finds; `find` is asked before each attempt, as passwords change.

    scenes: {scene: {control or "preset": value}}.   text: name of a text source to keep up to date; none if empty.
    say: told in a sentence when OBS is found and when it has gone; called on the event loop.
    picture: a run sends its pictures to OBS; wake the Media source that `latentcast obs setup` made, if it hangs.
    """

    def __init__(
        self,
        control: ControlState,
        find: Callable[[], ObsAddress],
        scenes: Mapping[str, Changes],
        text: str = "",
        say: Callable[[str], None] = lambda sentence: None,
        picture: bool = False,
    ) -> None:
        self._control, self._find, self._scenes, self._text, self._say = control, find, scenes, text, say
        self._picture = picture
        self._news: SimpleQueue[News] = SimpleQueue()
        self._stopping = Event()
        self._thread = Thread(target=self._keep, name="obs", daemon=True)
        self._entered = ""  # the scene that was on last
        self._preset: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begin to look for OBS. Never fails: one that is not there is waited for."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Hang up. Twice is fine, and so is before `start`."""
        self._stopping.set()
        self._news.put("lost")
        if self._preset:
            self._preset.cancel()
        for _ in range(50):
            if not self._thread.is_alive():
                return
            await asyncio.sleep(0.02)  # one that still waits for an answer ends with the process

    # ---- on the thread

    def _keep(self) -> None:
        """Follow one OBS after the other until told to stop."""
        wait, told, refused = FIRST_WAIT, "", None
        while not self._stopping.is_set():
            address = self._find()
            if address == refused:  # with the same password, it would say no again
                self._stopping.wait(LONGEST_WAIT)
                continue
            try:
                self._follow(address)
                wait, told = FIRST_WAIT, ""
            except BridgeError as error:
                refused = address if isinstance(error, ObsPasswordError) else None
                if error.sentence != told:  # once for each reason
                    told = error.sentence
                    self._do(self._control.fail, told, "obs")
            self._stopping.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _follow(self, address: ObsAddress) -> None:
        """Be connected, until OBS goes. Raises BridgeError if it cannot be reached."""
        while not self._news.empty():
            self._news.get()  # of the OBS before
        with ObsClient(address, self._heard, lambda: self._news.put("lost")) as obs:
            self._do(self._say, f"obs: following OBS {obs.version} at {address.host}:{address.port}")
            self._news.put("scene")
            shown, wrong, hung = "", False, False
            while (news := self._next()) != "lost":
                if news == "scene":
                    self._do(self._enter, self._scene(obs))
                if news == "quiet" and self._picture:
                    hung = self._look_after(obs, hung)
                if self._text and not wrong and (line := self._line()) != shown:
                    wrong, shown = not self._write(obs, line), line
        if not self._stopping.is_set():
            self._do(self._say, "obs: OBS has gone; it is waited for")

    def _look_after(self, obs: ObsClient, hung: bool) -> bool:
        """Wake OBS's Media source if it hung at the last look, and does so still; whether it did at this one."""
        if not hangs(obs):
            return False
        if hung:
            wake(obs)
        return not hung

    def _next(self) -> News:
        """The next news, if need be that there was none for a while."""
        try:
            return self._news.get(timeout=CHECK_EVERY) if self._text or self._picture else self._news.get()
        except Empty:
            return "quiet"

    def _heard(self, event: str, data: Mapping[str, Any]) -> None:
        """On the connection's thread, which must not wait for an answer: it is the one that brings it."""
        if event in SCENE_EVENTS:
            self._news.put("scene")
        elif event == LEAVING:
            self._news.put("lost")

    def _scene(self, obs: ObsClient) -> str:
        return obs.ask("GetCurrentProgramScene").text("currentProgramSceneName")

    def _line(self) -> str:
        """How the run stands, for the people in front of OBS."""
        status, params = self._control.status, self._control.params
        return f"{status.state}  {params.prompt}  {status.fps_out:.0f} fps"

    def _write(self, obs: ObsClient, line: str) -> bool:
        """Whether the text source took it; one that is not there is told of once."""
        try:
            obs.ask("SetInputSettings", inputName=self._text, inputSettings={"text": line})
            return True
        except ObsRefused as error:
            hint = "`latentcast obs setup --state` makes one"
            self._do(self._control.fail, f"OBS has no text source {self._text!r}; {hint}", "obs")
            log.debug("%s", error)
            return False
        except ObsUnreachable:
            return True  # the news that it has gone is on its way

    def _do(self, call: Callable[..., None], *arguments: Any) -> None:
        """Have the event loop do it, unless that has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    # ---- on the event loop

    def _enter(self, scene: str) -> None:
        """A scene is on program: do what is said of it. One that was on before a restart of OBS has been heeded."""
        if scene == self._entered:
            return
        self._entered = scene
        if self._preset:
            self._preset.cancel()
        changes = self._scenes.get(scene, {})
        try:
            if controls := {name: value for name, value in changes.items() if name != "preset"}:
                self._control.set_all(controls)
        except EngineError as error:
            self._control.fail(f"scene {scene!r:.80}: {error.sentence}", "obs")
        if "preset" in changes:
            self._preset = self._loop.call_later(PRESET_DELAY, self._run_preset, changes["preset"])

    def _run_preset(self, preset: str) -> None:
        """Run another model, unless it is the one that was asked for last. A file goes by its name too."""
        try:
            if self._control.status.engine.preset != load_preset(preset).name:
                self._control.do("preset", preset)
        except EngineError as error:
            self._control.fail(error.sentence, "obs")
