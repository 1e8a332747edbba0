"""
A real OBS Studio without a screen: its own X server, its own folders, its own port and password. Nothing of it is left
behind, and nothing of a user's own OBS is touched.
"""

import base64
import io
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import av

from engine.clock import monotonic
from tests.obs.remote import Refused, connect

PROGRAMS = ("obs", "Xvfb", "xauth")
INSTALL = "apt-get install -y --no-install-recommends obs-studio obs-plugins libobs-dev xvfb xauth"
READY_TIMEOUT = 60.0  # seconds; half a one on an idle machine
MISSING = 600  # obs-websocket's code for something that is not there
NOT_RENDERED = 702  # and for a screenshot of what has no size
SCENE = "Lab"  # the scene that is there at the start, on program


def missing():
    """What a test with OBS lacks on this machine; empty if nothing."""
    if sys.platform != "linux":
        return "tests with OBS need Linux and Xvfb"
    lacking = [name for name in PROGRAMS if not shutil.which(name)]
    return f"no {', '.join(lacking)}; {INSTALL}" if lacking else ""


def until(look, within=READY_TIMEOUT, what="it never happened"):
    """Wait for something true, and return it. Tests wait for conditions, since the machine may be busy."""
    deadline = monotonic() + within
    while monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(what() if callable(what) else what)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Display:
    """An X server that draws into memory."""

    def __init__(self, size="1280x800"):
        reading, writing = os.pipe()
        command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{size}x24", "-nolisten", "tcp", "-noreset"]
        with open(os.devnull, "w") as nowhere:
            self.process = _start(command, pass_fds=(writing,), stdout=nowhere, stderr=nowhere)
        os.close(writing)
        with os.fdopen(reading) as said:
            self.name = f":{said.readline().strip()}"  # the whole line: Xvfb ends if its pipe is closed before
        if self.name == ":":
            self.close()
            raise AssertionError("Xvfb did not start")

    def close(self):
        _end(self.process, signal.SIGTERM)


