"""A real browser for tests of the page."""

import json
import os
import shutil
import signal
import subprocess
import time
from itertools import count
from urllib.request import ProxyHandler, build_opener

import pytest
from websockets.sync.client import connect

from engine.clock import monotonic

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
FLAGS += " --disable-component-update --disable-dev-shm-usage --remote-debugging-port=0"
NEEDS_BROWSER = [
    pytest.mark.process,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (apt install chromium)"),
    pytest.mark.skipif(os.name != "posix", reason="ends its browser by process group"),
]


class Navigated(AssertionError):
    """The page that was asked is being left."""


class Browser:
    """Chromium, driven over its debugging protocol. `complaints` are errors the page's scripts made."""

    def __init__(self, folder):
        command = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        self._ids = count(1)
        self.complaints = []
        port = self._port(folder / "DevToolsActivePort")
        with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}/json", timeout=60) as answer:
            (page,) = [tab for tab in json.load(answer) if tab["type"] == "page"]
        self._connecting = connect(page["webSocketDebuggerUrl"], proxy=None, max_size=None)
        self._socket = self._connecting.__enter__()
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def _port(self, file):
        deadline = monotonic() + 90
        while not (file.exists() and file.read_text().count("\n")):
            assert monotonic() < deadline and self._process.poll() is None, "Chromium does not start"
            time.sleep(0.05)
        return int(file.read_text().splitlines()[0])

    def call(self, method, **parameters):
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=90))
            level = answer.get("params", {}).get("entry", {}).get("level")
            if answer.get("method") == "Runtime.exceptionThrown" or level == "error":
                self.complaints.append(answer["params"])
            if answer.get("id") == number:
                if "navigated" in answer.get("error", {}).get("message", ""):
                    raise Navigated(answer)
                assert "error" not in answer, answer
                return answer["result"]

    def see(self, script):
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script, seconds=60):
        deadline = monotonic() + seconds
        while not self._is(script):
            assert monotonic() < deadline, f"never true: {script}"
            time.sleep(0.05)

    def _is(self, script):
        try:
            return self.see(script)
        except Navigated:
            return False

    def visit(self, url, width=1280, height=800, phone=False):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=url)
        self.until("document.querySelectorAll('.widget').length && document.body.dataset.state == 'streaming'")

    def click(self, selector, across=0.5):
        box = self.see(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});"
            " const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height] })()"
        )
        where = {"x": box[0] + box[2] * across, "y": box[1] + box[3] / 2, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, **where)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def press(self, key, code=""):
        for kind in ("keyDown", "keyUp"):
            said = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            text = {"text": said} if kind == "keyDown" and said else {}
            number = {"Enter": 13, "Escape": 27, " ": 32, "Backspace": 8}.get(key, 0)
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code, windowsVirtualKeyCode=number, **text)

    def close(self):
        self._connecting.__exit__(None, None, None)
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=60)