class Lab:
    """One OBS, not yet started. Use as a context manager, or call `start` and, whatever happens, `close`.

    size, fps: of OBS's canvas; OBS knows 30 and 60, among others.
    profile:   further sections of basic.ini, {section: {key: value}}.

    scene: what OBS's file says of the scene at the first start.
    """

    def __init__(self, display, size=(640, 360), fps=30, profile=None):
        self.display, self.size, self.fps = display, size, fps
        self.folder = Path(tempfile.mkdtemp(prefix="lc-obs-"))
        self.config = self.folder / "config" / "obs-studio"
        self.port, self.password = free_port(), secrets.token_urlsafe(12)
        self.process = None
        self._scripts, self._profile = [], profile or {}
        self.scene = {"id": "scene", "name": SCENE, "settings": {"id_counter": 0, "custom_size": False, "items": []}}
        self._client = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.close()

    # ---- before the start

    def install_plugin(self, library, data=None):
        """Put a plugin where a user's plugins are: a .so, and its data folder if there is one."""
        library = Path(library)
        home = self.config / "plugins" / library.stem
        (home / "bin" / "64bit").mkdir(parents=True, exist_ok=True)
        shutil.copy(library, home / "bin" / "64bit" / library.name)
        if data:
            shutil.copytree(data, home / "data", dirs_exist_ok=True)

    def add_script(self, path, **settings):
        """Have a script loaded with the scene collection, as the Scripts window would."""
        self._scripts.append({"path": str(Path(path).resolve()), "settings": settings})

    # ---- life

    @property
    def environment(self):
        """What a program needs to be in the same world: the same home folders and screen."""
        home = {"HOME": self.folder, "XDG_CONFIG_HOME": self.folder / "config", "XDG_RUNTIME_DIR": self.folder / "run"}
        quiet = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "DISPLAY": self.display.name}
        # no session bus: a dbus-daemon that was started for us would outlive us
        bus = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}
        return {**os.environ, **{name: str(path) for name, path in home.items()}, **quiet, **bus}

    def start(self):
        """Start it, and wait until it answers. What is left of one that has crashed is cleared away."""
        if self.process is not None:
            self.kill()
        if not self.config.is_dir() or not (self.config / "global.ini").exists():
            self._write_config()
        command = ["obs", "--multi", "--collection", "Lab", "--profile", "Lab", "--disable-missing-files-check"]
        command += ["--disable-shutdown-check", "--websocket_ipv4_only"]
        self._said = open(self.folder / "said.txt", "ab")  # noqa: SIM115  closed with the process
        self.process = _start(command, env=self.environment, stdout=self._said, stderr=self._said, cwd=self.folder)
        try:
            until(self._answers, READY_TIMEOUT, lambda: f"OBS does not answer\n{self.log[-3000:]}")
        except BaseException:
            self.kill()
            raise

    def stop(self):
        """End it by closing its window; its exit code."""
        self._disconnect()
        command = [sys.executable, str(Path(__file__).with_name("window.py")), str(self.process.pid)]
        closed = self.alive and subprocess.run(command, env=self.environment, timeout=60).returncode == 0
        return self._gone(_end(self.process, 0 if closed else signal.SIGINT))

    def kill(self):
        """End it as a crash would."""
        self._disconnect()
        self._gone(_end(self.process, signal.SIGKILL))

    def restart(self):
        """Stop and start, with everything as it was."""
        self.stop()
        self.start()

    def reset(self):
        """Back to the one empty scene of the start, on program: other scenes, inputs and filters are removed."""
        self.call("SetCurrentProgramScene", sceneName=SCENE)
        for each in self.call("GetSourceFilterList", sourceName=SCENE)["filters"]:
            self.call("RemoveSourceFilter", sourceName=SCENE, filterName=each["filterName"])
        inputs = self._added("GetInputList", "inputs", "inputName", self.call("GetSpecialInputs").values())
        scenes = self._added("GetSceneList", "scenes", "sceneName", [SCENE])
        for name in inputs:
            self.call("RemoveInput", inputName=name)
        for name in scenes:
            self.call("RemoveScene", sceneName=name)
        until(lambda: not any(map(self._exists, inputs + scenes)), what="OBS keeps what was removed")

    def close(self):
        """End it if it runs, and remove all its folders. Twice is fine."""
        if self.process is not None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    @property
    def log(self):
        """Everything it wrote into its log files so far, of all its lives."""
        files = sorted((self.config / "logs").glob("*.txt"))
        return "".join(path.read_text("utf-8", "replace") for path in files)

    # ---- talking to it

    def call(self, request, **data):
        """Send a websocket request; what it answers, as a dict. Raises Refused."""
        if self._client is None:
            self._client = connect(self.port, self.password)
        return self._client.ask(request, data)

    def press(self, hotkey, within=20.0):
        """Press a hotkey by its name; it may be there a moment after OBS answers."""

        def pressed():
            try:
                return self.call("TriggerHotkeyByName", hotkeyName=hotkey) is not None
            except Refused:
                return False

        until(pressed, within, lambda: f"there is no hotkey {hotkey}\n{self.log[-2000:]}")

    def screenshot(self, source=SCENE, width=None, height=None):
        """What a source or scene looks like now: uint8 [H, W, 3 or 4], RGB and, mostly, alpha."""
        size = {"imageWidth": width, "imageHeight": height}
        asked = {name: value for name, value in size.items() if value}
        answer = self.call("GetSourceScreenshot", sourceName=source, imageFormat="png", **asked)
        with av.open(io.BytesIO(base64.b64decode(answer["imageData"].partition(",")[2]))) as image:
            return next(image.decode(video=0)).to_ndarray()

    def shows(self, look, source=SCENE, within=READY_TIMEOUT, what="OBS never showed it"):
        """Wait until `look` is true of a screenshot, and return that one. A film has none before its first picture."""
        last = []

        def seen():
            try:
                last[:] = [self.screenshot(source)]
            except Refused as error:
                if error.code != NOT_RENDERED:
                    raise
                return False
            return look(last[0])

        until(seen, within, what)
        return last[0]

    # ---- how

    def _exists(self, source):
        """Whether a name is still taken: OBS lets go of a source, or a scene, only when it is no longer shown."""
        try:
            return self.call("GetSourceFilterList", sourceName=source) is not None
        except Refused as error:
            if error.code != MISSING:
                raise
            return False

    def _added(self, request, key, name, known):
        return [each[name] for each in self.call(request)[key] if each[name] not in known]

    def _answers(self):
        assert self.process.poll() is None, f"OBS ended with code {self.process.returncode}\n{self.log[-3000:]}"
        try:
            return self.call("GetVersion")
        except (OSError, Refused):  # the port opens before OBS is ready
            self._disconnect()
            return None

    def _disconnect(self):
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _gone(self, code):
        self._said.close()
        self.process = None
        return code

    def _write_config(self):
        (self.folder / "run").mkdir(exist_ok=True, mode=0o700)
        profile = self.config / "basic" / "profiles" / "Lab"
        scenes = self.config / "basic" / "scenes"
        remote = self.config / "plugin_config" / "obs-websocket"
        for folder in (profile, scenes, remote):
            folder.mkdir(parents=True, exist_ok=True)
        (self.config / "global.ini").write_text(_ini(self._globals()), "utf-8")
        (profile / "basic.ini").write_text(_ini(self._basic()), "utf-8")
        (scenes / "Lab.json").write_text(json.dumps(self._collection()), "utf-8")
        (remote / "config.json").write_text(json.dumps(self._remote()), "utf-8")  # where OBS 30 looks

    def _globals(self):
        return {
            "General": {
                "FirstRun": "true",  # means: the first run is done, no wizard
                "LastVersion": 486539266,
                "InfoIncrement": 1000,
                "EnableAutoUpdates": "false",
                "ConfirmOnExit": "false",
                "Language": "en-US",
            },
            "Basic": {"Profile": "Lab", "ProfileDir": "Lab", "SceneCollection": "Lab", "SceneCollectionFile": "Lab"},
            "BasicWindow": {"PreviewEnabled": "false", "SysTrayEnabled": "false"},  # a fifth of the processor's time
            "OBSWebSocket": {
                "FirstLoad": "false",
                "ServerEnabled": "true",
                "ServerPort": self.port,
                "AuthRequired": "true",
                "ServerPassword": self.password,
            },
        }

    def _basic(self):
        width, height = self.size
        video = {"BaseCX": width, "BaseCY": height, "OutputCX": width, "OutputCY": height, "FPSType": 0}
        video |= {"FPSCommon": self.fps, "ColorFormat": "NV12", "ColorSpace": 709, "ColorRange": "Partial"}
        sections = {"General": {"Name": "Lab"}, "Video": video}
        for name, keys in self._profile.items():
            sections[name] = {**sections.get(name, {}), **keys}
        return sections

    def _collection(self):
        return {
            "name": "Lab",
            "current_scene": SCENE,
            "current_program_scene": SCENE,
            "scene_order": [{"name": SCENE}],
            "sources": [self.scene],
            "transitions": [],
            "modules": {"scripts-tool": self._scripts},
        }

    def _remote(self):
        return {
            "alerts_enabled": False,
            "auth_required": True,
            "first_load": False,
            "server_enabled": True,
            "server_password": self.password,
            "server_port": self.port,
        }


def _start(command, **options):
    """A program in a group of its own, which ends with us even if we are killed."""
    if setpriv := shutil.which("setpriv"):
        command = [setpriv, "--pdeathsig", "KILL", "--", *command]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)


def _end(process, number):
    """Signal it, insist after a while, take everything along that it started; the exit code."""
    with suppress(ProcessLookupError):
        process.send_signal(number)
    with suppress(subprocess.TimeoutExpired):
        process.wait(15)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _ini(sections):
    lines = []
    for name, keys in sections.items():
        lines += [f"[{name}]", *(f"{key}={value}" for key, value in keys.items()), ""]
    return "\n".join(lines)
